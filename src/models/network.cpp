#include "entk/models/network.h"

#include <fmt/format.h>

#include "entk/base/check.h"
#include "entk/base/sphere.h"
#include "entk/kernels/network_function.h"
#include "entk/kernels/reference.h"
#include "entk/kernels/shard.h"

namespace entk {

namespace {

at::Tensor copied(const at::Tensor& t) { return t.defined() ? t.detach().clone(at::MemoryFormat::Contiguous) : t; }

}  // namespace

NetworkImpl::NetworkImpl(const NetworkOptions& options) : activation_(options.activation) {
  if (options.dimension < 1) {
    throw InputError(fmt::format("dimension: expected at least 1, got {}", options.dimension));
  }
  const bool symmetric_start = options.initialisation == Initialisation::symmetric;
  if (options.width < 1 || (symmetric_start && options.width % 2 != 0)) {
    throw InputError(fmt::format("width: expected {}, got {}",
                                 symmetric_start ? "an even number, for the symmetric start" : "at least 1",
                                 options.width));
  }
  if (options.dtype != at::kFloat && options.dtype != at::kDouble) {
    throw InputError(fmt::format("dtype: expected float32 or float64, got {}", toString(options.dtype)));
  }
  checked_product("width times dimension", options.width, options.dimension);
  check_derivatives(activation_);
  if (!symmetric_start && group().size() > 1) {
    throw InputError(
        "initialisation: a network is shared out among processes from the symmetric start alone, got plain");
  }
  const auto shard = own_shard(options.width);
  const std::int64_t drawn = symmetric_start ? shard.count : options.width, m = symmetric_start ? 2 * drawn : drawn;
  const auto rows = sphere_points(drawn, options.dimension, 1.0, RandomStream(Purpose::first_layer, options.seed),
                                  symmetric_start ? shard.first : 0)
                        .to(options.dtype);
  at::Tensor signs = at::ones({m}, at::kDouble);
  if (symmetric_start) {
    w0 = at::cat({rows, rows});
    signs.narrow(0, m / 2, m / 2).fill_(-1);
  } else {
    w0 = rows;
    const RandomStream stream(Purpose::second_layer, options.seed);
    double* sign = signs.mutable_data_ptr<double>();
    for (std::int64_t r = 0; r < m; ++r) sign[r] = stream.sign(static_cast<std::uint64_t>(r));
  }
  w0 = w0.to(options.device);
  a = signs.to(options.device, options.dtype);
  reset();
}

NetworkImpl::NetworkImpl(const at::Tensor& start, const at::Tensor& signs, Activation activation)
    : NetworkImpl(SharedStart{copied(start), copied(signs)}, std::move(activation)) {
  check_derivatives(activation_);
}

NetworkImpl::NetworkImpl(const SharedStart& start, Activation activation) : activation_(std::move(activation)) {
  check_matrix("W0", start.w0, -1, -1);
  check_vector("a", start.a, start.w0.size(0));
  check_floating("W0", start.w0);
  check_like("a", start.a, "W0", start.w0);
  // Handles of its own: a network that is moved to another type or device takes none along.
  w0 = start.w0.detach().contiguous();
  a = start.a.detach().contiguous();
  reset();
}

void NetworkImpl::reset() {
  // Also called by clone(), which then sets new data in these: handles of its own, or the original would share it.
  w = register_parameter("W", at::zeros_like(w0));
  w0 = register_buffer("W0", w0.detach());
  a = register_buffer("a", a.detach());
}

at::Tensor NetworkImpl::forward(const at::Tensor& x) {
  check_matrix("x", x, -1, dimension());
  check_like("x", x, "W", w);
  return network_output(activation_, x, w0, a, w);
}

at::Tensor NetworkImpl::initial_output(const at::Tensor& x) const {
  check_matrix("x", x, -1, dimension());
  check_like("x", x, "W0", w0);
  if (symmetric()) return at::zeros({x.size(0)}, w0.options());
  return network_output(activation_, x, w0, a, at::zeros_like(w0));
}

bool NetworkImpl::symmetric() const { return has_twins(w0, a); }

std::shared_ptr<Expandable> NetworkImpl::same_start() const {
  return std::make_shared<NetworkImpl>(w0, a, activation_);
}

std::shared_ptr<Expandable> NetworkImpl::exact() const {
  return std::make_shared<NetworkImpl>(SharedStart{w0.to(at::kDouble), a.to(at::kDouble)}, activation_);
}

void NetworkImpl::check_points(const std::string& name, const at::Tensor& x) const {
  check_matrix(name, x, -1, dimension());
}

std::shared_ptr<const Primitive> NetworkImpl::primitive(const at::Tensor& x, const PrimitiveOptions& options) const {
  return make_primitive(*this, x, options);
}

TermsAtPoints NetworkImpl::reference(const at::Tensor& x, int orders) const {
  return {reference_terms(x, w0, a, activation_, w, orders), initial_output(x)};
}

std::string NetworkImpl::vanishing_terms(int order, const at::Tensor& x) const {
  return entk::vanishing_terms(activation_, order, x, w0);
}

const NetworkImpl& held_network(const Network& network) {
  if (network.is_empty()) throw InputError("network: expected one, got none");
  return *network;
}

std::shared_ptr<const TaylorPrimitive> make_primitive(const NetworkImpl& network, const at::Tensor& x,
                                                      const PrimitiveOptions& options) {
  check_matrix("x", x, -1, network.dimension());
  return make_primitive(x.to(network.w0.options()), network.w0, network.a, network.activation(), options);
}

}  // namespace entk
