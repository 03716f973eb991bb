#include "entk/train/losses.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "entk/base/error.h"
#include "entk/kernels/network_function.h"
#include "entk/models/activation.h"

namespace entk {

namespace {

/// δ²(√(1 + (r/δ)²) − 1) and its derivatives. With h = √(r² + δ²) nothing cancels, overflows or vanishes on the way.
at::Tensor pseudo_huber(const at::Tensor& r, int order, double delta) {
  const auto h = at::hypot(r, at::full({}, delta, r.options()));
  switch (order) {
    case 0: return delta * (r * (r / (h + delta)));
    case 1: return delta * (r / h);
    case 2: return (delta / h).pow(3);
    case 3: return -3 * (delta / h).pow(3) * (r / h) / h;
    default: throw InputError("loss pseudo_huber: it has derivatives up to the third");
  }
}

}  // namespace

Loss square_loss() {
  return {.name = "square", .mean = [](const at::Tensor& f, const at::Tensor& y) { return at::mse_loss(f, y); },
          .recordable = true};
}

Loss pseudo_huber_loss(double delta) {
  if (!(delta > 0) || !std::isfinite(delta)) {
    throw InputError(fmt::format("loss pseudo_huber: delta: expected a finite number above 0, got {}", delta));
  }
  ActivationFunctions function;
  function.derivative = [delta](const at::Tensor& r, int order) { return pseudo_huber(r, order, delta); };
  return {.name = "pseudo_huber",
          .mean = [function](const at::Tensor& f, const at::Tensor& y) { return elementwise(function, f - y).mean(); },
          .recordable = true};
}

Loss logistic_loss() {
  return {.name = "logistic",
          // Not by autograd: ATen's derivatives of max(t, 0) and |t| at t = 0, where every symmetric start is, are 0.
          .mean = [softplus = softplus().functions()](const at::Tensor& f, const at::Tensor& y) {
            return elementwise(softplus, -y * f).mean();
          },
          .classification = true, .recordable = true};
}

}  // namespace entk
