// The kernel of the features φ(x) = vec(∇_W f(x;W)|_{W=0}) (13):
//
//   K(x,x') = φ(x)·φ(x') = (x·x') Σ_r S1(x)_r S1(x')_r,   S1(x)_r = m^(-1/2) a_r σ'(w0_r·x)
//
// n×n' numbers stand for ΦΦᵀ; Φ itself (n×md) is never formed. Of any module: K = J Jᵀ
// (empirical_ntk.h). The same for the other terms of the expansion, each linear in the tensors w_r^⊗p, with features
// m^(-1/2)/p! a_r σ^(p)(w0_r·x) x^⊗p:
//
//   K_p(x,x') = (x·x')^p / (m p!²) Σ_r a_r² σ^(p)(w0_r·x) σ^(p)(w0_r·x')
//
// K_1 is the NTK, K_2 the quadratic NTK's kernel: f_Q is linear in M_r = w_r w_rᵀ, whose Σ_r ‖M_r‖_F² = ‖W‖_{2,4}⁴ is
// the root of R4. A symmetric start has both signs of a_r at each w0_r, so that regression on K_2 may take any
// symmetric M_r.
#pragma once

#include "entk/models/network.h"

namespace entk {

/// K_order(x, x'): n×n' in float64 on W's device. x: n×d, x2: n'×d, or a module's points; order ≥ 1, of a module 1.
/// Tables of σ^(order) are made for a few hundred neurons at a time. The bits do not depend on the number of threads.
at::Tensor feature_kernel(const Expandable& of, const at::Tensor& x, const at::Tensor& x2, int order = 1);
/// K_order(x, x), exactly symmetric, in half the time.
at::Tensor feature_kernel(const Expandable& of, const at::Tensor& x, int order = 1);

/// The NTK as m → ∞, W0's rows uniform on the unit sphere and a_r² = 1:
///   K(x,x') = (x·x') E_w[σ'(w·x) σ'(w·x')] = (x·x') Σ_j B(d,j) η_j(‖x‖) η_j(‖x'‖) P_j(x·x'/(‖x‖‖x'‖)),
///   η_j(s) = E_t[σ'(s t) P_j(t)],
/// on the sphere of radius √d with the η_j of harmonic_coefficients.h, elsewhere with each point's own.
struct InfiniteKernel {
  at::Tensor values;    ///< n×n', float64
  std::int64_t degree;  ///< the last of the series: 100 at most (200 with kinks), where 1e-13 is not reached before
  double left_out;      ///< by the series, as a share of K(x,x), the largest over the points
};
/// x: n×d, x2: n'×d, d ≥ 2; the same tensor twice gives an exactly symmetric one. Bits as those of feature_kernel.
/// @throws InputError also where the activation has a kink other than 0 and the points have several norms
InfiniteKernel infinite_ntk(const Activation& activation, const at::Tensor& x, const at::Tensor& x2);

/// a·b with tiles shared out over threads, each product on one: the same bits for every number of
/// threads. a: p×q, b: q×s.
at::Tensor tiled_product(const at::Tensor& a, const at::Tensor& b);

}  // namespace entk
