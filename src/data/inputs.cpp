#include "entk/data/inputs.h"

#include <cmath>

#include "entk/base/sphere.h"

namespace entk {

at::Tensor draw_inputs(InputLaw law, std::int64_t rows, std::int64_t dimension, Purpose purpose, std::uint64_t seed,
                       std::uint32_t step) {
  const RandomStream stream(purpose, seed, step);
  if (law == InputLaw::gaussian) return gaussian_points(rows, dimension, stream);
  return sphere_points(rows, dimension, std::sqrt(static_cast<double>(dimension)), stream);
}

}  // namespace entk
