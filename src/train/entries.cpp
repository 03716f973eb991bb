#include "entk/train/entries.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/optim/adam.h>
#include <torch/optim/lbfgs.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "entk/base/error.h"
#include "entk/base/threads.h"
#include "entk/kernels/shard.h"
#include "entk/spectrum/feature_kernel.h"
#include "entk/spectrum/harmonic_projector.h"

namespace entk {

namespace {

at::Tensor exact(const at::Tensor& t) { return t.detach().to(at::kDouble); }

/// Σ over the groups of neurons of all processes, each a matrix.
template <class Make>
at::Tensor sum_over_neurons(const Shard& shard, Make&& make) {
  return sum_of_groups(shard, shard.own_groups(), make,
                       [](const at::Tensor& to, const at::Tensor& from) { to.add_(from); });
}

double mean_square(const at::Tensor& t) { return exact(t).square().mean().item<double>(); }

/// ‖w_r‖·√m: where the neurons' median, 99th percentile and largest lie.
Observable movement(const Parameters&, const Setting& s) {
  s.model->two_layer("observable movement");
  return {{"movement_median", "movement_p99", "movement_max"},
          [](const Observation& in) {
            const auto all = gather_rows(exact(in.w).square().sum(1).sqrt().cpu());
            if (!all.defined()) return std::vector<double>(3, NAN);
            const auto sorted = std::get<0>(all.sort()).contiguous();
            const double* norms = sorted.const_data_ptr<double>();
            const auto count = static_cast<double>(sorted.numel());
            const double scale = std::sqrt(count);
            // The least with at least that share of all at or below it.
            const auto quantile = [&](double share) {
              return scale * norms[static_cast<std::int64_t>(std::ceil(share * count)) - 1];
            };
            return std::vector<double>{quantile(0.5), quantile(0.99), quantile(1.0)};
          },
          true};
}

/// Shares of ‖W‖_F² in V1, V2 and Φ's null space, Φ = Σ_i s_i u_i v_iᵀ being the features at the projector's points
/// X: V1 is spanned by v_1 … v_r, V2 by the others. v_iᵀvec(W) = u_iᵀ f_L(X;W)/s_i, and the s_i² are the eigenvalues
/// of the kernel: nothing of size md is formed. In float64, for the small s_i of V2.
Observable shares(const Parameters& p, const Setting& s) {
  if (!s.sigma) {
    throw InputError("observable shares: expected projector.source features or unlabeled, at whose points it looks");
  }
  const auto points = exact(s.sigma->points());
  if (const auto most = p.get<std::int64_t>("most_points"); points.size(0) > most) {
    throw InputError(
        fmt::format("observable shares: it takes all eigenvectors of the kernel of the projector's {} points, "
                    "and most_points is {}",
                    points.size(0), most));
  }
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto model = s.model->expanded().exact();
  const auto [values, vectors] = at::linalg_eigh(feature_kernel(*model, points));  // ascending
  const auto n = points.size(0), rank = s.sigma->rank();
  // Below this an eigenvalue is rounding, and its vector belongs to the null space.
  const double floor = static_cast<double>(n) * 2.2e-16 * values[n - 1].item<double>();
  const auto inverse = at::where(values > floor, values.reciprocal(), at::zeros_like(values));
  const auto primitive = model->primitive(points, {.orders = 1, .mode = KernelMode::recompute});
  return {{"share_V1", "share_V2", "share_rest"},
          [primitive, inverse = inverse, vectors = vectors, n, rank](const Observation& in) {
            const auto w = exact(in.w).contiguous();
            const auto squares = vectors.t().mv(primitive->terms(w)[0]).square() * inverse;
            const double whole = neuron_dot(w, w);
            const double first = squares.narrow(0, n - rank, rank).sum().item<double>() / whole;  // NaN at W = 0
            const double second = squares.narrow(0, 0, n - rank).sum().item<double>() / whole;
            return std::vector<double>{first, second, 1 - first - second};
          },
          true};
}

/// Shares of ‖W‖_F² in Q1, Q2 and Q3 for k = 1, in population: the ranges of 𝓕 (harmonic_projector.h) on the degrees
/// ≤ 1, on degree 2 beyond that, and the rest. ‖Π_{≤n_k}W‖² = gᵀG⁻¹g with g = 𝓕ᵀvec(W): nothing of size md is formed.
Observable harmonic_shares(const Parameters&, const Setting& s) {
  const auto& own = s.model->two_layer("observable harmonic_shares");
  const Network network(exact(own.w0), exact(own.a), own.activation());
  const auto d = network->dimension();
  const auto first = HarmonicProjector::make(network, d + 1), both = HarmonicProjector::make(network, d * (d + 3) / 2);
  const auto square = [](const HarmonicProjector& p, const at::Tensor& w) {
    const auto g = p.moments(w);
    return g.dot(p.solve(g)).item<double>();
  };
  return {{"share_Q1", "share_Q2", "share_Q3"},
          [=](const Observation& in) {
            const auto w = exact(in.w);
            const double whole = neuron_dot(w, w);
            const double low = square(first, w) / whole, low_and_middle = square(both, w) / whole;  // NaN at W = 0
            return std::vector<double>{low, low_and_middle - low, 1 - low_and_middle};
          },
          true};
}

/// E f_L² and E f_Q² over the test points; of the network itself those of its expansion, whose t_2 here is f_Q and all
/// that follows.
Observable term_squares(const Parameters&, const Setting& s) {
  if (!s.data.test.x.defined()) throw InputError("observable term_squares: expected test points, got none");
  const auto expansion = s.model->options().whole_network
                             ? s.model->expanded().primitive(s.data.test.x, {.mode = KernelMode::recompute})
                             : nullptr;
  return {{"test_f_L_square", "test_f_Q_square"},
          [expansion](const Observation& in) {
            const auto terms = expansion ? expansion->terms(in.w) : in.test_terms;
            return std::vector<double>{mean_square(terms[0]), terms.size(0) > 1 ? mean_square(terms[1]) : NAN};
          },
          true};
}

/// Σ_r |w_r·β| / Σ_r ‖w_r‖ for each direction: mean |cos(w_r, β)|, weighted by the neuron's norm.
Observable alignment(const Parameters& p, const Setting& s) {
  s.model->two_layer("observable alignment");
  const auto given = p.has("directions") ? read_rows(p.reader(), "directions") : s.directions;
  if (given.empty()) {
    throw InputError("observable alignment: expected directions, for a target that singles out none");
  }
  std::vector<at::Tensor> rows;
  std::vector<std::string> columns;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (static_cast<std::int64_t>(given[i].size()) != s.dimension) {
      throw InputError(fmt::format("observable alignment: directions.{}: expected {} numbers, the dimension, got {}",
                                   i + 1, s.dimension, given[i].size()));
    }
    auto direction = at::tensor(given[i], at::kDouble);
    const double length = direction.norm().item<double>();
    if (!(length > 0) || !std::isfinite(length)) {
      throw InputError(
          fmt::format("observable alignment: directions.{}: expected a finite vector other than zero", i + 1));
    }
    rows.push_back(direction / length);
    columns.push_back(given.size() == 1 ? "alignment" : fmt::format("alignment_{}", i + 1));
  }
  return {columns,
          [directions = at::stack(rows).t().to(s.model->network->w.device())](const Observation& in) {
            const auto shard = shard_with(in.w.size(0));
            const auto sums = sum_over_neurons(shard, [&](std::int64_t g) {
              const auto w = exact(shard.group_rows(in.w, g));
              return at::cat({w.mm(directions).abs().sum(0), w.square().sum(1).sqrt().sum().unsqueeze(0)}).unsqueeze(0);
            })[0];
            const auto count = directions.size(1);
            const auto shares = (sums.narrow(0, 0, count) / sums[count]).cpu().contiguous();
            const double* first = shares.const_data_ptr<double>();
            return std::vector<double>(first, first + count);
          },
          true};
}

/// Some neurons' tangent features at W, times √m: S(x)_r with ∂f/∂w_r = S(x)_r x, for rows of x: n×count.
at::Tensor slopes(const TaylorModelImpl& model, const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a,
                  const at::Tensor& w) {
  const auto& sigma = model.network->activation();
  const auto start = x.mm(w0.t()), moved = x.mm(w.t());
  at::Tensor sum;
  if (model.options().whole_network) {
    sum = sigma.derivative(start + moved, 1);
  } else {
    sum = model.options().linear_term ? sigma.derivative(start, 1) : at::zeros_like(start);
    auto power = at::ones_like(moved);  // (w_r·x)^(p−1)/(p−1)!
    for (int p = 2; p <= model.options().order; ++p) {
      power = power * moved / static_cast<double>(p - 1);
      sum = sum + sigma.derivative(start, p) * power;
    }
  }
  return sum * a;
}

/// ‖K(W) − K(0)‖_F/‖K(0)‖_F, K the model's tangent kernel at the first training points.
Observable kernel_drift(const Parameters& p, const Setting& s) {
  const auto& network = s.model->two_layer("observable kernel_drift");
  const auto count = std::min<std::int64_t>(p.get<std::int64_t>("points"), s.data.train.x.size(0));
  const auto x = exact(s.data.train.x.narrow(0, 0, count));
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto kernel = [x, w0 = network.w0, a = network.a, gram = x.mm(x.t())](const TaylorModelImpl& model,
                                                                              const at::Tensor& w) {
    const auto shard = shard_with(w.size(0));
    const auto sum = sum_over_neurons(shard, [&](std::int64_t g) {
      const auto of = [&](const at::Tensor& t) { return exact(shard.group_rows(t, g)); };
      const auto features = slopes(model, x, of(w0), of(a), of(w));
      return features.mm(features.t());
    });
    return gram * sum / static_cast<double>(shard.width);
  };
  const auto first = kernel(*s.model, at::zeros_like(network.w0));
  return {{"kernel_drift"},
          [kernel, first](const Observation& in) {
            const double drift = (kernel(*in.model, in.w) - first).norm().item<double>();
            return std::vector<double>{drift / first.norm().item<double>()};
          },
          true};
}

/// The share of points on which the output has not the sign of y.
double wrong_signs(const at::Tensor& output, const at::Tensor& y) {
  return (output * y).le(0).to(at::kDouble).mean().item<double>();
}

/// Where y = ±1, at the training and at the test points.
Observable error_rate(const Parameters&, const Setting& s) {
  for (const auto& [name, y] : {std::pair{"y", s.data.train.y}, {"y_test", s.data.test.y}}) {
    if (y.defined() && !y.abs().eq(1).all().item<bool>()) {
      throw InputError(fmt::format("observable error_rate: {}: expected labels -1 and 1", name));
    }
  }
  return {{"train_error", "test_error"},
          [](const Observation& in) {
            return std::vector<double>{wrong_signs(in.output, in.targets),
                                       in.test_targets.defined() ? wrong_signs(in.test_output, in.test_targets) : NAN};
          },
          true};
}

void need_test_points(const Setting& s, const char* name) {
  if (!s.data.test.x.defined()) throw InputError(fmt::format("observable {}: expected test points, got none", name));
}

/// f at the first test points: two runs' distance is that of these columns.
Observable test_output(const Parameters& p, const Setting& s) {
  need_test_points(s, "test_output");
  const auto count = std::min<std::int64_t>(p.get<std::int64_t>("points"), s.data.test.x.size(0));
  std::vector<std::string> columns;
  for (std::int64_t i = 1; i <= count; ++i) columns.push_back(fmt::format("test_output_{}", i));
  return {columns,
          [count](const Observation& in) {
            const auto values = exact(in.test_output.narrow(0, 0, count)).cpu().contiguous();
            const double* first = values.const_data_ptr<double>();
            return std::vector<double>(first, first + count);
          },
          true};
}

/// Of the model's expansion of each order at the model's own W: mean squared errors, shares of wrong signs, and the
/// root mean square over the test points of its distance to the model's output.
Observable expansions(const Parameters& p, const Setting& s) {
  need_test_points(s, "expansions");
  const auto orders = p.get<std::vector<std::int64_t>>("orders");
  if (orders.empty() || std::set(orders.begin(), orders.end()).size() != orders.size()) {
    p.reader().fail("orders", "at least one order, each once");
  }
  std::vector<std::string> columns;
  for (const auto order : orders) {
    for (const char* what : {"train_square", "test_square", "train_error", "test_error", "test_distance"}) {
      columns.push_back(fmt::format("expansion_{}_{}", order, what));
    }
  }
  const auto& of = s.model->expanded();
  const auto at = [&](const Samples& samples) {
    return std::pair{
        of.primitive(samples.x, {.orders = static_cast<int>(*std::max_element(orders.begin(), orders.end())),
                                 .mode = KernelMode::recompute}),
        of.initial_output(samples.x)};
  };
  return {columns,
          [orders, train = at(s.data.train), test = at(s.data.test)](const Observation& in) {
            const bool initial = in.model->options().initial_output;
            const auto outputs = [&](const auto& points) {
              const auto sums = points.first->terms(in.w).cumsum(0);
              return initial ? sums + points.second : sums;
            };
            const auto at_train = outputs(train), at_test = outputs(test);
            std::vector<double> values;
            for (const auto order : orders) {
              const auto f = at_train[order - 1], at_tests = at_test[order - 1];
              values.push_back(mean_square(f - in.targets));
              values.push_back(mean_square(at_tests - in.test_targets));
              values.push_back(wrong_signs(f, in.targets));
              values.push_back(wrong_signs(at_tests, in.test_targets));
              values.push_back(std::sqrt(mean_square(at_tests - in.test_output)));
            }
            return values;
          },
          true};
}

/// Rates are 1 here: the trainer multiplies them by η_t.
UpdateRule sgd_rule(const Parameters& p, const torch::optim::SGDOptions& options) {
  UpdateRule rule;
  rule.batch = p.get<std::int64_t>("batch");
  rule.of_entries = true;
  rule.held = 2;
  rule.optimizer = [options](const at::Tensor& w) {
    return std::make_shared<torch::optim::SGD>(std::vector<at::Tensor>{w}, options);
  };
  return rule;
}

UpdateRule momentum_rule(const Parameters& p) {
  return sgd_rule(p, torch::optim::SGDOptions(1).momentum(p["momentum"]).nesterov(p.get<bool>("nesterov")));
}

UpdateRule general_sgd_rule(const Parameters& p) {
  const bool nesterov = p.get<bool>("nesterov");
  if (nesterov && (p["momentum"] == 0 || p["dampening"] != 0)) {
    throw InputError("update sgd: nesterov needs a momentum above 0 and a dampening of 0");
  }
  return sgd_rule(p, torch::optim::SGDOptions(1)
                         .momentum(p["momentum"])
                         .dampening(p["dampening"])
                         .weight_decay(p["weight_decay"])
                         .nesterov(nesterov));
}

UpdateRule adam_rule(const Parameters& p) {
  UpdateRule rule;
  rule.kind = UpdateKind::scaled;
  rule.batch = p.get<std::int64_t>("batch");
  rule.of_entries = true;
  const bool amsgrad = p.get<bool>("amsgrad");
  rule.held = amsgrad ? 5 : 4;
  const auto options = torch::optim::AdamOptions(1)
                           .betas({p["beta1"], p["beta2"]})
                           .eps(p["epsilon"])
                           .weight_decay(p["weight_decay"])
                           .amsgrad(amsgrad);
  rule.optimizer = [options](const at::Tensor& w) {
    return std::make_shared<torch::optim::Adam>(std::vector<at::Tensor>{w}, options);
  };
  return rule;
}

UpdateRule lbfgs_rule(const Parameters& p) {
  UpdateRule rule;
  rule.kind = UpdateKind::search;
  const auto history = p.get<std::int64_t>("history");
  rule.held = 2 * history + 8;
  auto options = torch::optim::LBFGSOptions(1)
                     .max_iter(p.get<std::int64_t>("iterations"))
                     .history_size(history)
                     .tolerance_grad(p["tolerance_gradient"])
                     .tolerance_change(p["tolerance_change"]);
  if (p.get<bool>("line_search")) options.line_search_fn("strong_wolfe");
  rule.optimizer = [options](const at::Tensor& w) {
    return std::make_shared<torch::optim::LBFGS>(std::vector<at::Tensor>{w}, options);
  };
  return rule;
}

}  // namespace

const std::vector<UpdateEntry>& built_in_updates() {
  static const Parameter batch = {
      "batch", 0, {.at_least = 0, .at_most = 1e9}, "points whose loss a step takes, by fresh shuffles; 0: all"};
  static const Parameter nesterov = {"nesterov", false, {}, "true: Nesterov's form"};
  static const Parameter decay = {"weight_decay", 0.0, {.at_least = 0, .at_most = 1e12}, "times W, to the gradient"};
  static const std::vector<UpdateEntry> all = {
      {"descent", "(21), within the kernels", {}, [](const Parameters&) { return UpdateRule{}; }},
      {"minibatches",
       "(21) with the loss of some points a step, by fresh shuffles; terms keep their points",
       {{"size", 32, {.at_least = 1, .at_most = 1e9}, "points a step"}},
       [](const Parameters& p) {
         UpdateRule rule;
         rule.batch = p.get<std::int64_t>("size");
         return rule;
       }},
      {"momentum",
       "v <- momentum v + gradient, W <- W - eta v",
       {{"momentum", 0.9, {.above = 0, .below = 1}}, nesterov, batch},
       momentum_rule},
      {"sgd",
       "torch.optim.SGD",
       {{"momentum", 0.0, {.at_least = 0, .below = 1}},
        {"dampening", 0.0, {.at_least = 0, .at_most = 1}},
        decay,
        nesterov,
        batch},
       general_sgd_rule},
      {"adam",
       "torch.optim.Adam",
       {{"beta1", 0.9, {.at_least = 0, .below = 1}},
        {"beta2", 0.999, {.at_least = 0, .below = 1}},
        {"epsilon", 1e-8, {.at_least = 0, .at_most = 1}},
        decay,
        {"amsgrad", false},
        batch},
       adam_rule},
      {"lbfgs",
       "torch.optim.LBFGS: a step is some of its iterations, each with a search along a line",
       {{"iterations", 20, {.at_least = 1, .at_most = 1000}, "a step"},
        {"history", 10, {.at_least = 1, .at_most = 1000}, "pairs of tensors like W that it keeps"},
        {"tolerance_gradient", 1e-7, {.at_least = 0, .at_most = 1}},
        {"tolerance_change", 1e-9, {.at_least = 0, .at_most = 1}},
        {"line_search", true, {}, "false: steps of eta"}},
       lbfgs_rule}};
  return all;
}

const std::vector<LossEntry>& built_in_losses() {
  static const std::vector<LossEntry> all = {
      {"square", "mean of (f - y)^2", {}, [](const Parameters&) { return square_loss(); }},
      {"pseudo_huber",
       "mean of delta^2 (sqrt(1 + ((f - y)/delta)^2) - 1)",
       {{"delta", 1.0, {.above = 0, .at_most = 1e12}, "where it becomes linear"}},
       [](const Parameters& p) { return pseudo_huber_loss(p["delta"]); }},
      {"logistic", "mean of log(1 + e^(-y f)), y = 1 or -1", {}, [](const Parameters&) { return logistic_loss(); }}};
  return all;
}

const std::vector<ScheduleEntry>& built_in_schedules() {
  static const std::vector<Parameter> horizon = {
      {"horizon", 20000, {.at_least = 1, .at_most = 4294967295.0}, "steps of the schedule, whatever the run's length"}};
  const auto of = [](ScheduleKind kind) {
    return [kind](const Parameters& p) { return Schedule{kind, p.get<std::int64_t>("horizon")}; };
  };
  static const std::vector<ScheduleEntry> all = {
      {"constant", "eta", horizon, of(ScheduleKind::constant)},
      {"cosine", "eta (1 + cos(pi min(t, horizon)/horizon))/2", horizon, of(ScheduleKind::cosine)},
      {"decay", "eta/(1 + t/horizon)", horizon, of(ScheduleKind::decay)}};
  return all;
}

const std::vector<ObservableEntry>& built_in_observables() {
  static const std::vector<ObservableEntry> all = {
      {"movement", "|w_r| sqrt(m) of the neurons: median, 99th percentile, largest", {}, movement},
      {"shares",
       "shares of |W|^2 in V1, in V2 and in the rest, by the projector's points",
       {{"most_points", 3000, {.at_least = 1, .at_most = 50000}, "more are refused: all eigenvectors are taken"}},
       shares},
      {"harmonic_shares",
       "shares of |W|^2 in Q1, in Q2 and in Q3 for k = 1: degrees up to 1, degree 2, the rest; without points",
       {},
       harmonic_shares},
      {"term_squares", "E f_L^2 and E f_Q^2 over the test points", {}, term_squares},
      {"alignment",
       "mean |cos(w_r, b)|, weighted by the neuron's norm",
       {{"directions", nullptr, {}, "b, lists of d numbers; without: those that the target singles out"}},
       alignment},
      {"kernel_drift",
       "|K(W) - K(0)|/|K(0)| of the model's tangent kernel",
       {{"points", 100, {.at_least = 1, .at_most = 10000}, "of the training inputs"}},
       kernel_drift},
      {"error_rate", "shares of training and test points with the wrong sign, y = 1 or -1", {}, error_rate},
      {"test_output",
       "f at the first test points, a column each",
       {{"points", 100, {.at_least = 1, .at_most = 1e6}}},
       test_output},
      {"expansions",
       "of f's expansions at W itself: mean squares of f - y, wrong signs, distance to f over the test points",
       {{"orders", nlohmann::json::array({1, 2}), {.at_least = 1, .at_most = 4}, "of the expansions"}},
       expansions}};
  return all;
}

Observable observable(std::string name, std::function<double(const Observation&)> value) {
  if (!value) throw InputError(fmt::format("observable {}: expected a function, got none", name));
  return {{std::move(name)},
          [value = std::move(value)](const Observation& in) { return std::vector<double>{value(in)}; }};
}

}  // namespace entk
