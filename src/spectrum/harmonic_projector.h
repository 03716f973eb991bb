// The projector Π_{≤r} on the polynomials of degree ≤ k, r = n_k, k = 0, 1, 2, in closed form: without
// a single sample, for inputs uniform on the sphere of radius √d.
//
// Its range is spanned by the blocks 𝓕Y = E_x[φ(x) Y(x)] (sigma_spectrum.h), Y orthonormal of degree
// ≤ k: one step of subspace iteration from the exact harmonics towards the top of Σ (5)(14). With
// G = 𝓕ᵀ𝓕 (r×r),
//   Π_{≤r}W = 𝓕 G^(-1) 𝓕ᵀ vec(W),
// where 𝓕ᵀ, 𝓕 and G are structured: products of d×d and m×d matrices and moments of W0's rows. Of the
// r·md numbers of 𝓕 none is ever formed. docs/harmonics.md, section 7.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "entk/models/network.h"
#include "entk/spectrum/population_form.h"
#include "entk/spectrum/sigma_spectrum.h"

namespace entk {

/// k with rank = n_k in dimension d. @throws InputError unless k is 0, 1 or 2.
int harmonic_degree(std::int64_t dimension, std::int64_t rank);

/// Immutable; copies share. Computes in float64 on the network's device; keeps one r×r matrix.
class HarmonicProjector {
 public:
  /// @throws InputError unless rank is 1, d+1 or n_2, the rows of W0 have unit norm, no degree ≤ k has
  /// λ_l = 0, and the rank is not above that of the blocks at this width.
  static HarmonicProjector make(const NetworkImpl& network, std::int64_t rank);
  /// The same.
  static HarmonicProjector make(const Network& network, std::int64_t rank) { return make(held_network(network), rank); }

  std::int64_t rank() const;  ///< r = n_k
  int degree() const;         ///< k
  /// Of infinite width, up to degree 8.
  const SigmaSpectrum& spectrum() const;
  /// For R1 and R2; its `truncation` says what they leave out.
  const PopulationForm& form() const;
  /// What a user should know: degrees that do not lead, coefficients that nearly vanish, a truncation
  /// above 1e-3 of tr Σ.
  const std::vector<std::string>& warnings() const;

  /// 𝓕ᵀvec(W): length r, float64. w: m×d of any floating type.
  at::Tensor moments(const at::Tensor& w) const;
  /// 𝓕g = Σ_i g_i 𝓕Y_i: m×d, float64. g: r.
  at::Tensor combine(const at::Tensor& g) const;
  /// G^(-1)g for g: r or r×count, float64.
  at::Tensor solve(const at::Tensor& g) const;
  /// Π_{≤r}W and Π_{>r}W: m×d, float64.
  at::Tensor low(const at::Tensor& w) const;
  /// W − low(W).
  at::Tensor high(const at::Tensor& w) const;
  /// Φ𝓕 at x (n×d): n×r, float64; column i is f_L(x; 𝓕Y_i).
  at::Tensor features(const at::Tensor& x) const;
  /// Φ𝓕G^(-1): n×r in the network's floating type, so that f_L(x; Π_{≤r}W) = transfer · moments(W).
  at::Tensor transfer(const at::Tensor& x) const;

  /// vec(V)ᵀΣvec(V) = E_x[f_L(x;V)²] in population, and ΣV: m×d, float64. v: m×d.
  double population_energy(const at::Tensor& v) const;
  /// ΣV.
  at::Tensor population_product(const at::Tensor& v) const;
  /// R1 (16)(24) and R2 (17)(25) of W in population, exact up to form().truncation.
  double population_r1(const at::Tensor& w) const { return population_energy(high(w)); }
  /// R2.
  double population_r2(const at::Tensor& w) const { return population_energy(low(w)); }

 private:
  struct State;
  explicit HarmonicProjector(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace entk
