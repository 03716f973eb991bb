// The regularized loss L_λ (20): a loss and a weighted sum of terms.
#pragma once

#include <vector>

#include "entk/regularizers/term.h"
#include "entk/train/losses.h"

namespace entk {

/// L_λ(W) = E_n ℓ(y, f) + Σ_i λ_i R_i(W). Written as square_loss() + 10.0 * R3(sigma) + ….
struct Objective {
  Loss loss;                  ///< E_n ℓ
  std::vector<Term> terms{};  ///< λ_i R_i

  /// A loss alone is an objective.
  Objective(Loss of) : loss(std::move(of)) {}  // NOLINT: of one argument, on purpose
};

/// With one more term.
inline Objective operator+(Objective objective, Term term) {
  objective.terms.push_back(std::move(term));
  return objective;
}
/// A loss with a term.
inline Objective operator+(Loss loss, Term term) { return Objective(std::move(loss)) + std::move(term); }
/// With more terms.
inline Objective operator+(Objective objective, const std::vector<Term>& terms) {
  objective.terms.insert(objective.terms.end(), terms.begin(), terms.end());
  return objective;
}

}  // namespace entk
