// The primitive for autograd: differentiable to any order.
#pragma once

#include "entk/kernels/primitive.h"

namespace entk {

/// (t_1 … t_P) of W on the primitive's points, P×n, as a differentiable expression of w.
///
/// Up to order 2 the pull-back and its own derivatives are the primitive's too:
///   d⟨pull_back(W, g), V⟩ = ⟨terms_along(W, V), dg⟩ + ⟨pull_back(V, (0, g_2)), dW⟩.
/// From order 3 on, double backward takes ordinary autograd (reference_pull_back).
at::Tensor taylor_terms(std::shared_ptr<const Primitive> primitive, const at::Tensor& w);

}  // namespace entk
