// R1, R2, R3 by the projector in closed form. Each map of W is an autograd function whose pull-back is
// one again, so that second derivatives are exact too.
#include <ATen/ATen.h>

#include "entk/base/held_value.h"
#include "entk/kernels/shard.h"
#include "entk/regularizers/regularizers.h"

namespace entk {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

/// g → 𝓕g and W → 𝓕ᵀvec(W), each the other's pull-back.
struct Combine : Function<Combine> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& g, const HarmonicProjector& sigma) {
    hold(ctx, sigma);
    return sigma.combine(g).to(g.scalar_type());
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents);
};
struct Moments : Function<Moments> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& w, const HarmonicProjector& sigma) {
    hold(ctx, sigma);
    return sigma.moments(w).to(w.scalar_type());
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents) {
    return {Combine::apply(cotangents[0], held<HarmonicProjector>(ctx)), at::Tensor()};
  }
};
variable_list Combine::backward(AutogradContext* ctx, const variable_list& cotangents) {
  return {Moments::apply(cotangents[0], held<HarmonicProjector>(ctx)), at::Tensor()};
}

/// W → Π_{≤r}W and V → ΣV: symmetric, so their own pull-backs.
struct Low : Function<Low> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& w, const HarmonicProjector& sigma) {
    hold(ctx, sigma);
    return sigma.low(w).to(w.scalar_type());
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents) {
    return {Low::apply(cotangents[0], held<HarmonicProjector>(ctx)), at::Tensor()};
  }
};
struct SigmaProduct : Function<SigmaProduct> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& v, const HarmonicProjector& sigma) {
    hold(ctx, sigma);
    return sigma.population_product(v).to(v.scalar_type());
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents) {
    return {SigmaProduct::apply(cotangents[0], held<HarmonicProjector>(ctx)), at::Tensor()};
  }
};

/// vec(V)ᵀΣvec(V), with ΣV of the value kept for the gradient.
struct Energy : Function<Energy> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& v, const HarmonicProjector& sigma) {
    hold(ctx, sigma);
    const auto product = sigma.population_product(v);
    ctx->save_for_backward({v, product.to(v.scalar_type())});
    return at::full({}, neuron_dot(v, product), v.options().requires_grad(false));
  }
  static variable_list backward(AutogradContext* ctx, const variable_list& cotangents) {
    const auto saved = ctx->get_saved_variables();
    const auto product =
        at::GradMode::is_enabled() ? SigmaProduct::apply(saved[0], held<HarmonicProjector>(ctx)) : saved[1];
    return {2 * cotangents[0] * product, at::Tensor()};
  }
};

at::Tensor energy(const at::Tensor& v, const HarmonicProjector& sigma) {
  if (at::GradMode::is_enabled() && v.requires_grad()) return Energy::apply(v, sigma);
  return at::full({}, sigma.population_energy(v), v.options().requires_grad(false));
}

constexpr const char* cost =
    "in population goes through all pairs of neurons, O(m²d) at each step where its weight is not 0";

}  // namespace

Term R1(const HarmonicProjector& sigma) {
  return {.name = "R1",
          .reads = TermReads::displacement,
          .value = [sigma](const TermInputs& in) { return energy(in.w - Low::apply(in.w, sigma), sigma); },
          .note = std::string("R1 ") + cost,
          .sums_over_neurons = true,
          .of_neurons = true,
          .flat_at_zero = true};
}

Term R2(const HarmonicProjector& sigma) {
  return {.name = "R2",
          .reads = TermReads::displacement,
          .value = [sigma](const TermInputs& in) { return energy(Low::apply(in.w, sigma), sigma); },
          .note = std::string("R2 ") + cost,
          .sums_over_neurons = true,
          .of_neurons = true,
          .flat_at_zero = true};
}

Term R3(const HarmonicProjector& sigma, const at::Tensor& x) {
  const auto table = sigma.transfer(x);  // n×r
  return {.name = "R3",
          .reads = TermReads::displacement,
          .value =
              [sigma, table](const TermInputs& in) {
                return (in.terms[0] - table.mv(Moments::apply(in.w, sigma))).square().mean();
              },
          .training_points = x.detach(),
          .sums_over_neurons = true,
          .of_neurons = true,
          .flat_at_zero = true};
}

std::vector<Term> paper_regularizers(const HarmonicProjector& sigma, const at::Tensor& x,
                                     const std::array<double, 4>& lambda) {
  return {lambda[0] * R1(sigma), lambda[1] * R2(sigma), lambda[2] * R3(sigma, x), lambda[3] * R4()};
}

}  // namespace entk
