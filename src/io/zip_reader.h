// Reads the stored records of a zip archive that nobody vouches for, as PyTorch's writers make it:
// zip64 or not, padded, with or without data descriptors, under any top folder.
//
// Every offset and size is checked against the file before it is used, records may not overlap or
// repeat a name, and a record's CRC-32 is checked when it is read. Nothing is decompressed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace entk {

class ZipReader {
 public:
  /// Reads the directory. `bytes` must outlive the reader; `name` is for messages.
  /// @throws InputError
  ZipReader(std::string_view bytes, std::string name);

  /// Whether there is a record folder/record, where folder is that of the first record.
  bool has(std::string_view record) const;
  /// The data of folder/record. @throws InputError if it is missing, compressed, encrypted, or if
  /// its CRC-32 differs.
  std::string_view read(std::string_view record);

 private:
  struct Entry {
    std::uint16_t flags, method;
    std::uint32_t crc;
    std::uint64_t size, compressed_size,
        offset;  ///< the offset first of the header, then of the data
    bool checked = false;
  };
  struct Directory {
    std::uint64_t offset, size, count, end;
  };

  [[noreturn]] void fail(const std::string& why) const;
  bool inside(std::uint64_t offset, std::uint64_t size, std::uint64_t limit) const {
    return offset <= limit && size <= limit - offset;
  }
  Directory find_directory() const;
  void read_directory(const Directory& directory);
  std::size_t read_entry(std::size_t place, std::size_t end);
  void read_sizes64(std::string_view extra, Entry& entry) const;
  void find_data(const Directory& directory);

  std::string_view bytes_;
  std::string name_;
  std::string folder_;
  std::map<std::string_view, Entry> entries_;
};

}  // namespace entk
