// Writes a zip archive of stored records into memory, as torch.load expects it: zip64, no time
// stamps, the data of every record at a multiple of 64 bytes (torch.load can then map it).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace entk {

class ZipWriter {
 public:
  /// `expected_size` bytes are set aside at once.
  explicit ZipWriter(std::size_t expected_size = 0) { bytes_.reserve(expected_size); }

  /// Adds a record. Names are ASCII, shorter than 64 KiB, each used once.
  void add(const std::string& name, std::string_view data);
  /// Adds the directory and returns the archive.
  std::string finish() &&;

  /// More than what a record takes beyond its data, and the end of an archive.
  static constexpr std::size_t overhead = 512;

 private:
  struct Entry {
    std::string name;
    std::uint32_t crc;
    std::uint64_t size, offset;
  };

  template <class T>
  void put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  std::string bytes_;
  std::vector<Entry> entries_;
};

}  // namespace entk
