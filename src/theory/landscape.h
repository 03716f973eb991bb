// Is a trained W a second-order stationary point of L_λ? (Definitions 1 and 2, Lemma 3, Corollary 1)
//
// A Rayleigh quotient below −γ proves that it is none. The converse cannot be proved by products with
// the Hessian: then no direction below −γ was found, with the probability that the random start
// missed one. docs/theory.md, section 4.
#pragma once

#include <optional>
#include <string>

#include "entk/spectrum/lanczos.h"
#include "entk/theory/objective_hessian.h"

namespace entk {

/// What is asked, and how long.
struct LandscapeOptions {
  /// Of Definitions 1 and 2; 0: Corollary 1's m^(−1/2). m: the rows of W, or √p for a module's vector of p.
  double nu = 0;
  double gamma = 0;                   ///< of Definitions 1 and 2; 0: Corollary 1's m^(−3/4)
  int max_iterations = 300;           ///< of Lanczos' method
  double failure_probability = 1e-6;  ///< stop once no more than this is left
  std::uint64_t seed = 1;             ///< of its random start
  /// Asked after every step of Lanczos' method; true stops it there.
  std::function<bool(const LanczosProgress&)> interrupted{};
};

/// What can be said of a W.
enum class StationaryVerdict {
  not_first_order,  ///< ‖∇L_λ‖ > ν, and nothing below −γ was found
  not_sosp,         ///< a direction with a Rayleigh quotient below −γ: proved
  none_found,       ///< ‖∇L_λ‖ ≤ ν, none below −γ found
  undecided,        ///< none below −γ found, and missed with more than the allowed probability: too few iterations
};

/// What was found at W.
struct Landscape {
  StationaryVerdict verdict = StationaryVerdict::none_found;  ///< on Definitions 1 and 2
  double nu = 0;                                              ///< what ‖∇L_λ‖ was held against
  double gamma = 0;                                           ///< what −λ_min was held against
  double value = 0;                                           ///< L_λ(W)
  double gradient_norm = 0;                                   ///< ‖∇L_λ(W)‖_F
  LanczosResult lanczos;                                      ///< the least eigenvalue of ∇²L_λ(W), and its direction
  double failure_probability = 1;  ///< that some eigenvalue is below −γ all the same; 1 for not_sosp
  std::string statement;           ///< the verdict in a sentence, with what it rests on
};
/// Looks at the W that the Hessian was made at; shape and options are W's. @throws NotFiniteError
Landscape landscape(const ObjectiveHessian& hessian, at::IntArrayRef shape, const at::TensorOptions& tensor_options,
                    const LandscapeOptions& options = {});

/// Lemma 3's left side,
///   E_S[∇²L_λ(W)[SW*,SW*]] − ⟨∇L_λ(W), W − 2W_L* + W_L⟩ + 2L_λ(W) − 2L_λ(W*)          (31)
/// with W_L = Π_{≤k}W and W_L* = Π_{≤k}W* (the text does not define them there).
struct LemmaThree {
  double left_side = 0;       ///< the mean over S
  double standard_error = 0;  ///< of that mean
  double hessian_part = 0;    ///< E_S[∇²L_λ(W)[SW*,SW*]]
  double gradient_part = 0;   ///< ⟨∇L_λ(W), W − 2W_L* + W_L⟩
  double value = 0;           ///< L_λ(W)
  double solution_value = 0;  ///< L_λ(W*)
  int draws = 0;              ///< of S
};
/// w, low: W and Π_{≤k}W; solution, solution_low: W* and Π_{≤k}W*, `solution_value` L_λ(W*). All m×d of
/// the Hessian's type. Signs are draws 0 … draws−1 of the seed. @throws InputError unless draws ≥ 2.
LemmaThree lemma_three(const ObjectiveHessian& hessian, const at::Tensor& w, const at::Tensor& low,
                       const at::Tensor& solution, const at::Tensor& solution_low, double solution_value, int draws,
                       std::uint64_t seed);

}  // namespace entk
