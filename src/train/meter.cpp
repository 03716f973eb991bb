#include "entk/train/meter.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "entk/base/check.h"
#include "entk/base/users_code.h"
#include "entk/kernels/shard.h"
#include "entk/base/threads.h"

namespace entk {

Meter::Meter(const BoundObjective& bound, const Samples& test, std::vector<Observable> observables)
    : bound_(bound), observables_(std::move(observables)) {
  for (const auto& o : observables_) {
    if (!o.values)
      throw InputError(fmt::format("observable {}: expected a function, got none", fmt::join(o.columns, ", ")));
  }
  if (!test.x.defined() && !test.y.defined()) return;
  const auto model = bound_.model();
  model->expanded().check_points("X_test", test.x);
  check_vector("y_test", test.y, test.x.size(0));
  check_like("y_test", test.y, "X_test", test.x);
  check_finite("X_test", test.x);
  check_finite("y_test", test.y);
  check_like("X_test", test.x, "W", model->displacement());
  test_ = {model->primitive(test.x, {.mode = KernelMode::recompute}), model->expanded().initial_output(test.x)};
  test_targets_ = test.y;
}

Record Meter::record(std::int64_t step, const at::Tensor& w, const at::Tensor& terms, const Evaluation& whole) const {
  Record r;
  r.step = step;
  const auto values = bound_.values(terms, w, step);
  r.train_loss = values.loss.item<double>();
  Observation seen;
  seen.step = step;
  seen.w = w;
  r.test_loss = has_test_points() ? test_loss(seen) : NAN;
  for (const auto& term : values.terms) r.terms.push_back(term.item<double>());
  r.regularized_loss = values.regularized.item<double>();
  r.norm_w = neuron_norm(w);
  r.norm_gradient = neuron_norm(bound_.gradient(w, whole));
  if (!observables_.empty()) observe(seen, terms, r);
  return r;
}

/// The loss at the test points, whose terms and output it leaves in `seen`.
double Meter::test_loss(Observation& seen) const {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  seen.test_terms = test_.primitive->terms(seen.w);
  seen.test_output = bound_.model()->output(seen.test_terms, test_.initial);
  seen.test_targets = test_targets_;
  const double loss = bound_.loss_of(seen.test_output, test_targets_, "y_test");
  if (std::isfinite(loss)) return loss;
  // W is finite, and so is the training loss.
  const auto farthest = seen.test_output.abs().nan_to_num(INFINITY).argmax().item<std::int64_t>();
  throw InputError(fmt::format(
      "X_test: the model at point {} is {}, and the test loss {}: beyond {}; the largest entry of that point is {:.3g}",
      farthest, seen.test_output[farthest].item<double>(), loss, toString(seen.test_output.scalar_type()),
      test_.primitive->points()[farthest].abs().max().item<double>()));
}

void Meter::observe(Observation& seen, const at::Tensor& terms, Record& r) const {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto in = bound_.training_inputs(terms);
  seen.terms = in.terms;
  seen.output = in.output;
  seen.targets = in.targets;
  seen.model = bound_.model().ptr().get();
  for (const auto& o : observables_) {
    const auto values = of_user(fmt::format("observable {}: its values cannot be made", fmt::join(o.columns, ", ")),
                                [&] { return o.values(seen); });
    if (values.size() != o.columns.size()) {
      throw InputError(fmt::format("observable {}: expected {} numbers, one a column, got {}",
                                   fmt::join(o.columns, ", "), o.columns.size(), values.size()));
    }
    r.observables.insert(r.observables.end(), values.begin(), values.end());
  }
}

}  // namespace entk
