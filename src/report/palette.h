// Colours of plots, chosen to stay apart for colour-blind readers and in grey.
#pragma once

#include <string>
#include <vector>

namespace entk {

/// Colours of series.
enum class Palette {
  categorical,  ///< seven colours of seven lightnesses: unordered series
  sequential,   ///< dark violet to light yellow-green, even steps of lightness: a swept parameter
};

/// `count` colours as "#rrggbb". Categorical colours repeat after seven.
std::vector<std::string> palette_colors(Palette palette, int count);

}  // namespace entk
