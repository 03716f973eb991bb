#include "entk/theory/theorem_weights.h"

#include <fmt/format.h>

#include <cmath>

#include "entk/base/error.h"

namespace entk {

std::array<double, 4> theorem4_weights(std::int64_t width, std::int64_t dimension, int degree, double epsilon) {
  if (width < 1 || dimension < 1 || degree < 1) {
    throw InputError(fmt::format("Theorem 4's weights: expected width, dimension and k of at least 1, got {}, {}, {}",
                                 width, dimension, degree));
  }
  if (!(epsilon > 0) || !std::isfinite(epsilon)) {
    throw InputError(fmt::format("Theorem 4's weights: expected a finite ε above 0, got {}", epsilon));
  }
  const double d = static_cast<double>(dimension), k1 = degree - 1;
  const double medium = std::sqrt(static_cast<double>(width)) * std::pow(d, -k1 / 2) * epsilon;
  return {medium, epsilon, medium, std::pow(d, -2 * k1) * epsilon};
}

}  // namespace entk
