// The multilayer perceptron against its formula, and a module itself in place of its expansion.
#include "entk/models/mlp.h"

#include <gtest/gtest.h>

#include "entk/base/error.h"
#include "entk/kernels/network_primitive.h"
#include "entk/models/convolutional_network.h"
#include "entk/models/taylor_model.h"
#include "entk/models/whole_module_primitive.h"
#include "tests/support/errors.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/modules.h"
#include "tests/support/testing.h"

namespace entk::mlp_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

MlpOptions options(Parameterisation parameterisation, bool biases) {
  return {.dimension = 4,
          .widths = {6, 5, 3},
          .activation = tanh(0.3),
          .parameterisation = parameterisation,
          .biases = biases,
          .seed = 7,
          .dtype = torch::kFloat64};
}

TEST(Mlp, IsItsFormula) {
  const auto x = random_matrix(9, 4, 1);
  for (const auto parameterisation : {Parameterisation::ntk, Parameterisation::standard}) {
    const bool ntk = parameterisation == Parameterisation::ntk;
    Mlp module(options(parameterisation, true));
    {
      const torch::NoGradGuard no_grad;
      for (auto& t : module->parameters()) t.add_(0.1);  // biases too
    }
    const auto p = module->named_parameters();
    auto h = x;
    for (const std::string l : {"1", "2", "3"}) {
      const double scale = ntk ? 1 / std::sqrt(static_cast<double>(h.size(1))) : 1;
      h = torch::tanh(scale * h.mm(p["weight" + l].t()) + p["bias" + l] - 0.3);
    }
    const auto want = (ntk ? 1 / std::sqrt(3.0) : 1) * h.mv(p["weight_out"]) + p["bias_out"];
    EXPECT_TRUE(close(module->forward(x), want, 1e-13));
  }
}

TEST(Mlp, BothParameterisationsAreOneFunctionAtTheStart) {
  const auto x = random_matrix(9, 4, 1);
  EXPECT_TRUE(
      close(Mlp(options(Parameterisation::ntk, false))(x), Mlp(options(Parameterisation::standard, false))(x), 1e-13));
}

TEST(Mlp, ItsParametersAreCountedAndDrawnOnce) {
  for (const bool biases : {false, true}) {
    const Mlp module(options(Parameterisation::ntk, biases));
    std::int64_t count = 0;
    for (const auto& t : module->parameters()) count += t.numel();
    EXPECT_EQ(count, MlpImpl::parameter_count(4, {6, 5, 3}, biases));
    EXPECT_EQ(count, 4 * 6 + 6 * 5 + 5 * 3 + 3 + (biases ? 6 + 5 + 3 + 1 : 0));
  }
  // A copy has its values, and layers numbers of their own.
  const Mlp module(options(Parameterisation::ntk, false));
  const auto copy = std::static_pointer_cast<MlpImpl>(module->clone());
  EXPECT_TRUE(identical(copy->parameters()[1], module->parameters()[1]));
  EXPECT_FALSE(torch::equal(module->parameters()[0].view(-1).narrow(0, 0, 5), module->parameters()[2][0]));
}

TEST(Mlp, OtherSizesAreRefused) {
  EXPECT_EQ(error_of([] { Mlp(MlpOptions{.dimension = 4, .widths = {}}); }),
            "widths: expected at least one hidden layer, got none");
  EXPECT_EQ(error_of([] { Mlp(MlpOptions{.dimension = 4, .widths = {3, 0}}); }), "widths: expected at least 1, got 0");
}

/// t_1 and t_2 of the definition, by ordinary autograd: f at parameters θ0 + δ as an expression of δ.
struct WholeModule {
  explicit WholeModule(ModuleStartKind kind) : kind(kind) {
    const bool pair = kind == ModuleStartKind::pair;
    const auto p = MlpImpl::parameter_count(4, {6, 5, 3}, true);
    w = random_matrix(1, pair ? 2 * p : p, 3).squeeze(0) * 0.5;
    v = random_matrix(1, w.size(0), 4).squeeze(0);
  }
  torch::Tensor f(const torch::Tensor& by) const {
    const auto p = module->named_parameters();
    std::int64_t first = 0;
    std::map<std::string, torch::Tensor> at;
    for (const auto& item : p) {
      const auto n = item.value().numel();
      at[item.key()] = item.value().detach() + by.narrow(0, first, n).view(item.value().sizes());
      first += n;
    }
    auto h = x;
    for (const std::string l : {"1", "2", "3"}) {
      h = torch::tanh(h.mm(at["weight" + l].t()) / std::sqrt(static_cast<double>(h.size(1))) + at["bias" + l] - 0.3);
    }
    return h.mv(at["weight_out"]) / std::sqrt(3.0) + at["bias_out"];
  }
  torch::Tensor whole(const torch::Tensor& by) const {
    if (kind == ModuleStartKind::plain) return f(by);
    const auto half = by.size(0) / 2;
    return (f(by.narrow(0, 0, half)) - f(by.narrow(0, half, half))) / std::sqrt(2.0);
  }
  torch::Tensor terms(const torch::Tensor& by) const {
    const auto zero = torch::zeros_like(w).requires_grad_(true);
    const auto at_start = whole(zero);
    std::vector<torch::Tensor> rows;
    for (std::int64_t i = 0; i < x.size(0); ++i) {
      rows.push_back(torch::autograd::grad({at_start[i]}, {zero}, {}, true)[0]);
    }
    const auto linear = torch::stack(rows).detach().mv(by);
    return torch::stack({linear, whole(by) - at_start.detach() - linear});
  }
  std::shared_ptr<const Primitive> primitive() const {
    return make_whole_module_primitive(point_module(module.ptr()), kind, x);
  }
  ModuleStartKind kind;
  Mlp module{options(Parameterisation::ntk, true)};
  torch::Tensor x = random_matrix(9, 4, 1), w, v, g = random_matrix(3, 9, 5);
};

TEST(WholeModulePrimitive, EverythingIsThatOfTheDefinitionUnderAutograd) {
  for (const auto kind : {ModuleStartKind::plain, ModuleStartKind::pair}) {
    const WholeModule s(kind);
    const auto primitive = s.primitive();
    const auto leaf = s.w.clone().requires_grad_(true);
    const auto want = s.terms(leaf);
    EXPECT_TRUE(close(primitive->terms(s.w), want, 1e-12));
    const auto g = s.g.narrow(0, 0, 2);
    const auto slope = torch::autograd::grad({(want * g).sum()}, {leaf}, {}, true, true)[0];
    EXPECT_TRUE(close(primitive->pull_back(s.w, g), slope, 1e-12));
    EXPECT_TRUE(close(primitive->reference_pull_back(s.w, g), slope, 1e-12));
    // Along v, by autograd twice; and the gradient of that.
    const auto weights = torch::zeros_like(want).requires_grad_(true);
    const auto pulled = torch::autograd::grad({want}, {leaf}, {weights}, true, true)[0];
    const auto along = torch::autograd::grad({pulled}, {weights}, {s.v}, true, true)[0];
    EXPECT_TRUE(close(primitive->terms_along(s.w, s.v), along, 1e-12));
    const auto both = torch::autograd::grad({(want * g).sum() + along[1].dot(s.g[2])}, {leaf})[0];
    EXPECT_TRUE(close(primitive->pull_back_along(s.w, s.v, s.g), both, 1e-12));
  }
}

TEST(WholeModulePrimitive, OfATwoLayerNetworkTakenAsAModuleIsTheKernels) {
  const auto network = float64_network(4, 24, Initialisation::plain);
  const PlainTwoLayer plain(network);
  const auto x = random_matrix(19, 4, 1), w = 0.7 * random_matrix(24, 4, 2), g = random_matrix(2, 19, 3);
  const auto want = make_network_primitive(x, network->w0, network->a, network->activation(), {.orders = 2});
  const auto got = make_whole_module_primitive(point_module(plain.ptr()), ModuleStartKind::plain, x);
  EXPECT_TRUE(close(got->terms(w.view(-1)), want->terms(w), 1e-10));
  EXPECT_TRUE(close(got->pull_back(w.view(-1), g), want->pull_back(w, g).view(-1), 1e-10));
}

TEST(WholeModulePrimitive, SameBitsForAnyNumberOfThreads) {
  const WholeModule s(ModuleStartKind::pair);
  const auto primitive = s.primitive();
  const auto terms = primitive->terms(s.w), gradient = primitive->pull_back(s.w, s.g.narrow(0, 0, 2));
  for (const int count : {1, 2, 3}) {
    const ThreadCount threads(count);
    EXPECT_TRUE(identical(primitive->terms(s.w), terms));
    EXPECT_TRUE(identical(primitive->pull_back(s.w, s.g.narrow(0, 0, 2)), gradient));
  }
}

TEST(WholeModulePrimitive, TheModelOfTheWholeModuleIsTheModule) {
  for (const bool pair : {false, true}) {
    const WholeModule s(pair ? ModuleStartKind::pair : ModuleStartKind::plain);
    TaylorModel model(s.module, {.pair = pair, .whole_network = true});
    {
      const torch::NoGradGuard no_grad;
      torch::Tensor(model->displacement()).copy_(s.w);
    }
    EXPECT_TRUE(close(model(s.x), s.whole(s.w), 1e-12));
    EXPECT_TRUE(close(model->terms(s.x), model->primitive(s.x, {})->terms(s.w), 1e-12));
    // In δ twice, and in x.
    const auto leaf = s.w.clone().requires_grad_(true), by = model->displacement();
    const auto norm = [](const torch::Tensor& value, const torch::Tensor& in) {
      return torch::autograd::grad({value.square().sum()}, {in}, {}, true, true)[0].square().sum();
    };
    EXPECT_TRUE(close(torch::autograd::grad({norm(model(s.x), by)}, {by})[0],
                      torch::autograd::grad({norm(s.whole(leaf), leaf)}, {leaf})[0], 1e-10));
  }
}

/// Not Cloneable.
struct HeldImpl : torch::nn::Module {
  HeldImpl() { w = register_parameter("w", torch::ones({4}, torch::kFloat64)); }
  torch::Tensor forward(const torch::Tensor& x) { return x.mv(w); }
  torch::Tensor w;
};

TEST(WholeModulePrimitive, AModuleThatCannotBeCopiedIsRefused) {
  const TaylorModel model(std::make_shared<HeldImpl>(), {.whole_network = true});
  EXPECT_NE(error_of([&] { model->primitive(random_matrix(3, 4, 1), {}); }).find("whole_network: a module is moved"),
            std::string::npos);
}

TEST(ConvolutionalNetworks, RowsOfPixelsAreImages) {
  ConvolutionalNetwork network(
      ConvolutionalOptions{.input_channels = 3, .height = 4, .width = 8, .blocks = 2, .channels = 5});
  const auto images = torch::randn({7, 3, 4, 8});
  EXPECT_TRUE(identical(network(images.flatten(1)), network(images)));
  EXPECT_NE(error_of([&] { network(torch::randn({7, 95})); }).find("expected images of shape [any, 3, 4, 8]"),
            std::string::npos);
}

}  // namespace
}  // namespace entk::mlp_test
