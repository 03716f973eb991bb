// The network (1) itself as a differentiable function, with nothing n×m kept for its gradient; and functions of each
// entry whose derivatives are given and not left to autograd.
#pragma once

#include "entk/kernels/taylor_primitive.h"

namespace entk {

/// f(x;W) = m^(-1/2) Σ_r a_r σ(w0_r·x + w_r·x): length n. x: n×d, w0 and w: m×d, a: m.
/// The gradient in w goes tile by tile; gradients in x, and second derivatives, take ordinary
/// autograd on n×m arrays.
at::Tensor network_output(const Activation& activation, const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a,
                          const at::Tensor& w);
/// Bytes that network_output takes for a moment beyond its arguments and result, where no gradient is asked for.
std::int64_t network_output_bytes(std::int64_t samples, std::int64_t width, int element_size, int workers);

/// σ^(order)(z) for z of any shape. Its derivatives under autograd are σ^(order+1), σ^(order+2), … as `function` gives
/// them.
at::Tensor elementwise(const Activation& function, const at::Tensor& z, int order = 0);
/// Whether that is what a node of autograd's graph stands for.
bool is_elementwise(const torch::autograd::Node& node);

}  // namespace entk
