#include "entk/models/mlp.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "entk/base/check.h"
#include "entk/base/sphere.h"
#include "entk/kernels/primitive_parts.h"

namespace entk {

MlpImpl::MlpImpl(const MlpOptions& options) : options_(options) {
  const auto& o = options_;
  if (o.dimension < 1) throw InputError(fmt::format("dimension: expected at least 1, got {}", o.dimension));
  if (o.widths.empty()) throw InputError("widths: expected at least one hidden layer, got none");
  for (const auto width : o.widths) {
    if (width < 1) throw InputError(fmt::format("widths: expected at least 1, got {}", width));
  }
  if (o.dtype != at::kFloat && o.dtype != at::kDouble) {
    throw InputError(fmt::format("dtype: expected float32 or float64, got {}", toString(o.dtype)));
  }
  kernels::check_activation(o.activation);
  reset();
  if (o.device.is_meta()) return;
  const at::NoGradGuard no_grad;
  const RandomStream stream(Purpose::first_layer, o.seed);
  std::int64_t drawn = 0;  // rows of all layers before, each at numbers of its own
  for (auto& weight : weights_) {
    const auto rows = weight.numel();
    auto values = gaussian_points(rows, 1, stream, drawn).view(weight.sizes());
    if (o.parameterisation == Parameterisation::standard) {
      values = values / std::sqrt(static_cast<double>(weight.size(-1)));
    }
    weight.copy_(values);
    drawn += rows;
  }
}

void MlpImpl::reset() {
  // Also called by clone(), which then copies its values over these.
  const auto& o = options_;
  const auto options = at::TensorOptions(o.dtype).device(o.device);
  weights_.clear();
  biases_.clear();
  auto inputs = o.dimension;
  const auto add = [&](const std::string& suffix, at::IntArrayRef sizes, at::IntArrayRef outputs) {
    weights_.push_back(register_parameter("weight" + suffix, at::zeros(sizes, options)));
    if (o.biases) biases_.push_back(register_parameter("bias" + suffix, at::zeros(outputs, options)));
  };
  for (std::size_t l = 0; l < o.widths.size(); ++l) {
    checked_product("widths", o.widths[l], inputs);
    add(std::to_string(l + 1), {o.widths[l], inputs}, {o.widths[l]});
    inputs = o.widths[l];
  }
  add("_out", {inputs}, {});
}

at::Tensor MlpImpl::forward(const at::Tensor& x) {
  check_matrix("x", x, -1, options_.dimension);
  check_like("x", x, "the network's weights", weights_[0]);
  const auto scale = [&](const at::Tensor& h) {
    return options_.parameterisation == Parameterisation::ntk ? 1 / std::sqrt(static_cast<double>(h.size(1))) : 1.0;
  };
  const auto none = at::zeros({1}, x.options());
  auto h = x;
  for (std::size_t l = 0; l < options_.widths.size(); ++l) {
    h = options_.activation(
        at::addmm(options_.biases ? biases_[l] : none, h, weights_[l].t(), options_.biases ? 1 : 0, scale(h)));
  }
  const auto f = scale(h) * h.mv(weights_.back());
  return options_.biases ? f + biases_.back() : f;
}

std::int64_t MlpImpl::parameter_count(std::int64_t dimension, const std::vector<std::int64_t>& widths, bool biases) {
  std::int64_t count = 0, inputs = dimension;
  for (const auto width : widths) {
    count += width * (inputs + (biases ? 1 : 0));
    inputs = width;
  }
  return count + inputs + (biases ? 1 : 0);
}

}  // namespace entk
