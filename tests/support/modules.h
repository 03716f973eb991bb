// Small modules of points, and their derivatives one by one.
#pragma once

#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cmath>
#include <functional>
#include <vector>

#include "entk/models/network.h"

namespace entk::testing {

/// The two-layer network (1) as any module: its parameter W begins at W0; σ(z) = sigmoid(z − 1).
struct PlainTwoLayerImpl : torch::nn::Cloneable<PlainTwoLayerImpl> {
  explicit PlainTwoLayerImpl(const Network& network) : w0(network->w0.clone()), a(network->a.clone()) { reset(); }
  void reset() override {
    w = register_parameter("W", w0.clone());
    a = register_buffer("a", a);
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return torch::sigmoid(x.mm(w.t()) - 1).mv(a) / std::sqrt(static_cast<double>(a.size(0)));
  }
  torch::Tensor w0, a, w;
};
TORCH_MODULE(PlainTwoLayer);

/// tanh layers of these sizes, the last with one output, in float64; all weights of order one.
struct SmallMlpImpl : torch::nn::Cloneable<SmallMlpImpl> {
  explicit SmallMlpImpl(std::vector<std::int64_t> sizes) : sizes(std::move(sizes)) { reset(); }
  void reset() override {
    torch::manual_seed(11);
    weights.clear();
    biases.clear();
    for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
      const double scale = 1 / std::sqrt(static_cast<double>(sizes[i]));
      weights.push_back(register_parameter("weight" + std::to_string(i),
                                           scale * torch::randn({sizes[i + 1], sizes[i]}, torch::kFloat64)));
      biases.push_back(
          register_parameter("bias" + std::to_string(i), torch::randn({sizes[i + 1]}, torch::kFloat64) / 3));
    }
  }
  torch::Tensor forward(const torch::Tensor& x) {
    auto h = x;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      h = torch::addmm(biases[i], i == 0 ? h : torch::tanh(h), weights[i].t());
    }
    return h;  // n×1
  }
  std::vector<std::int64_t> sizes;
  std::vector<torch::Tensor> weights, biases;
};
TORCH_MODULE(SmallMlp);

/// One head of attention over three tokens of dimension 2, and a linear read-out of their mean. Points: n×3×2.
struct SmallAttentionImpl : torch::nn::Cloneable<SmallAttentionImpl> {
  SmallAttentionImpl() { reset(); }
  void reset() override {
    torch::manual_seed(12);
    const auto matrix = [&](const char* name) {
      return register_parameter(name, torch::randn({2, 2}, torch::kFloat64));
    };
    query = matrix("query");
    key = matrix("key");
    value = matrix("value");
    out = register_parameter("out", torch::randn({2}, torch::kFloat64));
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const auto scores = torch::matmul(torch::matmul(x, query), torch::matmul(x, key).transpose(1, 2)) / std::sqrt(2.0);
    return torch::matmul(torch::softmax(scores, 2), torch::matmul(x, value)).mean(1).matmul(out);
  }
  torch::Tensor query, key, value, out;
};
TORCH_MODULE(SmallAttention);

/// What a function says of parameters of these shapes, in float64; the entries of each are normal numbers times its
/// scale.
struct FunctionModuleImpl : torch::nn::Cloneable<FunctionModuleImpl> {
  using Tensors = std::vector<torch::Tensor>;
  using Function = std::function<torch::Tensor(const Tensors& parameters, const torch::Tensor& x)>;
  FunctionModuleImpl(std::vector<std::vector<std::int64_t>> shapes, Function f, std::vector<double> scales = {})
      : shapes(std::move(shapes)), f(std::move(f)), scales(std::move(scales)) {
    reset();
  }
  void reset() override {
    torch::manual_seed(13);
    own.clear();
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const double scale = i < scales.size() ? scales[i] : 0.6;
      own.push_back(register_parameter("p" + std::to_string(i), scale * torch::randn(shapes[i], torch::kFloat64)));
    }
  }
  torch::Tensor forward(const torch::Tensor& x) { return f(own, x); }
  std::vector<std::vector<std::int64_t>> shapes;
  Function f;
  std::vector<double> scales;
  Tensors own;
};
TORCH_MODULE(FunctionModule);
inline FunctionModule function_module(std::vector<std::vector<std::int64_t>> shapes, FunctionModuleImpl::Function f,
                                      std::vector<double> scales = {}) {
  return FunctionModule(std::make_shared<FunctionModuleImpl>(std::move(shapes), std::move(f), std::move(scales)));
}

inline torch::Tensor flattened(const std::vector<torch::Tensor>& parts) {
  std::vector<torch::Tensor> flat;
  for (const auto& t : parts) flat.push_back(t.reshape(-1));
  return torch::cat(flat);
}

/// f: n, J: n×p and the Hessians n×p×p at the module's parameters, an entry at a time by ordinary autograd.
struct Derivatives {
  torch::Tensor f, jacobian, hessian;
};
template <class Module>
Derivatives derivatives(Module module, const torch::Tensor& x, bool second = true) {
  const auto parameters = module->parameters();
  const auto gradient = [&](const torch::Tensor& of, bool again) {
    if (!of.requires_grad()) return torch::zeros({flattened(parameters).size(0)}, torch::kFloat64);
    auto g = torch::autograd::grad({of}, parameters, {}, true, again, true);
    for (std::size_t i = 0; i < g.size(); ++i) {
      if (!g[i].defined()) g[i] = torch::zeros_like(parameters[i]);
    }
    return flattened(g);
  };
  const auto f = module->forward(x).reshape(-1);
  std::vector<torch::Tensor> rows, hessians;
  for (std::int64_t i = 0; i < f.size(0); ++i) {
    const auto g = gradient(f[i], second);
    rows.push_back(g.detach());
    if (!second) continue;
    std::vector<torch::Tensor> h;
    for (std::int64_t j = 0; j < g.size(0); ++j) h.push_back(gradient(g[j], false));
    hessians.push_back(torch::stack(h));
  }
  return {f.detach(), torch::stack(rows), second ? torch::stack(hessians) : torch::Tensor()};
}

}  // namespace entk::testing
