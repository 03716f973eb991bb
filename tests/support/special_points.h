// Points where formulas break: exactly 0, both signs of tiny, moderate and huge numbers.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

namespace entk::testing {

inline std::vector<double> special_points() {
  std::vector<double> points{0.0};
  for (const double size : {1e-30, 1e-4, 0.5, 1.0, 4.0, 20.0, 39.0, 80.0, 1e4, 1e30})
    points.insert(points.end(), {size, -size});
  return points;
}

/// How far from `want` a function of z may be in a type of this epsilon and least normal number: a few roundings of the
/// value and of the argument, which a function that falls as e^(−z²) multiplies by z². Huge arguments have exact
/// values; near 0 a function may be 0 as the difference of numbers of order 1.
inline double special_tolerance(double z, double want, double epsilon, double least) {
  const double argument = std::fabs(z) > 100 ? 1 : 1 + z * z;
  return 32 * epsilon * argument * std::fabs(want) + (std::fabs(z) < 1 ? 4 * epsilon : 0) + 200 * least;
}

}  // namespace entk::testing
