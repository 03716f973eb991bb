#include "entk/models/module_primitive.h"

#include <gtest/gtest.h>
#include <torch/nn/functional/linear.h>
#include <torch/optim/sgd.h>

#include "entk/base/error.h"
#include "entk/kernels/taylor_function.h"
#include "entk/models/mlp.h"
#include "entk/models/taylor_expansion.h"
#include "entk/models/taylor_model.h"
#include "entk/models/whole_module_primitive.h"
#include "tests/support/errors.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/modules.h"
#include "tests/support/testing.h"

namespace entk::module_primitive_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

constexpr double rounding = 1e-10;

template <class M>
std::shared_ptr<const Primitive> primitive_of(const M& module, const torch::Tensor& x, int orders,
                                              ModuleStartKind kind = ModuleStartKind::plain) {
  return make_module_primitive(point_module(module.ptr()), kind, x, {.orders = orders});
}

torch::Tensor random_vector(std::int64_t length, std::uint64_t seed) {
  return random_matrix(1, length, seed).squeeze(0);
}

TEST(ModulePrimitive, OfATwoLayerNetworkIsTheClosedForm) {
  constexpr std::int64_t n = 300, d = 4, m = 12;  // three batches
  const auto network = float64_network(d, m, Initialisation::plain);
  const PlainTwoLayer module(network);
  const auto x = random_matrix(n, d, 1), w = random_matrix(m, d, 2), v = random_matrix(m, d, 3);
  for (const int orders : {1, 2, 3}) {
    const auto want = make_primitive(*network, x, {.orders = orders});
    const auto got = primitive_of(module, x, orders);
    const auto g = random_matrix(orders, n, 4), c = random_matrix(3, n, 5);
    EXPECT_EQ(got->displacement_sizes(), at::IntArrayRef({m * d}));
    EXPECT_TRUE(close(got->terms(w.view(-1)), want->terms(w), rounding)) << orders;
    EXPECT_TRUE(close(got->pull_back(w.view(-1), g), want->pull_back(w, g).view(-1), rounding)) << orders;
    EXPECT_TRUE(close(got->reference_pull_back(w.view(-1), g), want->pull_back(w, g).view(-1), rounding)) << orders;
    if (orders == 1) continue;
    EXPECT_TRUE(close(got->terms_along(w.view(-1), v.view(-1)), want->terms_along(w, v), rounding));
    EXPECT_TRUE(
        close(got->pull_back_along(w.view(-1), v.view(-1), c), want->pull_back_along(w, v, c).view(-1), rounding));
  }
}

template <class M>
void expect_explicit(M module, const torch::Tensor& x) {
  const auto parameters = module->parameters();
  const auto at = derivatives(module, x);
  const std::int64_t n = x.size(0), p = at.jacobian.size(1);
  const auto w = 0.5 * random_vector(p, 6), v = random_vector(p, 7), g = random_matrix(3, n, 8);
  // D³f[w,w,w] by central differences of the Hessians: exact to the fourth power of h.
  const auto form_at = [&](double t) {
    M moved(std::dynamic_pointer_cast<typename M::Impl>(module->clone()));
    {
      const torch::NoGradGuard no_grad;
      std::int64_t first = 0;
      for (auto& q : moved->parameters()) {
        q.add_(w.narrow(0, first, q.numel()).view(q.sizes()), t);
        first += q.numel();
      }
    }
    return derivatives(moved, x).hessian.matmul(w).matmul(w);
  };
  const double h = 1e-2;
  const auto third = (8 * (form_at(h) - form_at(-h)) - (form_at(2 * h) - form_at(-2 * h))) / (12 * h);
  const auto hw = at.hessian.matmul(w), hv = at.hessian.matmul(v);  // n×p
  const auto primitive = primitive_of(module, x, 3);
  const auto terms = primitive->terms(w);
  EXPECT_TRUE(close(terms[0], at.jacobian.mv(w), rounding));
  EXPECT_TRUE(close(terms[1], hw.mv(w) / 2, rounding));
  EXPECT_TRUE(close(terms[2], third / 6, 1e-6));
  const auto second = primitive_of(module, x, 2);
  EXPECT_TRUE(close(second->pull_back(w, g.narrow(0, 0, 2)), at.jacobian.t().mv(g[0]) + hw.t().mv(g[1]), rounding));
  EXPECT_TRUE(close(second->terms_along(w, v), torch::stack({at.jacobian.mv(v), hw.mv(v)}), rounding));
  EXPECT_TRUE(
      close(second->pull_back_along(w, v, g), at.jacobian.t().mv(g[0]) + hw.t().mv(g[1]) + hv.t().mv(g[2]), rounding));
  // The pull-back of order 3 is the derivative of ⟨g, terms⟩.
  const double e = 1e-5;
  const double slope =
      (g * (primitive->terms(w + e * v) - primitive->terms(w - e * v))).sum().template item<double>() / (2 * e);
  EXPECT_NEAR(primitive->pull_back(w, g).dot(v).template item<double>(), slope, 1e-7 * (1 + std::fabs(slope)));
}

TEST(ModulePrimitive, OfAnMlpIsItsJacobianAndHessians) {
  expect_explicit(SmallMlp(std::vector<std::int64_t>{3, 4, 3, 1}), random_matrix(5, 3, 9));
}

TEST(ModulePrimitive, OfAnAttentionBlockIsItsJacobianAndHessians) {
  expect_explicit(SmallAttention(), random_matrix(4, 6, 10).view({4, 3, 2}));
}

/// What the graph's rules are of: convolutions, pools, branches that meet, weights that are scaled, places in a row.
struct MixedImpl : torch::nn::Cloneable<MixedImpl> {
  MixedImpl() { reset(); }
  void reset() override {
    torch::manual_seed(13);
    const auto weights = [&](const char* name, at::IntArrayRef sizes) {
      return register_parameter(name, torch::randn(sizes, torch::kFloat64) / 2);
    };
    filter = weights("filter", {3, 2, 3, 3});
    filter_bias = weights("filter_bias", {3});
    inner = weights("inner", {4, 4});
    shift = weights("shift", {4});
    again = weights("again", {4, 4});
    again_bias = weights("again_bias", {4});
    out = weights("out", {12});
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const auto h = torch::gelu(torch::conv2d(x, filter, filter_bias, 1, 1));
    const auto pooled = torch::max_pool2d(h, 2) + 0.5 * torch::avg_pool2d(h, 2);             // n×3×2×2
    const auto rows = pooled.flatten(2);                                                     // n×3×4
    const auto left = torch::sigmoid(torch::matmul(rows, inner.t() / 2.0) + shift);          // n×3×4
    const auto right = torch::nn::functional::linear(rows + left, 1.5 * again, again_bias);  // n×3×4
    return (torch::tanh(right).square() - left).flatten(1).mv(out) / std::sqrt(12.0);
  }
  torch::Tensor filter, filter_bias, inner, shift, again, again_bias, out;
};
TORCH_MODULE(Mixed);

/// By the graph's rules what autograd says, the steps of a stepper too; those of kept graphs to the bit as with graphs
/// made at each step.
template <class M>
void expect_as_autograd(const M& module, const torch::Tensor& x) {
  for (const auto kind : {ModuleStartKind::plain, ModuleStartKind::pair}) {
    for (const int orders : {1, 2}) {
      const auto of = [&](KernelMode mode) {
        return make_module_primitive(point_module(module.ptr()), kind, x, {.orders = orders, .mode = mode});
      };
      const auto got = of(KernelMode::automatic), want = of(KernelMode::reference);
      EXPECT_EQ(got->mode(), KernelMode::keep);
      EXPECT_EQ(of(KernelMode::recompute)->mode(), KernelMode::recompute);
      EXPECT_EQ(want->mode(), KernelMode::reference);
      const std::int64_t p = got->displacement_sizes()[0], n = x.size(0);
      const auto w = 0.3 * random_vector(p, 2), v = random_vector(p, 3), g = random_matrix(orders, n, 4),
                 c = random_matrix(3, n, 5);
      EXPECT_TRUE(close(got->terms(w), want->terms(w), rounding));
      EXPECT_TRUE(close(got->pull_back(w, g), want->pull_back(w, g), rounding));
      EXPECT_TRUE(close(got->terms_along(w, v), want->terms_along(w, v), rounding));
      EXPECT_TRUE(close(got->pull_back_along(w, v, c), want->pull_back_along(w, v, c), rounding));
      auto w1 = w.clone(), w2 = w.clone(), w3 = w.clone();
      const auto first = got->stepper(w1), second = want->stepper(w2), third = of(KernelMode::recompute)->stepper(w3);
      for (int step = 0; step < 3; ++step) {
        const Update update{.learning_rate = 0.01, .extra = v};
        first->step(w1, g, update);
        second->step(w2, g, update);
        third->step(w3, g, update);
      }
      EXPECT_TRUE(close(w1, w2, rounding));
      EXPECT_TRUE(close(first->terms(), second->terms(), rounding));
      EXPECT_TRUE(identical(w1, w3));
      EXPECT_TRUE(identical(first->terms(), third->terms()));
    }
  }
}

TEST(ModulePrimitive, ByTheGraphsRulesIsWhatAutogradSays) {
  expect_as_autograd(SmallMlp(std::vector<std::int64_t>{3, 5, 4, 1}), random_matrix(300, 3, 9));  // three batches
  expect_as_autograd(Mixed(), random_matrix(5, 32, 9).view({5, 2, 4, 4}));
}

// One entry's function is one of the graph's rules, however many operations it is written in.
TEST(ModulePrimitive, AnMlpGoesByTheRulesWithEveryActivation) {
  const auto x = random_matrix(140, 3, 9);
  const auto sine = activation("sine", [](const torch::Tensor& z) { return z * torch::sin(z + 1); });
  for (const auto& sigma : {sigmoid(1), entk::tanh(0.5), entk::erf(), softplus(), gelu(), silu(), relu(),
                            polynomial({0, 1, 0.5, -0.2}), sine}) {
    for (const bool biases : {false, true}) {
      expect_as_autograd(
          Mlp(MlpOptions{
              .dimension = 3, .widths = {5, 4}, .activation = sigma, .biases = biases, .dtype = torch::kFloat64}),
          x);
    }
  }
}

TEST(ModulePrimitive, AnMlpsTermsAreThoseOfItsFormulaInTorchsOperations) {
  const Mlp mlp(MlpOptions{.dimension = 3, .widths = {5, 4}, .activation = gelu(), .dtype = torch::kFloat64});
  const auto formula = function_module({{5, 3}, {4, 5}, {4}}, [](const auto& p, const torch::Tensor& x) {
    const auto h = torch::gelu(x.mm(p[0].t()) / std::sqrt(3.0));
    return torch::gelu(h.mm(p[1].t()) / std::sqrt(5.0)).mv(p[2]) / 2.0;
  });
  {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < 3; ++i) formula->own[i].copy_(mlp->parameters()[i]);
  }
  const auto x = random_matrix(9, 3, 9);
  for (const int orders : {1, 2, 3}) {
    const auto got = primitive_of(mlp, x, orders), want = primitive_of(formula, x, orders);
    const auto w = random_vector(39, 2), g = random_matrix(orders, 9, 4);
    EXPECT_TRUE(close(got->terms(w), want->terms(w), rounding)) << orders;
    EXPECT_TRUE(close(got->pull_back(w, g), want->pull_back(w, g), rounding)) << orders;
  }
}

TEST(ModulePrimitive, AnActivationsOwnTensorsAreTrained) {
  const auto x = random_matrix(9, 3, 9);
  // A slope of its own: σ(z) = z sigmoid(βz), β among the module's parameters.
  const auto module = function_module({{5, 3}, {1}, {5}}, [](const auto& p, const torch::Tensor& x) {
    const auto swish = Activation{.name = "swish", .derivative = [beta = p[1]](const torch::Tensor& z, int) {
                                    return z * torch::sigmoid(beta * z);
                                  }};
    return swish(x.mm(p[0].t())).mv(p[2]);
  });
  const auto plain = function_module({{5, 3}, {1}, {5}}, [](const auto& p, const torch::Tensor& x) {
    const auto z = x.mm(p[0].t());
    return (z * torch::sigmoid(p[1] * z)).mv(p[2]);
  });
  const auto w = random_vector(21, 2), g = random_matrix(2, 9, 4);
  const auto got = primitive_of(module, x, 2), want = primitive_of(plain, x, 2);
  EXPECT_TRUE(close(got->terms(w), want->terms(w), rounding));
  EXPECT_TRUE(close(got->pull_back(w, g), want->pull_back(w, g), rounding));
}

using Parameters = FunctionModuleImpl::Tensors;

torch::Tensor two_layers(const Parameters& p, const torch::Tensor& x) {
  return torch::nn::functional::linear(torch::tanh(torch::nn::functional::linear(x, p[0], p[1])), p[2], p[3]);
}

TEST(ModulePrimitive, AParameterThatIsFrozenStaysSo) {
  const auto x = random_matrix(6, 3, 9);
  for (const auto& frozen : std::vector<std::vector<int>>{{0}, {1}, {2}, {0, 2}, {1, 3}, {0, 1, 2}}) {
    const auto module = function_module({{4, 3}, {4}, {1, 4}, {1}}, two_layers);
    for (const int i : frozen) module->own[i].requires_grad_(false);  // by the user, whose class knows nothing of it
    expect_as_autograd(module, x);
    std::int64_t trained = 0;
    for (const auto& t : module->own) trained += t.requires_grad() ? t.numel() : 0;
    EXPECT_EQ(primitive_of(module, x, 2)->displacement_sizes()[0], trained);
    EXPECT_EQ(TaylorModel(module)->displacement().numel(), trained);
    EXPECT_EQ(TaylorModel(torch::nn::AnyModule(module))->displacement().numel(), trained);
    EXPECT_EQ(flattened(taylor_expand(module, module->parameters(), 1)->parameters()).numel(), trained);
  }
}

/// Two layers that share their weight from after their making on.
struct TiedImpl : torch::nn::Cloneable<TiedImpl> {
  TiedImpl() { reset(); }
  void reset() override {
    torch::manual_seed(14);
    first = register_parameter("first", torch::randn({3, 3}, torch::kFloat64));
    second = register_parameter("second", torch::randn({3, 3}, torch::kFloat64));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const auto p = named_parameters();
    return torch::tanh(x.mm(p["first"])).mm(p["second"]).sum(1);
  }
  void tie() { parameters_["second"] = parameters_["first"]; }
  torch::Tensor first, second;
};
TORCH_MODULE(Tied);

TEST(ModulePrimitive, WeightsTiedAfterwardsAreOneParameter) {
  Tied module;
  const auto x = random_matrix(6, 3, 9);
  EXPECT_EQ(primitive_of(module, x, 2)->displacement_sizes()[0], 18);
  module->tie();
  const auto got = primitive_of(module, x, 2);
  ASSERT_EQ(got->displacement_sizes()[0], 9);
  const auto v = random_vector(9, 1), f = module->forward(x).detach();
  const auto terms = got->terms(v);
  const torch::NoGradGuard no_grad;
  const double h = 1e-4;
  const auto moved = [&](double t) {
    Tied at;
    at->tie();
    at->named_parameters()["first"].copy_(module->named_parameters()["first"] + t * v.view({3, 3}));
    return at->forward(x);
  };
  EXPECT_TRUE(close(terms[0], (moved(h) - moved(-h)) / (2 * h), 1e-6));
  EXPECT_TRUE(close(terms[1], (moved(h) + moved(-h) - 2 * f) / (2 * h * h), 1e-6));
}

TEST(ModulePrimitive, AForwardThatBranchesOnItsPointsIsAutogradsWhereItHasNoRule) {
  const auto x = random_matrix(300, 3, 9);
  const double far = x.narrow(0, 100, 200).norm(2, 1).max().item<double>();
  ASSERT_LT(x.narrow(0, 0, 3).norm(2, 1).max().item<double>(), far);
  const auto module = function_module({{4, 3}, {4}}, [far](const Parameters& p, const torch::Tensor& at) {
    const auto h = torch::nn::functional::linear(at, p[0]);
    const bool with_softmax = at.norm(2, 1).max().item<double>() >= far;
    return (with_softmax ? torch::softmax(h, 1) : torch::tanh(h)).mv(p[1]);
  });
  const auto of = [&](KernelMode mode) {
    return make_module_primitive(point_module(module.ptr()), ModuleStartKind::plain, x, {.orders = 2, .mode = mode});
  };
  const auto got = of(KernelMode::automatic), want = of(KernelMode::reference);
  const auto w = random_vector(got->displacement_sizes()[0], 2), g = random_matrix(2, 300, 4);
  auto w1 = w.clone(), w2 = w.clone();
  const auto stepper = got->stepper(w1), other = want->stepper(w2);
  stepper->step(w1, g, {.learning_rate = 0.01});
  other->step(w2, g, {.learning_rate = 0.01});
  EXPECT_TRUE(close(w1, w2, rounding));
  EXPECT_TRUE(close(stepper->terms(), other->terms(), rounding));
}

TEST(ModulePrimitive, NamesWhatDoesNotFit) {
  SmallMlp module(std::vector<std::int64_t>{3, 5, 1});
  const auto x = random_matrix(6, 3, 1), g = random_matrix(2, 6, 2), few = random_matrix(1, 6, 2);
  const auto module_at_start = point_module(module.ptr());
  const std::int64_t p = 26;
  const auto w = random_vector(p, 3), longer = random_vector(p + 1, 3);
  const auto plain = ModuleStartKind::plain;
  const auto said = [](const std::string& what, auto&& call) {
    const auto message = error_of(call);
    EXPECT_EQ(message.rfind(what + ": ", 0), 0u) << message;
  };
  for (const auto& primitive : {make_module_primitive(module_at_start, plain, x, {.orders = 2}),
                                make_module_primitive(module_at_start, plain, x, {.mode = KernelMode::recompute}),
                                make_whole_module_primitive(module_at_start, plain, x)}) {
    said("w", [&] { primitive->terms(longer); });
    said("w", [&] { primitive->pull_back(longer, g); });
    said("w", [&] { primitive->reference_pull_back(longer, g); });
    said("w", [&] { primitive->stepper(longer); });
    said("w", [&] { primitive->terms(w.to(torch::kFloat32)); });
    said("v", [&] { primitive->terms_along(w, longer); });
    said("cotangents", [&] { primitive->pull_back(w, few); });
    said("cotangents", [&] { primitive->reference_pull_back(w, few); });
    said("cotangents", [&] { primitive->pull_back_along(w, w, g); });
    auto moved = w.clone();
    const auto stepper = primitive->stepper(moved);
    said("cotangents", [&] { stepper->step(moved, few, {}); });
    said("extra", [&] { stepper->step(moved, g, {.extra = longer}); });
    said("extra", [&] { stepper->step(moved, g, {.extra = torch::ones({1}, torch::kFloat64)}); });
    said("signs", [&] { stepper->step(moved, g, {.signs = RandomStream(Purpose::signs, 1)}); });
    EXPECT_TRUE(identical(moved, w));
  }
  said("displacement", [&] { whole_module_output(module_at_start, plain, x, longer); });
  said("displacement", [&] { whole_module_output(module_at_start, plain, x, w.to(torch::kFloat32)); });
  for (const auto& none : {torch::Tensor(), torch::ones({}, torch::kFloat64), torch::ones({0, 3}, torch::kFloat64)}) {
    said("x", [&] { make_module_primitive(module_at_start, plain, none, {}); });
  }
}

TEST(ModulePrimitive, WhatHasNoRuleOrDoesNotFitTakesAnotherWay) {
  EXPECT_EQ(primitive_of(SmallAttention(), random_matrix(4, 6, 10).view({4, 3, 2}), 2)->mode(), KernelMode::reference);
  SmallMlp module(std::vector<std::int64_t>{3, 5, 1});
  EXPECT_EQ(primitive_of(module, random_matrix(4, 3, 9), 3)->mode(), KernelMode::reference);
  const auto small = make_module_primitive(point_module(module.ptr()), ModuleStartKind::plain, random_matrix(40, 3, 9),
                                           {.memory_limit = 1000});
  EXPECT_EQ(small->mode(), KernelMode::recompute);
}

TEST(ModulePrimitive, APairIsTheDifferenceOfTwoCopiesAndZeroAtTheStart) {
  SmallMlp module(std::vector<std::int64_t>{3, 4, 1});
  const auto x = random_matrix(6, 3, 9);
  const auto one = primitive_of(module, x, 2), pair = primitive_of(module, x, 2, ModuleStartKind::pair);
  const std::int64_t p = one->displacement_sizes()[0];
  ASSERT_EQ(pair->displacement_sizes(), at::IntArrayRef({2 * p}));
  const auto w = random_vector(2 * p, 2), v = random_vector(2 * p, 3), g = random_matrix(2, 6, 4),
             c = random_matrix(3, 6, 5);
  const auto halves = [&](const torch::Tensor& t) { return std::pair{t.narrow(0, 0, p), t.narrow(0, p, p)}; };
  const auto [w1, w2] = halves(w);
  const auto [v1, v2] = halves(v);
  const double root = std::sqrt(0.5);
  EXPECT_TRUE(close(pair->terms(w), root * (one->terms(w1) - one->terms(w2)), rounding));
  EXPECT_TRUE(
      close(pair->pull_back(w, g), root * torch::cat({one->pull_back(w1, g), -one->pull_back(w2, g)}), rounding));
  EXPECT_TRUE(close(pair->terms_along(w, v), root * (one->terms_along(w1, v1) - one->terms_along(w2, v2)), rounding));
  EXPECT_TRUE(close(pair->pull_back_along(w, v, c),
                    root * torch::cat({one->pull_back_along(w1, v1, c), -one->pull_back_along(w2, v2, c)}), rounding));
  const TaylorModel model(module, {.pair = true});
  EXPECT_EQ(model->expanded().initial_output(x).abs().max().item<double>(), 0);
  const auto xg = x.clone().requires_grad_(true);
  TaylorModel same = model;
  EXPECT_EQ(same->forward(xg).abs().max().item<double>(), 0);
  EXPECT_GT(TaylorModel(module)->expanded().initial_output(x).abs().min().item<double>(), 0);
}

TEST(ModulePrimitive, HasTheSameBitsForAnyNumberOfThreads) {
  SmallMlp module(std::vector<std::int64_t>{3, 8, 1});
  const auto x = random_matrix(1100, 3, 1);
  const auto primitive = primitive_of(module, x, 2);
  const auto w = random_vector(primitive->displacement_sizes()[0], 2), g = random_matrix(2, 1100, 3);
  const auto terms = primitive->terms(w), gradient = primitive->pull_back(w, g);
  for (const int count : {1, 2, 3}) {
    const ThreadCount threads(count);
    EXPECT_TRUE(identical(primitive->terms(w), terms));
    EXPECT_TRUE(identical(primitive->pull_back(w, g), gradient));
  }
}

TEST(ModuleModel, IsTheTaylorExpansionOfTheModuleAndDifferentiableInXAndTwice) {
  SmallMlp module(std::vector<std::int64_t>{3, 4, 1});
  for (const int order : {1, 2, 3}) {
    TaylorModel model(module, {.order = order});
    auto expansion = taylor_expand(module, module->parameters(), order);
    const auto w = 0.4 * random_vector(model->displacement().size(0), 2);
    {
      const torch::NoGradGuard no_grad;
      torch::Tensor own = model->parameters()[0];
      own.copy_(w);
      auto theirs = expansion->named_parameters();
      for (const auto& part : model->module->parts()) theirs[part.name].add_(part.of(w));
    }
    const auto x = random_matrix(5, 3, 3);
    EXPECT_TRUE(close(model(x), expansion(x).squeeze(1), rounding));
    EXPECT_TRUE(close(model->linear(x), model->terms(x)[0], rounding));
    if (order > 1) {
      EXPECT_TRUE(close(model->quadratic(x), model->terms(x)[1], rounding));
    }
    const auto slope = [&](auto& of, const torch::Tensor& parameter) {
      const auto at = x.clone().requires_grad_(true);
      const auto g = torch::autograd::grad({of(at).square().sum()}, {at}, {}, true, true)[0];
      return std::pair{g.detach(), torch::autograd::grad({g.square().sum()}, {parameter})[0]};
    };
    const auto [got, got_second] = slope(model, model->parameters()[0]);
    const auto [want, want_second] = slope(expansion, expansion->named_parameters()["weight0"]);
    EXPECT_TRUE(close(got, want, rounding));
    EXPECT_TRUE(close(model->module->parts()[0].of(got_second), want_second, rounding)) << order;
    // Without a gradient in x the primitive differentiates, by its own forms.
    const auto own = model->parameters()[0];
    const auto g = torch::autograd::grad({model(x).square().sum()}, {own}, {}, true, true)[0];
    const auto twice = torch::autograd::grad({g.square().sum()}, {own})[0];
    const auto whole =
        torch::autograd::grad({model(x.clone().requires_grad_(true)).square().sum()}, {own}, {}, true, true)[0];
    EXPECT_TRUE(close(g, whole, rounding));
    EXPECT_TRUE(close(twice, torch::autograd::grad({whole.square().sum()}, {own})[0], 1e-9)) << order;
  }
}

TEST(ModuleModel, ItsCopyIsAnotherAndOneStepOfAnOptimizerStepsItOnce) {
  SmallMlp module(std::vector<std::int64_t>{3, 4, 1});
  TaylorModel model(module);
  ASSERT_EQ(model->parameters().size(), 1u);
  const auto x = random_matrix(5, 3, 3);
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1));
  model(x).square().mean().backward();
  const auto want = -0.1 * model->parameters()[0].grad();
  optimizer.step();
  EXPECT_TRUE(close(model->displacement(), want, 1e-15));
  TaylorModel copy(std::dynamic_pointer_cast<TaylorModelImpl>(model->clone()));
  EXPECT_TRUE(identical(copy(x), model(x)));
  {
    const torch::NoGradGuard no_grad;
    copy->parameters()[0].zero_();
  }
  EXPECT_TRUE(close(copy(x), module->forward(x).squeeze(1), 1e-12));
  EXPECT_FALSE(close(copy(x), model(x), 1e-3));
  copy->to(torch::kFloat32);
  EXPECT_EQ(copy(x.to(torch::kFloat32)).scalar_type(), torch::kFloat32);
  EXPECT_EQ(module->parameters()[0].scalar_type(), torch::kFloat64);
}

/// x·w less its mean over the points.
struct CoupledImpl : torch::nn::Cloneable<CoupledImpl> {
  CoupledImpl() { reset(); }
  void reset() override { w = register_parameter("w", torch::ones({3}, torch::kFloat64)); }
  torch::Tensor forward(const torch::Tensor& x) { return x.mv(w) - x.mv(w).mean(); }
  torch::Tensor w;
};
/// x·w times a draw.
struct DrawingImpl : torch::nn::Cloneable<DrawingImpl> {
  DrawingImpl() { reset(); }
  void reset() override { w = register_parameter("w", torch::ones({3}, torch::kFloat64)); }
  torch::Tensor forward(const torch::Tensor& x) { return x.mv(w) * (1 + 1e-9 * torch::rand({1}, torch::kFloat64)); }
  torch::Tensor w;
};
/// Copied as what it derives from, which has another forward.
struct DerivedImpl : SmallMlpImpl {
  DerivedImpl() : SmallMlpImpl({3, 4, 1}) {}
  torch::Tensor forward(const torch::Tensor& x) { return 2 * SmallMlpImpl::forward(x); }
};

TEST(ModuleModel, AModuleThatCopiesItselfAsAnotherIsHeldAndRefusedOnceChanged) {
  const auto module = std::make_shared<DerivedImpl>();
  TaylorModel model(module);
  const auto x = random_matrix(5, 3, 3);
  EXPECT_TRUE(close(model(x), module->forward(x).squeeze(1), rounding));
  const torch::NoGradGuard no_grad;
  module->weights[0].add_(1);
  EXPECT_THROW(model(x), InputError);
}

TEST(ModuleModel, AnAnyModuleIsTheModuleInIt) {
  SmallMlp module(std::vector<std::int64_t>{3, 4, 1});
  TaylorModel model(torch::nn::AnyModule(module), TaylorModelOptions{.order = 1});
  const auto x = random_matrix(5, 3, 3);
  EXPECT_TRUE(close(model(x), module->forward(x).squeeze(1), rounding));
  EXPECT_TRUE(identical(model->primitive(x, {})->terms(model->displacement().detach() + 1),
                        primitive_of(module, x, 1)->terms(model->displacement().detach() + 1)));
}

template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const InputError& e) {
    return e.what();
  }
  return "";
}

TEST(ModuleModel, WhatIsNoFunctionOfPointsIsRefusedByName) {
  const auto x = random_matrix(5, 3, 3);
  const auto said = [&](auto module, const std::string& what) {
    const auto message = refusal([&] {
      make_module_primitive(point_module(module), ModuleStartKind::plain, x, {.orders = 2})
          ->terms(torch::zeros({flattened(module->parameters()).size(0)}, torch::kFloat64));
    });
    EXPECT_NE(message.find(what), std::string::npos) << message;
  };
  said(std::make_shared<SmallMlpImpl>(std::vector<std::int64_t>{3, 4, 2}),
       "expected one number for each of 5 points, got [5, 2]");
  said(std::make_shared<SmallMlpImpl>(std::vector<std::int64_t>{4, 3, 1}),
       "its forward failed at points of shape [5, 3]");
  said(std::make_shared<CoupledImpl>(), "depends on the other points");
  said(std::make_shared<DrawingImpl>(), "draws random numbers");
  // At the start their outputs do not show it: 0, or no number for a point alone.
  const auto of = [](auto f, const std::vector<double>& scales) {
    return function_module({{4, 3}, {4}}, f, scales).ptr();
  };
  const auto normed = [](bool unbiased) {
    return [unbiased](const Parameters& p, const torch::Tensor& at) {
      const auto h = torch::nn::functional::linear(at, p[0]);
      return torch::tanh((h - h.mean(0)) / (h.var(0, unbiased) + 1e-3).sqrt()).mv(p[1]);
    };
  };
  said(of(normed(false), {1, 0}), "depends on the other points");
  said(of(normed(true), {1, 1}), "depends on the other points");
  said(of([](const Parameters& p, const torch::Tensor& at) { return at.mm(p[0].t()).cumsum(0).mv(p[1]); }, {1, 1}),
       "depends on the other points");
  said(of([](const Parameters& p,
             const torch::Tensor& at) { return torch::dropout(at.mm(p[0].t()), 0.5, true).mv(p[1]); },
          {1, 1}),
       "draws random numbers");
  SmallMlp module(std::vector<std::int64_t>{3, 4, 1});
  EXPECT_NE(refusal([&] { TaylorModel(module, {.order = 5}); }).find("order: expected 1 to 4"), std::string::npos);
  EXPECT_NE(refusal([&] { TaylorModel(module)->two_layer("R4"); }).find("R4: it reads neurons"), std::string::npos);
  EXPECT_NE(refusal([&] {
              TaylorModel model(module);
              model(x.to(torch::kFloat32));
            }).find("x: expected the type"),
            std::string::npos);
}

}  // namespace
}  // namespace entk::module_primitive_test
