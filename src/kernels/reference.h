// The naive form: the oracle that every fast kernel is compared with, and what differentiates in x. Slow on purpose.
#pragma once

#include "entk/kernels/taylor_primitive.h"

namespace entk {

/// (t_1 … t_P) as a few ATen lines on whole n×m arrays; ordinary autograd differentiates it to any
/// order, in x, w0, a and w. x: n×d, w0 and w: m×d, a: m. Returns P×n.
at::Tensor reference_terms(const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a, const Activation& activation,
                           const at::Tensor& w, int orders);

/// Gᵀ X on whole arrays. cotangents: P×n. Returns m×d.
at::Tensor reference_pull_back(const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a,
                               const Activation& activation, const at::Tensor& w, const at::Tensor& cotangents);

}  // namespace entk
