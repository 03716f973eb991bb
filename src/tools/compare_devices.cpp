#include "entk/tools/compare_devices.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/error.h"
#include "entk/base/threads.h"
#include "entk/runs/problem.h"

namespace entk {

namespace {

at::Tensor exact(const at::Tensor& t) { return t.detach().to(at::kCPU, at::kDouble).contiguous(); }

TensorDict run_quantities(const Problem& problem, c10::Device device) {
  const auto model = make_model(problem);
  auto objective = make_objective(problem, model);
  Trainer trainer(model, objective, descent_options(problem.config), {}, kernel_options(problem.config));
  const auto result = trainer.fit(problem.data, device);
  if (result.outcome == TrainOutcome::diverged) throw NotFiniteError(result.message);
  TensorDict q;
  const auto column = [&](auto&& f) {
    std::vector<double> values;
    for (const auto& r : result.records) values.push_back(f(r));
    return at::tensor(values, at::kDouble);
  };
  q["train_loss"] = column([](const Record& r) { return r.train_loss; });
  if (problem.data.test.x.defined()) q["test_loss"] = column([](const Record& r) { return r.test_loss; });
  const std::size_t terms = objective.terms.size();
  for (std::size_t i = 0; i < terms; ++i) {
    q[objective.terms[i].name] = column([i](const Record& r) { return r.terms[i]; });
  }
  const auto w = model->displacement().detach();
  q["W"] = exact(w);
  const auto& points = problem.data.test.x.defined() ? problem.data.test.x : problem.data.train.x;
  const auto at_points = model->expanded().primitive(points, {.orders = 2, .mode = KernelMode::recompute})->terms(w);
  q["f_L"] = exact(at_points[0]);
  q["f_Q"] = exact(at_points[1]);
  const BoundObjective bound(model, objective, problem.data.train, {.mode = KernelMode::recompute});
  q["gradient"] = exact(bound.gradient(w, bound.evaluate(bound.primitive()->terms(w), w)));
  return q;
}

/// Float32 inputs whatever the type: runs of two precisions start from the same numbers.
void round_inputs(Problem& p) {
  const auto round = [](at::Tensor& t) {
    if (t.defined()) t = t.to(at::kFloat).to(t.scalar_type());
  };
  for (auto* t :
       {&p.data.train.x, &p.data.train.y, &p.data.test.x, &p.data.test.y, &p.data.unlabeled, &p.w0, &p.a, &p.start}) {
    round(*t);
  }
  if (!p.module) return;
  const auto module = std::static_pointer_cast<ExpandedModuleImpl>(p.module->same_start());
  module->to(at::kFloat);
  module->to(p.data.train.x.scalar_type());
  p.module = module;
}

std::map<std::string, double> scales(const TensorDict& reference) {
  std::map<std::string, double> scale;
  for (const auto& [name, value] : reference) {
    // Losses against their own size: the training loss, which goes to zero, against its first value.
    scale[name] = name == "train_loss" ? value[0].item<double>() : value.square().mean().sqrt().item<double>();
  }
  return scale;
}

std::pair<double, double> distances(const at::Tensor& a, const at::Tensor& b, double scale) {
  auto difference = (a - b).abs().flatten() / (scale > 0 ? scale : 1.0);
  if (difference.isnan().any().item<bool>()) return {INFINITY, INFINITY};
  const auto sorted = std::get<0>(difference.sort());
  const auto last = sorted.numel() - 1;
  return {sorted[static_cast<std::int64_t>(std::ceil(0.99 * static_cast<double>(last)))].item<double>(),
          sorted[last].item<double>()};
}

}  // namespace

TensorDict comparison_quantities(const RunConfig& config, c10::Device device) {
  const SerialTorch serial;
  auto problem = make_problem(config, device);
  round_inputs(problem);
  make_projectors(problem);
  return run_quantities(problem, device);
}

TensorDict permuted_quantities(const RunConfig& config, std::uint64_t permutation) {
  const SerialTorch serial;
  auto problem = make_problem(config, c10::kCPU);
  problem.network("permuted neurons");
  round_inputs(problem);
  const auto m = problem.w0.size(0), half = m / 2;
  // Twins move together, so that the start stays symmetric.
  const bool twins = has_twins(problem.w0, problem.a);
  const auto count = twins ? half : m;
  const RandomStream stream(Purpose::probe, permutation);
  std::vector<std::int64_t> order(count);
  for (std::int64_t i = 0; i < count; ++i) order[i] = i;
  for (std::int64_t i = count - 1; i > 0; --i) {
    std::swap(order[i], order[static_cast<std::int64_t>(stream.below(i, static_cast<std::uint64_t>(i) + 1))]);
  }
  auto index = at::tensor(order, at::kLong);
  if (twins) index = at::cat({index, index + half});
  problem.w0 = problem.w0.index_select(0, index);
  problem.a = problem.a.index_select(0, index);
  if (problem.start.defined()) problem.start = problem.start.index_select(0, index);
  make_projectors(problem);
  auto q = run_quantities(problem, c10::kCPU);
  for (const char* name : {"W", "gradient"}) {
    auto back = at::empty_like(q[name]);
    back.index_copy_(0, index, q[name]);
    q[name] = back;
  }
  return q;
}

Tolerances precision_tolerances() {
  Tolerances t;
  for (const char* name : {"W", "f_L", "f_Q", "gradient", "R1", "R2", "R3", "R4"}) t[name] = {1e-4, 1e-3};
  t["test_loss"] = {2e-6, 2e-6};
  t["train_loss"] = {1e-6, 1e-6};
  return t;
}

Tolerances float64_tolerances() {
  Tolerances t;
  for (const char* name : {"W", "f_L", "f_Q", "gradient", "train_loss", "test_loss", "R1", "R2", "R3", "R4"})
    t[name] = {1e-9, 1e-9};
  return t;
}

Tolerances identical_tolerances() {
  auto t = float64_tolerances();
  for (auto& [name, value] : t) value = {0, 0};
  return t;
}

Tolerances twin_tolerances(const RunConfig& config, const TensorDict& reference, int twins) {
  Tolerances t;
  const auto scale = scales(reference);
  for (int twin = 1; twin <= twins; ++twin) {
    for (const auto& [name, value] : permuted_quantities(config, static_cast<std::uint64_t>(twin))) {
      const auto [percentile, maximum] = distances(reference.at(name), value, scale.at(name));
      auto& [first, second] = t[name];
      first = std::max(first, 3 * percentile);
      second = std::max(second, 3 * maximum);
    }
  }
  return t;
}

std::vector<Comparison> compare_quantities(const TensorDict& a, const TensorDict& b, const Tolerances& tolerances) {
  std::vector<Comparison> all;
  const auto scale = scales(a);
  for (const auto& [name, tolerance] : tolerances) {
    if (!a.count(name) && !b.count(name)) continue;
    if (!a.count(name) || !b.count(name) || a.at(name).sizes() != b.at(name).sizes()) {
      throw InputError(fmt::format("{}: the two runs do not have it in the same shape", name));
    }
    const auto [percentile, maximum] = distances(a.at(name), b.at(name), scale.at(name));
    all.push_back({name, percentile, maximum, tolerance.first, tolerance.second});
  }
  return all;
}

Table comparison_table(const std::vector<Comparison>& comparisons) {
  Table table;
  table.title = "Differences relative to the first run";
  table.columns = {Column("quantity"),   Column("99th percentile", 3), Column("tolerance", 3),
                   Column("maximum", 3), Column("tolerance", 3),       Column("")};
  for (const auto& c : comparisons) {
    table.rows.push_back(
        {c.quantity, c.percentile99, c.tolerance99, c.maximum, c.tolerance_maximum, c.within() ? "within" : "OUTSIDE"});
  }
  return table;
}

}  // namespace entk
