#include "entk/regularizers/regularizers.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "entk/base/check.h"
#include "entk/kernels/shard.h"
#include "entk/kernels/taylor_function.h"

namespace entk {

namespace {

at::Tensor mean_square(const at::Tensor& v) { return v.square().mean(); }

/// mean (Π_{>r}u)² and its gradient (2/n) Π_{>r}u: Π_{>r} = I − U_k U_kᵀ is symmetric and its own square. By the
/// chain rule through both products it would be twice the operations, each a launch on a GPU.
struct MeanSquareHigh : torch::autograd::Function<MeanSquareHigh> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& u,
                            const SigmaProjector& sigma) {
    const auto high = sigma.high(u);
    context->save_for_backward({u, high, sigma.basis()});
    return high.dot(high) / static_cast<double>(u.numel());
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& g) {
    const auto saved = context->get_saved_variables();
    const auto &u = saved[0], &basis = saved[2];
    // Where the gradient is to be differentiated itself, it has to be an expression of u.
    const auto high = at::GradMode::is_enabled() ? u - basis.mv(basis.t().mv(u)) : saved[1];
    return {high * (g[0] * (2.0 / static_cast<double>(u.numel()))), at::Tensor()};
  }
};

at::Tensor mean_square_high(const SigmaProjector& sigma, const at::Tensor& u) {
  return MeanSquareHigh::apply(u, sigma);
}

}  // namespace

Term R1(const SigmaProjector& sigma) {
  return {.name = "R1",
          .value = [sigma](const TermInputs& in) { return mean_square_high(sigma, in.own_terms[0]); },
          .own_points = sigma.points(),
          .recordable = true,
          .high_of = sigma.basis(),
          .flat_at_zero = true};
}

Term R1_at(const SigmaProjector& sigma, const Expandable& of, const at::Tensor& x) {
  const auto primitive = of.primitive(x, {.orders = 1});
  const auto table = sigma.transfer(of, primitive->points());  // N×r
  return {.name = "R1",
          .reads = TermReads::displacement,
          .value =
              [sigma, primitive, table](const TermInputs& in) {
                return mean_square(taylor_terms(primitive, in.w)[0] - table.mv(sigma.coefficients(in.own_terms[0])));
              },
          .own_points = sigma.points(),
          .sums_over_neurons = true,
          .flat_at_zero = true};
}

Term R1_fresh(const SigmaProjector& sigma, std::function<at::Tensor(std::int64_t step)> draw) {
  if (!draw) throw InputError("R1: draw: expected a function of the step, got none");
  return {.name = "R1",
          .reads = TermReads::displacement,
          .value =
              [sigma, draw = std::move(draw)](const TermInputs& in) {
                const auto& of = in.model->expanded();
                const auto primitive = of.primitive(draw(in.step), {.orders = 1, .mode = KernelMode::recompute});
                const auto table = sigma.transfer(of, primitive->points());  // N×r
                return mean_square(taylor_terms(primitive, in.w)[0] - table.mv(sigma.coefficients(in.own_terms[0])));
              },
          .own_points = sigma.points(),
          .sums_over_neurons = true,
          .flat_at_zero = true};
}

Term R2(const SigmaProjector& sigma) {
  return {.name = "R2",
          .value =
              [sigma](const TermInputs& in) {
                const auto u = in.own_terms[0];
                return sigma.coefficients(u).square().sum() / static_cast<double>(u.size(0));
              },
          .own_points = sigma.points(),
          .recordable = true,
          .flat_at_zero = true};
}

Term R3(const SigmaProjector& sigma) {
  if (sigma.source() != SigmaSource::features) {
    throw InputError(
        "R3: a projector from unlabeled points needs the network and the training inputs: "
        "R3(sigma, network, x)");
  }
  return {.name = "R3",
          .value = [sigma](const TermInputs& in) { return mean_square_high(sigma, in.own_terms[0]); },
          .own_points = sigma.points(),
          .training_points = sigma.points(),
          .recordable = true,
          .high_of = sigma.basis(),
          .flat_at_zero = true};
}

Term R3(const SigmaProjector& sigma, const Expandable& of, const at::Tensor& x) {
  of.check_points("x", x);
  if (sigma.source() == SigmaSource::features && at::equal(sigma.points(), x.to(sigma.points().options()))) {
    return R3(sigma);
  }
  const auto table = sigma.transfer(of, x);  // n×r
  return {.name = "R3",
          .value =
              [sigma, table](const TermInputs& in) {
                return mean_square(in.terms[0] - table.mv(sigma.coefficients(in.own_terms[0])));
              },
          .own_points = sigma.points(),
          .training_points = x.detach(),
          .recordable = true,
          .flat_at_zero = true};
}

Term R4() {
  return {.name = "R4",
          .reads = TermReads::displacement,
          .value =
              [](const TermInputs& in) {
                if (in.w.dim() != 2) {
                  throw InputError("R4: it reads neurons, rows of W, which a module's vector of parameters has not");
                }
                return neuron_sum(in.w.square().sum(1).square()).square();
              },
          .note = "R4 is of degree 8 in W: a weight that is harmless at the start can make a step blow up later",
          .recordable = true,
          .sums_over_neurons = true,
          .of_neurons = true,
          .flat_at_zero = true};
}

std::vector<Term> paper_regularizers(const SigmaProjector& sigma, const Expandable& of, const at::Tensor& x,
                                     const std::array<double, 4>& lambda) {
  return {lambda[0] * R1(sigma), lambda[1] * R2(sigma), lambda[2] * R3(sigma, of, x), lambda[3] * R4()};
}

}  // namespace entk
