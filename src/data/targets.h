// Targets f*: low degree + sparse (Assumption 1), and the figures' own.
#pragma once

#include <functional>
#include <optional>

#include "entk/data/polynomial.h"

namespace entk {

/// f_sp(x) = Σ_i α_i (β_i·x)^degree, degree = k + 1 (Assumption 1).
struct SparsePart {
  int degree = 2;                          ///< k + 1
  std::vector<double> alphas;              ///< α_i
  std::vector<std::vector<double>> betas;  ///< one a coefficient, of length 1

  /// At rows of x (n×d, float64, CPU): length n.
  at::Tensor operator()(const at::Tensor& x) const;
};

/// f* as a function of float64 inputs (n×d, CPU), with what defines it in words.
struct Target {
  std::string description;                               ///< for tables and pages
  std::function<at::Tensor(const at::Tensor& x)> value;  ///< n×d to n
  /// E f*(x)² where a closed form is known, else NaN: the loss of the zero model.
  double second_moment;
  /// f_sp where f* − f_sp has degree at most k.
  std::optional<SparsePart> sparse{};
  /// Unit vectors that f* singles out; empty: those of `sparse`.
  std::vector<std::vector<double>> directions{};
};

/// Assumption 1: f* = f_k + Σ_{i ≤ R} α_i (β_i·x)^(k+1), E f_k² = 1, |α_i| ≤ 1, ‖β_i‖ = 1.
struct LowDegreePlusSparse {
  std::int64_t dimension = 0;                ///< d
  InputLaw law = InputLaw::sphere;           ///< decides E f_k²
  int degree = 1;                            ///< k
  Polynomial low_degree{};                   ///< f_k, scaled here; empty: dense random of degree ≤ min(k, 2)
  std::vector<double> alphas = {1.0};        ///< one a sparse direction: R of them
  std::vector<std::vector<double>> betas{};  ///< R of length d, scaled to length 1; empty: random
  std::uint64_t seed = 1;                    ///< of what is random
};
/// @throws InputError where k < 1, |α_i| > 1, sizes differ, or f_k has a degree above k or is zero.
Target low_degree_plus_sparse(const LowDegreePlusSparse& options);

/// Figure 1 as run: ((β·x)² − 1 + β·x)/√3, β random.
Target figure1_target(std::int64_t dimension, InputLaw law, std::uint64_t seed);
/// Figure 1 as the text says it: x_1 − 1 + (β·x)².
Target figure1_text_target(std::int64_t dimension, InputLaw law, std::uint64_t seed);
/// Figure 2: xᵀAx/c + ((β·x)³ − 3β·x)/√6, A = diag(i > d/2). c = √675 as run, which scales xᵀAx to
/// E = 1 at d = 50 alone; with `exact_scale`, c = √(E (xᵀAx)²) for Gaussian inputs, every d.
Target figure2_target(std::int64_t dimension, bool exact_scale, std::uint64_t seed);

/// A random unit vector, the i-th of its seed.
std::vector<double> random_direction(std::int64_t dimension, std::uint64_t seed, std::int64_t index);

}  // namespace entk
