// The population form of Σ (5)(14) at finite width, x uniform on the sphere of radius √d.
//
// For unit w, w' and ρ = w·w',
//   E_x[σ'(w·x) σ'(w'·x) x xᵀ] = α(ρ) I + β(ρ)(wwᵀ + w'w'ᵀ) + γ(ρ)(ww'ᵀ + w'wᵀ),
//   α(ρ) = Σ_j B(d+2,j) a_j² P_j^(d+2)(ρ),
//   β(ρ) = d/(d+2) Σ_j B(d+4,j) b0_j b2_j P_j^(d+4)(ρ),
//   γ(ρ) = d/(d+2) Σ_j B(d+4,j) b1_j² P_j^(d+4)(ρ) = α'(ρ),
// with a_j = E_{D=d+2}[σ'(√d t) P_j(t)] and bi_j = E_{D=d+4}[σ^(1+i)(√d t) P_j(t)].
// σ'' and σ''' are not needed: b1_j = (d+2)/√d a_{j+1} and b2_j = (d+2) η_{j+2}, so the form exists
// for any square-integrable σ'. docs/harmonics.md, section 5.
//
// Σ's block (r, s) is a_r a_s/m times this with w = w0_r, w' = w0_s. Nothing m×m is ever held:
// the two functions below go through tiles of rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "entk/spectrum/harmonic_coefficients.h"

namespace entk {

/// What stopping at degree J leaves out.
struct FormTruncation {
  double alpha;  ///< bounds |α − α_J| at every ρ; it is the difference at ρ = 1
  double beta;   ///< size of the next 16 terms: a bound at every ρ for a smooth σ'
  double gamma;  ///< as beta
  double trace;  ///< (tr Σ − tr Σ_J)/tr Σ: about the form's relative error on random W
};

/// α, β, γ as coefficients of Legendre polynomials, degrees 0 … J.
struct PopulationForm {
  int dimension = 0;              ///< d
  std::vector<double> alpha;      ///< against P_j^(d+2)
  std::vector<double> beta;       ///< against P_j^(d+4)
  std::vector<double> gamma;      ///< against P_j^(d+4)
  FormTruncation truncation{};    ///< at degree J
  double quadrature_error = 0.0;  ///< largest change of a norm under refinement, over ‖σ'‖
};

/// The form of an activation with the given σ', truncated at degree J = max_degree. Exact where σ'
/// is a polynomial of degree ≤ J.
/// @throws InputError unless d ≥ 2 and max_degree ≥ 0; NotFiniteError where σ' is not finite.
PopulationForm population_form(const std::function<double(double)>& dsigma, int dimension, int max_degree,
                               const QuadratureOptions& options = {});

/// α(ρ), β(ρ), γ(ρ), each of rho's shape.
struct FormValues {
  at::Tensor alpha;  ///< α
  at::Tensor beta;   ///< β
  at::Tensor gamma;  ///< γ
};
/// rho: float64 on the CPU, any shape, within [−1, 1]. Runs on the calling thread. @throws
/// InputError otherwise.
FormValues evaluate(const PopulationForm& form, const at::Tensor& rho);

/// Which neurons the arguments a, w0 and w below hold.
enum class Rows {
  all,         ///< a: m, w0: m×d, w: m×d
  first_half,  ///< of a symmetric start (8)(9): a: m/2, w0: m/2×d, and Δ_r = w_r − w_{r+m/2} for w
};

/// vec(W)ᵀ Σ vec(W) = (1/m) Σ_{r,s} a_r a_s w_rᵀ [αI + β(…) + γ(…)] w_s = E_x[f_L(x;W)²].
/// Rows of w0 have unit norm. Summed in float64, whatever the type of the arguments, with the same
/// bits for every number of threads().
/// @throws InputError for a wrong shape, type or device, or rows of w0 that are not of unit norm.
double population_quadratic_form(const PopulationForm& form, const at::Tensor& a, const at::Tensor& w0,
                                 const at::Tensor& w, Rows rows = Rows::all);

/// Σ vec(W) as rows, half the gradient of the quadratic form: float64, the shape of w. For
/// Rows::first_half, the first m/2 rows; the others are their negatives.
/// @throws InputError as above.
at::Tensor population_product(const PopulationForm& form, const at::Tensor& a, const at::Tensor& w0,
                              const at::Tensor& w, Rows rows = Rows::all);

}  // namespace entk
