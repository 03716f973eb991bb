#include "entk/models/taylor_model.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/optim/sgd.h>
#include <torch/serialize.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "tests/support/testing.h"

namespace entk::taylor_model_test {
namespace {

using testing::close;

Network small_network(Initialisation initialisation, Activation sigma = sigmoid(1.0)) {
  return Network(NetworkOptions{.dimension = 7,
                                .width = 60,
                                .activation = std::move(sigma),
                                .initialisation = initialisation,
                                .seed = 3,
                                .dtype = torch::kFloat64});
}

torch::Tensor points(int n, int d = 7) {
  torch::manual_seed(n);
  return torch::randn({n, d}, torch::kFloat64);
}

void set_w(const Network& network, double scale) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(17);
  network->w.copy_(scale * torch::randn_like(network->w));
}

TEST(Network, OutputIsEquationOne) {
  for (auto start : {Initialisation::symmetric, Initialisation::plain}) {
    auto network = small_network(start);
    set_w(network, 0.3);
    const auto x = points(11);
    const auto want = torch::sigmoid(x.mm((network->w0 + network->w).t()) - 1.0).mv(network->a) / std::sqrt(60.0);
    EXPECT_TRUE(close(network(x), want, 1e-13));
  }
}

TEST(Network, SymmetricStartHasUnitRowsTwinsAndNoOutput) {
  const auto network = small_network(Initialisation::symmetric);
  EXPECT_TRUE(network->symmetric());
  EXPECT_TRUE(close(network->w0.norm(2, 1), torch::ones({60}, torch::kFloat64), 1e-15));
  EXPECT_EQ(network->initial_output(points(5)).abs().max().item<double>(), 0.0);
  EXPECT_EQ(network->w.abs().max().item<double>(), 0.0);
}

TEST(Network, PlainStartHasIndependentRowsAndSignsAndSomeOutput) {
  auto network = small_network(Initialisation::plain);
  EXPECT_FALSE(network->symmetric());
  EXPECT_TRUE(close(network->a.abs(), torch::ones({60}, torch::kFloat64), 1e-15));
  EXPECT_TRUE(close(network->initial_output(points(5)), network(points(5)), 1e-14));
}

TEST(Network, GradientsToThirdOrderMatchOrdinaryAutograd) {
  auto network = small_network(Initialisation::plain);
  set_w(network, 0.3);
  const auto derivatives = [&](const std::function<torch::Tensor(const torch::Tensor&)>& f) {
    const auto x = points(9).requires_grad_(true);
    const auto loss = f(x).pow(3).sum();
    const auto first = torch::autograd::grad({loss}, {network->w, x}, {}, true, true);
    const auto second =
        torch::autograd::grad({first[0].pow(2).sum() + first[1].sin().sum()}, {network->w, x}, {}, true, true);
    return std::vector<torch::Tensor>{first[0], first[1], second[0], second[1]};
  };
  const auto got = derivatives([&](const torch::Tensor& x) { return network(x); });
  const auto want = derivatives([&](const torch::Tensor& x) {
    return torch::sigmoid(x.mm((network->w0 + network->w).t()) - 1.0).mv(network->a) / std::sqrt(60.0);
  });
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(close(got[i], want[i], 1e-12)) << i;
  const auto loss = network(points(9)).pow(3).sum();  // the path that keeps nothing n×m
  EXPECT_TRUE(close(torch::autograd::grad({loss}, {network->w})[0], want[0], 1e-12));
}

TEST(TaylorModel, TermsAreEquationTwelve) {
  for (auto start : {Initialisation::symmetric, Initialisation::plain}) {
    auto network = small_network(start);
    set_w(network, 0.5);
    const auto x = points(13);
    const auto z = x.mm(network->w.t()), z0 = x.mm(network->w0.t());
    const auto scale = network->a / std::sqrt(60.0);
    const auto& sigma = network->activation();
    const auto f_l = (scale * sigma.derivative(z0, 1) * z).sum(1);
    const auto f_q = 0.5 * (scale * sigma.derivative(z0, 2) * z * z).sum(1);
    auto model = TaylorModel(network);
    EXPECT_TRUE(close(model->linear(x), f_l, 1e-13));
    EXPECT_TRUE(close(model->quadratic(x), f_q, 1e-13));
    EXPECT_TRUE(close(model(x), network->initial_output(x) + f_l + f_q, 1e-13));
    EXPECT_TRUE(
        close(TaylorModel(network, TaylorModelOptions{.order = 1})(x), network->initial_output(x) + f_l, 1e-13));
    EXPECT_TRUE(close(TaylorModel(network, TaylorModelOptions{.order = 2, .linear_term = false})(x),
                      network->initial_output(x) + f_q, 1e-13));
  }
}

TEST(TaylorModel, RemainderShrinksAsTheNextPowerOfTheDisplacement) {
  for (int order : {1, 2, 3, 4}) {
    auto network = small_network(Initialisation::plain);
    auto model = TaylorModel(network, TaylorModelOptions{.order = order});
    const auto x = points(20);
    const auto remainder = [&](double scale) {
      set_w(network, scale);
      return (network(x) - model(x)).norm().item<double>();
    };
    const double slope = std::log(remainder(2e-2) / remainder(1e-2)) / std::log(2.0);
    EXPECT_NEAR(slope, order + 1, 0.1) << "order " << order;
  }
}

TEST(TaylorModel, OrderTwoIsExactForAQuadraticActivation) {
  auto network = small_network(Initialisation::plain, polynomial({0.3, -0.7, 0.4}));
  set_w(network, 1.0);
  EXPECT_TRUE(close(TaylorModel(network)(points(20)), network(points(20)), 1e-13));
}

/// t_1 … t_order, written down from the network's formula alone: σ(z0 + t z) differentiated in t by autograd.
std::vector<torch::Tensor> terms_by_autograd(const Network& network, const torch::Tensor& x, int order,
                                             const std::function<torch::Tensor(const torch::Tensor&)>& sigma) {
  const auto z0 = x.mm(network->w0.t()), z = x.mm(network->w.t());
  const auto t = torch::zeros_like(z0).requires_grad_(true);
  auto value = sigma(z0 + t * z);
  std::vector<torch::Tensor> terms;
  double factorial = 1;
  for (int p = 1; p <= order; ++p) {
    value = torch::autograd::grad({value.sum()}, {t}, {}, true, true)[0];
    factorial *= p;
    terms.push_back((network->a * value).sum(1) / (factorial * std::sqrt(60.0)));
  }
  return terms;
}

/// Gradients in (W, x) of an expression of f, and gradients of an expression of those: every mixed second derivative.
std::vector<torch::Tensor> derivatives_in_both(const Network& network, int n,
                                               const std::function<torch::Tensor(const torch::Tensor&)>& f) {
  const auto x = points(n).requires_grad_(true);
  const auto first = torch::autograd::grad({f(x).pow(3).sum()}, {network->w, x}, {}, true, true);
  const auto second =
      torch::autograd::grad({first[0].pow(2).sum() + first[1].sin().sum()}, {network->w, x}, {}, true, true);
  return {first[0], first[1], second[0], second[1]};
}

TEST(TaylorModel, DerivativesInPointsAndWTogetherAreThoseOfTheFormula) {
  const SerialTorch serial;  // thousands of small operations
  const auto own = activation("logistic", [](const torch::Tensor& z) { return 1 / (1 + (1 - z).exp()); });
  const auto formula = [](const torch::Tensor& z) { return torch::sigmoid(z - 1.0); };
  for (const auto& sigma : {sigmoid(1.0), own}) {
    for (auto start : {Initialisation::symmetric, Initialisation::plain}) {
      auto network = small_network(start, sigma);
      set_w(network, 0.4);
      const auto initial = [&](const torch::Tensor& x) {
        return formula(x.mm(network->w0.t())).mv(network->a) / std::sqrt(60.0);
      };
      const auto expect_equal = [&](const char* what, const std::function<torch::Tensor(const torch::Tensor&)>& got,
                                    const std::function<torch::Tensor(const torch::Tensor&)>& want) {
        const auto g = derivatives_in_both(network, 5, got), w = derivatives_in_both(network, 5, want);
        for (std::size_t i = 0; i < g.size(); ++i)
          EXPECT_TRUE(close(g[i], w[i], 1e-10)) << what << ", derivative " << i;
      };
      // Autograd's own derivatives of an own σ grow with each order: two of them are enough.
      for (int order = 1; order <= (sigma.kind ? 4 : 1); ++order) {
        auto model = TaylorModel(network, TaylorModelOptions{.order = order});
        expect_equal(
            "model", [&](const torch::Tensor& x) { return model(x); },
            [&](const torch::Tensor& x) {
              return initial(x) + torch::stack(terms_by_autograd(network, x, order, formula)).sum(0);
            });
      }
      auto model = TaylorModel(network);
      expect_equal(
          "f_L", [&](const torch::Tensor& x) { return model->linear(x); },
          [&](const torch::Tensor& x) { return terms_by_autograd(network, x, 1, formula)[0]; });
      expect_equal(
          "f_Q", [&](const torch::Tensor& x) { return model->quadratic(x); },
          [&](const torch::Tensor& x) { return terms_by_autograd(network, x, 2, formula)[1]; });
      auto whole = TaylorModel(network, TaylorModelOptions{.whole_network = true});
      const auto output = [&](const torch::Tensor& x) {
        return formula(x.mm((network->w0 + network->w).t())).mv(network->a) / std::sqrt(60.0);
      };
      expect_equal("whole network", [&](const torch::Tensor& x) { return whole(x); }, output);
      expect_equal("network", [&](const torch::Tensor& x) { return network(x); }, output);
    }
  }
}

TEST(TaylorModel, IsTheSameModelWhereItsPointsAreDifferentiated) {
  for (const auto& options : {TaylorModelOptions{}, TaylorModelOptions{.order = 4, .linear_term = false},
                              TaylorModelOptions{.initial_output = false}, TaylorModelOptions{.whole_network = true}}) {
    auto network = small_network(Initialisation::plain);
    set_w(network, 0.5);
    auto model = TaylorModel(network, options);
    const auto x = points(9);
    const auto leaf = x.clone().requires_grad_(true);
    EXPECT_TRUE(close(model(leaf), model(x), 1e-13));
    EXPECT_TRUE(close(model->terms(leaf), model->terms(x), 1e-13));
    const torch::NoGradGuard no_grad;
    EXPECT_TRUE(testing::identical(model(leaf), model(x)));  // nothing is to be differentiated: the kernels
  }
}

TEST(TaylorModel, WhatIsHeldFixedIsNotAskedForAGradient) {
  auto network = small_network(Initialisation::plain);
  const auto x = points(4).requires_grad_(true);
  EXPECT_THROW(make_primitive(*network, x), InputError);
  EXPECT_THROW(expansion_at(*network, x), InputError);
  EXPECT_NO_THROW(expansion_at(*network, x.detach()));
  network->a.requires_grad_(true);
  EXPECT_THROW(network(x), InputError);
}

TEST(TaylorModel, IsTheSameInInferenceMode) {
  const auto own = activation("logistic", [](const torch::Tensor& z) { return 1 / (1 + (1 - z).exp()); });
  const testing::ThreadCount threads(3);
  for (const auto& options :
       {TaylorModelOptions{}, TaylorModelOptions{.order = 4}, TaylorModelOptions{.whole_network = true}}) {
    for (const auto& sigma : {sigmoid(1.0), own}) {
      auto network = Network(NetworkOptions{.dimension = 7,
                                            .width = 600,
                                            .activation = sigma,
                                            .initialisation = Initialisation::plain,
                                            .dtype = torch::kFloat64});
      set_w(network, 0.5);
      const auto x = points(9);
      const auto model_at = [&](const torch::Tensor& at) { return TaylorModel(network, options)(at); };
      const auto want = model_at(x).detach();
      const auto of_primitive = TaylorModel(network, options)->primitive(x, {.mode = KernelMode::reference});
      const auto cotangents = torch::ones({of_primitive->orders(), 9}, torch::kFloat64);
      const auto pulled = of_primitive->pull_back(network->w.detach(), cotangents);
      auto model = TaylorModel(network, options);
      torch::Tensor made;  // by inference
      {
        const c10::InferenceMode inference;
        EXPECT_TRUE(close(model_at(x), want, 1e-13));
        EXPECT_TRUE(close(of_primitive->pull_back(network->w, cotangents), pulled, 1e-13));
        EXPECT_TRUE(close(network(x), model->network->forward(x), 1e-15));
        made = x + 0;
        EXPECT_TRUE(close(model(made), want, 1e-13));
        made.mul_(2.0);  // leaves no trace
        EXPECT_TRUE(close(model(made), model_at(2 * x), 1e-13));
      }
      // Points that inference has made, outside of it.
      const auto at_made = model(made);
      EXPECT_TRUE(close(at_made, model_at(2 * x), 1e-13));
      const auto gradient = torch::autograd::grad({at_made.square().sum()}, {network->w})[0];
      EXPECT_TRUE(close(gradient, torch::autograd::grad({model_at(2 * x).square().sum()}, {network->w})[0], 1e-12));
      EXPECT_TRUE(close(torch::autograd::grad({network(made).sum()}, {network->w})[0],
                        torch::autograd::grad({network(2 * x).sum()}, {network->w})[0], 1e-13));
    }
  }
}

TEST(TaylorModel, ForwardFollowsChangesOfWPointsAndDtype) {
  auto network = small_network(Initialisation::symmetric);
  auto model = TaylorModel(network);
  auto x = points(6);
  set_w(network, 0.5);
  const auto before = model(x).detach().clone();
  set_w(network, 1.0);
  EXPECT_GT((model(x) - before).norm().item<double>(), 1e-3);
  set_w(network, 0.5);
  x.mul_(2.0);  // in place: the remembered tables are stale
  EXPECT_TRUE(close(model(x), TaylorModel(network)(x.clone()), 1e-14));
  model->to(torch::kFloat32);
  EXPECT_EQ(model(x.to(torch::kFloat32)).scalar_type(), torch::kFloat32);
}

/// W once, and one entry of parameters(), in each of the ways a module travels.
template <class Module>
void expect_one_parameter(Module module, const torch::Tensor& x) {
  ASSERT_EQ(module->parameters().size(), 1u);
  const auto want = module(x).detach().clone();
  // Moved between types (and so between devices).
  module->to(torch::kFloat32);
  ASSERT_EQ(module->parameters().size(), 1u);
  EXPECT_EQ(module->parameters()[0].scalar_type(), torch::kFloat32);
  EXPECT_TRUE(close(module(x.to(torch::kFloat32)), want, 1e-5));
  module->to(torch::kFloat64);
  const auto rounded = module(x).detach().clone();
  // Cloned: equal, and independent of the original.
  auto copy = std::dynamic_pointer_cast<typename Module::ContainedType>(module->clone());
  ASSERT_EQ(copy->parameters().size(), 1u);
  EXPECT_TRUE(close(copy->forward(x), rounded, 1e-14));
  copy->to(torch::kFloat32);
  EXPECT_TRUE(close(module(x), rounded, 1e-14));
  copy->to(torch::kFloat64);
  {
    const torch::NoGradGuard no_grad;
    copy->parameters()[0].zero_();
  }
  EXPECT_TRUE(close(module(x), rounded, 1e-14));
  EXPECT_LT(copy->forward(x).abs().max().template item<double>(), 1e-15);
  // Saved and loaded.
  std::stringstream file;
  torch::save(module, file);
  torch::load(module, file);
  ASSERT_EQ(module->parameters().size(), 1u);
  EXPECT_TRUE(close(module(x), rounded, 1e-14));
  // Gradients reach it.
  module(x).pow(2).sum().backward();
  EXPECT_GT(module->parameters()[0].grad().norm().template item<double>(), 0.0);
}

TEST(Modules, HaveOneParameterMovedClonedSavedAndLoaded) {
  const auto x = points(9);
  const auto make = [&] {
    auto network = small_network(Initialisation::symmetric);
    set_w(network, 0.5);
    return network;
  };
  expect_one_parameter(make(), x);
  expect_one_parameter(LinearTerm(make()), x);
  expect_one_parameter(QuadraticTerm(make()), x);
  expect_one_parameter(TaylorModel(make()), x);
}

TEST(Modules, OneStepOfAnOptimizerStepsWOnce) {
  auto network = small_network(Initialisation::symmetric);
  set_w(network, 0.5);
  auto model = TaylorModel(network);
  const auto x = points(9);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1));
  model(x).pow(2).mean().backward();
  const auto want = network->w.detach() - 0.1 * network->w.grad();
  optimizer.step();
  EXPECT_TRUE(close(network->w, want, 1e-15));
  EXPECT_TRUE(testing::identical(model->linear->parameters()[0], network->w));
}

TEST(Network, SameSeedSameBitsAndAnotherSeedOthers) {
  const auto one = small_network(Initialisation::symmetric), two = small_network(Initialisation::symmetric);
  EXPECT_TRUE(testing::identical(one->w0, two->w0));
  const Network other(NetworkOptions{.dimension = 7, .width = 60, .seed = 4, .dtype = torch::kFloat64});
  EXPECT_FALSE(testing::identical(one->w0, other->w0));
}

TEST(Network, BadOptionsAreRefused) {
  EXPECT_THROW(Network(NetworkOptions{.dimension = 0, .width = 4}), InputError);
  EXPECT_THROW(Network(NetworkOptions{.dimension = 3, .width = 5}), InputError);
  EXPECT_THROW(Network(NetworkOptions{.dimension = 3, .width = 4, .dtype = torch::kHalf}), InputError);
  EXPECT_THROW(Network(torch::ones({3, 2}), torch::ones({4}), sigmoid()), InputError);
  EXPECT_THROW(TaylorModel(small_network(Initialisation::plain), TaylorModelOptions{.order = 5}), InputError);
  auto network = small_network(Initialisation::plain);
  EXPECT_THROW(network(torch::ones({3, 6}, torch::kFloat64)), InputError);
  TaylorModel model(network);
  EXPECT_THROW(model(torch::ones({3, 7}, torch::kFloat32)), InputError);
}

}  // namespace
}  // namespace entk::taylor_model_test
