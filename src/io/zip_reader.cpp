#include "entk/io/zip_reader.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "entk/base/error.h"
#include "entk/io/text.h"
#include "entk/io/zip_format.h"

namespace entk {

namespace {

using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using zip::load;

// A hundred times what a checkpoint has; bounds the memory that the directory takes.
constexpr u64 most_records = 1 << 17;

}  // namespace

ZipReader::ZipReader(std::string_view bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {
  const Directory directory = find_directory();
  read_directory(directory);
  find_data(directory);
}

void ZipReader::fail(const std::string& why) const { throw InputError(name_ + ": " + why); }

ZipReader::Directory ZipReader::find_directory() const {
  if (bytes_.size() < 4 || load<u32>(bytes_, 0) != zip::local_header) {
    fail("expected a .pt file of torch.save (a zip archive), found something else");
  }
  // The end record is the last thing in the file but for a comment of at most 65535 bytes.
  const u64 size = bytes_.size();
  u64 end = size;
  for (u64 back = zip::directory_end_size; back <= std::min<u64>(size, zip::directory_end_size + 0xffff); ++back) {
    const u64 place = size - back;
    if (load<u32>(bytes_, place) == zip::directory_end &&
        load<u16>(bytes_, place + 20) == back - zip::directory_end_size) {
      end = place;
      break;
    }
  }
  if (end == size) fail("the end of the zip archive is missing: the file is truncated");
  Directory directory{load<u32>(bytes_, end + 16), load<u32>(bytes_, end + 12), load<u16>(bytes_, end + 10), end};
  if (end >= zip::locator64_size && load<u32>(bytes_, end - zip::locator64_size) == zip::locator64) {
    const u64 end64 = load<u64>(bytes_, end - zip::locator64_size + 8);
    if (!inside(end64, zip::directory_end64_size, end - zip::locator64_size) ||
        load<u32>(bytes_, end64) != zip::directory_end64) {
      fail("the zip64 end record is not where the file says");
    }
    directory = {load<u64>(bytes_, end64 + 48), load<u64>(bytes_, end64 + 40), load<u64>(bytes_, end64 + 32), end64};
  }
  if (!inside(directory.offset, directory.size, directory.end)) {
    fail("the zip directory lies outside the file");
  }
  if (directory.count > most_records || directory.count > directory.size / zip::directory_entry_size) {
    fail("the zip directory claims " + std::to_string(directory.count) + " records");
  }
  return directory;
}

void ZipReader::read_directory(const Directory& directory) {
  std::size_t place = directory.offset;
  const std::size_t end = directory.offset + directory.size;
  for (u64 index = 0; index < directory.count; ++index) place = read_entry(place, end);
  if (place != end) fail("the zip directory is longer than its records");
  if (entries_.empty()) fail("the zip archive is empty");
}

std::size_t ZipReader::read_entry(std::size_t place, std::size_t end) {
  if (!inside(place, zip::directory_entry_size, end) || load<u32>(bytes_, place) != zip::directory_entry) {
    fail("the zip directory is damaged");
  }
  const std::size_t name_length = load<u16>(bytes_, place + 28);
  const std::size_t extra_length = load<u16>(bytes_, place + 30);
  const std::size_t comment_length = load<u16>(bytes_, place + 32);
  const std::size_t name_place = place + zip::directory_entry_size;
  if (!inside(name_place, name_length + extra_length + comment_length, end)) {
    fail("the zip directory is damaged");
  }
  Entry entry{load<u16>(bytes_, place + 8),  load<u16>(bytes_, place + 10), load<u32>(bytes_, place + 16),
              load<u32>(bytes_, place + 24), load<u32>(bytes_, place + 20), load<u32>(bytes_, place + 42)};
  read_sizes64(bytes_.substr(name_place + name_length, extra_length), entry);
  const std::string_view name = bytes_.substr(name_place, name_length);
  if (entries_.empty()) {
    const std::size_t slash = name.find('/');
    if (slash == std::string_view::npos) {
      fail(
          "expected a .pt file of torch.save, found another zip archive (its records have no "
          "folder)");
    }
    folder_ = std::string(name.substr(0, slash + 1));
  }
  if (!entries_.emplace(name, entry).second) fail("two records have the name " + in_quotes(name));
  return name_place + name_length + extra_length + comment_length;
}

void ZipReader::read_sizes64(std::string_view extra, Entry& entry) const {
  std::size_t place = 0;
  while (place + 4 <= extra.size()) {
    const std::size_t length = load<u16>(extra, place + 2);
    if (!inside(place + 4, length, extra.size())) fail("the zip directory is damaged");
    if (load<u16>(extra, place) == zip::zip64_field) {
      std::size_t field = place + 4;
      const std::size_t end = field + length;
      for (u64* value : {&entry.size, &entry.compressed_size, &entry.offset}) {
        if (*value != zip::in_zip64) continue;
        if (!inside(field, 8, end)) fail("the zip directory is damaged");
        *value = load<u64>(extra, field);
        field += 8;
      }
      return;
    }
    place += 4 + length;
  }
}

void ZipReader::find_data(const Directory& directory) {
  std::vector<std::pair<u64, u64>> taken;
  taken.reserve(entries_.size());
  for (auto& [name, entry] : entries_) {
    const u64 header = entry.offset;
    if (!inside(header, zip::local_header_size, directory.offset) || load<u32>(bytes_, header) != zip::local_header) {
      fail("the record " + in_quotes(name) + " is not where the zip directory says");
    }
    const u64 name_length = load<u16>(bytes_, header + 26);
    const u64 extra_length = load<u16>(bytes_, header + 28);
    const u64 name_place = header + zip::local_header_size;
    if (!inside(name_place, name_length + extra_length, directory.offset) ||
        bytes_.substr(name_place, name_length) != name) {
      fail("the record " + in_quotes(name) + " has another name in its header");
    }
    entry.offset = name_place + name_length + extra_length;
    if (!inside(entry.offset, entry.compressed_size, directory.offset)) {
      fail("the record " + in_quotes(name) + " reaches outside the file");
    }
    taken.emplace_back(header, entry.offset + entry.compressed_size);
  }
  std::sort(taken.begin(), taken.end());
  for (std::size_t i = 1; i < taken.size(); ++i) {
    if (taken[i].first < taken[i - 1].second) fail("records of the zip archive overlap");
  }
}

bool ZipReader::has(std::string_view record) const { return entries_.count(folder_ + std::string(record)) != 0; }

std::string_view ZipReader::read(std::string_view record) {
  const auto found = entries_.find(folder_ + std::string(record));
  if (found == entries_.end()) fail("the record " + in_quotes(record) + " is missing");
  Entry& entry = found->second;
  if ((entry.flags & 1) != 0) fail("the record " + in_quotes(record) + " is encrypted");
  if (entry.method != 0 || entry.size != entry.compressed_size) {
    fail("the record " + in_quotes(record) + " is compressed; torch.save stores it as it is");
  }
  const std::string_view data = bytes_.substr(entry.offset, entry.size);
  if (!entry.checked && zip::crc32(data) != entry.crc) {
    fail("the record " + in_quotes(record) + " is damaged (its CRC-32 differs)");
  }
  entry.checked = true;
  return data;
}

}  // namespace entk
