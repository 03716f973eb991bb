#include "entk/io/zip_writer.h"

#include "entk/io/zip_format.h"

namespace entk {

namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

constexpr u16 version = 45;              // the first one that has zip64
constexpr u32 time_and_date = 0x210000;  // 1980-01-01: the same dict gives the same bytes
constexpr u64 alignment = 64;

}  // namespace

void ZipWriter::add(const std::string& name, std::string_view data) {
  const u32 crc = zip::crc32(data);
  const u64 offset = bytes_.size();
  entries_.push_back({name, crc, data.size(), offset});
  constexpr u16 sizes_length = 4 + 16;
  const u64 unpadded = offset + zip::local_header_size + name.size() + sizes_length + 4;
  const auto padding = static_cast<u16>((alignment - unpadded % alignment) % alignment);

  put(zip::local_header);
  put(version);
  put(u16{0});  // flags
  put(u16{0});  // method: stored
  put(time_and_date);
  put(crc);
  put(zip::in_zip64);  // compressed and uncompressed size
  put(zip::in_zip64);
  put(static_cast<u16>(name.size()));
  put(static_cast<u16>(sizes_length + 4 + padding));
  bytes_ += name;
  put(zip::zip64_field);
  put(u16{16});
  put(u64{data.size()});
  put(u64{data.size()});
  put(zip::padding_field);
  put(padding);
  bytes_.append(padding, 'Z');
  bytes_ += data;
}

std::string ZipWriter::finish() && {
  const u64 directory = bytes_.size();
  for (const Entry& entry : entries_) {
    put(zip::directory_entry);
    put(version);  // made by
    put(version);  // needed
    put(u16{0});
    put(u16{0});
    put(time_and_date);
    put(entry.crc);
    put(zip::in_zip64);
    put(zip::in_zip64);
    put(static_cast<u16>(entry.name.size()));
    put(u16{4 + 24});  // extra field
    put(u16{0});       // comment
    put(u16{0});       // disk
    put(u16{0});       // internal attributes
    put(u32{0});       // external attributes
    put(zip::in_zip64);
    bytes_ += entry.name;
    put(zip::zip64_field);
    put(u16{24});
    put(entry.size);
    put(entry.size);
    put(entry.offset);
  }
  const u64 end = bytes_.size();
  put(zip::directory_end64);
  put(u64{zip::directory_end64_size - 12});  // what follows this field
  put(version);
  put(version);
  put(u32{0});  // this disk, the directory's disk
  put(u32{0});
  put(u64{entries_.size()});
  put(u64{entries_.size()});
  put(end - directory);
  put(directory);
  put(zip::locator64);
  put(u32{0});
  put(end);
  put(u32{1});  // disks
  put(zip::directory_end);
  put(u32{0});
  put(u16{0xffff});  // entries on this disk and in all, size and place of the directory: in zip64
  put(u16{0xffff});
  put(zip::in_zip64);
  put(zip::in_zip64);
  put(u16{0});
  return std::move(bytes_);
}

}  // namespace entk
