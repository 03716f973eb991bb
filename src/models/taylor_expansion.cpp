#include "entk/models/taylor_expansion.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/error.h"
#include "entk/models/expansion_terms.h"

namespace entk {

namespace {

using torch::autograd::variable_list;

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

}  // namespace

TaylorExpansionBase::TaylorExpansionBase(std::shared_ptr<torch::nn::Module> module,
                                         const std::vector<at::Tensor>& parameters, int order)
    : start_(module, parameters), order_(order) {
  if (order < 1) throw InputError(fmt::format("order: expected at least 1, got {}", order));
  const Differentiating recording;
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < start_.names().size(); ++i) {
    const auto [owner, name] = place_of(*this, start_.names()[i]);
    owner->register_parameter(name, start_.parameters()[i].detach().clone());
  }
  Module::train(start_.module()->is_training());
}

std::vector<at::Tensor> TaylorExpansionBase::displacement() const {
  const auto own = named_parameters();
  std::vector<at::Tensor> difference;
  for (std::size_t i = 0; i < start_.names().size(); ++i) {
    difference.push_back(own[start_.names()[i]] - start_.parameters()[i].detach());
  }
  return difference;
}

void TaylorExpansionBase::set_parameters(const torch::nn::Module& other) {
  const at::NoGradGuard no_grad;
  const auto own = named_parameters();
  const auto theirs = other.named_parameters();
  for (const auto& name : start_.names()) {
    if (!theirs.contains(name)) throw InputError(fmt::format("parameters: the other module has none named {}", name));
    if (theirs[name].sizes() != own[name].sizes())
      throw InputError(fmt::format("parameters: {} has another shape", name));
    at::Tensor to = own[name];
    to.copy_(theirs[name]);
  }
}

at::Tensor TaylorExpansionBase::expand(const std::function<at::Tensor(const Inputs&)>& f, const Inputs& inputs) {
  const bool asked = at::GradMode::is_enabled();
  const Differentiating recording;
  const at::AutoGradMode as_asked(asked);
  return expansion_terms(f, start_, order_, displacement(), inputs).sum(0);
}

OrderCheck TaylorExpansionBase::check(const std::function<at::Tensor(const Inputs&)>& f, Inputs inputs) {
  start_.check_unchanged();
  const auto& parameters = start_.parameters();
  OrderCheck found{.order = order_};
  if (parameters[0].scalar_type() != at::kDouble) {
    if (!start_.is_copy()) {
      throw InputError(
          fmt::format("module: expected float64 parameters, in which the remainder can be seen, got {}; derive the "
                      "module from torch::nn::Cloneable to have a copy converted",
                      toString(parameters[0].scalar_type())));
    }
    to(torch::kDouble);
  }
  const Differentiating recording;
  for (auto& x : inputs) x = x.is_floating_point() ? recordable(x.detach()).to(at::kDouble) : x;
  // Every parameter moves at the rate of their common size, in a direction that is always the same.
  auto generator = at::detail::createCPUGenerator(7);
  double squares = 0, entries = 0;
  for (const auto& t : parameters) {
    squares += t.detach().square().sum().item<double>();
    entries += static_cast<double>(t.numel());
  }
  const double size = squares > 0 ? std::sqrt(squares / entries) : 1.0;
  variable_list direction;
  for (const auto& t : parameters) {
    direction.push_back(size * at::randn(t.sizes(), generator, at::kDouble).to(t.device()));
  }
  try {
    bool random = false;
    variable_list terms{output_at_start(f, start_, inputs, order_, false, random)};
    if (random) {
      throw InputError("module: its forward draws random numbers, so that it is another function at every call");
    }
    differentiated(order_, [&] {
      for (int p = 1; p <= order_; ++p) terms.push_back(along(terms.back(), parameters, direction, p < order_) / p);
    });
    const at::NoGradGuard no_grad;
    for (auto& t : terms) t = t.detach();
    const double scale = terms[0].norm().item<double>() + terms[1].norm().item<double>();
    const auto remainder = [&](double t) {
      auto expanded = terms.back();
      for (std::size_t p = terms.size() - 1; p-- > 0;) expanded = terms[p] + t * expanded;
      const Moved moved(parameters, direction, t);
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
  start_.module()->train(on);
}

void TaylorExpansionBase::to(torch::Device device, torch::Dtype dtype, bool non_blocking) {
  Module::to(device, dtype, non_blocking);
  start_.to(device, dtype, non_blocking);
}
void TaylorExpansionBase::to(torch::Dtype dtype, bool non_blocking) {
  Module::to(dtype, non_blocking);
  start_.to(dtype, non_blocking);
}
void TaylorExpansionBase::to(torch::Device device, bool non_blocking) {
  Module::to(device, non_blocking);
  start_.to(device, non_blocking);
}

}  // namespace entk
