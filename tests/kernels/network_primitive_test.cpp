#include "entk/kernels/network_primitive.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "entk/models/taylor_model.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::network_primitive_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

struct Setting {
  Setting(std::int64_t n, std::int64_t d, std::int64_t m, Initialisation start)
      : network(float64_network(d, m, start)) {
    x = random_matrix(n, d, 1);
    w = 0.5 * random_matrix(m, d, 2);
    g = random_matrix(2, n, 3);
  }
  std::shared_ptr<const TaylorPrimitive> primitive() const {
    return make_network_primitive(x, network->w0, network->a, network->activation());
  }
  /// f_L and the rest from their definitions, by autograd-ready lines.
  torch::Tensor terms(const torch::Tensor& at) const {
    const auto& sigma = network->activation();
    const auto z0 = x.mm(network->w0.t()), z = x.mm(at.t());
    const auto scale = network->a / std::sqrt(static_cast<double>(network->width()));
    const auto linear = (scale * sigma.derivative(z0, 1) * z).sum(1);
    return torch::stack({linear, (scale * (torch::sigmoid(z0 + z - 1) - torch::sigmoid(z0 - 1))).sum(1) - linear});
  }
  Network network;
  torch::Tensor x, w, g;
};

TEST(NetworkPrimitive, ItsTermsAndPullBackAreThoseOfTheDefinitionUnderAutograd) {
  for (const auto& [n, d, m] : {std::tuple{1, 1, 2}, {19, 4, 24}, {37, 5, 300}}) {
    for (const auto start : {Initialisation::plain, Initialisation::symmetric}) {
      const Setting s(n, d, m, start);
      const auto leaf = s.w.clone().requires_grad_(true);
      const auto want = s.terms(leaf);
      EXPECT_TRUE(close(s.primitive()->terms(s.w), want, 1e-12));
      EXPECT_TRUE(
          close(s.primitive()->pull_back(s.w, s.g), torch::autograd::grad({(want * s.g).sum()}, {leaf})[0], 1e-12));
    }
  }
}

TEST(NetworkPrimitive, AStepIsDescentAlongThePullBack) {
  const Setting s(19, 4, 300, Initialisation::symmetric);
  const auto primitive = s.primitive();
  auto w = s.w.clone();
  const auto stepper = primitive->stepper(w);
  stepper->step(w, s.g, {.learning_rate = 0.3, .extra = s.w});
  EXPECT_TRUE(close(w, s.w - 0.3 * (primitive->pull_back(s.w, s.g) + s.w), 1e-13));
  EXPECT_TRUE(identical(stepper->terms(), primitive->terms(w)));
}

TEST(NetworkPrimitive, SameBitsForAnyNumberOfThreads) {
  const Setting s(53, 6, 700, Initialisation::plain);
  const auto primitive = s.primitive();
  const auto terms = primitive->terms(s.w), gradient = primitive->pull_back(s.w, s.g);
  for (int count : {1, 2, 3}) {
    const ThreadCount threads(count);
    EXPECT_TRUE(identical(primitive->terms(s.w), terms));
    EXPECT_TRUE(identical(primitive->pull_back(s.w, s.g), gradient));
  }
}

TEST(NetworkPrimitive, TheModelOfTheWholeNetworkIsTheNetwork) {
  Setting s(19, 4, 24, Initialisation::plain);
  {
    const torch::NoGradGuard no_grad;
    s.network->w.copy_(s.w);
  }
  TaylorModel model(s.network, TaylorModelOptions{.whole_network = true});
  EXPECT_TRUE(close(model(s.x), s.network->forward(s.x), 1e-13));
  EXPECT_TRUE(close(model->terms(s.x), model->primitive(s.x, {})->terms(s.w), 1e-12));
  const auto value = model(s.x).square().sum(), want = s.network->forward(s.x).square().sum();
  EXPECT_TRUE(close(torch::autograd::grad({value}, {s.network->w})[0], torch::autograd::grad({want}, {s.network->w})[0],
                    1e-12));
}

TEST(NetworkPrimitive, OtherOrdersAndSecondDerivativesAreRefused) {
  const Setting s(5, 3, 8, Initialisation::plain);
  EXPECT_THROW(s.primitive()->terms_along(s.w, s.w), RunError);
  EXPECT_THROW(s.primitive()->pull_back_along(s.w, s.w, s.g), RunError);
  EXPECT_THROW(TaylorModel(s.network, TaylorModelOptions{.order = 3, .whole_network = true}), InputError);
}

}  // namespace
}  // namespace entk::network_primitive_test
