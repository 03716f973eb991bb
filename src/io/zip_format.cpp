#include "entk/io/zip_format.h"

#include <zlib.h>

namespace entk::zip {

std::uint32_t crc32(std::string_view bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace entk::zip
