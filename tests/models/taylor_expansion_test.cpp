#include "entk/models/taylor_expansion.h"

#include <ATen/autocast_mode.h>

#include "entk/base/error.h"
#include "entk/models/convolutional_network.h"
#include "entk/models/taylor_model.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::taylor_expansion_test {
namespace {

using testing::close;
using testing::identical;

constexpr double rounding = 1e-12;

/// A module without clone(), with a module inside, an argument that is no tensor, and a frozen parameter:
/// tanh layers, smooth in every parameter.
struct NestedImpl : torch::nn::Module {
  struct Layer : torch::nn::Module {
    Layer(std::int64_t in, std::int64_t out) {
      weight =
          register_parameter("weight", torch::randn({out, in}, torch::kFloat64) / std::sqrt(static_cast<double>(in)));
      bias = register_parameter("bias", torch::randn({out}, torch::kFloat64) / 10);
    }
    torch::Tensor forward(const torch::Tensor& x) { return torch::addmm(bias, x, weight.t()); }
    torch::Tensor weight, bias;
  };
  NestedImpl() {
    torch::manual_seed(5);
    first = register_module("first", std::make_shared<Layer>(3, 6));
    second = register_module("second", std::make_shared<Layer>(6, 2));
    frozen = register_parameter("frozen", torch::ones({2}, torch::kFloat64), false);
  }
  torch::Tensor forward(const torch::Tensor& x, double scale) {
    return second->forward(torch::tanh(first->forward(x)) * scale) * frozen;
  }
  std::shared_ptr<Layer> first, second;
  torch::Tensor frozen;
};

/// Quadratic in its parameters: (x·a)(x·b) + x·a.
struct BilinearImpl : torch::nn::Cloneable<BilinearImpl> {
  BilinearImpl() { reset(); }
  void reset() override {
    a = register_parameter("a", torch::linspace(-1, 1, 4, torch::kFloat64));
    b = register_parameter("b", torch::linspace(2, 0, 4, torch::kFloat64));
  }
  torch::Tensor forward(const torch::Tensor& x) { return x.mv(a) * x.mv(b) + x.mv(a); }
  torch::Tensor a, b;
};

std::vector<torch::Tensor> values(const torch::nn::Module& module) {
  std::vector<torch::Tensor> copy;
  for (const auto& p : module.parameters()) copy.push_back(p.detach().clone());
  return copy;
}

/// θ ← θ + t v for a fixed random v.
void move(const torch::nn::Module& module, double t, std::uint64_t seed = 7) {
  const torch::NoGradGuard no_grad;
  torch::manual_seed(seed);
  for (auto& p : module.parameters()) {
    if (p.requires_grad()) p.add_(torch::randn_like(p) * t);
  }
}

TEST(TaylorExpansion, EqualsTheClosedFormTermsOnOurNetwork) {
  for (const auto start : {Initialisation::symmetric, Initialisation::plain}) {
    auto network = testing::float64_network(4, 10, start);
    const auto x = testing::random_matrix(7, 4, 1), w = testing::random_matrix(10, 4, 2);
    for (const int order : {1, 2, 3}) {
      auto expansion = taylor_expand(network, network->parameters(), order);
      TaylorModel model(network, TaylorModelOptions{.order = order});
      const torch::NoGradGuard no_grad;
      expansion->parameters()[0].copy_(w);
      network->w.copy_(w);
      EXPECT_TRUE(close(expansion(x), model(x), rounding)) << "order " << order;
      network->w.zero_();
    }
  }
}

TEST(TaylorExpansion, IsExactWhereTheModuleIsAPolynomialOfItsOrder) {
  auto module = torch::nn::ModuleHolder<BilinearImpl>();
  const auto x = testing::random_matrix(6, 4, 3);
  auto first = taylor_expand(module, values(*module), 1), second = taylor_expand(module, values(*module), 2),
       third = taylor_expand(module, values(*module), 3);
  move(*module, 0.7);
  for (auto* expansion : {&first, &second, &third}) (*expansion)->set_parameters(*module);
  EXPECT_TRUE(close(second(x), module(x), rounding));
  EXPECT_TRUE(close(third(x), module(x), rounding));
  EXPECT_FALSE(close(first(x), module(x), 1e-3));
}

TEST(TaylorExpansion, AgreesWithCentralDifferencesAlongTheDisplacement) {
  auto module = std::make_shared<NestedImpl>();
  auto reference = std::make_shared<NestedImpl>();  // the same start: moved about, while `module` stays
  const auto x = testing::random_matrix(5, 3, 4);
  auto first = taylor_expand(module, values(*module), 1), second = taylor_expand(module, values(*module), 2);
  move(*first, 1.0);
  move(*second, 1.0);
  const auto at = [&](double t) {
    move(*reference, t);
    const auto f = reference->forward(x, 0.8).detach();
    move(*reference, -t);
    return f;
  };
  const double h = 1e-3;
  const auto f0 = at(0), near = at(h) - at(-h), far = at(2 * h) - at(-2 * h);
  const auto slope = (8 * near - far) / (12 * h);
  const auto curvature = (16 * (at(h) + at(-h)) - (at(2 * h) + at(-2 * h)) - 30 * f0) / (12 * h * h);
  EXPECT_TRUE(close(first(x, 0.8), f0 + slope, 1e-9));
  EXPECT_TRUE(close(second(x, 0.8), f0 + slope + curvature / 2, 1e-7));
}

TEST(TaylorExpansion, GradientsInParametersAndInputsAreThoseOfItsOwnValue) {
  auto module = std::make_shared<NestedImpl>();
  for (const int order : {1, 2}) {
    auto expansion = taylor_expand(module, values(*module), order);
    move(*expansion, 0.5);
    auto x = testing::random_matrix(4, 3, 6).requires_grad_(true);
    const auto weights = testing::random_matrix(4, 2, 8);
    const auto value = [&] { return (expansion(x, 0.8) * weights).sum(); };
    auto variables = expansion->parameters();
    variables.push_back(x);
    const auto gradient = torch::autograd::grad({value()}, variables);
    const double h = 1e-5;
    for (std::size_t i = 0; i < variables.size(); ++i) {
      const auto direction = torch::randn_like(variables[i]);
      const auto at = [&](double t) {
        const torch::NoGradGuard no_grad;
        variables[i].add_(direction * t);
        const double v = value().item<double>();
        variables[i].sub_(direction * t);
        return v;
      };
      const double along = (gradient[i] * direction).sum().item<double>();
      EXPECT_NEAR((at(h) - at(-h)) / (2 * h), along, 1e-7 * (1 + std::abs(along)))
          << "order " << order << ", variable " << i;
    }
  }
}

TEST(TaylorExpansion, SecondDerivativesAreThoseOfTheClosedForm) {
  auto network = testing::float64_network(3, 6, Initialisation::plain);
  const auto x = testing::random_matrix(5, 3, 1), w = testing::random_matrix(6, 3, 2),
             v = testing::random_matrix(6, 3, 9);
  const auto hessian_product = [&](auto& model, const torch::Tensor& parameter) {
    const auto gradient = torch::autograd::grad({model(x).square().sum()}, {parameter}, {}, true, true)[0];
    return torch::autograd::grad({(gradient * v).sum()}, {parameter})[0];
  };
  auto expansion = taylor_expand(network, network->parameters(), 2);
  TaylorModel model(network, TaylorModelOptions{.order = 2});
  {
    const torch::NoGradGuard no_grad;
    expansion->parameters()[0].copy_(w);
    network->w.copy_(w);
  }
  EXPECT_TRUE(close(hessian_product(expansion, expansion->parameters()[0]), hessian_product(model, network->w), 1e-10));
}

/// Of points and, where there is one, a mask of them.
struct MaskedImpl : BilinearImpl {
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& mask) {
    return BilinearImpl::forward(mask.defined() ? x * mask : x);
  }
};

TEST(TaylorExpansion, AnArgumentThatIsNotThereStaysSo) {
  const auto module = std::make_shared<MaskedImpl>();
  auto expansion = taylor_expand(module, module->parameters(), 2);
  const auto x = torch::linspace(-1, 1, 12, torch::kFloat64).view({3, 4}), mask = torch::eye(3, 4, torch::kFloat64);
  EXPECT_TRUE(close(expansion(x, torch::Tensor()), module->forward(x, {}), rounding));
  EXPECT_TRUE(close(expansion(x, mask), module->forward(x, mask), rounding));
  EXPECT_TRUE(check_expansion(module, x, torch::Tensor()).right(3));
}

TEST(TaylorExpansion, TakesTheModulesNamesAndLeavesFrozenParametersAlone) {
  auto module = std::make_shared<NestedImpl>();
  auto expansion = taylor_expand(module, values(*module), 2);
  const auto names = expansion->named_parameters().keys();
  EXPECT_EQ(names, (std::vector<std::string>{"first.weight", "first.bias", "second.weight", "second.bias"}));
  const auto x = testing::random_matrix(4, 3, 6);
  EXPECT_TRUE(identical(expansion(x, 1.0), module->forward(x, 1.0).detach()));
}

TEST(TaylorExpansion, AConvolutionalNetworkIsNearerToItsSecondOrderThanToItsFirst) {
  auto network = ConvolutionalNetwork(ConvolutionalOptions{
      .input_channels = 2, .height = 4, .width = 4, .blocks = 2, .channels = 5, .dtype = torch::kFloat64});
  auto first = taylor_expand(network, values(*network), 1), second = taylor_expand(network, values(*network), 2),
       third = taylor_expand(network, values(*network), 3);
  move(*network, 1e-4);
  for (auto* e : {&first, &second, &third}) (*e)->set_parameters(*network);
  torch::manual_seed(1);
  const auto x = torch::randn({6, 2, 4, 4}, torch::kFloat64);
  const auto error = [&](auto& e) { return (e(x) - network(x)).norm().template item<double>(); };
  // Three layers between kinks: a polynomial of degree 3.
  EXPECT_LT(error(second), 0.05 * error(first));
  EXPECT_LT(error(third), 1e-13);
}

TEST(ConvolutionalNetwork, WeightsHaveTheVariancesOfTheirFanIn) {
  const ConvolutionalNetwork network(ConvolutionalOptions{
      .input_channels = 3, .height = 32, .width = 32, .blocks = 2, .channels = 64, .dtype = torch::kFloat64});
  const auto parameters = network->named_parameters();
  const std::vector<std::pair<std::string, double>> layers = {{"1", 2.0 / 27}, {"2", 2.0 / 576}, {"_out", 1.0 / 4096}};
  for (const auto& [suffix, variance] : layers) {
    const auto weight = parameters["weight" + suffix];
    // Five standard errors of the mean of the squares.
    EXPECT_NEAR(weight.square().mean().item<double>() / variance, 1,
                5 * std::sqrt(2.0 / static_cast<double>(weight.numel())))
        << suffix;
    EXPECT_EQ(parameters["bias" + suffix].abs().max().item<double>(), 0) << suffix;
  }
}

TEST(ConvolutionalNetwork, RefusesImagesThatDoNotFitAndTypesThatAreNone) {
  ConvolutionalNetwork network(ConvolutionalOptions{.input_channels = 3, .height = 8, .width = 8, .channels = 2});
  const auto refused = [](auto&& act) -> std::string {
    try {
      act();
    } catch (const InputError& e) {
      return e.what();
    }
    return "";
  };
  const std::string wanted = "x: expected images of shape [any, 3, 8, 8], got ";
  EXPECT_EQ(refused([&] { network->forward({}); }), wanted + "nothing");
  EXPECT_EQ(refused([&] { network->forward(torch::ones({4, 3, 64})); }), wanted + "Float of shape [4, 3, 64]");
  EXPECT_EQ(refused([&] { network->forward(torch::ones({4, 1, 8, 8})); }), wanted + "Float of shape [4, 1, 8, 8]");
  EXPECT_TRUE(refused([&] {
                network->forward(torch::ones({4, 3, 8, 8}, torch::kFloat64));
              }).starts_with("x: expected the type and device of the network's weights"));
  EXPECT_EQ(
      refused([] {
        ConvolutionalNetwork(ConvolutionalOptions{.input_channels = 1, .height = 8, .width = 8, .dtype = torch::kInt});
      }),
      "dtype: expected float32 or float64, got Int");
}

/// Autocast would take products in bfloat16.
TEST(TaylorExpansion, HasItsParametersTypeWithinAutocast) {
  torch::manual_seed(4);
  ConvolutionalNetwork network(ConvolutionalOptions{.input_channels = 1, .height = 8, .width = 8, .channels = 4});
  const auto images = torch::randn({5, 1, 8, 8});
  auto expansion = taylor_expand(network, network->parameters(), 2);
  {
    const torch::NoGradGuard no_grad;
    for (auto& p : expansion->parameters()) p.add_(0.1 * torch::randn_like(p));
  }
  const auto value_and_gradient = [&] {
    const auto f = expansion(images);
    return std::pair{f.detach(), torch::autograd::grad({f.square().sum()}, expansion->parameters())};
  };
  const auto [f, gradient] = value_and_gradient();
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const auto within = value_and_gradient();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  EXPECT_TRUE(identical(within.first, f));
  for (std::size_t i = 0; i < gradient.size(); ++i) EXPECT_TRUE(identical(within.second[i], gradient[i])) << i;
}

TEST(TaylorExpansion, AStepOfGradientDescentLeavesTheModuleAsItIs) {
  auto module = torch::nn::ModuleHolder<BilinearImpl>();
  const auto before = values(*module);
  auto expansion = taylor_expand(module, before, 2);
  const auto x = testing::random_matrix(6, 4, 3);
  const double loss = expansion(x).square().mean().item<double>();
  for (int step = 0; step < 20; ++step) {
    expansion->zero_grad();
    expansion(x).square().mean().backward();
    const torch::NoGradGuard no_grad;
    for (auto& p : expansion->parameters()) p.sub_(p.grad() * 0.01);
  }
  EXPECT_LT(expansion(x).square().mean().item<double>(), loss);
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(identical(module->parameters()[i], before[i]));
  auto copy = std::dynamic_pointer_cast<TaylorExpansionImpl<BilinearImpl>>(expansion->clone());
  EXPECT_TRUE(identical(copy->forward(x), expansion(x)));
}

TEST(TaylorExpansion, RefusesWhatDoesNotFit) {
  auto module = std::make_shared<NestedImpl>();
  EXPECT_THROW(taylor_expand(module, values(*module), 0), InputError);
  EXPECT_THROW(taylor_expand(module, {}, 1), InputError);
  auto wrong = values(*module);
  wrong[1] = torch::zeros({3}, torch::kFloat64);
  EXPECT_THROW(taylor_expand(module, wrong, 1), InputError);
  // A module without clone() is held, not copied: changing it afterwards is noticed.
  auto expansion = taylor_expand(module, values(*module), 1);
  move(*module, 0.1);
  EXPECT_THROW(expansion(testing::random_matrix(4, 3, 6), 1.0), InputError);
}

}  // namespace
}  // namespace entk::taylor_expansion_test
