#include "entk/models/taylor_expansion.h"

#include <ATen/ATen.h>
#include <fmt/ostream.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/autograd.h>
#include <torch/custom_class.h>

#include "entk/base/check.h"

namespace entk {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using Forward = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

/// D t[Δ]: the derivative of t, an expression of θ0, along Δ. `again`: it will be differentiated itself.
at::Tensor along(const at::Tensor& t, const variable_list& start, const variable_list& displacement, bool again) {
  if (!t.requires_grad()) return at::zeros_like(t);  // nothing of θ0 is left in it
  const auto v = at::zeros_like(t).requires_grad_(true);
  const auto pull_back = torch::autograd::grad({t}, start, {v}, true, true, true);
  variable_list reached, direction;
  for (std::size_t i = 0; i < start.size(); ++i) {
    if (!pull_back[i].defined() || !pull_back[i].requires_grad()) continue;
    reached.push_back(pull_back[i]);
    direction.push_back(displacement[i]);
  }
  if (reached.empty()) return at::zeros_like(t);
  const auto derivative = torch::autograd::grad(reached, {v}, direction, true, again, true)[0];
  return derivative.defined() ? derivative : at::zeros_like(t);
}

/// f_P and f_{P−1} as expressions of θ0 (and of the inputs).
struct Polynomials {
  at::Tensor whole, lower;
};
Polynomials polynomials(const Forward& f, const variable_list& start, const variable_list& displacement,
                        const variable_list& inputs, int order, bool whole_again) {
  auto term = f(inputs);
  auto lower = term;
  for (int p = 1; p < order; ++p) {
    term = along(term, start, displacement, true) / p;
    lower = lower + term;
  }
  return {lower + along(term, start, displacement, whole_again) / order, lower};
}

/// What one evaluation leaves for its gradient.
struct Evaluation : torch::CustomClassHolder {
  Forward f;
  variable_list start;
  int order = 1;
  bool keep = false;  ///< a gradient may be asked for
  Polynomials at;     ///< with their graphs
  variable_list inputs;
};

/// Gradients, zeros where there is none.
variable_list gradients(const at::Tensor& of, const variable_list& in, const at::Tensor& cotangent, bool create_graph) {
  variable_list found(in.size());
  if (of.requires_grad() && !in.empty()) found = torch::autograd::grad({of}, in, {cotangent}, true, create_graph, true);
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (!found[i].defined()) found[i] = at::zeros_like(in[i]);
  }
  return found;
}

struct Expand : torch::autograd::Function<Expand> {
  /// tensors: Δ, one a parameter, then the inputs.
  static at::Tensor forward(AutogradContext* ctx, const c10::intrusive_ptr<Evaluation>& e, const at::TensorList& tensors) {
    ctx->save_for_backward(tensors.vec());
    ctx->saved_data["evaluation"] = c10::IValue::make_capsule(e);
    const at::AutoGradMode differentiating(true);
    variable_list displacement;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      auto t = tensors[i].detach();
      if (i < e->start.size()) {
        displacement.push_back(t);
      } else {
        e->inputs.push_back(e->keep && tensors[i].requires_grad() ? t.requires_grad_(true) : t);
      }
    }
    bool inputs_too = false;
    for (const auto& x : e->inputs) inputs_too = inputs_too || x.requires_grad();
    const auto values = polynomials(e->f, e->start, displacement, e->inputs, e->order, inputs_too);
    if (e->keep) e->at = {inputs_too ? values.whole : at::Tensor(), values.lower};
    return values.whole.detach();
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents) {
    const auto e = c10::static_intrusive_pointer_cast<Evaluation>(ctx->saved_data["evaluation"].toCapsule());
    const auto& u = cotangents[0];
    const std::size_t count = e->start.size();
    auto inputs = e->inputs;
    auto at = e->at;
    const bool again = at::GradMode::is_enabled();
    if (again) {
      // For derivatives of the gradient: once more, from the variables themselves.
      const auto saved = ctx->get_saved_variables();
      inputs.assign(saved.begin() + static_cast<std::ptrdiff_t>(count), saved.end());
      at = polynomials(e->f, e->start, variable_list(saved.begin(), saved.begin() + static_cast<std::ptrdiff_t>(count)),
                       inputs, e->order, true);
    }
    variable_list result{at::Tensor()};
    for (auto& g : gradients(at.lower, e->start, u, again)) result.push_back(std::move(g));
    variable_list wanted;
    for (const auto& x : inputs) {
      if (x.requires_grad()) wanted.push_back(x);
    }
    const auto found = wanted.empty() ? variable_list() : gradients(at.whole, wanted, u, again);
    std::size_t next = 0;
    for (const auto& x : inputs) result.push_back(x.requires_grad() ? found[next++] : at::Tensor());
    return result;
  }
};

/// The module that a name like "block1.convolution.weight" leads to below `root`, made where it is not
/// there, and the name's last part.
std::pair<torch::nn::Module*, std::string> place_of(torch::nn::Module& root, const std::string& name) {
  auto* module = &root;
  std::size_t begin = 0;
  for (std::size_t point; (point = name.find('.', begin)) != std::string::npos; begin = point + 1) {
    const auto part = name.substr(begin, point - begin);
    const auto children = module->named_children();
    module = children.contains(part) ? children[part].get()
                                     : module->register_module(part, std::make_shared<torch::nn::Module>(part)).get();
  }
  return {module, name.substr(begin)};
}

std::shared_ptr<torch::nn::Module> copied(const std::shared_ptr<torch::nn::Module>& module, bool& is_copy) {
  if (!module) throw InputError("module: expected one, got none");
  try {
    auto copy = module->clone();
    is_copy = true;
    return copy;
  } catch (const c10::Error&) {
    is_copy = false;  // not Cloneable
    return module;
  }
}

}  // namespace

TaylorExpansionBase::TaylorExpansionBase(std::shared_ptr<torch::nn::Module> module,
                                         const std::vector<at::Tensor>& parameters, int order)
    : start_(copied(module, own_start_)), order_(order) {
  if (order < 1) throw InputError(fmt::format("order: expected at least 1, got {}", order));
  const auto named = start_->named_parameters();
  if (parameters.size() != named.size()) {
    throw InputError(fmt::format("parameters: expected {}, one for each of the module's, got {}", named.size(), parameters.size()));
  }
  const at::NoGradGuard no_grad;
  std::size_t i = 0;
  for (const auto& item : named) {
    const auto& value = parameters[i++];
    if (!value.defined() || value.sizes() != item.value().sizes()) {
      throw InputError(fmt::format("parameters: {} has shape {}, got {}", item.key(), fmt::streamed(item.value().sizes()),
                                   value.defined() ? fmt::format("{}", fmt::streamed(value.sizes())) : "none"));
    }
    at::Tensor at_start = item.value();
    const auto wanted = value.detach().to(at_start.device(), at_start.scalar_type());
    if (!at::equal(at_start, wanted)) at_start.copy_(wanted);  // a module that is held stays as it is where it can
    if (!at_start.requires_grad()) continue;
    bool known = false;  // weights that two layers share are one parameter
    for (const auto& t : start_parameters_) known = known || t.is_same(at_start);
    if (known) continue;
    names_.push_back(item.key());
    start_parameters_.push_back(at_start);
    const auto [owner, name] = place_of(*this, item.key());
    owner->register_parameter(name, at_start.detach().clone());
  }
  if (start_parameters_.empty()) throw InputError("module: it has no parameter that requires a gradient");
  remember_start();
  Module::train(start_->is_training());
}

void TaylorExpansionBase::remember_start() {
  start_values_.clear();
  for (const auto& t : start_parameters_) start_values_.emplace_back(t.detach(), t._version());
}

void TaylorExpansionBase::check_start() const {
  if (own_start_) return;
  for (std::size_t i = 0; i < start_parameters_.size(); ++i) {
    const auto& [values, version] = start_values_[i];
    if (start_parameters_[i].data_ptr() != values.data_ptr() || start_parameters_[i]._version() != version) {
      throw InputError(fmt::format("module: its parameter {} was changed after the expansion was made; derive the module from "
                                   "torch::nn::Cloneable to have a copy expanded", names_[i]));
    }
  }
}

std::vector<at::Tensor> TaylorExpansionBase::displacement() const {
  const auto own = named_parameters();
  std::vector<at::Tensor> difference;
  for (std::size_t i = 0; i < names_.size(); ++i) difference.push_back(own[names_[i]] - start_parameters_[i].detach());
  return difference;
}

void TaylorExpansionBase::set_parameters(const torch::nn::Module& other) {
  const at::NoGradGuard no_grad;
  const auto own = named_parameters();
  const auto theirs = other.named_parameters();
  for (const auto& name : names_) {
    if (!theirs.contains(name)) throw InputError(fmt::format("parameters: the other module has none named {}", name));
    if (theirs[name].sizes() != own[name].sizes()) throw InputError(fmt::format("parameters: {} has another shape", name));
    at::Tensor to = own[name];
    to.copy_(theirs[name]);
  }
}

at::Tensor TaylorExpansionBase::expand(const std::function<at::Tensor(const Inputs&)>& f, const Inputs& inputs) {
  check_start();
  auto tensors = displacement();
  tensors.insert(tensors.end(), inputs.begin(), inputs.end());
  auto e = c10::make_intrusive<Evaluation>();
  e->f = f;
  e->start = start_parameters_;
  e->order = order_;
  e->keep = at::GradMode::is_enabled();
  const at::TensorList list(tensors);
  return Expand::apply(e, list);
}

void TaylorExpansionBase::train(bool on) {
  Module::train(on);
  start_->train(on);
}

void TaylorExpansionBase::to(torch::Device device, torch::Dtype dtype, bool non_blocking) {
  check_start();
  Module::to(device, dtype, non_blocking);
  start_->to(device, dtype, non_blocking);
  remember_start();
}
void TaylorExpansionBase::to(torch::Dtype dtype, bool non_blocking) {
  check_start();
  Module::to(dtype, non_blocking);
  start_->to(dtype, non_blocking);
  remember_start();
}
void TaylorExpansionBase::to(torch::Device device, bool non_blocking) {
  check_start();
  Module::to(device, non_blocking);
  start_->to(device, non_blocking);
  remember_start();
}

}  // namespace entk
