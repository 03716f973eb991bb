#include "entk/data/dataset.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/representable.h"
#include "entk/base/sphere.h"
#include "entk/base/users_code.h"
#include "entk/io/pt_file.h"

namespace entk {

namespace {

/// @throws InputError where a finite entry is beyond the type, or all of them vanish in it.
at::Tensor moved(const char* name, const at::Tensor& t, at::Device device, at::ScalarType dtype) {
  if (!t.defined()) return t;
  if (t.is_complex())
    throw InputError(fmt::format("{}: expected real numbers, got {}", name, toString(t.scalar_type())));
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

/// Points one behind the other, each of any shape; of that shape, where one is given.
void check_points(const std::string& name, const at::Tensor& x, at::IntArrayRef shape) {
  if (!x.defined() || x.dim() < 2) check_matrix(name, x, -1, -1);
  check_floating(name, x);
  if (!shape.empty() && x.sizes().slice(1) != shape) {
    auto wanted = shape.vec();
    wanted.insert(wanted.begin(), x.size(0));
    check_sizes(name, x, wanted);
  }
  check_finite(name, x);
}

void check_samples(const Samples& s, const std::string& suffix, at::IntArrayRef shape) {
  check_points("X" + suffix, s.x, shape);
  check_vector("y" + suffix, s.y, s.x.size(0));
  check_floating("y" + suffix, s.y);
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
  if (!target.value) throw InputError(fmt::format("the target {}: expected a function, got none", target.description));
  const auto y = of_user(fmt::format("the target {}: its values cannot be made", target.description),
                         [&] { return target.value(x); });
  const auto name = fmt::format("values of the target {}", target.description);
  check_vector(name, y, x.size(0));
  check_floating(name, y);
  check_finite(name, y);
  return y;
}

}  // namespace

DataSource data_source(InputLaw law) {
  DataSource source;
  source.law = law;
  source.draw = [law](const DataSetting& s) {
    const double radius = std::sqrt(static_cast<double>(s.dimension));
    return Samples{law == InputLaw::gaussian ? gaussian_points(s.samples, s.dimension, s.stream)
                                             : sphere_points(s.samples, s.dimension, radius, s.stream),
                   {}};
  };
  return source;
}

Samples draw_samples(const DataSource& source, std::int64_t rows, std::int64_t dimension, const RandomStream& stream) {
  const auto words = stream.block(UINT64_MAX);  // no index reaches it
  auto drawn = source.draw({dimension, rows, stream, words[0] | std::uint64_t{words[1]} << 32});
  check_matrix("X of the data source", drawn.x, rows, dimension);
  check_floating("X of the data source", drawn.x);
  check_finite("X of the data source", drawn.x);
  drawn.x = drawn.x.detach().to(at::kCPU, at::kDouble);
  if (!drawn.y.defined()) return drawn;
  check_vector("y of the data source", drawn.y, rows);
  check_floating("y of the data source", drawn.y);
  check_finite("y of the data source", drawn.y);
  drawn.y = drawn.y.detach().to(at::kCPU, at::kDouble);
  return drawn;
}

DataSet draw_data(const DataSource& source, const DataOptions& o, const Target& target) {
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
  const auto draw = [&](std::int64_t rows, Purpose purpose) {
    return draw_samples(source, rows, o.dimension, RandomStream(purpose, o.seed));
  };
  DataSet data;
  data.law = source.nearest_law();
  data.train = draw(o.samples, Purpose::train_inputs);
  data.given = data.train.y.defined();
  if (o.test_samples > 0) data.test = draw(o.test_samples, Purpose::test_inputs);
  if (o.unlabeled_samples > 0) data.unlabeled = draw(o.unlabeled_samples, Purpose::unlabeled_inputs).x;
  data.target = data.given ? "given" : target.description;
  data.zero_model_loss = data.given ? NAN : target.second_moment;
  for (auto* sample : {&data.train, &data.test}) {
    if (!sample->x.defined()) continue;
    if (data.given != sample->y.defined()) throw InputError("data source: expected y for both samples, or for none");
    if (!data.given) sample->y = values_at(target, sample->x);
  }
  return data;
}

DataSet own_data(Samples train, Samples test, at::Tensor unlabeled) {
  check_samples(train, "", {});
  const auto point = train.x.sizes().slice(1);
  if (test.x.defined() || test.y.defined()) check_samples(test, "_test", point);
  if (unlabeled.defined()) check_points("X_unlabeled", unlabeled, point);
  DataSet data;
  data.train = std::move(train);
  data.test = std::move(test);
  data.unlabeled = std::move(unlabeled);
  data.given = true;
  data.target = "given";
  data.zero_model_loss = NAN;
  return data;
}

DataSet load_data(const std::string& file) {
  const auto tensors = read_pt(file);
  const auto take = [&](const char* name) {
    const auto found = tensors.find(name);
    return found == tensors.end() ? at::Tensor() : found->second;
  };
  for (const char* name : {"X", "y"}) {
    if (!take(name).defined()) {
      throw InputError(
          fmt::format("{}: expected a tensor '{}' (X: n×d, y: n; optional X_test, y_test, X_unlabeled)", file, name));
    }
  }
  try {
    check_matrix("X", take("X"), -1, -1);
    return own_data({take("X"), take("y")}, {take("X_test"), take("y_test")}, take("X_unlabeled"));
  } catch (const InputError& e) {
    throw InputError(file + ": " + e.what());
  }
}

}  // namespace entk
