#include "entk/kernels/network_primitive.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/error.h"
#include "entk/kernels/primitive_parts.h"

namespace entk {

namespace {

constexpr std::int64_t network_tile = 128;  // part of the bits

class NetworkPrimitive final : public TaylorPrimitive, public std::enable_shared_from_this<NetworkPrimitive> {
 public:
  NetworkPrimitive(const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a, const Activation& activation)
      : TaylorPrimitive(x.contiguous(), w0.contiguous(), a.contiguous(), activation, 2),
        scale_(a_ / std::sqrt(static_cast<double>(w0.size(0)))) {}

  KernelMode mode() const override { return KernelMode::recompute; }
  const char* backend() const override { return "aten, whole network"; }

  at::Tensor terms(const at::Tensor& w) const override {
    kernels::check_weights("w", w, *this);
    const SerialTorch serial;
    // Made in one piece beforehand: kept between the tiles' temporaries, they would tear the heap into pieces.
    auto parts = at::empty({tiles(), 2, samples()}, x_.options()).unbind();
    for_tiles([&](std::int64_t tile, std::int64_t from, std::int64_t count) {
      const auto z0 = x_.mm(w0_.narrow(0, from, count).t()), z = x_.mm(w.narrow(0, from, count).t());
      const auto scale = scale_.narrow(0, from, count);
      const auto linear = activation_.derivative(z0, 1) * z;
      const auto rest = activation_.derivative(z0 + z, 0) - activation_.derivative(z0, 0) - linear;
      parts[tile][0].copy_(linear.mv(scale));
      parts[tile][1].copy_(rest.mv(scale));
    });
    return kernels::tree_sum(std::move(parts)).clone();
  }

  at::Tensor pull_back(const at::Tensor& w, const at::Tensor& cotangents) const override {
    kernels::check_weights("w", w, *this);
    kernels::check_cotangents(cotangents, 2, *this);
    const SerialTorch serial;
    const at::NoGradGuard no_grad;
    auto out = at::empty({width(), dimension()}, x_.options());
    const auto at_start = (cotangents[0] - cotangents[1]).unsqueeze(1), at_w = cotangents[1].unsqueeze(1);
    for_tiles([&](std::int64_t, std::int64_t from, std::int64_t count) {
      const auto z0 = x_.mm(w0_.narrow(0, from, count).t()), z = x_.mm(w.narrow(0, from, count).t());
      const auto g = at_start * activation_.derivative(z0, 1) + at_w * activation_.derivative(z0 + z, 1);
      out.narrow(0, from, count).copy_((g * scale_.narrow(0, from, count)).t().mm(x_));
    });
    return out;
  }

  at::Tensor terms_along(const at::Tensor&, const at::Tensor&) const override { no_second_derivatives(); }
  at::Tensor pull_back_along(const at::Tensor&, const at::Tensor&, const at::Tensor&) const override {
    no_second_derivatives();
  }

  std::unique_ptr<Stepper> stepper(const at::Tensor& w) const override {
    return kernels::plain_stepper(shared_from_this(), w);
  }

 private:
  [[noreturn]] static void no_second_derivatives() {
    throw RunError("the whole network's primitive has no second derivatives: differentiate Network::forward twice");
  }
  std::int64_t tiles() const { return (width() + network_tile - 1) / network_tile; }

  template <class F>
  void for_tiles(F&& f) const {
    kernels::for_each_tile(x_.is_cpu(), tiles(), [&](std::int64_t tile) {
      const std::int64_t from = tile * network_tile;
      f(tile, from, std::min(network_tile, width() - from));
    });
  }

  at::Tensor scale_;  // a/√m
};

}  // namespace

std::int64_t network_primitive_bytes(std::int64_t samples, std::int64_t width, int element_size, int workers) {
  // Sums of tiles; z0, z, z0 + z, G, and the eight that σ' of a sigmoid takes on the way, for each worker.
  const std::int64_t tiles = (width + network_tile - 1) / network_tile;
  return samples * element_size * (2 * tiles + workers * 12 * network_tile);
}

std::shared_ptr<const TaylorPrimitive> make_network_primitive(const at::Tensor& x, const at::Tensor& w0,
                                                              const at::Tensor& a, const Activation& activation,
                                                              const PrimitiveOptions& options) {
  kernels::check_start(x, w0, a, activation);
  kernels::check_constant("x", x);
  kernels::check_constant("w0", w0);
  kernels::check_constant("a", a);
  if (options.orders != 2)
    throw InputError(fmt::format("orders: expected 2 for the whole network, got {}", options.orders));
  return std::make_shared<NetworkPrimitive>(x.detach(), w0.detach(), a.detach(), activation);
}

}  // namespace entk
