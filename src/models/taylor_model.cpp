#include "entk/models/taylor_model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "entk/base/check.h"
#include "entk/kernels/network_primitive.h"
#include "entk/kernels/reference.h"
#include "entk/kernels/taylor_function.h"

namespace entk {

namespace {

/// A network with the same start, for clones: W follows by the module's own copying.
Network same_start(const Network& network) { return Network(network->w0, network->a, network->activation()); }

/// What the models are made of at x.
struct AtPoints {
  at::Tensor terms;    ///< (t_1 … t_orders), and perhaps more
  at::Tensor initial;  ///< f(x;0)
};
AtPoints at_points(ExpansionCache& cache, const NetworkImpl& network, const at::Tensor& x, int orders) {
  if (x.requires_grad() && at::GradMode::is_enabled()) {  // the kernels hold x fixed
    check_matrix("x", x, -1, network.dimension());
    check_like("x", x, "W", network.w);
    return {reference_terms(x, network.w0, network.a, network.activation().functions(), network.w, orders),
            network.initial_output(x)};
  }
  const auto& expansion = cache.at(network, x, orders);
  return {taylor_terms(expansion.primitive, network.w), expansion.initial};
}

/// f(x;0), f_L and f − f(x;0) − f_L.
AtPoints whole_network_at(ExpansionCache& cache, Network network, const at::Tensor& x) {
  const auto [terms, initial] = at_points(cache, *network, x, 1);
  return {at::stack({terms[0], network(x) - initial - terms[0]}), initial};
}

}  // namespace

LinearTermImpl::LinearTermImpl(Network of) : network(register_module("network", std::move(of))) {}
void LinearTermImpl::reset() {
  network = register_module("network", same_start(network));
  cache_ = {};
}
at::Tensor LinearTermImpl::forward(const at::Tensor& x) { return at_points(cache_, *network, x, 1).terms[0]; }

QuadraticTermImpl::QuadraticTermImpl(Network of) : network(register_module("network", std::move(of))) {}
void QuadraticTermImpl::reset() {
  network = register_module("network", same_start(network));
  cache_ = {};
}
at::Tensor QuadraticTermImpl::forward(const at::Tensor& x) { return at_points(cache_, *network, x, 2).terms[1]; }

TaylorModelImpl::TaylorModelImpl(Network of, const TaylorModelOptions& options)
    : network(register_module("network", std::move(of))), linear(network), quadratic(network), options_(options) {
  const int least = options.linear_term ? 1 : 2;
  if (options.order < least || options.order > kernels::max_orders) {
    throw InputError(fmt::format("order: expected {} to {}, got {}", least, kernels::max_orders, options.order));
  }
  if (options.whole_network && options.order != 2) {
    throw InputError(fmt::format("order: expected 2 for the whole network (f_L and the rest), got {}", options.order));
  }
}

void TaylorModelImpl::reset() {
  network = register_module("network", same_start(network));
  linear = LinearTerm(network);
  quadratic = QuadraticTerm(network);
  cache_ = {};
}

std::shared_ptr<const TaylorPrimitive> TaylorModelImpl::primitive(const at::Tensor& x, PrimitiveOptions options) const {
  options.orders = options_.order;
  if (!options_.whole_network) return make_primitive(*network, x, options);
  return make_network_primitive(x.to(network->w0.options()), network->w0, network->a, network->activation().functions(),
                                options);
}

at::Tensor TaylorModelImpl::terms(const at::Tensor& x) {
  if (options_.whole_network) return whole_network_at(cache_, network, x).terms;
  return at_points(cache_, *network, x, options_.order).terms.narrow(0, 0, options_.order);
}

at::Tensor TaylorModelImpl::output(const at::Tensor& terms, const at::Tensor& initial) const {
  // One sum and not one a row: on a GPU each operation, and each of its derivative, is a launch.
  const int first = options_.linear_term ? 0 : 1;
  const bool all = first == 0 && terms.size(0) == options_.order;
  const auto sum = (all ? terms : terms.narrow(0, first, options_.order - first)).sum(0);
  return options_.initial_output ? initial + sum : sum;
}

at::Tensor TaylorModelImpl::forward(const at::Tensor& x) {
  const auto at =
      options_.whole_network ? whole_network_at(cache_, network, x) : at_points(cache_, *network, x, options_.order);
  return output(at.terms, at.initial);
}

}  // namespace entk
