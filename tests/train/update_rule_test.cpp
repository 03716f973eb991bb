// Update rules: steps by hand with ordinary autograd, resumption at any step, threads, and what is refused.
#include "entk/train/update_rule.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim.h>

#include <atomic>
#include <set>

#include "entk/base/error.h"
#include "entk/kernels/noise.h"
#include "entk/kernels/reference.h"
#include "entk/regularizers/regularizers.h"
#include "entk/train/entries.h"
#include "entk/train/trainer.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::update_rule_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone
using nlohmann::json;

constexpr std::int64_t d = 5, m = 12, n = 30;

UpdateRule rule(json thing) {
  for (const auto& entry : built_in_updates()) {
    if (entry.name == thing.at("name")) return entry.make(Parameters(JsonReader(thing, "test"), entry.parameters));
  }
  throw InputError("no such rule");
}

struct Problem {
  explicit Problem(torch::ScalarType type = torch::kFloat64, int order = 2)
      : network(NetworkOptions{.dimension = d, .width = m, .seed = 2, .dtype = type}),
        model(network, TaylorModelOptions{.order = order}),
        data(sphere_data({.dimension = d, .samples = n, .test_samples = 20, .seed = 1},
                         figure1_target(d, InputLaw::sphere, 1))),
        sigma(SigmaProjector::from_features(network, data.train.x, d + 1)) {}
  TrainResult fit(const DescentOptions& descent, const TrainerHooks& hooks = {}, const TrainState& from = {}) {
    return Trainer(model, square_loss() + 2.0 * R3(sigma), descent, hooks).fit(data, c10::kCPU, from);
  }
  /// ∇L_λ at w by ordinary autograd, the loss that of some points.
  torch::Tensor gradient(const torch::Tensor& w, const torch::Tensor& batch = {}) const {
    const auto leaf = w.detach().requires_grad_(true);
    const auto t = reference_terms(data.train.x, network->w0, network->a, network->activation(), leaf, 2);
    auto off = t[0] + t[1] - data.train.y;
    if (batch.defined()) off = off.index_select(0, batch);
    return torch::autograd::grad({off.square().mean() + 2.0 * sigma.high(t[0]).square().mean()}, {leaf})[0];
  }
  Network network;
  TaylorModel model;
  DataSet data;
  SigmaProjector sigma;
};

const std::vector<json>& rules() {
  static const std::vector<json> all = {{{"name", "minibatches"}, {"size", 7}},
                                        {{"name", "momentum"}, {"momentum", 0.8}},
                                        {{"name", "momentum"}, {"momentum", 0.8}, {"nesterov", true}},
                                        {{"name", "sgd"}, {"weight_decay", 0.01}, {"batch", 11}},
                                        {{"name", "adam"}, {"batch", 7}},
                                        {{"name", "adam"}, {"amsgrad", true}},
                                        {{"name", "lbfgs"}, {"iterations", 3}, {"history", 4}}};
  return all;
}

TEST(UpdateRules, AnEpochOfMinibatchesHasEveryPointOnce) {
  Minibatches batches(10, 4, 7);
  std::set<std::vector<std::int64_t>> firsts;
  for (std::int64_t epoch = 0; epoch < 20; ++epoch) {
    std::multiset<std::int64_t> seen;
    for (std::int64_t part = 0; part < 3; ++part) {
      const auto points = batches.at(3 * epoch + part);
      EXPECT_EQ(points.numel(), part < 2 ? 4 : 2);
      for (std::int64_t i = 0; i < points.numel(); ++i) seen.insert(points[i].item<std::int64_t>());
      if (part == 0) firsts.insert({points.const_data_ptr<std::int64_t>(), points.const_data_ptr<std::int64_t>() + 4});
    }
    EXPECT_EQ(seen.size(), 10u);
    EXPECT_EQ(std::set<std::int64_t>(seen.begin(), seen.end()).size(), 10u);
  }
  EXPECT_GT(firsts.size(), 12u) << "shuffles are fresh";
  Minibatches again(10, 4, 7), other(10, 4, 8);
  EXPECT_TRUE(torch::equal(again.at(41), batches.at(41))) << "of the step alone, whatever was asked before";
  EXPECT_FALSE(torch::equal(again.at(41), other.at(41)) && torch::equal(again.at(42), other.at(42)));
}

TEST(UpdateRules, EachPointIsAsLikelyInAMinibatchAsAnother) {
  Minibatches batches(6, 2, 3);
  auto counts = torch::zeros({6}, torch::kLong);
  for (std::int64_t epoch = 0; epoch < 3000; ++epoch)
    counts.index_add_(0, batches.at(3 * epoch), torch::ones({2}, torch::kLong));
  EXPECT_LT((counts - 1000).abs().max().item<std::int64_t>(), 130);  // 5 standard deviations of 26
}

using Step =
    std::function<torch::Tensor(std::int64_t step, const torch::Tensor& w, const torch::Tensor& gradient, double rate)>;

void expect_steps(const json& thing, double rate, double variance, const Step& by_hand) {
  Problem p;
  const DescentOptions descent{.learning_rate = rate,
                               .steps = 25,
                               .noise_variance = variance,
                               .schedule = {ScheduleKind::cosine, 40},
                               .update = rule(thing),
                               .seed = 5};
  Minibatches batches(n, descent.update.batch > 0 ? descent.update.batch : n, 5);
  auto w = torch::zeros_like(p.network->w);
  for (std::int64_t step = 0; step < 25; ++step) {
    auto g = p.gradient(w, batches.at(step));
    if (variance > 0)
      g = g + kernels::noise_like(w, {5, static_cast<std::uint32_t>(step), std::sqrt(variance / (m * d))});
    w = by_hand(step, w, g, rate * 0.5 * (1 + std::cos(M_PI * static_cast<double>(step) / 40)));
  }
  const auto result = p.fit(descent);
  EXPECT_TRUE(close(p.network->w, w, 1e-10)) << thing;
  EXPECT_NEAR(result.last.norm_gradient, p.gradient(w).norm().item<double>(), 1e-9) << "records are of all points";
}

TEST(UpdateRules, TakeTheirStepsByHand) {
  expect_steps(rules()[0], 0.3, 0.1, [](auto, auto& w, auto& g, double rate) { return w - rate * g; });
  for (const bool nesterov : {false, true}) {
    torch::Tensor v;
    expect_steps({{"name", "momentum"}, {"momentum", 0.8}, {"nesterov", nesterov}}, 0.1, 0.1,
                 [&](auto, auto& w, auto& g, double rate) {
                   v = v.defined() ? 0.8 * v + g : g.clone();
                   return w - rate * (nesterov ? g + 0.8 * v : v);
                 });
  }
  expect_steps(rules()[3], 0.3, 0, [](auto, auto& w, auto& g, double rate) { return w - rate * (g + 0.01 * w); });
  auto first = torch::zeros({m, d}, torch::kFloat64), second = first.clone();
  expect_steps(rules()[4], 0.01, 0.1, [&](std::int64_t step, auto& w, auto& g, double rate) {
    const double t = static_cast<double>(step + 1);
    first = 0.9 * first + 0.1 * g;
    second = 0.999 * second + 0.001 * g * g;
    return w - rate * (first / (1 - std::pow(0.9, t))) / ((second / (1 - std::pow(0.999, t))).sqrt() + 1e-8);
  });
}

struct CountsRowsImpl : torch::nn::Cloneable<CountsRowsImpl> {
  explicit CountsRowsImpl(std::shared_ptr<std::atomic<std::int64_t>> count) : rows(std::move(count)) { reset(); }
  void reset() override {
    torch::manual_seed(4);
    first = register_module("first", torch::nn::Linear(d, 5));
    last = register_module("last", torch::nn::Linear(5, 1));
    to(torch::kFloat64);
  }
  torch::Tensor forward(const torch::Tensor& x) {
    *rows += x.size(0);
    return last(torch::tanh(first(x))).squeeze(1);
  }
  std::shared_ptr<std::atomic<std::int64_t>> rows;
  torch::nn::Linear first{nullptr}, last{nullptr};
};
TORCH_MODULE(CountsRows);

TEST(UpdateRules, AMinibatchOfAModuleTakesItsPointsAlone) {
  const Problem p;
  const auto& data = p.data;
  for (const auto& thing : {rules()[0], rules()[4]}) {
    for (const bool whole : {false, true}) {
      const auto rows = std::make_shared<std::atomic<std::int64_t>>(0);
      const CountsRows module(rows);
      DescentOptions descent{.learning_rate = 0.05, .steps = 8, .update = rule(thing), .seed = 5};
      const auto fit = [&](const Objective& objective, std::int64_t steps) {
        TaylorModel model(module, {.whole_network = whole});
        descent.steps = steps;
        *rows = 0;
        Trainer(model, objective, descent).fit(data);
        return std::pair{model->displacement().detach().clone(), rows->load()};
      };
      // A term whose value and gradient are zero takes all points, and the same steps but for rounding.
      const Term nothing = 1.0 * regularizer("nothing", [](const torch::Tensor& w) { return 0 * w.sum(); });
      const auto [alone, few] = fit(square_loss(), 8);
      const auto [all, many] = fit(square_loss() + nothing, 8);
      EXPECT_TRUE(close(alone, all, 1e-10)) << thing << whole;
      EXPECT_GT(alone.norm().item<double>(), 1e-3);
      // An expansion keeps its graphs of all points, where they are taken.
      EXPECT_TRUE(few < many || !whole) << few << " " << many;
      // Between records, of which there is none from step 63 to 80.
      const auto of_15_steps = fit(square_loss(), 79).second - fit(square_loss(), 64).second;
      EXPECT_LE(of_15_steps, 15 * 8 * descent.update.batch) << thing << whole << ": some passes over the batch";
      EXPECT_GE(of_15_steps, 15 * 2 * 6);
    }
  }
}

TEST(UpdateRules, LbfgsFindsTheSolutionOfALinearProblem) {
  Problem p(torch::kFloat64, 1);
  const auto phi = features(*p.network, p.data.train.x);
  const auto low = phi - phi.mm(projector(phi, d + 1));  // high(f_L) = (Φ − ΦΠ) w
  const auto matrix =
      phi.t().mm(phi) / n + 2.0 * low.t().mm(low) / n + 0.1 * torch::eye(m * d, torch::kFloat64) / (m * d);
  const auto want = torch::linalg_solve(matrix, phi.t().mv(p.data.train.y) / n, true);
  const auto decay = regularizer("decay", [](const torch::Tensor& w) { return w.square().mean(); });
  Trainer(p.model, square_loss() + 2.0 * R3(p.sigma) + 0.1 * decay,
          {.steps = 30,
           .update = rule({{"name", "lbfgs"}, {"history", 30}, {"tolerance_gradient", 0}, {"tolerance_change", 0}})})
      .fit(p.data);
  EXPECT_TRUE(close(p.network->w.flatten(), want, 1e-6));
}

TrainState kept(const TrainState& s) {
  auto copy = s;
  copy.w = s.w.clone();
  return copy;
}

TEST(UpdateRules, AResumedRunHasTheBitsOfOneNeverStoppedAtAnyStep) {
  auto all = rules();
  all.push_back({{"name", "descent"}});
  for (const auto& thing : all) {
    const DescentOptions base{.learning_rate = thing["name"] == "adam" ? 0.02 : 0.2,
                              .steps = 23,
                              .noise_variance = thing["name"] == "lbfgs" ? 0.0 : 0.1,
                              .schedule = {ScheduleKind::decay, 10},
                              .update = rule(thing)};
    Problem whole(torch::kFloat32);
    const auto want = whole.fit(base, {.keep_best = true});
    for (const std::int64_t split : {1, 4, 13}) {  // 13: a record step
      TrainState state;
      Problem head(torch::kFloat32), tail(torch::kFloat32);
      auto shorter = base;
      shorter.steps = split;
      head.fit(shorter, {.on_checkpoint = [&](const TrainState& s) { state = kept(s); }, .keep_best = true});
      const auto got = tail.fit(base, {.keep_best = true}, state);
      EXPECT_TRUE(identical(tail.network->w, whole.network->w)) << thing << split;
      EXPECT_EQ(got.last.test_loss, want.last.test_loss);
      EXPECT_EQ(got.best.step, want.best.step);
      EXPECT_TRUE(identical(got.best.w, want.best.w));
    }
  }
}

TEST(UpdateRules, HaveTheSameBitsForAnyNumberOfThreads) {
  for (const auto& thing : rules()) {
    torch::Tensor first;
    for (const int count : {1, 3}) {
      const ThreadCount threads(count);
      Problem p(torch::kFloat32);
      p.fit({.learning_rate = 0.05, .steps = 15, .update = rule(thing)});
      if (!first.defined()) {
        first = p.network->w.detach().clone();
      } else {
        EXPECT_TRUE(identical(p.network->w, first)) << thing;
      }
    }
  }
}

TEST(UpdateRules, AScriptsOwnOptimizerMultipliesItsOwnRateAndIsResumed) {
  const auto own = [](double rate) {
    UpdateRule made;
    made.optimizer = [rate](const at::Tensor& w) {
      return std::make_shared<torch::optim::RMSprop>(std::vector{w}, torch::optim::RMSpropOptions(rate));
    };
    return made;
  };
  Problem plain, half;
  plain.fit({.steps = 10, .update = own(0.01)});
  half.fit({.learning_rate = 0.5, .steps = 10, .update = own(0.02)});
  EXPECT_TRUE(identical(half.network->w, plain.network->w));
  auto reference = torch::zeros({m, d}, torch::kFloat64).requires_grad_(true);
  torch::optim::RMSprop by_torch(std::vector{reference}, torch::optim::RMSpropOptions(0.01));
  for (int step = 0; step < 10; ++step) {
    reference.mutable_grad() = plain.gradient(reference);
    by_torch.step();
  }
  EXPECT_TRUE(close(plain.network->w, reference, 1e-10));
  TrainState state;
  Problem head, tail;
  head.fit({.steps = 3, .update = own(0.01)}, {.on_checkpoint = [&](const TrainState& s) { state = kept(s); }});
  tail.fit({.steps = 10, .update = own(0.01)}, {}, state);
  EXPECT_TRUE(identical(tail.network->w, plain.network->w));
}

TEST(UpdateRules, TheBestRecordIsThatWithTheLeastTestLoss) {
  Problem p;
  const auto result = p.fit({.learning_rate = 1.0, .steps = 200, .noise_variance = 3}, {.keep_best = true});
  const auto least = std::min_element(result.records.begin(), result.records.end(),
                                      [](const Record& a, const Record& b) { return a.test_loss < b.test_loss; });
  EXPECT_EQ(result.best.step, least->step);
  EXPECT_EQ(result.best.test_loss, least->test_loss);
  ASSERT_GT(result.best.step, 0);
  ASSERT_LT(result.best.step, 200);
  Problem there;
  there.fit({.learning_rate = 1.0, .steps = result.best.step, .noise_variance = 3});
  EXPECT_TRUE(identical(result.best.w, there.network->w));
}

TEST(UpdateRules, WhatDoesNotGoTogetherIsRefused) {
  const auto message = [](const DescentOptions& descent, const TrainState& from = {}) {
    try {
      Problem().fit(descent, {}, from);
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("nothing thrown");
  };
  const auto says = [&](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  says(message({.learning_rate = std::nullopt, .steps = 1, .update = rule({{"name", "adam"}})}), "learning_rate: auto");
  EXPECT_EQ(message({.learning_rate = std::nullopt, .steps = 1, .update = rule({{"name", "momentum"}})}),
            "nothing thrown");
  says(message({.noise_variance = 0.1, .update = rule({{"name", "lbfgs"}})}), "expected no noise");
  says(message({.random_signs = true, .update = rule({{"name", "sgd"}})}), "random_signs: expected descent");
  says(message({.steps = 1, .update = rule({{"name", "minibatches"}, {"size", n + 1}})}), "at most 30 points");
  says(message({.steps = 5, .update = rule({{"name", "adam"}})},
               {.step = 1, .optimizer = torch::zeros({100}, torch::kByte)}),
       "the optimizer's state is not that of this rule");
  EXPECT_THROW(rule({{"name", "sgd"}, {"nesterov", true}}), InputError);
  EXPECT_THROW(rule({{"name", "adam"}, {"beta1", 1}}), InputError);
}

}  // namespace
}  // namespace entk::update_rule_test
