// What a run records of itself.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace entk {

/// One row of metrics.csv; NaN where a quantity does not exist (no test set, no such term).
struct Record {
  std::int64_t step = 0;              ///< steps taken
  double train_loss = 0;              ///< E_n ℓ
  double test_loss = 0;               ///< the same loss at the test points
  std::vector<double> terms;          ///< the objective's terms, unweighted, in its order (R1 … R4 first)
  double regularized_loss = 0;        ///< L_λ
  double norm_w = 0;                  ///< ‖W‖_F
  double norm_gradient = 0;           ///< ‖∇L_λ‖_F
  std::vector<double> observables{};  ///< the trainer's observables, column after column
};

/// One row of timing.csv: clocks, kept apart because they differ between equal runs.
struct Timing {
  std::int64_t step = 0;        ///< steps taken
  double seconds = 0;           ///< since the run started or resumed, records included
  double seconds_per_step = 0;  ///< since the record before, records excluded
  double record_seconds = 0;    ///< this record's own
};

}  // namespace entk
