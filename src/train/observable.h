// What a run measures at each record beside losses, terms and norms: columns of metrics.csv by name.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "entk/models/taylor_model.h"

namespace entk {

/// Where a run stands at a record. Nothing here carries gradients.
struct Observation {
  std::int64_t step = 0;             ///< steps taken
  at::Tensor w;                      ///< W: m×d, or a module's parameters as one vector; of several processes its rows
  at::Tensor terms;                  ///< (t_1 … t_P) at the training points: P×n; rows 0 and 1 are f_L and f_Q
  at::Tensor output;                 ///< the model's output there: n
  at::Tensor targets;                ///< y: n
  at::Tensor test_terms;             ///< the same at the test points, undefined where there are none
  at::Tensor test_output;            ///< f there
  at::Tensor test_targets;           ///< y there
  TaylorModelImpl* model = nullptr;  ///< that is trained
};

/// One or more numbers. They cost what they cost at each record and nothing between.
struct Observable {
  std::vector<std::string> columns;  ///< their names
  /// One number a column; NaN where there is none.
  std::function<std::vector<double>(const Observation&)> values;
  /// The first process's values are those of all neurons (kernels/shard.h), whatever rows of W it has: one run over
  /// many processes takes it.
  bool of_all_neurons = false;
};

/// A user's own: one number, under this name.
Observable observable(std::string name, std::function<double(const Observation&)> value);

}  // namespace entk
