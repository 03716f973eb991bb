#include "entk/io/zip_format.h"

#include <array>

namespace entk::zip {

namespace {

// Table k advances a byte by k further bytes of zeros, so that eight bytes go in one step.
constexpr auto tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320u : 0u);
    table[0][byte] = crc;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      table[k][byte] = (table[k - 1][byte] >> 8) ^ table[0][table[k - 1][byte] & 0xff];
    }
  }
  return table;
}();

}  // namespace

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  std::size_t place = 0;
  for (; place + 8 <= bytes.size(); place += 8) {
    const auto word = load<std::uint64_t>(bytes, place) ^ crc;
    crc = 0;
    for (int k = 0; k < 8; ++k) crc ^= tables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; place < bytes.size(); ++place) {
    crc = (crc >> 8) ^ tables[0][(crc ^ static_cast<unsigned char>(bytes[place])) & 0xff];
  }
  return ~crc;
}

}  // namespace entk::zip
