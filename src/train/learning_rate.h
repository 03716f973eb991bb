// A learning rate from the curvature of the regularized loss at W = 0.
#pragma once

#include "entk/train/bound_objective.h"

namespace entk {

/// Descent on a quadratic function diverges above 2/λ_max of its Hessian.
struct AutomaticRate {
  double rate = 0;       ///< rate_fraction · 2/λ_max, to two digits
  double curvature = 0;  ///< λ_max
  int products = 0;      ///< with the Hessian, that found it
};

/// What part of the largest stable rate at W = 0 is taken: f_Q adds curvature as W moves.
inline constexpr double rate_fraction = 0.75;

/// λ_max of ∇²L_λ(0) by Lanczos' method, to 0.1% or as near as 20 products come. A product with the Hessian is a
/// difference of gradients, (∇L_λ(εV) − ∇L_λ(−εV))/2ε with ‖V‖_F = 1 and ε = 1/10, far less than W moves: so it is
/// there for every model and term. Kinks as that of |w| at 0 are seen over that distance. The model's W is as before
/// afterwards, and the same bits result for every number of threads.
/// @throws InputError where L_λ has no positive curvature at W = 0, NotFiniteError where a gradient is not finite.
AutomaticRate automatic_rate(const BoundObjective& bound, std::uint64_t seed);

}  // namespace entk
