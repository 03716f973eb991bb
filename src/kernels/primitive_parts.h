// What primitives and other sums over neurons share. Internal to the library.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <memory>
#include <string>
#include <vector>

#include "entk/base/threads.h"
#include "entk/kernels/taylor_primitive.h"

namespace entk::kernels {

/// f(tile) for every tile, without gradients: on CPU shared out over threads, each with ATen on one.
template <class F>
void for_each_tile(bool cpu, std::int64_t count, F&& f) {
  // A tensor made under InferenceMode is written to under it alone, on whatever thread.
  const bool inference = c10::InferenceMode::is_enabled();
  const auto one = [&](std::int64_t tile) {
    const c10::InferenceMode as_the_caller(inference);
    const at::NoGradGuard no_grad;
    f(tile);
  };
  if (cpu) {
    parallel_for(count, one);
  } else {
    for (std::int64_t tile = 0; tile < count; ++tile) one(tile);
  }
}

/// The sum by a fixed tree: the same bits whoever made the parts. At least one.
at::Tensor tree_sum(std::vector<at::Tensor> parts);

/// The step of a primitive that keeps nothing between steps: pull-back, update, terms.
std::unique_ptr<Stepper> plain_stepper(std::shared_ptr<const Primitive> primitive, const at::Tensor& w);

/// W ← S (W − η (gradient + E + Ξ)); the gradient's memory is used.
void descend(const at::Tensor& w, at::Tensor gradient, const Update& update);

/// @throws InputError where t requires a gradient that is being recorded: what takes it would leave it out.
void check_constant(const std::string& name, const at::Tensor& t);

/// @throws InputError where an activation has no derivatives, as one that was made of nothing.
void check_activation(const Activation& activation);
/// @throws InputError unless x: n×d, w0: m×d and a: m are of one floating type and device, and the
/// activation has derivatives.
void check_start(const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a, const Activation& activation);

/// @throws InputError unless t has the displacement's shape, and the primitive's type and device.
void check_weights(const char* name, const at::Tensor& t, const Primitive& primitive);
/// @throws InputError unless g is rows×n, of the primitive's type and device.
void check_cotangents(const at::Tensor& g, std::int64_t rows, const Primitive& primitive);

/// @throws InputError unless its extra gradient has the displacement's shape, type and device, and signs have neurons.
void check_update(const Update& update, const Primitive& primitive);

}  // namespace entk::kernels
