// The weights of the regularizers that the theorems ask for.
#pragma once

#include <array>
#include <cstdint>

namespace entk {

/// Theorem 4 (and, λ1 apart, Lemma 3): λ1 = λ3 = m^½ d^(−(k−1)/2) ε, λ2 = ε, λ4 = d^(−2(k−1)) ε.
/// Constants are those of the statement, none: R4 is of degree 8 in W and can outgrow everything.
/// @throws InputError unless m, d, k ≥ 1 and ε > 0 is finite.
std::array<double, 4> theorem4_weights(std::int64_t width, std::int64_t dimension, int degree, double epsilon);

}  // namespace entk
