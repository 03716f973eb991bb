// The solution of Theorem 2, built: W* = W_L + S W_Q with W_L in the span of Π_{≤k} (Lemma 2), W_Q of
// Lemma 1 and S a diagonal matrix of random signs.
//
// Pair r = 0 … m/2−1 of twins works for direction i = r mod R. With μ_l = E_t[σ''(√d t)P_l(t)] and
// t^(k−1) = Σ_l b_l P_l(t),
//   h_i(w) = 2R α_i d^((k−1)/2) Σ_l (b_l/μ_l) P_l(β_i·w),
//   w_r = m^(−1/4) √(2|h_i(w0_r)|) β_i  for the twin with a_r = sign h_i(w0_r), 0 for the other.
// Then E_{W0} f_Q(x;W_Q) = Σ_i α_i (β_i·x)^(k+1), and f_Q(x;S W_Q) = f_Q(x;W_Q). docs/theory.md, section 1.
#pragma once

#include "entk/data/targets.h"
#include "entk/models/network.h"
#include "entk/spectrum/harmonic_projector.h"

namespace entk {

/// W_L: m×d, float64, in the span of Π_{≤k}: the coefficients g of least E_n[(f_L(x;𝓕g) − f_k)²] at the
/// rows of x (n×d) and the values f_low there (n) (Lemma 2), by QR with columns scaled by 1/λ_l.
/// @throws InputError if n is below the projector's rank.
at::Tensor linear_solution(const HarmonicProjector& projector, const at::Tensor& x, const at::Tensor& f_low);

/// W_Q: m×d, float64. @throws InputError for a start that is not symmetric, a sparse part without
/// directions or of another dimension, or a vanishing μ_l, l ≤ k−1 of the parity of k−1: then
/// this construction does not exist.
at::Tensor quadratic_solution(const NetworkImpl& network, const SparsePart& sparse, const SigmaSpectrum& spectrum);

/// The limit of ‖W_Q‖_{2,4}^4 = Σ_r ‖w_r‖⁴ as m grows: 8R Σ_i α_i² d^(k−1) Σ_l (b_l/μ_l)²/B(d,l);
/// exact at every m for k = 1 where R divides m/2.
double quadratic_solution_norm(const SparsePart& sparse, const SigmaSpectrum& spectrum);

/// The diagonal of S, draw `draw` of a seed: m entries ±1, float64; of several processes this one's rows.
at::Tensor random_signs(std::int64_t rows, std::uint64_t seed, std::uint32_t draw);

}  // namespace entk
