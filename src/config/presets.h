// The configurations of configs/, built into the library.
#pragma once

#include <string_view>
#include <vector>

namespace entk {

struct BuiltInPreset {
  std::string_view name;  ///< the file's, without .json
  std::string_view text;
};

/// In alphabetical order; written by cmake/EmbedPresets.cmake.
const std::vector<BuiltInPreset>& built_in_presets();

}  // namespace entk
