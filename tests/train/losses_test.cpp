#include "entk/train/losses.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "entk/data/targets.h"
#include "entk/train/trainer.h"
#include "tests/support/special_points.h"
#include "tests/support/testing.h"

namespace entk::losses_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone
using Number = long double;

/// ℓ(y, f), ∂ℓ/∂f and ∂²ℓ/∂f².
using Jet = std::array<Number, 3>;

struct Known {
  Loss loss;
  std::function<Jet(Number y, Number f)> jet;
};

std::vector<Known> losses() {
  const auto huber = [](Number delta) {
    return [delta](Number y, Number f) {
      const Number r = f - y, h = std::hypot(r, delta);
      return Jet{delta * r * (r / (h + delta)), delta * r / h, std::pow(delta / h, 3)};
    };
  };
  return {{square_loss(), [](Number y, Number f) { return Jet{(f - y) * (f - y), 2 * (f - y), 2}; }},
          {pseudo_huber_loss(), huber(1)},
          {pseudo_huber_loss(1e-3), huber(1e-3)},
          {pseudo_huber_loss(1e3), huber(1e3)},
          {logistic_loss(), [](Number y, Number f) {
             const Number t = -y * f, s = 1 / (1 + std::exp(-t)), c = 1 / (1 + std::exp(t));
             return Jet{(t > 0 ? t : 0) + std::log1p(std::exp(-std::fabs(t))), -y * s, s * c};
           }}};
}

TEST(Losses, ValueAndBothDerivativesAreRightWhereFormulasBreak) {
  for (const auto type : {torch::kFloat64, torch::kFloat32}) {
    const double epsilon = type == torch::kFloat32 ? 1.2e-7 : 2.3e-16,
                 least = type == torch::kFloat32 ? 1.2e-38 : 2.3e-308;
    const double largest = type == torch::kFloat32 ? 3.4e38 : 1.7e308;
    for (const auto& [loss, jet] : losses()) {
      for (const double label : {1.0, -1.0}) {
        for (const double point : special_points()) {
          SCOPED_TRACE(fmt::format("{} {} y = {} f = {}", loss.name, toString(type), label, point));
          const auto f = torch::full({1}, point, type).requires_grad_(true), y = torch::full({1}, label, type);
          const auto value = loss.mean(f, y);
          const auto first = torch::autograd::grad({value}, {f}, {}, true, true)[0];
          const auto second = torch::autograd::grad({first.sum()}, {f})[0];
          const auto want = jet(label, f.item<double>());
          const std::array<double, 3> got{value.item<double>(), first.item<double>(), second.item<double>()};
          for (int order = 0; order < 3; ++order) {
            const double w = static_cast<double>(want[order]);
            if (std::fabs(w) > largest) continue;
            EXPECT_NEAR(got[order], w, special_tolerance(point, w, epsilon, least)) << "derivative " << order;
          }
        }
      }
    }
  }
}

// The third derivative is what a Hessian product's own gradient takes.
TEST(Losses, TheThirdDerivativeIsTheDifferenceOfTheSecond) {
  const double step = 1e-5;
  for (const auto& [loss, jet] : losses()) {
    for (const double point : {-1.7, -0.3, 0.4, 2.1}) {
      SCOPED_TRACE(fmt::format("{} f = {}", loss.name, point));
      const auto f = torch::full({1}, point, torch::kFloat64).requires_grad_(true),
                 y = torch::ones({1}, torch::kFloat64);
      auto derivative = torch::autograd::grad({loss.mean(f, y)}, {f}, {}, true, true)[0];
      derivative = torch::autograd::grad({derivative.sum()}, {f}, {}, true, true)[0];
      const auto third = derivative.requires_grad()
                             ? torch::autograd::grad({derivative.sum()}, {f}, {}, false, false, true)[0]
                             : at::Tensor();
      const double want = static_cast<double>((jet(1, point + step)[2] - jet(1, point - step)[2]) / (2 * step));
      EXPECT_NEAR(third.defined() ? third.item<double>() : 0.0, want, 1e-7 * (1 + std::fabs(want)));
    }
  }
}

TEST(Losses, TheLogisticLossTrainsFromTheSymmetricStart) {
  // Every output is exactly 0 there, and the derivative of the loss −y/2.
  auto target = figure1_target(8, InputLaw::sphere, 1);
  target.value = [value = target.value](const at::Tensor& x) { return value(x).sign(); };
  const auto data = sphere_data({.dimension = 8, .samples = 60, .test_samples = 100, .seed = 1}, target);
  const Network network(NetworkOptions{.dimension = 8, .width = 200, .seed = 2});
  const auto result = Trainer(TaylorModel(network), logistic_loss(), {.learning_rate = 2.0, .steps = 300}).fit(data);
  EXPECT_NEAR(result.records[0].train_loss, std::log(2.0), 1e-6);
  EXPECT_GT(result.records[0].norm_gradient, 1e-2);
  EXPECT_LT(result.last.train_loss, 0.5);
}

}  // namespace
}  // namespace entk::losses_test
