#include "entk/models/taylor_expansion.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/ostream.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/autograd.h>
#include <torch/custom_class.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "entk/base/check.h"
#include "entk/base/differentiation.h"
#include "entk/models/derivative_faults.h"

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

/// Calls f, whose derivatives of a user's module LibTorch may not have: for those its words, and whose they are.
template <class F>
auto differentiated(int order, F&& f) {
  try {
    return f();
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::Error& e) {
    const std::string what = e.what_without_backtrace();
    throw InputError(fmt::format("module: the derivatives that order {} of its expansion needs cannot be taken: {}",
                                 order, what.substr(0, what.find('\n'))));
  }
}

/// The state of the generators that a module may draw from.
variable_list generator_states(const variable_list& start) {
  variable_list states;
  const auto add = [&](c10::Device device) {
    auto generator = at::globalContext().defaultGenerator(device);
    const std::lock_guard<std::mutex> lock(generator.mutex());
    states.push_back(generator.get_state());
  };
  add(at::kCPU);
  if (start[0].is_cuda()) add(start[0].device());
  return states;
}

/// What one evaluation is of, and what it leaves for its gradient.
struct Evaluation : torch::CustomClassHolder {
  Forward f;
  std::vector<std::string> names;  ///< of the parameters
  variable_list start;
  int order = 1;
  bool keep = false;        ///< a gradient may be asked for
  at::Tensor whole, lower;  ///< f_P (where an input needs it) and f_{P−1}, with their graphs
  bool random = false;      ///< f drew random numbers
  variable_list inputs;
};

/// t_0 … t_P as expressions of θ0 and of the inputs; the last without a graph unless `again`. `in_inputs`: t_P is to be
/// differentiated in an input.
variable_list terms_of(Evaluation& e, const variable_list& displacement, const variable_list& inputs, bool again,
                       bool in_inputs) {
  std::vector<std::uint32_t> versions;
  for (const auto& t : e.start) versions.push_back(t._version());
  const auto generators = generator_states(e.start);
  variable_list terms{e.f(inputs)};
  const auto generators_after = generator_states(e.start);
  for (std::size_t i = 0; i < generators.size(); ++i) {
    e.random = e.random || !at::equal(generators[i], generators_after[i]);
  }
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (e.start[i]._version() != versions[i]) {
      throw InputError(
          fmt::format("module: its forward changes its own parameter {}, around which it is expanded", e.names[i]));
    }
  }
  if (const auto wrong = wrongly_differentiated(terms[0], e.order >= 2 || in_inputs); !wrong.empty()) {
    throw InputError(
        fmt::format("module: {} of its expansion goes through {} whose repeated derivatives LibTorch gets wrong: "
                    "write that norm out, as docs/higher-orders.md does",
                    e.order >= 2 ? fmt::format("order {}", e.order) : "a derivative in the inputs of order 1", wrong));
  }
  return differentiated(e.order, [&] {
    for (int p = 1; p <= e.order; ++p) {
      terms.push_back(along(terms.back(), e.start, displacement, p < e.order || again) / p);
    }
    return terms;
  });
}

/// Σ_{p < count} t_p.
at::Tensor first_terms(const variable_list& terms, std::size_t count) {
  auto sum = terms[0];
  for (std::size_t p = 1; p < count; ++p) sum = sum + terms[p];
  return sum;
}

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
  static at::Tensor forward(AutogradContext* ctx, const c10::intrusive_ptr<Evaluation>& e,
                            const at::TensorList& tensors) {
    ctx->save_for_backward(tensors.vec());
    ctx->saved_data["evaluation"] = c10::IValue::make_capsule(e);
    const at::AutoGradMode differentiating(true);
    variable_list displacement;
    bool inputs_too = false;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      auto t = tensors[i].detach();
      if (i < e->start.size()) {
        displacement.push_back(t);
      } else {
        const bool wanted = e->keep && tensors[i].requires_grad();
        inputs_too = inputs_too || wanted;
        e->inputs.push_back(wanted ? t.requires_grad_(true) : t);
      }
    }
    const auto terms = terms_of(*e, displacement, e->inputs, inputs_too, inputs_too);
    const auto count = static_cast<std::size_t>(e->order);
    const auto lower = first_terms(terms, count), whole = lower + terms[count];
    if (e->keep) {
      e->lower = lower;
      if (inputs_too) e->whole = whole;
    }
    return whole.detach();
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents) {
    const auto e = c10::static_intrusive_pointer_cast<Evaluation>(ctx->saved_data["evaluation"].toCapsule());
    const auto& u = cotangents[0];
    const WithoutAutocast in_full;
    const std::size_t count = e->start.size();
    auto inputs = e->inputs;
    auto lower = e->lower, whole = e->whole;
    const bool again = at::GradMode::is_enabled();
    if (again) {
      // For derivatives of the gradient: once more, from the variables themselves.
      if (e->random) {
        throw InputError(
            "module: its forward draws random numbers (dropout in training mode does), so that a gradient of its "
            "expansion cannot be differentiated: the draws would be others");
      }
      const auto saved = ctx->get_saved_variables();
      const auto last = saved.begin() + static_cast<std::ptrdiff_t>(count);
      inputs.assign(last, saved.end());
      const bool in_inputs =
          std::any_of(inputs.begin(), inputs.end(), [](const at::Tensor& x) { return x.requires_grad(); });
      const auto terms = terms_of(*e, variable_list(saved.begin(), last), inputs, true, in_inputs);
      lower = first_terms(terms, terms.size() - 1);
      whole = lower + terms.back();
    }
    return differentiated(e->order, [&] {
      variable_list result{at::Tensor()};
      for (auto& g : gradients(lower, e->start, u, again)) result.push_back(std::move(g));
      variable_list wanted;
      for (const auto& x : inputs) {
        if (x.requires_grad()) wanted.push_back(x);
      }
      const auto found = wanted.empty() ? variable_list() : gradients(whole, wanted, u, again);
      std::size_t next = 0;
      for (const auto& x : inputs) result.push_back(x.requires_grad() ? found[next++] : at::Tensor());
      return result;
    });
  }
};

/// θ0 + t v for the parameters θ0 while it lives, on memory of their own.
class Moved {
 public:
  Moved(const variable_list& parameters, const variable_list& direction, double t) : parameters_(parameters) {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      before_.push_back(parameters_[i].detach());
      parameters_[i].set_data(before_[i] + direction[i] * t);
    }
  }
  ~Moved() {
    for (std::size_t i = 0; i < parameters_.size(); ++i) parameters_[i].set_data(before_[i]);
  }
  Moved(const Moved&) = delete;
  Moved& operator=(const Moved&) = delete;

 private:
  variable_list parameters_, before_;
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
    : order_(order) {
  const Differentiating recording;  // under InferenceMode: copies that can be differentiated
  start_ = copied(module, own_start_);
  if (order < 1) throw InputError(fmt::format("order: expected at least 1, got {}", order));
  const auto named = start_->named_parameters();
  if (parameters.size() != named.size()) {
    throw InputError(
        fmt::format("parameters: expected {}, one for each of the module's, got {}", named.size(), parameters.size()));
  }
  const at::NoGradGuard no_grad;
  std::size_t i = 0;
  for (const auto& item : named) {
    const auto& value = parameters[i++];
    if (!value.defined() || value.sizes() != item.value().sizes()) {
      throw InputError(fmt::format("parameters: {} has shape {}, got {}", item.key(),
                                   fmt::streamed(item.value().sizes()),
                                   value.defined() ? fmt::format("{}", fmt::streamed(value.sizes())) : "none"));
    }
    at::Tensor at_start = item.value();
    const auto wanted = value.detach().to(at_start.device(), at_start.scalar_type());
    if (!at::equal(at_start, wanted)) at_start.copy_(wanted);  // a module that is held stays as it is where it can
    if (!at_start.requires_grad()) continue;
    if (at_start.is_inference()) {
      throw InputError(
          fmt::format("module: its parameter {} was made under c10::InferenceMode and cannot be differentiated: derive "
                      "the module from torch::nn::Cloneable to have a copy expanded, or make it elsewhere",
                      item.key()));
    }
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
      throw InputError(
          fmt::format("module: its parameter {} was changed after the expansion was made; derive the module from "
                      "torch::nn::Cloneable to have a copy expanded",
                      names_[i]));
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
    if (theirs[name].sizes() != own[name].sizes())
      throw InputError(fmt::format("parameters: {} has another shape", name));
    at::Tensor to = own[name];
    to.copy_(theirs[name]);
  }
}

at::Tensor TaylorExpansionBase::expand(const std::function<at::Tensor(const Inputs&)>& f, const Inputs& inputs) {
  check_start();
  const bool keep = at::GradMode::is_enabled();
  const Differentiating recording;
  const at::AutoGradMode as_asked(keep);
  auto tensors = displacement();
  for (const auto& x : inputs) tensors.push_back(recordable(x));
  auto e = c10::make_intrusive<Evaluation>();
  e->f = f;
  e->names = names_;
  e->start = start_parameters_;
  e->order = order_;
  e->keep = keep;
  const at::TensorList list(tensors);
  return Expand::apply(e, list);
}

OrderCheck TaylorExpansionBase::check(const std::function<at::Tensor(const Inputs&)>& f, Inputs inputs) {
  check_start();
  OrderCheck found{.order = order_};
  if (start_parameters_[0].scalar_type() != at::kDouble) {
    if (!own_start_) {
      throw InputError(
          fmt::format("module: expected float64 parameters, in which the remainder can be seen, got {}; derive the "
                      "module from torch::nn::Cloneable to have a copy converted",
                      toString(start_parameters_[0].scalar_type())));
    }
    to(torch::kDouble);
  }
  const Differentiating recording;
  for (auto& x : inputs) x = x.is_floating_point() ? recordable(x.detach()).to(at::kDouble) : x;
  // Every parameter moves at the rate of their common size, in a direction that is always the same.
  auto generator = at::detail::createCPUGenerator(7);
  double squares = 0, entries = 0;
  for (const auto& t : start_parameters_) {
    squares += t.detach().square().sum().item<double>();
    entries += static_cast<double>(t.numel());
  }
  const double size = squares > 0 ? std::sqrt(squares / entries) : 1.0;
  variable_list direction;
  for (const auto& t : start_parameters_) {
    direction.push_back(size * at::randn(t.sizes(), generator, at::kDouble).to(t.device()));
  }
  Evaluation e;
  e.f = f;
  e.names = names_;
  e.start = start_parameters_;
  e.order = order_;
  try {
    auto terms = terms_of(e, direction, inputs, false, false);
    if (e.random)
      throw InputError("module: its forward draws random numbers, so that it is another function at every call");
    const at::NoGradGuard no_grad;
    for (auto& t : terms) t = t.detach();
    const double scale = terms[0].norm().item<double>() + terms[1].norm().item<double>();
    const auto remainder = [&](double t) {
      auto expanded = terms.back();
      for (std::size_t p = terms.size() - 1; p-- > 0;) expanded = terms[p] + t * expanded;
      const Moved moved(start_parameters_, direction, t);
      return (f(inputs) - expanded).norm().item<double>() / (scale > 0 ? scale : 1.0);
    };
    // The smallest displacements at which the remainder stands clear of rounding: kinks are rarely so near.
    constexpr double clear = 1e-11, rounding = 1e-16;
    double smaller = remainder(std::ldexp(1.0, -26)), larger = smaller;
    for (int k = 25; k >= 1 && larger <= clear; --k) {
      smaller = larger;
      larger = remainder(std::ldexp(1.0, -k));
    }
    found.power = larger <= clear ? INFINITY : std::log2(larger / std::max(smaller, rounding));
    found.right = found.power > order_ + 0.5;  // false for NaN
    if (!found.right) {
      found.reason = fmt::format(
          "order {}: the remainder falls as the displacement to the power {:.2f}, not {}: an operation's "
          "derivatives are wrong, or it is not smooth",
          order_, found.power, order_ + 1);
    }
  } catch (const InputError& refused) {
    found.reason = fmt::format("order {}: {}", order_, refused.what());
  }
  return found;
}

void TaylorExpansionBase::train(bool on) {
  Module::train(on);
  start_->train(on);
}

void TaylorExpansionBase::to(torch::Device device, torch::Dtype dtype, bool non_blocking) {
  const Differentiating recording;
  check_start();
  Module::to(device, dtype, non_blocking);
  start_->to(device, dtype, non_blocking);
  remember_start();
}
void TaylorExpansionBase::to(torch::Dtype dtype, bool non_blocking) {
  const Differentiating recording;
  check_start();
  Module::to(dtype, non_blocking);
  start_->to(dtype, non_blocking);
  remember_start();
}
void TaylorExpansionBase::to(torch::Device device, bool non_blocking) {
  const Differentiating recording;
  check_start();
  Module::to(device, non_blocking);
  start_->to(device, non_blocking);
  remember_start();
}

}  // namespace entk
