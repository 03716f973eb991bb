#include "entk/kernels/taylor_function.h"

#include <torch/csrc/autograd/autograd.h>

#include "entk/base/differentiation.h"
#include "entk/base/held_value.h"
#include "entk/kernels/primitive_parts.h"

namespace entk {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;
using Shared = std::shared_ptr<const Primitive>;

/// Rows of `g` with all but the second set to zero.
at::Tensor second_row_alone(const at::Tensor& g) { return at::stack({at::zeros_like(g[0]), g[1]}); }

struct Terms : Function<Terms> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& w, Shared primitive) {
    hold(ctx, primitive);
    ctx->save_for_backward({w});
    return primitive->terms(w);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents);
};

struct PullBack : Function<PullBack> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& w, const at::Tensor& g, Shared primitive) {
    hold(ctx, primitive);
    ctx->save_for_backward({w, g});
    return primitive->pull_back(w, g);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents);
};

/// (f_L(X;V), rowsum(S2∘Z∘(XVᵀ))).
struct TermsAlong : Function<TermsAlong> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& w, const at::Tensor& v, Shared primitive) {
    hold(ctx, primitive);
    ctx->save_for_backward({w, v});
    return primitive->terms_along(w, v);
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents) {
    const auto saved = ctx->get_saved_variables();
    const auto primitive = held<Shared>(ctx);
    return {PullBack::apply(saved[1], second_row_alone(cotangents[0]), primitive),
            PullBack::apply(saved[0], cotangents[0], primitive), at::Tensor()};
  }
};

variable_list Terms::backward(AutogradContext* ctx, const variable_list& cotangents) {
  return {PullBack::apply(ctx->get_saved_variables()[0], cotangents[0], held<Shared>(ctx)), at::Tensor()};
}

variable_list PullBack::backward(AutogradContext* ctx, const variable_list& cotangents) {
  const auto saved = ctx->get_saved_variables();
  const auto &w = saved[0], &g = saved[1], &v = cotangents[0];
  const auto primitive = held<Shared>(ctx);
  if (primitive->orders() == 1) {
    return {at::zeros_like(w), Terms::apply(v, primitive), at::Tensor()};
  }
  if (primitive->orders() == 2) {
    return {PullBack::apply(v, second_row_alone(g), primitive), TermsAlong::apply(w, v, primitive), at::Tensor()};
  }
  const Differentiating recording;
  // g may depend on w: views of both keep the two partial derivatives apart.
  const auto w_alone = w.view_as(w), g_alone = g.view_as(g);
  const auto value = (primitive->reference_pull_back(w_alone, g_alone) * v).sum();
  const auto grads = torch::autograd::grad({value}, {w_alone, g_alone}, {}, true, true);
  return {grads[0], grads[1], at::Tensor()};
}

}  // namespace

at::Tensor taylor_terms(Shared primitive, const at::Tensor& w) {
  if (!primitive) throw InputError("primitive: expected one, got none");
  kernels::check_weights("w", w, *primitive);
  return Terms::apply(w, std::move(primitive));
}

}  // namespace entk
