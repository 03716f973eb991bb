#include "entk/base/representable.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "entk/base/error.h"

namespace entk {

double largest_of(c10::ScalarType type) {
  return type == c10::ScalarType::Double ? std::numeric_limits<double>::max() : std::numeric_limits<float>::max();
}

void check_representable(const std::string& name, double value, c10::ScalarType type) {
  const bool twice = type == c10::ScalarType::Double;
  const double most = largest_of(type),
               least = twice ? std::numeric_limits<double>::min() : std::numeric_limits<float>::min();
  if (value == 0 || (std::fabs(value) >= least && std::fabs(value) <= most)) return;
  throw InputError(fmt::format("{}: expected 0 or a size of {:.2g} to {:.2g}, as {} holds, got {}", name, least, most,
                               twice ? "float64" : "float32", value));
}

}  // namespace entk
