// What a run records of its W.
#pragma once

#include "entk/train/bound_objective.h"
#include "entk/train/observable.h"
#include "entk/train/record.h"

namespace entk {

class Meter {
 public:
  /// @throws InputError for test points that do not fit the model or are not finite.
  Meter(const BoundObjective& bound, const Samples& test, std::vector<Observable> observables);

  bool has_test_points() const { return test_.primitive != nullptr; }
  /// terms: the primitive's at w; whole: the objective there. @throws InputError for an observable that gives another
  /// number of values than it has columns.
  Record record(std::int64_t step, const at::Tensor& w, const at::Tensor& terms, const Evaluation& whole) const;

 private:
  double test_loss(Observation& seen) const;
  void observe(Observation& seen, const at::Tensor& terms, Record& record) const;

  const BoundObjective& bound_;
  std::vector<Observable> observables_;
  ExpansionAt test_;
  at::Tensor test_targets_;
};

}  // namespace entk
