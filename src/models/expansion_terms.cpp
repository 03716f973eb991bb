#include "entk/models/expansion_terms.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <algorithm>
#include <mutex>

#include "entk/base/users_code.h"
#include "entk/models/derivative_faults.h"

namespace entk {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

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
  FunctionAtStart f;
  ModuleStart start;
  int order = 1;
  bool keep = false;      ///< a gradient may be asked for
  bool random = false;    ///< f drew random numbers
  variable_list terms{};  ///< t_0 … t_P with their graphs, t_P where an input needs it
  variable_list inputs{};

  Evaluation(FunctionAtStart of, const ModuleStart& from) : f(std::move(of)), start(from) {}
};

/// t_0 … t_P as expressions of θ0 and of the inputs; the last without a graph unless `again`. `in_inputs`: t_P is to be
/// differentiated in an input.
variable_list terms_of(Evaluation& e, const variable_list& displacement, const variable_list& inputs, bool again,
                       bool in_inputs) {
  variable_list terms{output_at_start(e.f, e.start, inputs, e.order, in_inputs, e.random)};
  return differentiated(e.order, [&] {
    for (int p = 1; p <= e.order; ++p) {
      terms.push_back(along(terms.back(), e.start.parameters(), displacement, p < e.order || again) / p);
    }
    return terms;
  });
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
      if (i < e->start.parameters().size()) {
        displacement.push_back(t);
      } else {
        const bool wanted = e->keep && tensors[i].requires_grad();
        inputs_too = inputs_too || wanted;
        e->inputs.push_back(wanted ? t.requires_grad_(true) : t);
      }
    }
    const auto terms = terms_of(*e, displacement, e->inputs, inputs_too, inputs_too);
    if (e->keep) e->terms = terms;
    const at::NoGradGuard no_grad;
    return at::stack(terms);
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents) {
    const auto e = c10::static_intrusive_pointer_cast<Evaluation>(ctx->saved_data["evaluation"].toCapsule());
    const WithoutAutocast in_full;
    const auto u = cotangents[0].unbind();  // of t_0 … t_P
    const std::size_t count = e->start.parameters().size();
    auto inputs = e->inputs;
    auto terms = e->terms;
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
      terms = terms_of(*e, variable_list(saved.begin(), last), inputs, true, in_inputs);
    }
    return differentiated(e->order, [&] {
      variable_list result{at::Tensor()};
      // ∂t_p/∂Δ = ∂t_{p−1}/∂θ0 with Δ held fixed.
      const variable_list lower(terms.begin(), terms.end() - 1), of_lower(u.begin() + 1, u.end());
      for (auto& g : gradients(lower, e->start.parameters(), of_lower, again)) result.push_back(std::move(g));
      variable_list wanted;
      for (const auto& x : inputs) {
        if (x.requires_grad()) wanted.push_back(x);
      }
      const auto found = wanted.empty() ? variable_list() : gradients(terms, wanted, u, again);
      std::size_t next = 0;
      for (const auto& x : inputs) result.push_back(x.requires_grad() ? found[next++] : at::Tensor());
      return result;
    });
  }
};

}  // namespace

void throw_not_differentiable(int order, const c10::Error& e) {
  const std::string what = e.what_without_backtrace();
  throw InputError(fmt::format("module: the derivatives that order {} of its expansion needs cannot be taken: {}",
                               order, what.substr(0, what.find('\n'))));
}

at::Tensor output_at_start(const FunctionAtStart& f, const ModuleStart& start, const variable_list& inputs, int order,
                           bool in_inputs, bool& random) {
  const auto& parameters = start.parameters();
  std::vector<std::int64_t> versions;
  for (const auto& t : parameters) versions.push_back(t._version());
  const auto generators = generator_states(parameters);
  auto output = of_user("module: its forward failed", [&] { return f(inputs); });
  if (!output.defined()) throw InputError("module: expected its forward to give a tensor, got nothing");
  const auto generators_after = generator_states(parameters);
  for (std::size_t i = 0; i < generators.size(); ++i) {
    random = random || !at::equal(generators[i], generators_after[i]);
  }
  for (std::size_t i = 0; i < versions.size(); ++i) {
    if (parameters[i]._version() != versions[i]) {
      throw InputError(fmt::format("module: its forward changes its own parameter {}, around which it is expanded",
                                   start.names()[i]));
    }
  }
  if (const auto wrong = wrongly_differentiated(output, order >= 2 || in_inputs); !wrong.empty()) {
    throw InputError(
        fmt::format("module: {} of its expansion goes through {} whose repeated derivatives LibTorch gets wrong: "
                    "write that norm out, as docs/higher-orders.md does",
                    order >= 2 ? fmt::format("order {}", order) : "a derivative in the inputs of order 1", wrong));
  }
  return output;
}

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

variable_list gradients(const variable_list& of, const variable_list& in, const variable_list& cotangents,
                        bool create_graph) {
  variable_list found(in.size()), outputs, weights;
  for (std::size_t i = 0; i < of.size(); ++i) {
    if (!of[i].requires_grad()) continue;
    outputs.push_back(of[i]);
    weights.push_back(cotangents[i]);
  }
  if (!outputs.empty()) found = torch::autograd::grad(outputs, in, weights, true, create_graph, true);
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (!found[i].defined()) found[i] = at::zeros_like(in[i]);
  }
  return found;
}

at::Tensor expansion_terms(const FunctionAtStart& f, const ModuleStart& start, int order,
                           const variable_list& displacement, const variable_list& inputs) {
  start.check_unchanged();
  const bool keep = at::GradMode::is_enabled();
  const Differentiating recording;
  const at::AutoGradMode as_asked(keep);
  auto tensors = displacement;
  for (const auto& x : inputs) tensors.push_back(recordable(x));
  auto e = c10::make_intrusive<Evaluation>(f, start);
  e->order = order;
  e->keep = keep;
  const at::TensorList list(tensors);
  return Expand::apply(e, list);
}

}  // namespace entk
