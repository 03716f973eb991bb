// Polynomials of x ∈ R^d with exact second moments: the low-degree part f_k of Assumption 1.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "entk/data/inputs.h"

namespace entk {

/// coefficient · Π_j x_{variables[j]}; a variable may repeat; variables count from 0.
struct Monomial {
  double coefficient = 1.0;               ///< of the product
  std::vector<std::int64_t> variables{};  ///< their indices
};

/// c + b·x + xᵀMx + Σ monomials, each part optional.
struct Polynomial {
  double constant = 0.0;              ///< c
  std::vector<double> linear{};       ///< length d, or empty
  at::Tensor quadratic{};             ///< d×d float64, symmetrised where used; or undefined
  std::vector<Monomial> monomials{};  ///< the sum of these

  int degree() const;  ///< the highest of its parts'
  /// At rows of x (n×d, float64, CPU): length n, by plain loops in a fixed order.
  at::Tensor operator()(const at::Tensor& x) const;
  /// E f(x)² under the law in dimension d, in closed form: E Π x_i^{2e_i} is Π (2e_i − 1)!! for
  /// Gaussian inputs, and that times d^s / (d(d+2)…(d+2s−2)), s = Σ e_i, on the sphere of radius √d.
  /// @throws InputError where monomials stand beside a linear or quadratic part.
  double second_moment(InputLaw law, std::int64_t dimension) const;
  void scale(double factor);  ///< all coefficients, by a factor
  /// @throws InputError naming what does not fit dimension d.
  void check(std::int64_t dimension) const;
};

/// E Π_j x_{variables[j]} under the law.
double monomial_mean(const std::vector<std::int64_t>& variables, InputLaw law, std::int64_t dimension);

}  // namespace entk
