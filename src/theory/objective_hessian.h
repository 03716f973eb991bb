// Products with the Hessian of the regularized loss L_λ (20) at a W, nothing n×m kept.
//
// L_λ(W) = D(u) + E(W), u = (f_L, f_Q) at the training and other points. Along V, with
//   u' = (f_L(X;V), rowsum(S2∘XWᵀ∘XVᵀ)),  (g_L', g_Q') = D''(u) u',
//   HV = (g_L'1ᵀ∘S1 + g_Q'1ᵀ∘S2∘XWᵀ + g_Q1ᵀ∘S2∘XVᵀ)ᵀ X + E''(W)V,
// one call each of the primitive's second-order forms. docs/theory.md, section 4.
#pragma once

#include "entk/train/bound_objective.h"

namespace entk {

/// ∇²L_λ at one W. Immutable.
class ObjectiveHessian {
 public:
  /// w: W's shape. @throws InputError for a model whose order is not 2, or a term that goes through the
  /// whole model.
  ObjectiveHessian(const BoundObjective& bound, const at::Tensor& w);

  double value() const { return value_; }                   ///< L_λ(W)
  const at::Tensor& gradient() const { return gradient_; }  ///< ∇L_λ(W)
  /// ∇²L_λ(W)V, v like W.
  at::Tensor product(const at::Tensor& v) const;
  /// ∇²L_λ(W)[V,V].
  double quadratic_form(const at::Tensor& v) const;

 private:
  std::shared_ptr<const Primitive> primitive_;
  at::Tensor w_, vectors_, displacement_;        // leaves of the graph below
  at::Tensor vector_gradient_, extra_gradient_;  // ∂D/∂u and ∂E/∂W, with their graph; may be undefined
  at::Tensor gradient_;
  double value_ = 0;
};

}  // namespace entk
