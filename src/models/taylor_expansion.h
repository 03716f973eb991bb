// Taylor expansions of any torch::nn module in its parameters, of any order:
//
//   f_P(x;θ) = Σ_{p ≤ P} t_p(x;θ),   t_p = D^p f(x;θ0)[Δ, …, Δ]/p!,   Δ = θ − θ0
//
// by automatic differentiation: t_p = (1/p) D t_{p−1}[Δ], each derivative along Δ by reverse mode twice
// (the pull-back is linear in its cotangent v; its own pull-back in v is the derivative along Δ). Nothing
// is assumed of the module but that its operations can be differentiated P + 1 times. Those that LibTorch is
// known to differentiate wrongly are refused by name; check_expansion measures whether there are others.
//
// The gradient needs no deeper graph: ∂/∂θ ⟨u, f_P⟩ = ∂/∂θ0 ⟨u, f_{P−1}⟩ with Δ held fixed.
#pragma once

#include <torch/nn/pimpl.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "entk/models/module_start.h"

namespace entk {

/// One order of a module's expansion, checked: the remainder ‖f(θ0 + δv) − f_P(θ0 + δv)‖ falls as δ^(P+1).
struct OrderCheck {
  int order = 1;  ///< P
  double power =
      NAN;  ///< with which it falls; infinite where there is none (beyond rounding); NaN where it was refused
  bool right = false;    ///< power > order + 1/2
  std::string reason{};  ///< empty where right
};

/// What check_expansion found.
struct ExpansionCheck {
  std::vector<OrderCheck> orders;  ///< 1, 2, 3
  /// Whether every order up to this one is right.
  bool right(int order) const {
    for (const auto& o : orders) {
      if (o.order <= order && !o.right) return false;
    }
    return order <= static_cast<int>(orders.size());
  }
};

/// What does not depend on the module's type. Its parameters are θ, under the names that they have in
/// the module; each begins at θ0.
class TaylorExpansionBase : public torch::nn::Module {
 public:
  int order() const { return order_; }  ///< P
  /// Δ = θ − θ0, one tensor a parameter.
  std::vector<at::Tensor> displacement() const;
  /// θ ← the values of another module's parameters, matched by name: of the network itself, or of
  /// another expansion of it. @throws InputError where a name is missing or a shape differs.
  void set_parameters(const torch::nn::Module& other);

  void train(bool on = true) override;                                                    ///< the module's too
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override;  ///< θ0's too
  void to(torch::Dtype dtype, bool non_blocking = false) override;                        ///< θ0's too
  void to(torch::Device device, bool non_blocking = false) override;                      ///< θ0's too

 protected:
  using Inputs = std::vector<at::Tensor>;

  TaylorExpansionBase(std::shared_ptr<torch::nn::Module> module, const std::vector<at::Tensor>& parameters, int order);
  /// f_P where f maps the inputs to the module's output at θ0.
  at::Tensor expand(const std::function<at::Tensor(const Inputs&)>& f, const Inputs& inputs);
  /// Whether the remainder falls as it should; a copied module becomes one of float64.
  OrderCheck check(const std::function<at::Tensor(const Inputs&)>& f, Inputs inputs);

  ModuleStart start_;  // not registered: its parameters are not trained

 private:
  int order_;
};

/// The expansion of a module of type M: forward takes what M's takes and gives a tensor of the same
/// shape, differentiable in θ and in the inputs, twice too.
template <class M>
class TaylorExpansionImpl : public TaylorExpansionBase {
 public:
  /// See taylor_expand.
  TaylorExpansionImpl(std::shared_ptr<M> module, const std::vector<at::Tensor>& parameters, int order)
      : TaylorExpansionBase(std::move(module), parameters, order) {}

  /// f_P(x;θ): the shape that the module gives.
  template <class... Arguments>
  at::Tensor forward(const Arguments&... arguments) {
    const auto inputs = tensors(arguments...);
    return expand(module_at(arguments...), inputs);
  }
  /// See check_expansion; the expansion is to be thrown away afterwards.
  template <class... Arguments>
  OrderCheck check(const Arguments&... arguments) {
    return TaylorExpansionBase::check(module_at(arguments...), tensors(arguments...));
  }

  /// An expansion of its own around the same θ0, at the same θ.
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override {
    auto copy = std::make_shared<TaylorExpansionImpl>(std::static_pointer_cast<M>(start_.module()),
                                                      start_.module()->parameters(), order());
    copy->set_parameters(*this);
    if (device) copy->to(*device);
    return copy;
  }

 private:
  template <class... Arguments>
  static Inputs tensors(const Arguments&... arguments) {
    Inputs inputs;
    (collect(arguments, inputs), ...);
    return inputs;
  }
  /// The module at θ0 as a function of its tensors alone. It may outlive the call and this module, for derivatives of
  /// the gradient.
  template <class... Arguments>
  std::function<at::Tensor(const Inputs&)> module_at(const Arguments&... arguments) const {
    return [module = std::static_pointer_cast<M>(start_.module()),
            kept = std::tuple<Arguments...>(arguments...)](const Inputs& at) -> at::Tensor {
      std::size_t next = 0;
      return std::apply(
          [&](const auto&... a) {
            const std::tuple<Arguments...> replaced{replace(a, at, next)...};  // braces: from left to right
            return std::apply([&](const auto&... b) { return module->forward(b...); }, replaced);
          },
          kept);
    };
  }
  template <class A>
  static void collect(const A& argument, Inputs& inputs) {
    if constexpr (std::is_same_v<A, at::Tensor>) {
      if (argument.defined()) inputs.push_back(argument);
    }
  }
  template <class A>
  static A replace(const A& argument, const Inputs& inputs, std::size_t& next) {
    if constexpr (std::is_same_v<A, at::Tensor>) {
      return argument.defined() ? inputs[next++] : argument;
    } else {
      return argument;
    }
  }
};

/// Holds one as torch's modules are held: expansion(x), expansion->parameters().
template <class M>
class TaylorExpansion : public torch::nn::ModuleHolder<TaylorExpansionImpl<M>> {
 public:
  using torch::nn::ModuleHolder<TaylorExpansionImpl<M>>::ModuleHolder;
  /// f_P, as forward gives it.
  template <class... Arguments>
  at::Tensor operator()(const Arguments&... arguments) {
    return this->get()->forward(arguments...);
  }
};

/// The expansion of `module` around `parameters` (in the order of module->parameters(), the same shapes),
/// order ≥ 1. The module is copied and stays as it is; one that cannot be copied (not a
/// torch::nn::Cloneable) is set to `parameters` and held, and refused later if it was changed meanwhile.
/// Parameters that do not require a gradient stay fixed and are not among the expansion's.
/// Evaluated within NoGradGuard or c10::InferenceMode it is the same polynomial, without a graph; within autocast it
/// has the parameters' type.
/// @throws InputError for an order below 1, or parameters whose number or shapes are not the module's. Its evaluation
/// throws InputError where the module goes through an operation whose derivatives of that order LibTorch has not, or
/// gets wrong (layer_norm, batch_norm in training mode, instance_norm and weight_norm, from order 2 on), and where
/// its forward changes its parameters; a gradient's gradient where it draws random numbers.
template <class M>
TaylorExpansion<M> taylor_expand(std::shared_ptr<M> module, const std::vector<at::Tensor>& parameters, int order) {
  return TaylorExpansion<M>(std::make_shared<TaylorExpansionImpl<M>>(std::move(module), parameters, order));
}
/// The same of a holder, as torch::nn::Linear is.
template <class M>
TaylorExpansion<M> taylor_expand(const torch::nn::ModuleHolder<M>& module, const std::vector<at::Tensor>& parameters,
                                 int order) {
  return taylor_expand(module.ptr(), parameters, order);
}

/// Whether LibTorch differentiates a module's operations rightly: at orders 1, 2 and 3 around its own parameters, with
/// the arguments of one forward, the power with which the Taylor remainder falls. In float64, and a copy is converted;
/// a module that cannot be copied must have float64 parameters, which are moved and put back. Some thirty
/// evaluations an order: small inputs do. An order that is refused is not right, with the reason.
/// @throws InputError as taylor_expand, and for a module of another type that cannot be copied.
template <class M, class... Arguments>
ExpansionCheck check_expansion(std::shared_ptr<M> module, const Arguments&... arguments) {
  const auto parameters = module ? module->parameters() : std::vector<at::Tensor>();
  ExpansionCheck result;
  for (const int order : {1, 2, 3}) {
    result.orders.push_back(taylor_expand(module, parameters, order)->check(arguments...));
  }
  return result;
}
/// The same of a holder.
template <class M, class... Arguments>
ExpansionCheck check_expansion(const torch::nn::ModuleHolder<M>& module, const Arguments&... arguments) {
  return check_expansion(module.ptr(), arguments...);
}

}  // namespace entk
