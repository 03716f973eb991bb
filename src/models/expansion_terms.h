// The Taylor terms of a module by automatic differentiation: t_p = (1/p) D t_{p−1}[Δ], each derivative along Δ by
// reverse mode twice. Internal to the library: taylor_expansion.h and module_primitive.h say what is made of it.
#pragma once

#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <vector>

#include "entk/models/module_start.h"

namespace entk {

/// A module at θ0 as a function of its tensors alone.
using FunctionAtStart = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;

/// t_0 = f(inputs) with its graph, of which `order` derivatives in θ0 can be taken, and further ones in the inputs.
/// `random` is set where f drew random numbers.
/// @throws InputError where f changes θ0, or LibTorch gets its derivatives wrong.
at::Tensor output_at_start(const FunctionAtStart& f, const ModuleStart& start, const std::vector<at::Tensor>& inputs,
                           int order, bool in_inputs, bool& random);

/// D t[Δ]: the derivative of t, an expression of θ0, along Δ. `again`: it will be differentiated itself.
at::Tensor along(const at::Tensor& t, const std::vector<at::Tensor>& start, const std::vector<at::Tensor>& displacement,
                 bool again);

/// Σ_i ∂⟨u_i, t_i⟩/∂in; zeros where there is nothing.
std::vector<at::Tensor> gradients(const std::vector<at::Tensor>& of, const std::vector<at::Tensor>& in,
                                  const std::vector<at::Tensor>& cotangents, bool create_graph);

/// t_0 … t_P: (P+1)×(the output's shape), differentiable in Δ and in the inputs, twice too.
at::Tensor expansion_terms(const FunctionAtStart& f, const ModuleStart& start, int order,
                           const std::vector<at::Tensor>& displacement, const std::vector<at::Tensor>& inputs);

/// @throws InputError with e's words, and whose derivatives they are of.
[[noreturn]] void throw_not_differentiable(int order, const c10::Error& e);
/// Calls f, which differentiates a user's module, of whose operations LibTorch may not have the derivatives.
template <class F>
auto differentiated(int order, F&& f) {
  try {
    return f();
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::Error& e) {
    throw_not_differentiable(order, e);
  }
}

}  // namespace entk
