// The least eigenvalue of a symmetric operator by Lanczos' method, from a random start.
//
// After k steps from a start uniform on the sphere of R^N, the extreme Ritz values θ satisfy
// (Kuczyński and Woźniakowski, SIAM J. Matrix Anal. Appl. 13 (1992), Theorem 4.2; the method does
// not see a shift)
//   P{ θ_min − λ_min > ε (λ_max − λ_min) } ≤ 1.648 √N e^(−√ε (2k−1)),
// and the same of λ_max − θ_max. docs/theory.md, section 4.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace entk {

/// A bound on the probability that λ_min < −gamma although Lanczos' method saw θ_min ≥ −gamma and
/// θ_max after `iterations` steps on R^size: with Δ = λ_max − λ_min both ends err by at most εΔ with
/// probability 1 − 2·1.648 √N e^(−√ε(2k−1)), so Δ ≤ (θ_max − θ_min)/(1 − 2ε) and λ_min ≥ −gamma for
/// ε = q/(1 + 2q), q = (θ_min + gamma)/(θ_max − θ_min). At most 1; 1 where θ_min < −gamma.
double lanczos_failure_probability(std::int64_t size, int iterations, double theta_min, double theta_max, double gamma);

/// Where it stands after a step.
struct LanczosProgress {
  int iterations;   ///< steps taken
  double smallest;  ///< Ritz value
  double largest;   ///< Ritz value
  double residual;  ///< of the smallest one, by the recurrence
};

/// When it ends.
struct LanczosOptions {
  int max_iterations = 300;  ///< steps at most
  std::uint64_t seed = 1;    ///< of the start (Purpose::lanczos_start)
  /// Asked after every step; true stops.
  std::function<bool(const LanczosProgress&)> done{};
};

/// The least eigenvalue as far as it was found.
struct LanczosResult {
  int iterations = 0;      ///< steps taken
  double smallest = 0;     ///< Ritz value
  double largest = 0;      ///< Ritz value
  at::Tensor vector;       ///< unit Ritz vector of the smallest
  double rayleigh = 0;     ///< vᵀAv, from one more product: proves λ_min ≤ it
  double residual = 0;     ///< ‖Av − (vᵀAv)v‖: an eigenvalue is this near
  bool invariant = false;  ///< the Krylov space was exhausted: Ritz values are eigenvalues
};

/// `product` maps tensors of the given shape, one like W, to tensors of it; of several processes each has its rows.
/// Krylov vectors are kept and made orthogonal to all before them: max_iterations times the tensor's size in memory.
/// The bits depend on the number of threads and processes where those of `product` do alone.
/// @throws NotFiniteError where a product is not finite, InputError for max_iterations below 1.
LanczosResult lanczos_smallest(const std::function<at::Tensor(const at::Tensor&)>& product, at::IntArrayRef shape,
                               const at::TensorOptions& tensor_options, const LanczosOptions& options = {});

}  // namespace entk
