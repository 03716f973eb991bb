// A fully connected network of any depth, all of whose parameters are trained.
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include "entk/models/activation.h"

namespace entk {

/// How the weights are scaled.
enum class Parameterisation {
  ntk,       ///< N(0, 1), each layer divided by √fan_in: the NTK has a limit as widths grow
  standard,  ///< N(0, 1/fan_in)
};

/// Size and start of a multilayer perceptron.
struct MlpOptions {
  std::int64_t dimension;                                     ///< d
  std::vector<std::int64_t> widths;                           ///< m_1 … m_L of the hidden layers
  Activation activation = gelu();                             ///< σ
  Parameterisation parameterisation = Parameterisation::ntk;  ///< of the weights
  bool biases = false;                                        ///< zero at first
  std::uint64_t seed = 1;                                     ///< of the weights
  at::ScalarType dtype = at::kFloat;                          ///< float32 or float64
  c10::Device device = c10::kCPU;                             ///< of its tensors; kMeta: shapes alone
};

/// f(x) = s_L w·h_L + b with h_l = σ(s_{l−1} W_l h_{l−1} + b_l), h_0 = x; s_l = 1/√(h_l's length) for the NTK's
/// parameterisation and 1 for the standard one. Both are the same function at the start. Parameters weight1, bias1, …,
/// weight_out, bias_out; the same bits on every machine.
class MlpImpl : public torch::nn::Cloneable<MlpImpl> {
 public:
  /// @throws InputError for sizes below 1, no hidden layer, or another type.
  explicit MlpImpl(const MlpOptions& options);

  /// x: n×d; length n. @throws InputError for an x that does not fit.
  at::Tensor forward(const at::Tensor& x);
  void reset() override;  ///< torch's: registers the parameters again, as zeros

  /// p: the number of parameters, Σ_l m_{l−1} m_l + m_L, with biases Σ_l m_l + 1 more.
  static std::int64_t parameter_count(std::int64_t dimension, const std::vector<std::int64_t>& widths, bool biases);

 private:
  MlpOptions options_;
  std::vector<at::Tensor> weights_, biases_;  // of the hidden layers, then of the last one
};
TORCH_MODULE(Mlp);

}  // namespace entk
