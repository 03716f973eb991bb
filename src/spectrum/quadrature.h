// Quadrature for t = w·x/√d, whose density is ∝ (1−t²)^((D−3)/2) on [−1, 1], as a probability.
//
// The dimension D of the density need not be that of the inputs: the population form takes the same
// function at D = d, d+2 and d+4. docs/harmonics.md, section 2.
#pragma once

#include <vector>

namespace entk {

/// E[g(t)] ≈ Σ_i weights[i] g(nodes[i]). Nodes ascend; weights are ≥ 0 and sum to 1.
struct Quadrature {
  std::vector<double> nodes;    ///< in [−1, 1], or where the rule lives
  std::vector<double> weights;  ///< one a node
};

/// Gauss's rule, exact for polynomials of degree < 2·count: the nodes by Golub and Welsch from the
/// Jacobi matrix, polished by a Newton step, the weights ∝ 1/((1−t²) p_count'(t)²) with p_count the
/// orthonormal polynomial. Symmetric to the last bit. For functions smooth on the whole of [−1, 1];
/// O(1/count) across a jump.
/// @throws InputError unless D ≥ 2 and 1 ≤ count ≤ 2000.
Quadrature gauss_quadrature(int dimension, int count);

/// Gauss–Legendre panels in θ = arcsin t, where the density is cos^(D−2) θ and has no end-point
/// singularity, with panel ends at the given breaks of t: for functions smooth between the breaks.
/// Breaks outside (−1, 1) have no effect. Panels are some 4/√D wide and cover |θ| ≤ 40/√D, beyond
/// which the mass is below e^(−800): enough for P_l up to l = 200.
/// @throws InputError unless D ≥ 2, 1 ≤ per_panel ≤ 2000 and the breaks are finite.
Quadrature composite_quadrature(int dimension, const std::vector<double>& breaks, int per_panel);

}  // namespace entk
