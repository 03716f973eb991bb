#include "entk/kernels/network_function.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/differentiation.h"
#include "entk/base/held_value.h"
#include "entk/kernels/primitive_parts.h"

namespace entk {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr std::int64_t function_tile = 256;

std::int64_t tiles_of(std::int64_t width) { return (width + function_tile - 1) / function_tile; }

/// f(tile, first, count) for tiles of neurons: on CPU shared out over threads, each computed on one. What f keeps goes
/// into memory made in one piece beforehand: pieces kept between the tiles' temporaries would tear the heap.
template <class F>
void for_tiles(const at::Tensor& w0, F&& f) {
  const SerialTorch serial;
  kernels::for_each_tile(w0.is_cpu(), tiles_of(w0.size(0)), [&](std::int64_t tile) {
    const std::int64_t first = tile * function_tile;
    f(tile, first, std::min(function_tile, w0.size(0) - first));
  });
}

/// What is known already; autograd is not to see it.
struct Known {
  at::Tensor value{};
};

/// σ^(order)(z); its derivative is σ^(order+1)(z), so any order is differentiable.
struct Elementwise : Function<Elementwise> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& z, const Activation& sigma, std::int64_t order,
                            const Known& known) {
    ctx->save_for_backward({z});
    ctx->saved_data["order"] = order;
    hold(ctx, sigma);
    return known.value.defined() ? known.value : sigma.derivative(z, static_cast<int>(order));
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents) {
    const auto z = ctx->get_saved_variables()[0];
    const std::int64_t order = ctx->saved_data["order"].toInt();
    return {cotangents[0] * Elementwise::apply(z, held<Activation>(ctx), order + 1, Known{}), at::Tensor(),
            at::Tensor(), at::Tensor()};
  }
};

struct NetworkOutput : Function<NetworkOutput> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& w0, const at::Tensor& scale,
                            const at::Tensor& w, const Activation& sigma) {
    ctx->save_for_backward({x, w0, scale, w});
    hold(ctx, sigma);
    auto parts = at::empty({tiles_of(w0.size(0)), x.size(0)}, x.options()).unbind();
    for_tiles(w0, [&](std::int64_t tile, std::int64_t first, std::int64_t count) {
      const auto rows = w0.narrow(0, first, count) + w.narrow(0, first, count);
      parts[tile].copy_(sigma.derivative(x.mm(rows.t()), 0).mv(scale.narrow(0, first, count)));
    });
    return kernels::tree_sum(std::move(parts)).clone();
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &w0 = saved[1], &scale = saved[2], &w = saved[3], &g = cotangents[0];
    const auto& sigma = held<Activation>(ctx);
    if (at::GradMode::is_enabled() || ctx->needs_input_grad(0)) {
      const auto rows = w0 + w;
      const auto slopes = g.unsqueeze(1) * scale * Elementwise::apply(x.mm(rows.t()), sigma, 1, Known{});  // n×m
      return {slopes.mm(rows), at::Tensor(), at::Tensor(), slopes.t().mm(x), at::Tensor()};
    }
    auto gradient = at::empty(w0.sizes(), x.options());
    for_tiles(w0, [&](std::int64_t, std::int64_t first, std::int64_t count) {
      const auto rows = w0.narrow(0, first, count) + w.narrow(0, first, count);
      const auto slopes = sigma.derivative(x.mm(rows.t()), 1) * scale.narrow(0, first, count);
      gradient.narrow(0, first, count).copy_((slopes * g.unsqueeze(1)).t().mm(x));
    });
    return {at::Tensor(), at::Tensor(), at::Tensor(), gradient, at::Tensor()};
  }
};

}  // namespace

at::Tensor elementwise(const Activation& function, const at::Tensor& z, int order) {
  return Elementwise::apply(z, function, order, Known{});
}

bool is_elementwise(const torch::autograd::Node& node) {
  return dynamic_cast<const torch::autograd::CppNode<Elementwise>*>(&node) != nullptr;
}

at::Tensor Activation::operator()(const at::Tensor& z) const {
  // A σ with tensors of its own that are trained has derivatives in these too: they are left to autograd.
  const auto value = derivative(z.detach(), 0);
  return value.requires_grad() ? derivative(z, 0) : Elementwise::apply(z, *this, 0, Known{value});
}

std::int64_t network_output_bytes(std::int64_t samples, std::int64_t width, int element_size, int workers) {
  // Sums of tiles; z, σ(z) and one on the way, for each worker.
  return samples * element_size * (tiles_of(width) + workers * 3 * function_tile);
}

at::Tensor network_output(const Activation& activation, const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a,
                          const at::Tensor& w) {
  kernels::check_start(x, w0, a, activation);
  check_matrix("w", w, w0.size(0), w0.size(1));
  check_like("w", w, "x", x);
  kernels::check_constant("w0", w0);
  kernels::check_constant("a", a);
  const auto scale = a / std::sqrt(static_cast<double>(w0.size(0)));
  // What autograd is to keep it must be able to: not what was made under InferenceMode.
  return NetworkOutput::apply(at::GradMode::is_enabled() ? recordable(x) : x, w0, scale, w, activation);
}

}  // namespace entk
