#include "entk/data/dataset.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "entk/base/check.h"

namespace entk {

namespace {

at::Tensor moved(const at::Tensor& t, at::Device device, at::ScalarType dtype) {
  return t.defined() ? t.to(device, dtype) : t;
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
  for (at::Tensor* t : {&copy.train.x, &copy.train.y, &copy.test.x, &copy.test.y, &copy.unlabeled}) {
    *t = moved(*t, device, dtype);
  }
  return copy;
}

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
  data.train.y = target.value(data.train.x);
  if (o.test_samples > 0) {
    data.test.x = draw_inputs(law, o.test_samples, o.dimension, Purpose::test_inputs, o.seed);
    data.test.y = target.value(data.test.x);
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
