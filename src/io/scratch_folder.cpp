#include "entk/io/scratch_folder.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <cerrno>
#include <cstring>

#include "entk/base/error.h"

namespace entk {

ScratchFolder::ScratchFolder(const std::string& prefix, const std::filesystem::path& parent) {
  auto pattern = (parent / (prefix + "XXXXXX")).string();
  if (::mkdtemp(pattern.data()) == nullptr)
    throw SaveError(fmt::format("{}: no temporary folder can be made: {}", pattern, std::strerror(errno)));
  path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace entk
