#include "entk/train/losses.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "entk/base/error.h"

namespace entk {

Loss square_loss() {
  return {.name = "square", .mean = [](const at::Tensor& f, const at::Tensor& y) { return at::mse_loss(f, y); },
          .recordable = true};
}

Loss pseudo_huber_loss(double delta) {
  if (!(delta > 0) || !std::isfinite(delta)) {
    throw InputError(fmt::format("loss pseudo_huber: delta: expected a finite number above 0, got {}", delta));
  }
  return {.name = "pseudo_huber",
          .mean = [delta](const at::Tensor& f, const at::Tensor& y) {
            // √(1 + t²) − 1 = t²/(√(1 + t²) + 1): no cancellation at small t.
            const auto t2 = ((f - y) / delta).square();
            return (delta * delta) * (t2 / ((1 + t2).sqrt() + 1)).mean();
          },
          .recordable = true};
}

Loss logistic_loss() {
  return {.name = "logistic",
          .mean = [](const at::Tensor& f, const at::Tensor& y) {
            const auto margin = -y * f;
            // log(1 + e^t) = max(t, 0) + log(1 + e^(−|t|)).
            return (at::relu(margin) + at::log1p(at::exp(-margin.abs()))).mean();
          },
          .classification = true, .recordable = true};
}

}  // namespace entk
