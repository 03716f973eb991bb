#include "entk/train/learning_rate.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <charconv>
#include <memory>

#include "entk/base/differentiation.h"
#include "entk/base/error.h"
#include "entk/spectrum/lanczos.h"

namespace entk {

AutomaticRate automatic_rate(const BoundObjective& bound, std::uint64_t seed) {
  constexpr double distance = 0.1, accuracy = 1e-3;
  const Differentiating outside_inference;
  const at::NoGradGuard no_grad;
  // In the model's own W, where terms that go through the whole model are differentiated.
  const auto w = bound.model()->displacement().detach();
  const std::shared_ptr<void> put_back(nullptr, [w, before = w.clone()](void*) { w.copy_(before); });
  const auto gradient_at = [&](const at::Tensor& place) {
    w.copy_(place);
    return bound.gradient(w, bound.evaluate(bound.primitive()->terms(w), w));
  };
  // Lanczos' method finds the least eigenvalue: that of −∇²L_λ.
  const auto product = [&](const at::Tensor& v) {
    const auto along = distance * v;
    return (gradient_at(-along) - gradient_at(along)) / (2 * distance);
  };
  LanczosOptions options{.max_iterations = 20, .seed = seed};
  options.done = [](const LanczosProgress& p) { return p.smallest < 0 && p.residual <= accuracy * -p.smallest; };
  const auto found = lanczos_smallest(product, w.sizes(), w.options(), options);
  AutomaticRate result;
  result.curvature = -found.rayleigh;
  result.products = found.iterations + 1;
  if (!(result.curvature > 0)) {
    throw InputError(fmt::format(
        "learning_rate: auto needs a regularized loss that curves upwards at W = 0; its largest curvature there is {}",
        result.curvature));
  }
  // Two digits, as a user would type it: the run with that number is the same.
  const auto digits = fmt::format("{:.1e}", rate_fraction * 2 / result.curvature);
  std::from_chars(digits.data(), digits.data() + digits.size(), result.rate);
  return result;
}

}  // namespace entk
