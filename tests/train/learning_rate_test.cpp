// The automatic rate, beside the eigenvalues of the Hessian that ordinary autograd gives.
#include "entk/train/learning_rate.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "entk/kernels/reference.h"
#include "entk/regularizers/regularizers.h"
#include "entk/train/trainer.h"
#include "tests/support/testing.h"

namespace entk::learning_rate_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone
using torch::autograd::grad;

constexpr std::int64_t d = 5, m = 12, n = 30;

struct Problem {
  explicit Problem(const TaylorModelOptions& options = {}, torch::ScalarType type = torch::kFloat64)
      : network(NetworkOptions{.dimension = d, .width = m, .seed = 2, .dtype = type}), model(network, options) {}
  AutomaticRate rate(const Objective& objective) const {
    return automatic_rate(BoundObjective(model, objective, data.to(c10::kCPU, network->w.scalar_type()).train, {}), 1);
  }
  DataSet data = sphere_data({.dimension = d, .samples = n, .test_samples = 10, .seed = 1},
                             figure1_target(d, InputLaw::sphere, 1));
  Network network;
  TaylorModel model;
};

/// λ_max of the Hessian at W = 0 of a function of W.
double largest_curvature(const std::function<torch::Tensor(const torch::Tensor&)>& loss) {
  const auto w = torch::zeros({m, d}, torch::kFloat64).requires_grad_(true);
  const auto slope = grad({loss(w)}, {w}, {}, true, true)[0].flatten();
  std::vector<torch::Tensor> rows;
  for (std::int64_t i = 0; i < slope.numel(); ++i) rows.push_back(grad({slope[i]}, {w}, {}, true)[0].flatten());
  return torch::linalg_eigvalsh(torch::stack(rows)).max().item<double>();
}

torch::Tensor terms_of(const Problem& p, const torch::Tensor& w, int orders) {
  return reference_terms(p.data.train.x, p.network->w0, p.network->a, p.network->activation(), w, orders);
}

TEST(AutomaticRate, IsThreeQuartersOfTwoOverTheLargestEigenvalueOfTheDenseHessian) {
  for (const auto& [order, linear] : {std::pair{2, true}, {1, true}, {2, false}, {3, true}}) {
    const Problem p({.order = order, .linear_term = linear});
    const auto sigma = SigmaProjector::from_features(p.network, p.data.train.x, d + 1);
    const auto decay = regularizer("decay", [](const torch::Tensor& w) { return w.square().mean(); });
    const double want = largest_curvature([&](const torch::Tensor& w) {
      const auto t = terms_of(p, w, order);
      const auto f = linear ? t.sum(0) : t.slice(0, 1).sum(0);
      return (f - p.data.train.y).square().mean() + 3.0 * sigma.high(t[0]).square().mean() + 2.0 * w.square().mean();
    });
    const auto got = p.rate(square_loss() + 3.0 * R3(sigma) + 2.0 * decay);
    EXPECT_NEAR(got.curvature, want, 0.01 * want) << order << linear;
    EXPECT_NEAR(got.rate, 0.75 * 2 / want, 0.06 * 0.75 * 2 / want) << "two digits";
    EXPECT_TRUE(torch::equal(p.network->w, torch::zeros({m, d}, torch::kFloat64)));
  }
}

TEST(AutomaticRate, IsThatOfTheWholeNetworkAndOfOtherLossesToo) {
  const Problem p({.whole_network = true});
  const double want = largest_curvature([&](const torch::Tensor& w) {
    const auto z = p.data.train.x.mm((p.network->w0 + w).t());
    const auto f = p.network->activation().derivative(z, 0).mv(p.network->a) / std::sqrt(static_cast<double>(m));
    return 4 * ((1 + ((f - p.data.train.y) / 2).square()).sqrt() - 1).mean();
  });
  EXPECT_NEAR(p.rate(pseudo_huber_loss(2)).curvature, want, 0.01 * want);
}

TEST(AutomaticRate, IsOfWZeroWhereverTheRunStartsAndTheSameInFloat32) {
  const Problem p, single({}, torch::kFloat32);
  const auto want = p.rate(square_loss());
  EXPECT_EQ(single.rate(square_loss()).rate, want.rate);
  const torch::NoGradGuard no_grad;
  p.network->w.fill_(0.3);
  EXPECT_EQ(p.rate(square_loss()).rate, want.rate);
  EXPECT_TRUE(p.network->w.eq(0.3).all().item<bool>()) << "W is where it was";
}

TEST(AutomaticRate, AnObjectiveThatDoesNotCurveUpwardsIsRefused) {
  const Problem p;
  const Loss linear{"linear", [](const torch::Tensor& f, const torch::Tensor& y) { return (f * y).mean() * 0 + 1; }};
  EXPECT_THROW(p.rate(linear), InputError);
}

TEST(AutomaticRate, TheTrainerSaysWhichAndTakesTheStepsOfThatNumber) {
  const auto trained = [](std::optional<double> rate) {
    const Problem p;
    auto result = Trainer(p.model, square_loss(), {.learning_rate = rate, .steps = 30}).fit(p.data);
    return std::pair{std::move(result), p.network->w.detach().clone()};
  };
  const auto [automatic, w] = trained(std::nullopt);
  const auto [typed, same] = trained(automatic.learning_rate);
  EXPECT_TRUE(identical(w, same));
  EXPECT_EQ(typed.learning_rate, automatic.learning_rate);
  ASSERT_EQ(automatic.notices.size(), 1u);
  EXPECT_EQ(automatic.notices[0].find(fmt::format("learning rate {}: 0.75 of 2/lambda_max", typed.learning_rate)), 0u)
      << automatic.notices[0];
  const double stable = automatic.learning_rate / 0.75;
  const Problem lazy({.order = 1}), wild({.order = 1});
  const auto last = [](const Problem& p, double rate) {
    return Trainer(p.model, square_loss(), {.learning_rate = rate, .steps = 60}).fit(p.data).last.train_loss;
  };
  EXPECT_LT(last(lazy, 0.93 * stable), 1.0);
  EXPECT_GT(last(wild, 1.1 * stable), 100.0);
}

std::vector<Record> records_of(const std::vector<std::array<double, 3>>& rows) {
  std::vector<Record> all;
  for (const auto& [step, train, test] : rows) {
    all.push_back({.step = static_cast<std::int64_t>(step), .train_loss = train, .test_loss = test, .terms = {}});
  }
  return all;
}

TEST(Settled, MeansASmallTrainingLossAndATestLossUnchangedSinceHalfOfTheSteps) {
  const SettledCriterion c{.training_loss = 1e-2, .test_change = 0.1};
  EXPECT_TRUE(is_settled(c, records_of({{0, 2, 9}, {40, 1, 5}, {50, 0.03, 1.09}, {80, 0.02, 0.91}, {100, 0.02, 1}})));
  EXPECT_FALSE(is_settled(c, records_of({{0, 2, 9}, {50, 0.03, 1.11}, {80, 0.02, 1}, {100, 0.02, 1}}))) << "test loss";
  EXPECT_TRUE(is_settled(c, records_of({{0, 2, 900}, {50, 0.03, 109}, {100, 0.02, 100}}))) << "relative to the last";
  EXPECT_FALSE(is_settled(c, records_of({{0, 2, 1}, {50, 0.03, 1}, {100, 0.021, 1}}))) << "training loss";
  EXPECT_FALSE(is_settled(c, records_of({{0, 0, 1}}))) << "no step taken";
  EXPECT_FALSE(is_settled(c, records_of({{0, 2, NAN}, {100, 0.02, NAN}}))) << "no test loss";
  EXPECT_FALSE(is_settled(c, records_of({{50, 2, 1}, {100, 0.02, 1}}))) << "the first value is not known";
  EXPECT_FALSE(is_settled({}, records_of({{0, 2, 1}, {100, 0, 1}}))) << "not asked for";
}

TEST(Settled, ARunEndsThereAndGoesOnToTheBitsOfOneThatNeverStopped) {
  const SettledCriterion c{.training_loss = 0.2, .test_change = 0.5};
  const auto trained = [](const DescentOptions& options, const TrainState& from = {}) {
    const Problem p;
    auto result = Trainer(p.model, square_loss(), options).fit(p.data, c10::kCPU, from);
    return std::pair{std::move(result), p.network->w.detach().clone()};
  };
  const auto [whole, want] = trained({.learning_rate = 0.5, .steps = 4000});
  const auto [settled, w] = trained({.learning_rate = 0.5, .steps = 4000, .stop_when_settled = c});
  ASSERT_EQ(settled.outcome, TrainOutcome::settled);
  ASSERT_LT(settled.step, 4000);
  ASSERT_EQ(settled.notices.size(), 1u);
  EXPECT_EQ(settled.notices[0].find(fmt::format("settled at step {}: training loss ", settled.step)), 0u);
  // The first record of the whole run that meets the criterion.
  std::vector<Record> seen;
  for (const auto& r : whole.records) {
    seen.push_back(r);
    EXPECT_EQ(is_settled(c, seen), r.step == settled.step) << r.step;
    if (r.step == settled.step) break;
  }
  // Resumed as it is it takes no step; without the criterion it is the whole.
  const auto [again, same] = trained({.learning_rate = 0.5, .steps = 4000, .stop_when_settled = c},
                                     {.step = settled.step, .w = w, .records = settled.records});
  EXPECT_EQ(again.outcome, TrainOutcome::settled);
  EXPECT_EQ(again.step, settled.step);
  EXPECT_TRUE(identical(same, w));
  const auto [on, end] = trained({.learning_rate = 0.5, .steps = 4000}, {.step = settled.step, .w = w});
  EXPECT_TRUE(identical(end, want));
}

TEST(Settled, NeedsTestPoints) {
  Problem p;
  p.data.test = {};
  EXPECT_THROW(Trainer(p.model, square_loss(), {.steps = 1, .stop_when_settled = {.training_loss = 0.1}}).fit(p.data),
               InputError);
  EXPECT_THROW(Trainer(p.model, square_loss(), {.stop_when_settled = {.training_loss = 1}}), InputError);
  EXPECT_THROW(Trainer(p.model, square_loss(), {.stop_when_settled = {.test_change = 0}}), InputError);
}

}  // namespace
}  // namespace entk::learning_rate_test
