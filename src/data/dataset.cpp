#include "entk/data/dataset.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/representable.h"

namespace entk {

namespace {

/// @throws InputError where a finite entry is beyond the type, or all of them vanish in it.
at::Tensor moved(const char* name, const at::Tensor& t, at::Device device, at::ScalarType dtype) {
  if (!t.defined()) return t;
  const auto out = t.to(device, dtype);
  if (t.scalar_type() != at::kDouble || dtype != at::kFloat) return out;
  // By the extremes: nothing of the tensor's size is made.
  const auto [least, greatest] = at::aminmax(t);
  const double size = std::max(-least.item<double>(), greatest.item<double>());
  if (std::isfinite(size) && size > largest_of(dtype)) {
    const auto first = t.abs().argmax().item<std::int64_t>();
    throw InputError(fmt::format("{}: its entry number {} is {}, beyond the largest of float32, {:.2g}", name, first,
                                 t.flatten()[first].item<double>(), largest_of(dtype)));
  }
  if (size > 0 && static_cast<float>(size) == 0) {
    throw InputError(fmt::format("{}: all its entries, of at most {:.2g}, vanish in float32", name, size));
  }
  return out;
}

void check_samples(const Samples& s, const std::string& suffix, std::int64_t dimension) {
  check_matrix("X" + suffix, s.x, -1, dimension);
  check_vector("y" + suffix, s.y, s.x.size(0));
  check_floating("X" + suffix, s.x);
  check_floating("y" + suffix, s.y);
  check_finite("X" + suffix, s.x);
  check_finite("y" + suffix, s.y);
}

}  // namespace

DataSet DataSet::to(at::Device device, at::ScalarType dtype) const {
  DataSet copy = *this;
  for (const auto& [name, t] : {std::pair{"X", &copy.train.x},
                                {"y", &copy.train.y},
                                {"X_test", &copy.test.x},
                                {"y_test", &copy.test.y},
                                {"X_unlabeled", &copy.unlabeled}}) {
    *t = moved(name, *t, device, dtype);
  }
  return copy;
}

namespace {

/// A target's values at drawn points.
at::Tensor values_at(const Target& target, const at::Tensor& x) {
  const auto y = target.value(x);
  const auto name = fmt::format("values of the target {}", target.description);
  check_vector(name, y, x.size(0));
  check_floating(name, y);
  check_finite(name, y);
  return y;
}

}  // namespace

DataSet draw_data(InputLaw law, const DataOptions& o, const Target& target) {
  const auto at_least = [](const char* name, std::int64_t value, std::int64_t least) {
    if (value < least) throw InputError(fmt::format("{}: expected at least {}, got {}", name, least, value));
  };
  at_least("dimension", o.dimension, 1);
  at_least("samples", o.samples, 1);
  at_least("test_samples", o.test_samples, 0);
  at_least("unlabeled_samples", o.unlabeled_samples, 0);
  for (const auto rows : {o.samples, o.test_samples, o.unlabeled_samples}) {
    checked_product("samples times dimension", checked_product("samples times dimension", rows, o.dimension), 8);
  }
  DataSet data;
  data.law = law;
  data.target = target.description;
  data.zero_model_loss = target.second_moment;
  data.train.x = draw_inputs(law, o.samples, o.dimension, Purpose::train_inputs, o.seed);
  data.train.y = values_at(target, data.train.x);
  if (o.test_samples > 0) {
    data.test.x = draw_inputs(law, o.test_samples, o.dimension, Purpose::test_inputs, o.seed);
    data.test.y = values_at(target, data.test.x);
  }
  if (o.unlabeled_samples > 0) {
    data.unlabeled = draw_inputs(law, o.unlabeled_samples, o.dimension, Purpose::unlabeled_inputs, o.seed);
  }
  return data;
}

DataSet own_data(Samples train, Samples test, at::Tensor unlabeled) {
  check_samples(train, "", -1);
  const std::int64_t d = train.x.size(1);
  if (test.x.defined() || test.y.defined()) check_samples(test, "_test", d);
  if (unlabeled.defined()) {
    check_matrix("X_unlabeled", unlabeled, -1, d);
    check_floating("X_unlabeled", unlabeled);
    check_finite("X_unlabeled", unlabeled);
  }
  DataSet data;
  data.train = std::move(train);
  data.test = std::move(test);
  data.unlabeled = std::move(unlabeled);
  data.target = "given";
  data.zero_model_loss = NAN;
  return data;
}

}  // namespace entk
