// Which of torch's modules LibTorch can expand: each is right, by the power with which the Taylor remainder falls, or
// refused by name.
#include <gmock/gmock.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn.h>

#include "entk/base/error.h"
#include "entk/models/taylor_expansion.h"
#include "tests/support/testing.h"

namespace entk::check_expansion_test {
namespace {

using testing::close;
using ::testing::HasSubstr;
using testing::identical;
namespace nn = torch::nn;
using Map = std::function<torch::Tensor(const torch::Tensor&)>;

/// Modules and what is made of them, in float64; without clone().
struct ProbeImpl : nn::Module {
  ProbeImpl(const std::vector<std::shared_ptr<nn::Module>>& parts, Map f) : f_(std::move(f)) {
    for (std::size_t i = 0; i < parts.size(); ++i) register_module("part" + std::to_string(i), parts[i]);
    to(torch::kFloat64);
    const torch::NoGradGuard no_grad;  // weights that begin at 0 or 1 are a special point
    for (auto& p : parameters()) p.add_(torch::randn_like(p) * 0.2);
  }
  torch::Tensor forward(const torch::Tensor& x) { return f_(x); }

 private:
  Map f_;
};
using Probe = std::shared_ptr<ProbeImpl>;

enum class Expected { right, refused_from_two, refused };
struct Case {
  std::string name;
  Probe probe;
  torch::Tensor x;
  Expected expected = Expected::right;
  std::string reason{};
};

torch::Tensor numbers(at::IntArrayRef sizes) { return torch::randn(sizes, torch::kFloat64); }

/// first → map → sine: the second layer of a network, whose input depends on the parameters.
template <class First>
Case behind(const std::string& name, First first, const torch::Tensor& x, Map map,
            std::vector<std::shared_ptr<nn::Module>> parts = {}, Expected expected = Expected::right,
            const std::string& reason = {}) {
  parts.insert(parts.begin(), first.ptr());
  return {name,
          std::make_shared<ProbeImpl>(parts,
                                      [first, map](const torch::Tensor& at) mutable { return map(first(at)).sin(); }),
          x, expected, reason};
}
template <class First, class Second>
Case behind(const std::string& name, First first, const torch::Tensor& x, Second second,
            Expected expected = Expected::right, const std::string& reason = {}) {
  return behind(name, first, x, Map([second](const torch::Tensor& h) mutable { return second(h); }), {second.ptr()},
                expected, reason);
}
template <class M>
M evaluated(M module) {
  module->eval();
  return module;
}

nn::Linear linear() { return nn::Linear(6, 6); }
nn::Conv1d convolution1() { return nn::Conv1d(nn::Conv1dOptions(2, 4, 3).padding(1)); }
nn::Conv2d convolution2() { return nn::Conv2d(nn::Conv2dOptions(2, 4, 3).padding(1)); }
nn::Conv3d convolution3() { return nn::Conv3d(nn::Conv3dOptions(2, 4, 3).padding(1)); }

/// (x − mean)/√(variance + eps): the lines of docs/higher-orders.md.
torch::Tensor normalised(const torch::Tensor& x, at::IntArrayRef over, double eps = 1e-5) {
  const auto centred = x - x.mean(over, /*keepdim=*/true);
  return centred * (centred.square().mean(over, true) + eps).rsqrt();
}

std::vector<Case> vectors() {
  const auto x = numbers({4, 6});
  const auto act = [&](const char* name, auto module) { return behind(name, linear(), x, module); };
  const auto of = [&](const char* name, Map map) { return behind(name, linear(), x, std::move(map)); };
  std::vector<Case> cases = {
      act("Linear", linear()),
      act("ELU", nn::ELU()),
      act("SELU", nn::SELU()),
      act("CELU", nn::CELU()),
      act("GELU", nn::GELU()),
      act("GELU, tanh", nn::GELU(nn::GELUOptions().approximate("tanh"))),
      act("SiLU", nn::SiLU()),
      act("Mish", nn::Mish()),
      act("Softplus", nn::Softplus()),
      act("Softsign", nn::Softsign()),
      act("Tanh", nn::Tanh()),
      act("Sigmoid", nn::Sigmoid()),
      act("LogSigmoid", nn::LogSigmoid()),
      act("Tanhshrink", nn::Tanhshrink()),
      act("Softmax", nn::Softmax(1)),
      act("LogSoftmax", nn::LogSoftmax(1)),
      act("Softmin", nn::Softmin(1)),
      act("GLU", nn::GLU()),
      act("ReLU", nn::ReLU()),
      act("LeakyReLU", nn::LeakyReLU()),
      act("PReLU", nn::PReLU()),
      act("RReLU, evaluation", evaluated(nn::RReLU())),
      act("Hardtanh", nn::Hardtanh()),
      act("Hardshrink", nn::Hardshrink()),
      act("Softshrink", nn::Softshrink()),
      act("Dropout, evaluation", evaluated(nn::Dropout())),
      act("AlphaDropout, evaluation", evaluated(nn::AlphaDropout())),
      of("rms_norm", [](const torch::Tensor& h) { return at::rms_norm(h, {6}); }),
      of("norm", [](const torch::Tensor& h) { return h / h.norm(2, 1, true); }),
      of("std", [](const torch::Tensor& h) { return h.std(1); }),
      of("inverse", [](const torch::Tensor& h) { return at::linalg_inv(h.t().mm(h) + at::eye(6, h.options())); }),
      of("layer_norm by hand", [](const torch::Tensor& h) { return normalised(h, {-1}); }),
      of("batch_norm by hand", [](const torch::Tensor& h) { return normalised(h, {0}); }),
      behind("LayerNorm", linear(), x, nn::LayerNorm(nn::LayerNormOptions({6})), Expected::refused_from_two,
             "layer_norm"),
      behind("layer_norm, a function", linear(), x, Map([](const torch::Tensor& h) { return at::layer_norm(h, {6}); }),
             {}, Expected::refused_from_two, "layer_norm"),
      behind("BatchNorm1d, training", linear(), x, nn::BatchNorm1d(6), Expected::refused_from_two,
             "batch_norm in training mode"),
      behind("BatchNorm1d, evaluation", linear(), x, evaluated(nn::BatchNorm1d(6))),
      behind("Dropout, training", linear(), x, nn::Dropout(), Expected::refused, "random numbers"),
  };
  {
    auto first = linear(), second = linear();
    const auto two = [&](const char* name, auto module, Expected expected = Expected::right,
                         const std::string& reason = {}) {
      std::vector<std::shared_ptr<nn::Module>> parts{first.ptr(), second.ptr(), module.ptr()};
      cases.push_back({name,
                       std::make_shared<ProbeImpl>(
                           parts, [=](const torch::Tensor& at) mutable { return module(first(at), second(at)).sin(); }),
                       x, expected, reason});
    };
    two("Bilinear", nn::Bilinear(6, 6, 3));
    two("CosineSimilarity", nn::CosineSimilarity());
    two("PairwiseDistance", nn::PairwiseDistance());
    two("MSELoss", nn::MSELoss());
    two("SmoothL1Loss", nn::SmoothL1Loss());
  }
  {
    // Normalised weights: those of the fused operation, and by hand.
    const auto weights = [&](const char* name, std::function<torch::Tensor(const torch::Tensor&)> weight,
                             Expected expected) {
      auto layer = linear();
      cases.push_back(
          {name,
           std::make_shared<ProbeImpl>(std::vector<std::shared_ptr<nn::Module>>{layer.ptr()},
                                       [=](const torch::Tensor& at) { return at.mm(weight(layer->weight).t()).sin(); }),
           x, expected, "weight_norm"});
    };
    const auto length = torch::ones({6, 1}, torch::kFloat64);
    weights(
        "weight_norm", [=](const torch::Tensor& v) { return at::_weight_norm(v, length); }, Expected::refused_from_two);
    weights(
        "weight_norm by hand", [=](const torch::Tensor& v) { return length * v / v.norm(2, 1, true); },
        Expected::right);
  }
  nn::RNNCell plain(6, 5);
  nn::GRUCell gated(6, 5);
  nn::LSTMCell memory(6, 5);
  cases.push_back(act("RNNCell", plain));
  cases.push_back(act("GRUCell", gated));
  cases.push_back(behind("LSTMCell", linear(), x,
                         Map([memory](const torch::Tensor& h) mutable { return std::get<0>(memory(h)); }),
                         {memory.ptr()}));
  const auto words = torch::randint(0, 9, {4, 3});
  nn::Embedding embedding(9, 6);
  cases.push_back(behind("Embedding", embedding, words, linear()));
  cases.push_back({"EmbeddingBag", nullptr, words, Expected::refused, "not implemented"});
  nn::EmbeddingBag bag(9, 6);
  cases.back().probe = std::make_shared<ProbeImpl>(std::vector<std::shared_ptr<nn::Module>>{bag.ptr()},
                                                   [bag](const torch::Tensor& at) mutable { return bag(at).sin(); });
  return cases;
}

std::vector<Case> sequences() {
  const auto x = numbers({3, 4, 6});
  nn::RNN plain(nn::RNNOptions(6, 5).num_layers(2).bidirectional(true));
  nn::GRU gated(nn::GRUOptions(6, 5));
  nn::LSTM memory(nn::LSTMOptions(6, 5));
  nn::MultiheadAttention attention(nn::MultiheadAttentionOptions(6, 2));
  nn::TransformerEncoderLayer encoder(nn::TransformerEncoderLayerOptions(6, 2).dim_feedforward(8).dropout(0));
  return {
      behind("RNN", linear(), x, Map([=](const torch::Tensor& h) mutable { return std::get<0>(plain(h)); }),
             {plain.ptr()}),
      behind("GRU", linear(), x, Map([=](const torch::Tensor& h) mutable { return std::get<0>(gated(h)); }),
             {gated.ptr()}),
      behind("LSTM", linear(), x, Map([=](const torch::Tensor& h) mutable { return std::get<0>(memory(h)); }),
             {memory.ptr()}),
      behind("MultiheadAttention", linear(), x,
             Map([=](const torch::Tensor& h) mutable { return std::get<0>(attention(h, h, h)); }), {attention.ptr()}),
      behind("scaled_dot_product_attention", linear(), x, Map([](const torch::Tensor& h) {
               return at::scaled_dot_product_attention(h.unsqueeze(1), h.unsqueeze(1), h.unsqueeze(1));
             }),
             {}, Expected::refused, "not implemented"),
      behind("TransformerEncoderLayer", linear(), x, encoder, Expected::refused_from_two, "layer_norm"),
  };
}

std::vector<Case> images() {
  const auto x1 = numbers({2, 2, 6}), x2 = numbers({2, 2, 4, 4}), x3 = numbers({2, 2, 3, 3, 3});
  const auto on1 = [&](const char* name, auto module) { return behind(name, convolution1(), x1, module); };
  const auto on2 = [&](const char* name, auto module) { return behind(name, convolution2(), x2, module); };
  const auto on3 = [&](const char* name, auto module) { return behind(name, convolution3(), x3, module); };
  constexpr auto two = Expected::refused_from_two;
  const std::string reason = "instance_norm";
  nn::InstanceNorm2d of_running(nn::InstanceNorm2dOptions(4).track_running_stats(true));
  return {
      on1("Conv1d", nn::Conv1d(4, 3, 3)),
      on2("Conv2d", nn::Conv2d(4, 3, 3)),
      on3("Conv3d", nn::Conv3d(4, 3, 3)),
      on1("ConvTranspose1d", nn::ConvTranspose1d(4, 2, 3)),
      on2("ConvTranspose2d", nn::ConvTranspose2d(4, 2, 3)),
      on3("ConvTranspose3d", nn::ConvTranspose3d(4, 2, 3)),
      on1("MaxPool1d", nn::MaxPool1d(2)),
      on2("MaxPool2d", nn::MaxPool2d(2)),
      on3("MaxPool3d", nn::MaxPool3d(2)),
      on1("AvgPool1d", nn::AvgPool1d(2)),
      on2("AvgPool2d", nn::AvgPool2d(2)),
      on3("AvgPool3d", nn::AvgPool3d(2)),
      on2("AdaptiveAvgPool2d", nn::AdaptiveAvgPool2d(2)),
      on2("AdaptiveMaxPool2d", nn::AdaptiveMaxPool2d(2)),
      on2("LPPool2d", nn::LPPool2d(2, 2)),
      on2("GroupNorm", nn::GroupNorm(2, 4)),
      on2("LocalResponseNorm", nn::LocalResponseNorm(2)),
      on2("PixelShuffle", nn::PixelShuffle(2)),
      on2("Upsample", nn::Upsample(nn::UpsampleOptions()
                                       .scale_factor(std::vector<double>{2, 2})
                                       .mode(torch::kBilinear)
                                       .align_corners(false))),
      on2("ReflectionPad2d", nn::ReflectionPad2d(1)),
      on2("ReplicationPad2d", nn::ReplicationPad2d(1)),
      on2("ZeroPad2d", nn::ZeroPad2d(1)),
      on2("Unfold", nn::Unfold(2)),
      on2("Flatten", nn::Flatten()),
      on2("Dropout2d, evaluation", evaluated(nn::Dropout2d())),
      on1("BatchNorm1d, evaluation", evaluated(nn::BatchNorm1d(4))),
      on2("BatchNorm2d, evaluation", evaluated(nn::BatchNorm2d(4))),
      on3("BatchNorm3d, evaluation", evaluated(nn::BatchNorm3d(4))),
      on2("InstanceNorm2d of running statistics", evaluated(of_running)),
      behind("BatchNorm1d, training", convolution1(), x1, nn::BatchNorm1d(4), two, reason),
      behind("BatchNorm2d, training", convolution2(), x2, nn::BatchNorm2d(4), two, reason),
      behind("BatchNorm3d, training", convolution3(), x3, nn::BatchNorm3d(4), two, reason),
      behind("InstanceNorm1d", convolution1(), x1, nn::InstanceNorm1d(4), two, reason),
      behind("InstanceNorm2d", convolution2(), x2, nn::InstanceNorm2d(nn::InstanceNorm2dOptions(4).affine(true)), two,
             reason),
      behind("InstanceNorm3d", convolution3(), x3, nn::InstanceNorm3d(4), two, reason),
      behind("batch_norm by hand", convolution2(), x2,
             Map([](const torch::Tensor& h) { return normalised(h, {0, 2, 3}); })),
      behind("instance_norm by hand", convolution2(), x2,
             Map([](const torch::Tensor& h) { return normalised(h, {2, 3}); })),
  };
}

void expect(const std::vector<Case>& cases) {
  const SerialTorch serial;
  for (const auto& c : cases) {
    const auto found = check_expansion(c.probe, c.x);
    for (const auto& order : found.orders) {
      const bool right =
          c.expected == Expected::right || (c.expected == Expected::refused_from_two && order.order == 1);
      EXPECT_EQ(order.right, right) << c.name << ", order " << order.order << ": power " << order.power << ' '
                                    << order.reason;
      if (right) {
        EXPECT_EQ(order.reason, "") << c.name;
        EXPECT_GT(order.power, order.order + 0.8) << c.name;
      } else {
        EXPECT_THAT(order.reason, HasSubstr(c.reason)) << c.name;
      }
    }
  }
}

TEST(CheckExpansion, OfVectorsEachModuleIsRightOrRefusedByName) {
  torch::manual_seed(3);
  expect(vectors());
}
TEST(CheckExpansion, OfSequencesEachModuleIsRightOrRefusedByName) {
  torch::manual_seed(4);
  expect(sequences());
}
TEST(CheckExpansion, OfImagesEachModuleIsRightOrRefusedByName) {
  torch::manual_seed(5);
  expect(images());
}

TEST(CheckExpansion, NormsByHandAreTheFusedOnes) {
  torch::manual_seed(6);
  const auto x = numbers({3, 4, 5, 6});
  EXPECT_TRUE(close(normalised(x, {-1}), at::layer_norm(x, {6}), 1e-12));
  EXPECT_TRUE(close(normalised(x, {0, 2, 3}), at::batch_norm(x, {}, {}, {}, {}, true, 0, 1e-5, false), 1e-12));
  EXPECT_TRUE(close(normalised(x, {2, 3}), at::instance_norm(x, {}, {}, {}, {}, true, 0, 1e-5, false), 1e-12));
}

/// A layer with derivatives of its own, of which the second is missing.
struct SineWithoutSecond : torch::autograd::Function<SineWithoutSecond> {
  static torch::Tensor forward(torch::autograd::AutogradContext* ctx, const torch::Tensor& z) {
    ctx->save_for_backward({z});
    return z.sin();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 const torch::autograd::variable_list& g) {
    return {g[0] * ctx->get_saved_variables()[0].detach().cos()};
  }
};

TEST(CheckExpansion, FindsAUsersOwnOperationWhoseSecondDerivativeIsMissing) {
  torch::manual_seed(7);
  const auto wrong =
      behind("own", linear(), numbers({4, 6}), Map([](const torch::Tensor& h) { return SineWithoutSecond::apply(h); }));
  const auto& [name, module, x, expected, reason] = wrong;
  const auto found = entk::check_expansion(module, x);
  if (!found.right(2)) std::puts(found.orders[1].reason.c_str());
  EXPECT_TRUE(found.right(1));
  EXPECT_FALSE(found.right(2));
  EXPECT_NEAR(found.orders[1].power, 2, 0.1);
  EXPECT_THAT(found.orders[1].reason, HasSubstr("power 2.0"));
}

TEST(CheckExpansion, LeavesTheModuleAsItIsAndConvertsACopy) {
  torch::manual_seed(8);
  auto held = behind("held", linear(), numbers({4, 6}), nn::Tanh());
  auto other = taylor_expand(held.probe, held.probe->parameters(), 1);
  EXPECT_TRUE(check_expansion(held.probe, held.x).right(3));
  EXPECT_NO_THROW(other(held.x));  // its module has not changed

  struct Layers : nn::Cloneable<Layers> {
    Layers() { reset(); }
    void reset() override {
      first = register_module("first", nn::Linear(6, 5));
      second = register_module("second", nn::Linear(5, 2));
    }
    torch::Tensor forward(const torch::Tensor& x) { return second(first(x).tanh()); }
    nn::Linear first{nullptr}, second{nullptr};
  };
  const auto layers = std::make_shared<Layers>();
  const auto found = check_expansion(layers, torch::randn({4, 6}));
  EXPECT_TRUE(found.right(3)) << found.orders[0].reason << found.orders[1].reason << found.orders[2].reason;
  EXPECT_EQ(layers->parameters()[0].scalar_type(), torch::kFloat32);

  held.probe->to(torch::kFloat32);
  EXPECT_THROW(check_expansion(held.probe, held.x), InputError);
}

TEST(TaylorExpansion, ANormThatNoParameterReachesIsNotRefusedAndOneThatAnInputReachesIs) {
  torch::manual_seed(9);
  const auto x = numbers({4, 6});
  nn::LayerNorm norm(nn::LayerNormOptions({6}));
  const auto of_input = std::make_shared<ProbeImpl>(std::vector<std::shared_ptr<nn::Module>>{norm.ptr()},
                                                    [norm](const torch::Tensor& at) mutable { return norm(at).sin(); });
  EXPECT_TRUE(check_expansion(of_input, x).right(3));
  // Order 1 in the parameters is right; its derivative in the input would be the third of the norm.
  const auto inside = behind("LayerNorm", linear(), x, nn::LayerNorm(nn::LayerNormOptions({6})));
  auto first = taylor_expand(inside.probe, inside.probe->parameters(), 1);
  EXPECT_NO_THROW(first(x).sum().backward());
  EXPECT_THROW(first(x.clone().requires_grad_(true)), InputError);
  auto second = taylor_expand(inside.probe, inside.probe->parameters(), 2);
  EXPECT_THROW(second(x), InputError);
}

TEST(TaylorExpansion, DropoutIsOneDrawAndItsSecondDerivativesAreRefused) {
  torch::manual_seed(10);
  const auto c = behind("Dropout", linear(), numbers({4, 6}), nn::Dropout());
  auto expansion = taylor_expand(c.probe, c.probe->parameters(), 2);
  const auto parameters = expansion->parameters();
  torch::manual_seed(1);
  const auto value = expansion(c.x);
  torch::manual_seed(1);
  EXPECT_TRUE(close(value, c.probe->forward(c.x), 1e-14));  // at θ0
  const auto gradient = torch::autograd::grad({value.sum()}, parameters, {}, true)[0];
  torch::manual_seed(1);
  EXPECT_TRUE(close(gradient, torch::autograd::grad({c.probe->forward(c.x).sum()}, c.probe->parameters())[0], 1e-14));
  EXPECT_THROW(torch::autograd::grad({value.sum()}, parameters, {}, true, true), InputError);
}

TEST(TaylorExpansion, AModuleThatChangesItsParametersIsRefused) {
  nn::Embedding words(nn::EmbeddingOptions(5, 3).max_norm(0.1));
  const auto probe = std::make_shared<ProbeImpl>(std::vector<std::shared_ptr<nn::Module>>{words.ptr()},
                                                 [words](const torch::Tensor& at) mutable { return words(at); });
  auto expansion = taylor_expand(probe, probe->parameters(), 1);
  EXPECT_THROW(expansion(torch::arange(5)), InputError);
}

TEST(TaylorExpansion, IsTheSamePolynomialWithoutGradAndInInferenceMode) {
  torch::manual_seed(11);
  const auto c = behind("two layers", linear(), numbers({4, 6}), linear());
  for (const int order : {1, 2, 3}) {
    auto expansion = taylor_expand(c.probe, c.probe->parameters(), order);
    {
      const torch::NoGradGuard no_grad;
      for (auto& p : expansion->parameters()) p.add_(torch::randn_like(p));
    }
    const auto want = expansion(c.x).detach();
    EXPECT_GT((want - c.probe->forward(c.x)).norm().item<double>(), 1e-2);
    {
      const torch::NoGradGuard no_grad;
      EXPECT_TRUE(identical(expansion(c.x), want));
      EXPECT_FALSE(expansion(c.x).requires_grad());
    }
    const c10::InferenceMode inference;
    EXPECT_TRUE(close(expansion(c.x), want, 1e-14));
    EXPECT_TRUE(close(expansion(c.x + 0), want, 1e-14));  // an input that inference has made
    auto inside = taylor_expand(c.probe, c.probe->parameters(), order);
    inside->set_parameters(*expansion);
    EXPECT_TRUE(close(inside(c.x), want, 1e-14));
    EXPECT_TRUE(check_expansion(c.probe, c.x).right(3));
  }
  const c10::InferenceMode inference;
  const auto made_here = behind("two layers", linear(), numbers({4, 6}), linear());
  EXPECT_THROW(taylor_expand(made_here.probe, made_here.probe->parameters(), 1), InputError);
}

}  // namespace
}  // namespace entk::check_expansion_test
