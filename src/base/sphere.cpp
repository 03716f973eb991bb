#include "entk/base/sphere.h"

#include <ATen/ATen.h>

#include <cmath>

#include "entk/base/threads.h"

namespace entk {

at::Tensor gaussian_points(std::int64_t rows, std::int64_t dimension, const RandomStream& stream,
                           std::int64_t first_row) {
  auto points = at::empty({rows, dimension}, at::kDouble);
  double* values = points.mutable_data_ptr<double>();
  parallel_for(rows, [&](std::int64_t i) {
    for (std::int64_t k = i * dimension; k < (i + 1) * dimension; ++k) {
      values[k] = stream.normal(static_cast<std::uint64_t>(first_row * dimension + k));
    }
  });
  return points;
}

at::Tensor sphere_points(std::int64_t rows, std::int64_t dimension, double radius, const RandomStream& stream,
                         std::int64_t first_row) {
  auto points = gaussian_points(rows, dimension, stream, first_row);
  double* values = points.mutable_data_ptr<double>();
  // Plain loops: a library's reduction may sum in another order on another processor.
  parallel_for(rows, [&](std::int64_t i) {
    double* row = values + i * dimension;
    double square = 0;
    for (std::int64_t k = 0; k < dimension; ++k) square += row[k] * row[k];
    const double length = std::sqrt(square);
    for (std::int64_t k = 0; k < dimension; ++k) row[k] = radius * (row[k] / length);
  });
  return points;
}

at::Tensor random_signs(std::int64_t count, const RandomStream& stream) {
  auto signs = at::empty({count}, at::kDouble);
  double* values = signs.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < count; ++i) values[i] = stream.sign(static_cast<std::uint64_t>(i));
  return signs;
}

}  // namespace entk
