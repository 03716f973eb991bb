// Gaussian noise of the update (21), addressed by step and entry.
#pragma once

#include <ATen/core/Tensor.h>

#include "entk/kernels/cpu/tile_kernels.h"

namespace entk::kernels {

/// deviation · N(0,1) for every entry of an m×d tensor, entry (r, k) having index r·d + k, or of a vector: the
/// same counters on every device; of several processes this one's rows. Returns a tensor of w's shape, type and device.
at::Tensor noise_like(const at::Tensor& w, const NoiseCode& code);

}  // namespace entk::kernels
