// The spectrum of Σ = E_x[φ(x)φ(x)ᵀ] (5)(14), x uniform on the sphere of radius √d, in the limit of
// infinite width, and the constants of its eigenvectors at finite width.
//
// With η_j = E_t[σ'(√d t) P_j(t)] and η_{−1} = 0, Σ has the eigenvalue
//   λ_l = d [ l η_{l−1}² + (l+d−2) η_{l+1}² ] / (2l+d−2),   B(d,l) times,  l = 0, 1, …
// and Σ_l B(d,l) λ_l = d E_t[σ'(√d t)²]. For a homogeneous harmonic polynomial Y of degree l the
// m×d block 𝓕Y = E_x[φ(x) Y(x)], which spans Σ's eigenspace as m grows, is at every m
//   (𝓕Y)_r = m^(−1/2) a_r d^((l+1)/2) { η_{l+1} Y(w0_r) w0_r + κ_l ∇Y(w0_r) },
//   κ_l = (η_{l−1} − η_{l+1}) / (2l+d−2).
// docs/harmonics.md, sections 3 and 4.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "entk/spectrum/harmonic_coefficients.h"

namespace entk {

/// The blocks 𝓕Y of degrees 0, 1, 2, row r without the factor m^(−1/2) a_r:
///   Y = 1:              c w0_r
///   Y = x_j:            A e_j + B w0_{rj} w0_r
///   Y = xᵀMx, tr M = 0: 2C M w0_r + D (w0_rᵀ M w0_r) w0_r,   M symmetric.
struct BlockConstants {
  double c;  ///< √d η_1
  double A;  ///< η_0 − η_2
  double B;  ///< d η_2
  double C;  ///< d^(3/2) (η_1 − η_3)/(d+2)
  double D;  ///< d^(3/2) η_3
};

/// Eigenvalues of Σ at infinite width, degree by degree.
struct SigmaSpectrum {
  int dimension = 0;                  ///< d
  HarmonicCoefficients eta;           ///< of σ', degrees 0 … L+1
  HarmonicCoefficients mu;            ///< of σ'': μ_l = E_t[σ''(√d t) P_l(t)], degrees 0 … L
  std::vector<double> lambda;         ///< λ_l, l = 0 … L
  std::vector<double> kappa;          ///< κ_l, l = 0 … L; κ_0 = 0, ∇Y being 0
  std::vector<double> multiplicity;   ///< B(d,l)
  std::vector<double> trace_part;     ///< B(d,l) λ_l
  std::vector<int> order;             ///< degrees by falling λ; equal ones by rising degree
  std::vector<double> gaps;           ///< 1 − λ_order[i+1]/λ_order[i], i = 0 … L−1; 0 where both vanish
  double trace_captured = 0.0;        ///< Σ_{l≤L} B(d,l) λ_l
  double trace = 0.0;                 ///< tr Σ = d E_t[σ'(√d t)²]
  BlockConstants blocks{};            ///< of degrees 0 to 2
  std::vector<std::string> warnings;  ///< what is wrong with the input or the quadrature

  int max_degree() const { return static_cast<int>(lambda.size()) - 1; }  ///< L
};

/// The spectrum up to degree `max_degree` ≥ 2 of an activation with the given σ' and σ''.
/// @throws InputError unless d ≥ 2 and 2 ≤ max_degree < highest_degree; NotFiniteError where σ' or
/// σ'' is not finite.
SigmaSpectrum sigma_spectrum(const std::function<double(double)>& dsigma, const std::function<double(double)>& ddsigma,
                             int dimension, int max_degree, const QuadratureOptions& options = {});

/// What the theory for targets of degrees ≤ k plus (β·x)^(k+1) asks of the coefficients.
struct DegreeCheck {
  bool leading;                       ///< λ_0 … λ_k are all above λ_{k+1} … λ_L: the top n_k directions are degrees ≤ k
  double relative_gap;                ///< 1 − max_{l>k} λ_l / min_{l≤k} λ_l; at most 0 unless `leading`
  std::vector<std::string> warnings;  ///< vanishing coefficients, with what cannot be learned then
};
/// @throws InputError unless 0 ≤ k < max_degree.
DegreeCheck check_degrees(const SigmaSpectrum& spectrum, int k);

/// Q1, Q2, Q3 of section 1.1: degrees ≤ k; degrees k+1 … 2k; the rest of the md eigenvalues.
struct Partition {
  int k;                  ///< of the target
  double large;           ///< number of eigenvalues in Q1
  double medium;          ///< in Q2
  double small;           ///< in Q3; negative where none are left
  bool exists;            ///< large + medium ≤ md/2, the most that a symmetric start (8)(9) can have nonzero
  double large_min;       ///< smallest λ_l, l ≤ k
  double medium_max;      ///< largest λ_l, k < l ≤ 2k
  double medium_min;      ///< smallest of them
  double small_mean;      ///< (tr Σ − Σ_{l≤2k} B λ_l) / small; 0 where it does not exist
  std::string statement;  ///< one sentence: whether it exists at this width, and why
};
/// @throws InputError unless k ≥ 1, 2k ≤ max_degree and width ≥ 1.
Partition partition(const SigmaSpectrum& spectrum, int k, std::int64_t width);

}  // namespace entk
