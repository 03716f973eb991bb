// A module itself in the primitive's form, in place of its expansion: two vectors at fixed points.
//
//   t_1 = f_L(x;δ),   t_2 = f(x;θ0+δ) − f(x;θ0) − f_L(x;δ)
//   ∂D/∂δ = ⟨g_1 − g_2, ∂f/∂θ(θ0)⟩ + ⟨g_2, ∂f/∂θ(θ0+δ)⟩
//
// So the trainer, the losses, R1 to R3 and the landscape take the whole module as they take its expansion.
#pragma once

#include "entk/models/expanded_module.h"

namespace entk {

/// orders() is 2. @throws InputError as make_module_primitive, and for a module that cannot be copied.
std::shared_ptr<const Primitive> make_whole_module_primitive(const PointModule& module, ModuleStartKind kind,
                                                             const at::Tensor& x);

/// f(x;θ0+δ), of a pair (f(x;θ0+δ) − f(x;θ0+δ'))/√2: length n, an expression of δ and x to any order.
/// @throws InputError for a module that cannot be copied.
at::Tensor whole_module_output(const PointModule& module, ModuleStartKind kind, const at::Tensor& x,
                               const at::Tensor& displacement);

}  // namespace entk
