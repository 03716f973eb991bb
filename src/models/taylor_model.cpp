#include "entk/models/taylor_model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "entk/base/check.h"
#include "entk/kernels/network_primitive.h"
#include "entk/kernels/taylor_function.h"
#include "entk/models/whole_module_primitive.h"

namespace entk {

namespace {

/// `of` registered in `owner`; its displacement is then the owner's parameter.
std::shared_ptr<Expandable> registered(torch::nn::Module& owner, std::shared_ptr<Expandable> of) {
  auto module = std::dynamic_pointer_cast<torch::nn::Module>(of);
  owner.register_module(std::dynamic_pointer_cast<NetworkImpl>(of) ? "network" : "module", std::move(module));
  return of;
}

/// (t_1 … t_orders), and perhaps more, at x.
TermsAtPoints at_points(ExpansionCache& cache, const Expandable& of, const at::Tensor& x, int orders) {
  if (x.requires_grad() && at::GradMode::is_enabled()) {  // the primitives hold x fixed
    of.check_points("x", x);
    check_like("x", x, "W", of.displacement());
    return of.reference(x, orders);
  }
  const auto& expansion = cache.at(of, x, orders);
  return {taylor_terms(expansion.primitive, of.displacement()), expansion.initial};
}

}  // namespace

LinearTermImpl::LinearTermImpl(std::shared_ptr<Expandable> of) : of_(registered(*this, std::move(of))) {}
void LinearTermImpl::reset() {
  of_ = registered(*this, of_->same_start());
  cache_ = {};
}
at::Tensor LinearTermImpl::forward(const at::Tensor& x) { return at_points(cache_, *of_, x, 1).terms[0]; }

QuadraticTermImpl::QuadraticTermImpl(std::shared_ptr<Expandable> of) : of_(registered(*this, std::move(of))) {}
void QuadraticTermImpl::reset() {
  of_ = registered(*this, of_->same_start());
  cache_ = {};
}
at::Tensor QuadraticTermImpl::forward(const at::Tensor& x) { return at_points(cache_, *of_, x, 2).terms[1]; }

TaylorModelImpl::TaylorModelImpl(const Network& of, const TaylorModelOptions& options)
    : network((held_network(of), of)), linear(of), quadratic(of), of_(registered(*this, of.ptr())), options_(options) {
  if (options.pair) throw InputError("pair: expected false for a Network, whose symmetric start is one");
  check();
}

TaylorModelImpl::TaylorModelImpl(const ExpandedModule& of, const TaylorModelOptions& options)
    : module(of), of_(registered(*this, of.ptr())), options_(options) {
  linear = LinearTerm(of_);
  quadratic = QuadraticTerm(of_);
  if (options.pair != (of->kind() == ModuleStartKind::pair)) {
    throw InputError(fmt::format("pair: expected {}, as the module was expanded, got {}", !options.pair, options.pair));
  }
  check();
}

void TaylorModelImpl::check() const {
  const auto& options = options_;
  const int least = options.linear_term ? 1 : 2;
  if (options.order < least || options.order > kernels::max_orders) {
    throw InputError(fmt::format("order: expected {} to {}, got {}", least, kernels::max_orders, options.order));
  }
  if (options.whole_network && options.order != 2) {
    throw InputError(fmt::format("order: expected 2 for the whole network (f_L and the rest), got {}", options.order));
  }
}

TaylorModel::TaylorModel(PointModule of, TaylorModelOptions options)
    : TaylorModel(ExpandedModule(std::move(of), options.pair ? ModuleStartKind::pair : ModuleStartKind::plain),
                  options) {}

void TaylorModelImpl::reset() {
  of_ = registered(*this, of_->same_start());
  network = Network(std::dynamic_pointer_cast<NetworkImpl>(of_));
  module = ExpandedModule(std::dynamic_pointer_cast<ExpandedModuleImpl>(of_));
  linear = LinearTerm(of_);
  quadratic = QuadraticTerm(of_);
  cache_ = {};
}

const NetworkImpl& TaylorModelImpl::two_layer(const std::string& what) const {
  if (network.is_empty()) {
    throw InputError(what + ": it reads neurons, and needs the model of a two-layer network, not of a module");
  }
  return *network;
}

std::shared_ptr<const Primitive> TaylorModelImpl::primitive(const at::Tensor& x, PrimitiveOptions options) const {
  options.orders = options_.order;
  if (!options_.whole_network) return of_->primitive(x, options);
  of_->check_points("x", x);
  if (network.is_empty()) {
    const auto& w = module->displacement();
    return make_whole_module_primitive(module->module(), module->kind(), x.to(w.device(), w.scalar_type()));
  }
  return make_network_primitive(x.to(network->w0.options()), network->w0, network->a, network->activation(), options);
}

TermsAtPoints TaylorModelImpl::at(const at::Tensor& x) {
  if (!options_.whole_network) {
    auto found = at_points(cache_, *of_, x, options_.order);
    found.terms = found.terms.narrow(0, 0, options_.order);
    return found;
  }
  // f(x;0), f_L and f − f(x;0) − f_L.
  const auto [linear_term, initial] = at_points(cache_, *of_, x, 1);
  const auto whole =
      network.is_empty() ? whole_module_output(module->module(), module->kind(), x, displacement()) : network(x);
  return {at::stack({linear_term[0], whole - initial - linear_term[0]}), initial};
}

at::Tensor TaylorModelImpl::terms(const at::Tensor& x) { return at(x).terms; }

at::Tensor TaylorModelImpl::output(const at::Tensor& terms, const at::Tensor& initial) const {
  check_matrix("terms", terms, -1, -1);
  if (terms.size(0) < options_.order) {
    throw InputError(fmt::format("terms: expected {} rows, one an order, got {}", options_.order, terms.size(0)));
  }
  if (options_.initial_output) check_vector("initial", initial, terms.size(1));
  // One sum and not one a row: on a GPU each operation, and each of its derivative, is a launch.
  const int first = options_.linear_term ? 0 : 1;
  const bool all = first == 0 && terms.size(0) == options_.order;
  const auto sum = (all ? terms : terms.narrow(0, first, options_.order - first)).sum(0);
  return options_.initial_output ? initial + sum : sum;
}

at::Tensor TaylorModelImpl::forward(const at::Tensor& x) {
  const auto [terms, initial] = at(x);
  return output(terms, initial);
}

}  // namespace entk
