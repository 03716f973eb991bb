// Random points with the same bits on every machine.
#pragma once

#include <ATen/core/Tensor.h>

#include "entk/base/philox.h"

namespace entk {

/// rows×d standard normals, entry (i, k) having index (first_row + i)·d + k; float64 on CPU.
at::Tensor gaussian_points(std::int64_t rows, std::int64_t dimension, const RandomStream& stream,
                           std::int64_t first_row = 0);
/// The same rows, each scaled to length `radius`: uniform on the sphere.
at::Tensor sphere_points(std::int64_t rows, std::int64_t dimension, double radius, const RandomStream& stream,
                         std::int64_t first_row = 0);
/// count signs ±1: a vector, float64 on CPU.
at::Tensor random_signs(std::int64_t count, const RandomStream& stream);

}  // namespace entk
