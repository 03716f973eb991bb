// Each built-in observable, as a trainer records it, against a small computation of another kind at the W that
// training ends with.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <array>

#include "entk/base/error.h"
#include "entk/train/entries.h"
#include "entk/train/trainer.h"
#include "tests/support/testing.h"

namespace entk::observables_test {
namespace {

constexpr std::int64_t d = 4, m = 10, n = 12;

struct Trained {
  Setting setting;
  std::vector<std::string> columns;
  std::vector<double> values;
  at::Tensor w;
};

struct Case {
  TaylorModelOptions model{};
  bool labels = false;
  std::int64_t steps = 5;
};

/// Trains with the observable and gives what the last record holds.
Trained train(const std::string& name, const nlohmann::json& parameters = nlohmann::json::object(),
              const Case& c = {}) {
  Trained t;
  auto target = figure1_target(d, InputLaw::sphere, 1);
  t.setting.directions = target.sparse->betas;
  if (c.labels) {
    target.value = [f = target.value](const at::Tensor& x) { return f(x).sign(); };
  }
  t.setting.dimension = d;
  t.setting.data = sphere_data({.dimension = d, .samples = n, .test_samples = 7}, target);
  const Network network(NetworkOptions{.dimension = d, .width = m, .dtype = at::kDouble});
  t.setting.model = TaylorModel(network, c.model);
  t.setting.sigma = SigmaProjector::from_features(network, t.setting.data.train.x, 3);
  nlohmann::json thing = parameters;
  thing["name"] = name;
  for (const auto& entry : built_in_observables()) {
    if (entry.name != name) continue;
    const auto made = entry.make(Parameters(JsonReader(thing, "test"), entry.parameters), t.setting);
    t.columns = made.columns;
    const auto result =
        Trainer(t.setting.model, square_loss(), {.learning_rate = 0.5, .steps = c.steps}, {.observables = {made}})
            .fit(t.setting.data);
    t.values = result.last.observables;
  }
  t.w = network->w.detach().clone();
  return t;
}

/// ∇_W of the function's values at each row of x, flattened: n×md.
at::Tensor jacobian(const Network& network, const at::Tensor& x,
                    const std::function<at::Tensor(const at::Tensor&)>& f) {
  std::vector<at::Tensor> rows;
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    const auto value = f(x.narrow(0, i, 1)).sum();
    const auto gradient = torch::autograd::grad({value}, {network->w}, {}, false, false, /*allow_unused=*/true)[0];
    rows.push_back(gradient.defined() ? gradient.flatten() : at::zeros({network->w.numel()}, at::kDouble));
  }
  return at::stack(rows);
}

TEST(Observables, MovementIsOrderStatisticsOfTheNeuronsNorms) {
  const auto t = train("movement");
  std::vector<double> norms;
  for (std::int64_t r = 0; r < m; ++r) {
    double square = 0;
    for (std::int64_t k = 0; k < d; ++k) square += std::pow(t.w[r][k].item<double>(), 2);
    norms.push_back(std::sqrt(square) * std::sqrt(static_cast<double>(m)));
  }
  std::sort(norms.begin(), norms.end());
  ASSERT_EQ(t.values.size(), 3u);
  EXPECT_NEAR(t.values[0], norms[4], 1e-12);  // half of ten are at or below the fifth
  EXPECT_NEAR(t.values[1], norms[9], 1e-12);
  EXPECT_NEAR(t.values[2], norms[9], 1e-12);
  EXPECT_GT(norms[4], 0);
}

TEST(Observables, SharesAreThoseOfTheFeaturesSingularVectors) {
  const auto t = train("shares");
  Network start(t.setting.model->network->w0, t.setting.model->network->a, t.setting.model->network->activation());
  const auto features = jacobian(start, t.setting.data.train.x, [&](const at::Tensor& x) { return start->forward(x); });
  const auto [u, s, v] = at::linalg_svd(features, /*full_matrices=*/false);
  const auto w = t.w.flatten();
  const double whole = w.square().sum().item<double>();
  const auto parts = v.mv(w).square() / whole;
  const double first = parts.narrow(0, 0, 3).sum().item<double>();
  const double second = at::where(s > 1e-7 * s[0], parts, at::zeros_like(parts)).sum().item<double>() - first;
  ASSERT_EQ(t.values.size(), 3u);
  EXPECT_NEAR(t.values[0], first, 1e-9);
  EXPECT_NEAR(t.values[1], second, 1e-9);
  EXPECT_NEAR(t.values[2], 1 - first - second, 1e-9);
  for (const double share : t.values) EXPECT_GT(share, 1e-4);  // none of the three is idle here
}

/// Points of the sphere of radius 2 in R^4 and their weights, by a product rule: exact for polynomials of degree
/// 2·count, and nearly so for what is as smooth as a sigmoid.
std::pair<at::Tensor, at::Tensor> sphere_rule(std::int64_t count) {
  const auto i = at::arange(1, count, at::kDouble);
  const auto off = at::diag(i / (4 * i * i - 1).sqrt(), 1);
  const auto [height, vectors] = at::linalg_eigh(off + off.t());  // Gauss and Legendre, after Golub and Welsch
  const auto height_weight = vectors[0].square();
  const auto t = at::arange(1, count + 1, at::kDouble) * (M_PI / static_cast<double>(count + 1));
  const auto polar_weight = t.sin().square() * (2 / static_cast<double>(count + 1));
  const auto turn = at::arange(2 * count, at::kDouble) * (M_PI / static_cast<double>(count));
  const auto grid = at::meshgrid({t, height, turn}, "ij");
  const auto weights =
      at::meshgrid({polar_weight, height_weight, at::full_like(turn, 0.5 / static_cast<double>(count))}, "ij");
  const auto ring = (1 - grid[1].square()).sqrt();
  const auto x = at::stack({grid[0].cos(), grid[0].sin() * grid[1], grid[0].sin() * ring * grid[2].cos(),
                            grid[0].sin() * ring * grid[2].sin()},
                           -1);
  return {2 * x.reshape({-1, 4}), (weights[0] * weights[1] * weights[2]).flatten()};
}

TEST(Observables, HarmonicSharesAreThoseOfTheFeaturesMomentsWithPolynomials) {
  const auto t = train("harmonic_shares");
  const auto [x, weight] = sphere_rule(24);
  ASSERT_NEAR(weight.sum().item<double>(), 1, 1e-12);
  // phi(x) = m^(-1/2) a_r sigma'(w0_r.x) x, its mean with every monomial of degree <= 1, then <= 2.
  const auto& network = *t.setting.model->network;
  const auto slope =
      network.activation().derivative(x.mm(network.w0.t()), 1) * network.a / std::sqrt(static_cast<double>(m));
  const auto features = (slope.unsqueeze(2) * x.unsqueeze(1)).flatten(1);
  const auto low = at::cat({at::ones({x.size(0), 1}, at::kDouble), x}, 1);
  const auto all = at::cat({low, (x.unsqueeze(2) * x.unsqueeze(1)).flatten(1)}, 1);
  const auto w = t.w.flatten();
  const auto share = [&](const at::Tensor& polynomials) {
    const auto moments = features.t().mm(polynomials * weight.unsqueeze(1));
    const auto [u, s, v] = at::linalg_svd(moments, /*full_matrices=*/false);
    const auto parts = u.t().mv(w).square() / w.square().sum();
    return at::where(s > 1e-9 * s[0], parts, at::zeros_like(parts)).sum().item<double>();
  };
  const double first = share(low), both = share(all);
  ASSERT_EQ(t.values.size(), 3u);
  EXPECT_NEAR(t.values[0], first, 1e-7);
  EXPECT_NEAR(t.values[1], both - first, 1e-7);
  EXPECT_NEAR(t.values[2], 1 - both, 1e-7);
  for (const double part : t.values) EXPECT_GT(part, 1e-4);
}

TEST(Observables, TermSquaresAreMeansOverTheTestPoints) {
  auto t = train("term_squares");
  const auto x = t.setting.data.test.x;
  EXPECT_NEAR(t.values[0], t.setting.model->linear->forward(x).square().mean().item<double>(), 1e-12);
  EXPECT_NEAR(t.values[1], t.setting.model->quadratic->forward(x).square().mean().item<double>(), 1e-12);
  EXPECT_GT(t.values[1], 0);
  // Of the network itself f_Q is a term of its expansion, and not all that f_L leaves.
  auto whole = train("term_squares", {}, {.model = {.whole_network = true}});
  const auto at_test = whole.setting.data.test.x;
  const auto f_q = whole.setting.model->quadratic->forward(at_test);
  EXPECT_NEAR(whole.values[1], f_q.square().mean().item<double>(), 1e-12);
  EXPECT_GT((whole.setting.model->terms(at_test)[1] - f_q).abs().max().item<double>(), 1e-4);
}

TEST(Observables, AlignmentIsTheWeightedMeanOfCosines) {
  const auto t = train("alignment");
  const auto two = train("alignment", {{"directions", {{2, 0, 0, 0}, {1, 1, 0, 0}}}});
  EXPECT_EQ(t.columns, std::vector<std::string>{"alignment"});
  EXPECT_EQ(two.columns, (std::vector<std::string>{"alignment_1", "alignment_2"}));
  const auto wanted = [&](const std::vector<double>& beta) {
    double above = 0, below = 0, length = 0;
    for (const double b : beta) length += b * b;
    for (std::int64_t r = 0; r < m; ++r) {
      double dot = 0, square = 0;
      for (std::int64_t k = 0; k < d; ++k) {
        const double w = t.w[r][k].item<double>();
        dot += w * beta[k] / std::sqrt(length);
        square += w * w;
      }
      const double cosine = std::fabs(dot) / std::sqrt(square);
      above += std::sqrt(square) * cosine;
      below += std::sqrt(square);
    }
    return above / below;
  };
  EXPECT_NEAR(t.values[0], wanted(t.setting.directions[0]), 1e-12);
  EXPECT_NEAR(two.values[0], wanted({1, 0, 0, 0}), 1e-12);
  EXPECT_NEAR(two.values[1], wanted({1, 1, 0, 0}), 1e-12);
}

TEST(Observables, KernelDriftIsThatOfTheModelsOwnGradients) {
  const std::vector<TaylorModelOptions> models = {{}, {.order = 1}, {.order = 4}, {.whole_network = true}};
  for (const auto& options : models) {
    auto t = train("kernel_drift", {{"points", 5}}, {.model = options});
    auto& model = t.setting.model;
    const auto x = t.setting.data.train.x.narrow(0, 0, 5);
    const auto kernel_at = [&](const at::Tensor& w) {
      {
        const at::NoGradGuard no_grad;
        model->network->w.copy_(w);
      }
      const auto features = jacobian(model->network, x, [&](const at::Tensor& p) { return model->forward(p); });
      return features.mm(features.t());
    };
    const auto first = kernel_at(at::zeros_like(t.w)), last = kernel_at(t.w);
    ASSERT_EQ(t.values.size(), 1u);
    EXPECT_NEAR(t.values[0], ((last - first).norm() / first.norm()).item<double>(), 1e-11) << options.order;
    EXPECT_EQ(t.values[0] > 1e-3, options.order > 1) << t.values[0];  // a linear model's kernel stays
  }
}

TEST(Observables, ErrorRateCountsWrongSigns) {
  const auto t = train("error_rate", {}, {.labels = true, .steps = 3});
  auto model = t.setting.model;
  const auto rate = [&](const Samples& s) {
    const auto f = model->forward(s.x);
    int wrong = 0;
    for (std::int64_t i = 0; i < f.size(0); ++i) wrong += f[i].item<double>() * s.y[i].item<double>() <= 0;
    return static_cast<double>(wrong) / static_cast<double>(f.size(0));
  };
  EXPECT_DOUBLE_EQ(t.values[0], rate(t.setting.data.train));
  EXPECT_DOUBLE_EQ(t.values[1], rate(t.setting.data.test));
  EXPECT_THROW(train("error_rate"), InputError);
}

TEST(Observables, TestOutputIsTheModelsAtTheFirstTestPoints) {
  const auto t = train("test_output", {{"points", 3}});
  EXPECT_EQ(t.columns, (std::vector<std::string>{"test_output_1", "test_output_2", "test_output_3"}));
  auto model = t.setting.model;
  const auto f = model->forward(t.setting.data.test.x);
  ASSERT_EQ(t.values.size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(t.values[static_cast<std::size_t>(i)], f[i].item<double>(), 1e-12);
  EXPECT_EQ(train("test_output").columns.size(), 7u) << "no more than there are";
}

TEST(Observables, ExpansionsAreTaylorModelsOfTheirOrdersAtTheNetworksOwnW) {
  const auto t = train("expansions", {{"orders", {2, 1, 3}}}, {.model = {.whole_network = true}});
  ASSERT_EQ(t.values.size(), 15u);
  EXPECT_EQ(t.columns[5], "expansion_1_train_square");
  EXPECT_EQ(t.columns[14], "expansion_3_test_distance");
  auto whole = t.setting.model;
  const auto& [train_set, test_set] = std::pair{t.setting.data.train, t.setting.data.test};
  for (std::size_t i = 0; i < 3; ++i) {
    const int order = std::array{2, 1, 3}[i];
    TaylorModel model(whole->network, {.order = order});
    const auto f = model->forward(train_set.x), at_test = model->forward(test_set.x);
    const double* values = t.values.data() + 5 * i;
    EXPECT_NEAR(values[0], (f - train_set.y).square().mean().item<double>(), 1e-11);
    EXPECT_NEAR(values[1], (at_test - test_set.y).square().mean().item<double>(), 1e-11);
    EXPECT_EQ(values[2], (f.sign() != train_set.y.sign()).to(at::kDouble).mean().item<double>());
    EXPECT_EQ(values[3], (at_test.sign() != test_set.y.sign()).to(at::kDouble).mean().item<double>());
    const auto distance = (at_test - whole->forward(test_set.x)).square().mean().sqrt().item<double>();
    EXPECT_NEAR(values[4], distance, 1e-11);
    EXPECT_GT(distance, 1e-8) << order;
  }
  EXPECT_GT(t.values[9], 100 * t.values[14]) << "order 3 is nearer than order 1";
  EXPECT_THROW(train("expansions", {{"orders", {1, 1}}}), InputError);
}

TEST(Observables, AtTheStartAWithoutMovementHasNoShares) {
  const auto t = train("shares", {}, {.steps = 0});
  for (const double share : t.values) EXPECT_TRUE(std::isnan(share));
  EXPECT_EQ(train("movement", {}, {.steps = 0}).values, (std::vector<double>{0, 0, 0}));
}

TEST(Observables, OneOfWrongSizeIsNamed) {
  const Observable wrong{{"a", "b"}, [](const Observation&) { return std::vector<double>{1}; }};
  const Network network(NetworkOptions{.dimension = d, .width = m, .dtype = at::kDouble});
  const auto data = sphere_data({.dimension = d, .samples = n}, figure1_target(d, InputLaw::sphere, 1));
  try {
    Trainer(TaylorModel(network), square_loss(), {.steps = 1}, {.observables = {wrong}}).fit(data);
    FAIL();
  } catch (const InputError& e) {
    EXPECT_STREQ(e.what(), "observable a, b: expected 2 numbers, one a column, got 1");
  }
}

}  // namespace
}  // namespace entk::observables_test
