#include "entk/models/convolutional_network.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/sphere.h"

namespace entk {

ConvolutionalNetworkImpl::ConvolutionalNetworkImpl(const ConvolutionalOptions& options) : options_(options) {
  const auto& o = options_;
  for (const auto& [name, value] : {std::pair{"input_channels", o.input_channels},
                                    {"height", o.height},
                                    {"width", o.width},
                                    {"blocks", o.blocks},
                                    {"channels", o.channels}}) {
    if (value < 1) throw InputError(fmt::format("{}: expected at least 1, got {}", name, value));
  }
  if (o.dtype != at::kFloat && o.dtype != at::kDouble)
    throw InputError(fmt::format("dtype: expected float32 or float64, got {}", toString(o.dtype)));
  if (o.blocks > 30 || std::min(o.height, o.width) >> o.blocks < 1) {
    throw InputError(fmt::format("blocks: {}×{} pixels cannot be halved {} times", o.height, o.width, o.blocks));
  }
  reset();
  if (o.device.is_meta()) return;
  const at::NoGradGuard no_grad;
  const RandomStream stream(Purpose::convolution, o.seed);
  std::int64_t drawn = 0;
  for (std::size_t layer = 0; layer < weights_.size(); ++layer) {
    auto& weight = weights_[layer];
    const double gain = layer + 1 < weights_.size() ? 2.0 : 1.0;
    const double deviation = std::sqrt(gain / static_cast<double>(weight[0].numel()));
    auto drawing = at::empty(weight.sizes(), at::kDouble);
    double* values = drawing.mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < weight.numel(); ++i) {
      values[i] = deviation * stream.normal(static_cast<std::uint64_t>(drawn + i));
    }
    drawn += weight.numel();
    weight.copy_(drawing);
  }
}

void ConvolutionalNetworkImpl::reset() {
  // Also called by clone(), which then copies its values over these.
  const auto& o = options_;
  const auto options = at::TensorOptions(o.dtype).device(o.device);
  weights_.clear();
  biases_.clear();
  const auto add = [&](const std::string& suffix, std::int64_t outputs, at::IntArrayRef input) {
    std::vector<std::int64_t> sizes{outputs};
    sizes.insert(sizes.end(), input.begin(), input.end());
    checked_product("channels", outputs, c10::multiply_integers(input));
    weights_.push_back(register_parameter("weight" + suffix, at::zeros(sizes, options)));
    biases_.push_back(register_parameter("bias" + suffix, at::zeros({outputs}, options)));
  };
  for (std::int64_t block = 1; block <= o.blocks; ++block) {
    add(std::to_string(block), o.channels, {block == 1 ? o.input_channels : o.channels, 3, 3});
  }
  add("_out", 1, {o.channels * (o.height >> o.blocks) * (o.width >> o.blocks)});
}

at::Tensor ConvolutionalNetworkImpl::forward(const at::Tensor& points) {
  const auto& o = options_;
  const bool rows = points.defined() && points.dim() == 2 && points.size(1) == o.input_channels * o.height * o.width;
  const auto x = rows ? points.reshape({-1, o.input_channels, o.height, o.width}) : points;
  const auto blocks = static_cast<std::size_t>(o.blocks);
  if (!x.defined() || x.dim() != 4 || x.size(0) < 1 ||
      x.sizes().slice(1) != std::array{o.input_channels, o.height, o.width}) {
    throw InputError(fmt::format("x: expected images of shape [any, {}, {}, {}], got {}", o.input_channels, o.height,
                                 o.width, shape_text(x)));
  }
  check_like("x", x, "the network's weights", weights_[0]);
  auto h = x;
  for (std::size_t block = 0; block < blocks; ++block) {
    h = at::avg_pool2d(at::conv2d(h, weights_[block], biases_[block], 1, 1).relu(), 2);
  }
  return at::linear(h.flatten(1), weights_[blocks], biases_[blocks]).squeeze(1);
}

}  // namespace entk
