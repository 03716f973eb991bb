// The kernel of the features φ(x) = vec(∇_W f(x;W)|_{W=0}) (13):
//
//   K(x,x') = φ(x)·φ(x') = (x·x') Σ_r S1(x)_r S1(x')_r,   S1(x)_r = m^(-1/2) a_r σ'(w0_r·x)
//
// n×n' numbers stand for ΦΦᵀ; Φ itself (n×md) is never formed.
#pragma once

#include "entk/models/network.h"

namespace entk {

/// K(x, x'): n×n' in float64 on the network's device. x: n×d, x2: n'×d. Tables of σ' are made for a few
/// hundred neurons at a time. The bits do not depend on the number of threads.
at::Tensor feature_kernel(const NetworkImpl& network, const at::Tensor& x, const at::Tensor& x2);
/// K(x, x), exactly symmetric, in half the time.
at::Tensor feature_kernel(const NetworkImpl& network, const at::Tensor& x);

/// a·b with tiles shared out over threads, each product on one: the same bits for every number of
/// threads. a: p×q, b: q×s.
at::Tensor tiled_product(const at::Tensor& a, const at::Tensor& b);

}  // namespace entk
