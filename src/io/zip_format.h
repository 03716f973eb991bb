// Constants of the zip format and its check sum, for the reader and the writer of `.pt` files.
// All numbers in a zip file are little endian, as is every machine that entk runs on.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace entk::zip {

static_assert(std::endian::native == std::endian::little);

// Signatures of the parts of a file, and the lengths of their fixed beginnings.
constexpr std::uint32_t local_header = 0x04034b50, directory_entry = 0x02014b50, directory_end = 0x06054b50,
                        directory_end64 = 0x06064b50, locator64 = 0x07064b50;
constexpr std::size_t local_header_size = 30, directory_entry_size = 46, directory_end_size = 22,
                      directory_end64_size = 56, locator64_size = 20;

// A field of this value stands in a zip64 part instead.
constexpr std::uint32_t in_zip64 = 0xffffffff;
constexpr std::uint16_t zip64_field = 0x0001;
constexpr std::uint16_t padding_field = 0x4246;  // "FB", PyTorch's padding

/// The number at this place; the caller has checked that it is inside.
template <class T>
T load(std::string_view bytes, std::size_t place) {
  T value;
  std::memcpy(&value, bytes.data() + place, sizeof value);
  return value;
}

/// CRC-32 as zip defines it (polynomial 0xEDB88320).
std::uint32_t crc32(std::string_view bytes);

}  // namespace entk::zip
