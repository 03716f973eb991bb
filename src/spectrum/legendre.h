// Legendre polynomials in dimension D: the Gegenbauer polynomials C_l^((D−2)/2) scaled to P_l(1)
// = 1.
//
// With w, x uniform on the unit sphere of R^D, t = w·x has density ∝ (1−t²)^((D−3)/2) and
//   (l+D−2) P_{l+1}(t) = (2l+D−2) t P_l(t) − l P_{l−1}(t),   P_0 = 1,  P_1 = t,
//   E_t[P_l P_m] = δ_lm / B(D,l),   B(D,l) = C(D+l−1, l) − C(D+l−3, l−2),
// B(D,l) being the number of independent spherical harmonics of degree l. D = 2 gives Chebyshev's
// cos(l arccos t), D = 3 Legendre's polynomials. docs/harmonics.md, section 1.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace entk {

/// P_0(t), …, P_L(t) in dimension D. |t| ≤ 1, where the recurrence is stable.
/// @throws InputError unless D ≥ 2 and L ≥ 0; so do all functions of this header.
std::vector<double> legendre_values(int dimension, int max_degree, double t);
/// The same for each entry of t, any shape: (L+1)×shape(t), t's type and device.
at::Tensor legendre_values(int dimension, int max_degree, const at::Tensor& t);

/// p_l(t) = √B(D,l) P_l(t), orthonormal under the density of t, for l = 0 … L. Coefficients against
/// them keep their scale where B(D,l) is beyond a double.
std::vector<double> orthonormal_values(int dimension, int max_degree, double t);
/// s_l in t p_{l−1} = s_l p_l + s_{l−1} p_{l−2}, l ≥ 1: the off-diagonal of the Jacobi matrix.
double jacobi_entry(int dimension, int degree);

/// B(D,l), rounded; infinite from about 1e308.
double multiplicity(int dimension, int degree);
/// B(D,l), where it fits.
std::optional<std::int64_t> exact_multiplicity(int dimension, int degree);
/// n_k = Σ_{l≤k} B(D,l), the dimension of the polynomials of degree ≤ k on the sphere.
double cumulative_multiplicity(int dimension, int degree);
std::optional<std::int64_t> exact_cumulative_multiplicity(int dimension, int degree);

/// From Σ_p coefficients[p] t^p to the b_l with Σ_l b_l P_l(t), same length. Exact up to rounding
/// without cancellation: the b_l of a single power are all ≥ 0.
std::vector<double> monomials_to_legendre(int dimension, const std::vector<double>& coefficients);

}  // namespace entk
