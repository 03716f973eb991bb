#include "entk/theory/objective_hessian.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include "entk/base/check.h"
#include "entk/base/differentiation.h"
#include "entk/base/threads.h"
#include "entk/kernels/shard.h"

namespace entk {

ObjectiveHessian::ObjectiveHessian(const BoundObjective& bound, const at::Tensor& w) : primitive_(bound.primitive()) {
  check_sizes("W", w, primitive_->displacement_sizes());
  check_like("W", w, "X", primitive_->points());
  check_finite("W", w);
  w_ = w.detach().contiguous();
  if (primitive_->orders() != 2) {
    throw InputError(fmt::format("Hessian products: expected a model of order 2, got order {}", primitive_->orders()));
  }
  const SerialTorch serial;
  const Differentiating recording;
  w_ = recordable(w_);
  vectors_ = primitive_->terms(w_).detach().requires_grad_(true);
  displacement_ = w_.detach().clone().requires_grad_(true);
  const auto total = bound.expression(vectors_, displacement_);
  value_ = total.item<double>();
  const auto grads = torch::autograd::grad({total}, {vectors_, displacement_}, {}, /*retain_graph=*/true,
                                           /*create_graph=*/true, /*allow_unused=*/true);
  vector_gradient_ = grads[0];
  extra_gradient_ = grads[1];
  gradient_ = vector_gradient_.defined() ? primitive_->pull_back(w_, vector_gradient_.detach()) : at::zeros_like(w_);
  if (extra_gradient_.defined()) gradient_ += extra_gradient_.detach();
}

at::Tensor ObjectiveHessian::product(const at::Tensor& v) const {
  check_sizes("v", v, w_.sizes());
  check_like("v", v, "W", w_);
  const SerialTorch serial;
  const Differentiating outside_inference;  // whatever the caller's mode: what is differentiated is kept by autograd
  const at::NoGradGuard no_grad;
  const auto direction = recordable(v.detach().contiguous());
  auto cotangents = at::zeros({3, vectors_.size(1)}, vectors_.options());
  at::Tensor extra;
  {
    // D'' u' and E'' V are the gradient of ⟨∂D/∂u, u'⟩ + ⟨∂E/∂W, V⟩, u' and V held fixed.
    const Differentiating recording;
    at::Tensor along;
    const auto add = [&](const at::Tensor& part) { along = along.defined() ? along + part : part; };
    const auto depends = [](const at::Tensor& gradient) { return gradient.defined() && gradient.requires_grad(); };
    const auto terms = primitive_->terms_along(w_, direction);
    if (depends(vector_gradient_)) add((vector_gradient_ * terms).sum());
    if (depends(extra_gradient_)) add(neuron_sum((extra_gradient_ * direction).reshape({w_.size(0), -1}).sum(1)));
    if (along.defined()) {
      const auto grads = torch::autograd::grad({along}, {vectors_, displacement_}, {}, /*retain_graph=*/true,
                                               /*create_graph=*/false, /*allow_unused=*/true);
      if (grads[0].defined()) cotangents.narrow(0, 0, 2).copy_(grads[0]);
      extra = grads[1];
    }
  }
  if (vector_gradient_.defined()) cotangents[2].copy_(vector_gradient_.detach()[1]);
  auto out = primitive_->pull_back_along(w_, direction, cotangents);
  if (extra.defined()) out += extra;
  return out;
}

double ObjectiveHessian::quadratic_form(const at::Tensor& v) const {
  const auto image = product(v);
  const SerialTorch serial;
  return neuron_dot(v.detach(), image);
}

}  // namespace entk
