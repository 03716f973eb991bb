// Everything the paper defines, evaluated at one W: for checking against anything else.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "entk/config/catalogue.h"
#include "entk/io/pt_file.h"

namespace entk {

struct EvaluateResult {
  nlohmann::json values;  ///< what OUT.json holds
  std::vector<std::string> warnings;
};

/// f(x;W) (the network itself (1), with f(x;0) in it), f_L, f_Q; R1 to R4; `loss` E_n ℓ(y, f_L + f_Q)
/// (28) and `regularized_loss` (20); `gradient_norm`, Frobenius, of the regularized loss in W, and with
/// `gradient` the m×d gradient itself.
/// tensors: W0 m×d, a m, W m×d, X n×d, y n and, where the projector needs it, X_unlabeled N×d.
/// config: activation, projector {source, rank}, lambda, loss, dtype, device. With source harmonic, R1
/// and R2 are population values, and `population_truncation` says what they leave out of tr Σ.
/// Of a module, as `entk train` with a model.kind leaves it: `model` as its configuration has it in place of
/// activation, tensors start.NAME for the module's own and W, all displacements as one vector; no R4.
/// @throws InputError naming tensor or key; NotFiniteError naming the result that is not finite.
EvaluateResult evaluate_tensors(const TensorDict& tensors, const nlohmann::json& config, const std::string& source,
                                bool gradient, const Catalogue& catalogue = built_in_catalogue());

}  // namespace entk
