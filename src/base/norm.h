// Norms summed in float64.
#pragma once

#include <ATen/core/Tensor.h>

namespace entk {

/// ‖A‖_F of a floating-point tensor of any shape, summed in float64 block by block: no float64 copy of A.
double frobenius_norm(const at::Tensor& a);

}  // namespace entk
