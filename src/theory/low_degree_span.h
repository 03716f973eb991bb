// The span of the blocks 𝓕Y = E_x[φ(x)Y(x)] of all polynomials Y of degree ≤ k ≤ 2: Π_{≤k} in the
// paper's words, in closed form at every width, without a number for each block (docs/harmonics.md,
// section 4).
//
// With Y = s_0 θ_0 + s_1 b·x + s_2 xᵀMx (tr M = 0), w = w0_r and the constants of BlockConstants,
//   (𝓕Y)_r = m^(−1/2) a_r { [s_0 c θ_0 + s_1 B b·w + s_2 D wᵀMw] w + s_1 A b + 2 s_2 C M w }.
// Coordinates θ are one vector (θ_0, b, M row by row) of length 1 + d (+ d²).
#pragma once

#include <array>

#include "entk/kernels/taylor_primitive.h"
#include "entk/models/network.h"
#include "entk/spectrum/sigma_spectrum.h"

namespace entk {

/// What an iteration reached.
struct SpanSolution {
  at::Tensor displacement;  ///< m×d, float64
  int iterations = 0;
  double residual = 0;      ///< of the normal equations, relative to the start
};

class LowDegreeSpan {
 public:
  /// All in float64 on the CPU. A degree whose λ_l vanishes is left out and named in `warnings`.
  /// @throws InputError unless k is 1 or 2, or if the rows of W0 are not of unit norm.
  LowDegreeSpan(const NetworkImpl& network, const SigmaSpectrum& spectrum, int k);

  int degree() const { return k_; }
  /// n_k, less what vanishes.
  std::int64_t dimension() const;
  const std::vector<std::string>& warnings() const { return warnings_; }

  /// Π W, the orthogonal projection of W (m×d) on the span: conjugate gradients on the normal equations
  /// in scaled coordinates, to a residual of 1e-12 or 100 steps.
  SpanSolution project(const at::Tensor& w) const;
  /// The W in the span with the least E_n[(f_L(x;W) − target)²] (Lemma 2): conjugate gradients from zero,
  /// in coordinates in which f_L is near an orthonormal expansion. `primitive`: of the same network
  /// at the n points, in float64. target: n, float64.
  SpanSolution fit(const TaylorPrimitive& primitive, const at::Tensor& target) const;

  /// 𝓕Y of the coordinates, degree l scaled by s_l: m×d.
  at::Tensor displacement(const at::Tensor& theta, const std::array<double, 3>& scale) const;
  /// The transpose: ⟨𝓕Y, W⟩_F as a linear form of θ, M's part symmetric and without trace.
  at::Tensor inner_products(const at::Tensor& w, const std::array<double, 3>& scale) const;

 private:
  at::Tensor signed_start_;  // W0, m×d
  at::Tensor factor_;        // m^(−1/2) a: m×1
  BlockConstants blocks_;
  std::array<double, 3> lambda_{};
  std::int64_t d_;
  int k_;
  std::vector<std::string> warnings_;
};

}  // namespace entk
