#include "entk/report/palette.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

namespace entk {

namespace {

struct LinearRgb {
  double r, g, b;
  bool in_gamut() const { return std::min({r, g, b}) >= 0.0 && std::max({r, g, b}) <= 1.0; }
};

// Lightness, chroma and hue (degrees) of Ottosson's Oklab, where equal steps look equal.
LinearRgb from_oklch(double lightness, double chroma, double hue) {
  const double angle = hue * std::numbers::pi / 180.0;
  const double a = chroma * std::cos(angle), b = chroma * std::sin(angle);
  const auto cube = [](double v) { return v * v * v; };
  const double l = cube(lightness + 0.3963377774 * a + 0.2158037573 * b);
  const double m = cube(lightness - 0.1055613458 * a - 0.0638541728 * b);
  const double s = cube(lightness - 0.0894841775 * a - 1.2914855480 * b);
  return {4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
          -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
          -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s};
}

int to_byte(double linear) {
  const double v = std::clamp(linear, 0.0, 1.0);
  const double encoded = v <= 0.0031308 ? 12.92 * v : 1.055 * std::pow(v, 1.0 / 2.4) - 0.055;
  return static_cast<int>(std::lround(255.0 * encoded));
}

// t in [0, 1]. The light end stays dark enough for a thin line on white paper.
std::string sequential_color(double t) {
  const double lightness = 0.33 + 0.47 * t;
  const double hue = 300.0 - 195.0 * t;
  double chroma = 0.15;
  while (chroma > 0.0 && !from_oklch(lightness, chroma, hue).in_gamut()) chroma -= 0.002;
  const LinearRgb color = from_oklch(lightness, chroma, hue);
  return fmt::format("#{:02x}{:02x}{:02x}", to_byte(color.r), to_byte(color.g), to_byte(color.b));
}

}  // namespace

std::vector<std::string> palette_colors(Palette palette, int count) {
  // Of seven lightnesses, so that they differ in grey too, with the hues that stay furthest apart for readers without
  // one kind of cones.
  static constexpr const char* categorical[] = {"#0d5279", "#e2800b", "#736ff9", "#a94e00",
                                                "#27c3ca", "#000000", "#4b2804"};
  std::vector<std::string> colors;
  for (int i = 0; i < count; ++i) {
    colors.push_back(palette == Palette::categorical
                         ? categorical[i % std::size(categorical)]
                         : sequential_color(count > 1 ? static_cast<double>(i) / (count - 1) : 0.25));
  }
  return colors;
}

}  // namespace entk
