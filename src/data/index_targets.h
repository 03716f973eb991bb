// Targets of neighbouring papers: functions of a few directions, or of a few coordinates.
//
// h_k is the normalised Hermite polynomial: E h_j(t) h_k(t) = [j = k] for t ~ N(0, 1). Inputs on the sphere
// of radius √d have β·x close to that.
#pragma once

#include "entk/data/targets.h"

namespace entk {

/// Single-index: f*(x) = Σ_k c_k h_k(β·x), c from degree 0, ‖β‖ = 1; β empty: random. The first k > 0 with
/// c_k ≠ 0 is the information exponent. E f*² = Σ c_k² for Gaussian inputs.
/// @throws InputError where c is empty, has no entry other than 0, or β does not fit.
Target single_index_target(std::int64_t dimension, InputLaw law, std::uint64_t seed, std::vector<double> coefficients,
                           std::vector<double> beta = {});

/// coefficient · Π_i h_{degrees[i]}(β_i·x).
struct IndexTerm {
  double coefficient = 1.0;
  std::vector<std::int64_t> degrees;  ///< one a direction
};
/// Multi-index: f*(x) = Σ of terms, all of R degrees, over R random orthonormal directions.
/// @throws InputError where there are no terms, R differs between them or is above d, or a degree is below 0.
Target multi_index_target(std::int64_t dimension, InputLaw law, std::uint64_t seed,
                          const std::vector<IndexTerm>& terms);

/// Staircase: f*(x) = (x_1 + x_1x_2 + … + x_1⋯x_steps)/√steps. @throws InputError unless 1 ≤ steps ≤ d.
Target staircase_target(std::int64_t dimension, InputLaw law, std::int64_t steps);

/// Parity of signs: f*(x) = sign(x_1⋯x_degree), ±1. @throws InputError unless 1 ≤ degree ≤ d.
Target parity_target(std::int64_t dimension, std::int64_t degree);

}  // namespace entk
