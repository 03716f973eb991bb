// The standard convolutional network of Appendix G: blocks of [3×3 convolution, ReLU, 2×2 average pool],
// then a linear layer to one number.
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

namespace entk {

struct ConvolutionalOptions {
  std::int64_t input_channels, height, width;  ///< of an image
  std::int64_t blocks = 3;
  std::int64_t channels = 64;  ///< of every block
  std::uint64_t seed = 1;
  at::ScalarType dtype = at::kFloat;
  c10::Device device = c10::kCPU;  ///< of its tensors; kMeta: shapes alone
};

/// Parameters weight1, bias1, … and weight_out, bias_out: N(0, 2/fan_in), in the last layer N(0, 1/fan_in);
/// zero biases. The same bits on every machine.
class ConvolutionalNetworkImpl : public torch::nn::Cloneable<ConvolutionalNetworkImpl> {
 public:
  /// @throws InputError for sizes below 1, or more blocks than the image can be halved.
  explicit ConvolutionalNetworkImpl(const ConvolutionalOptions& options);

  /// x: n×channels×height×width, or the same as n rows; length n.
  at::Tensor forward(const at::Tensor& x);
  void reset() override;

 private:
  ConvolutionalOptions options_;
  std::vector<at::Tensor> weights_, biases_;  // of the blocks, then of the last layer
};
TORCH_MODULE(ConvolutionalNetwork);

}  // namespace entk
