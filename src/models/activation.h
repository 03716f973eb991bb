// Makers of activations σ, and Assumption 2.
//
// A new activation gives σ and, if it has them, σ', σ'', …; autograd supplies what is missing.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "entk/kernels/activation.h"

namespace entk {

/// σ(z) = 1/(1 + e^(shift − z)), the paper's activation with shift b.
Activation sigmoid(double shift = 0.0);
/// σ(z) = tanh(z − shift).
Activation tanh(double shift = 0.0);
/// σ(z) = erf(z).
Activation erf();
/// σ(z) = log(1 + e^z).
Activation softplus();
/// σ(z) = z Φ(z), the erf form.
Activation gelu();
/// σ(z) = z/(1 + e^(−z)).
Activation silu();
/// σ(z) = max(z, 0); σ'(0) = 0 and σ'' = 0 everywhere.
Activation relu();
/// σ(z) = Σ_j coefficients[j] z^j. @throws InputError where there is none, or one is not finite.
Activation polynomial(std::vector<double> coefficients);

/// A user's own: σ and as many of σ', σ'', … as there are. All must act on each entry alone.
/// @throws InputError where a derivative, given or autograd's, is not what central differences say, kinks apart.
Activation activation(std::string name, Activation::Function sigma, std::vector<Activation::Function> derivatives = {});

/// The same of one that was not made by it, up to the fourth derivative as far as there are: what a Network asks of
/// what the kernels do not know. @throws InputError likewise
void check_derivatives(const Activation& sigma);

/// Assumption 2 asks for |σ|, |σ'|, |σ''| < 1; here over an interval of arguments, on a fine grid.
struct AssumptionTwo {
  double lowest;      ///< argument seen
  double highest;     ///< argument seen
  double sup_value;   ///< sup |σ|
  double sup_first;   ///< sup |σ'|
  double sup_second;  ///< sup |σ''|
  bool holds;         ///< whether all three are below 1
  /// Empty where it holds, otherwise what fails, for a warning.
  std::string warning;
};
/// @throws InputError unless lowest ≤ highest, both finite.
AssumptionTwo assumption_two(const Activation& sigma, double lowest, double highest);

/// Says which of t_1 … t_order are 0 whatever W is, as σ^(p) is 0 at every argument w0_r·x: for a notice. Empty where
/// there are none, after a look at a few arguments. x: n×d, w0: m×d.
std::string vanishing_terms(const Activation& sigma, int order, const at::Tensor& x, const at::Tensor& w0);

/// Least and greatest argument w0_r·x over all rows of x (n×d) and w0 (m×d).
std::pair<double, double> argument_range(const at::Tensor& x, const at::Tensor& w0);

}  // namespace entk
