#include "entk/train/losses.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "entk/base/error.h"
#include "entk/base/representable.h"
#include "entk/kernels/network_function.h"
#include "entk/models/activation.h"

namespace entk {

namespace {

/// No broadcasting: y of n×1 would compare every output with every target.
void check_pair(const char* name, const at::Tensor& f, const at::Tensor& y) {
  if (f.defined() && y.defined() && f.sizes() == y.sizes()) return;
  const auto shape = [](const at::Tensor& t) {
    return t.defined() ? fmt::format("[{}]", fmt::join(t.sizes(), ", ")) : "nothing";
  };
  throw InputError(
      fmt::format("loss {}: expected output and targets of one shape, got {} and {}", name, shape(f), shape(y)));
}

/// δ²(√(1 + (r/δ)²) − 1) and its derivatives. With h = √(r² + δ²) nothing cancels, overflows or vanishes on the way.
at::Tensor pseudo_huber(const at::Tensor& r, int order, double delta) {
  const auto h = at::hypot(r, at::full({}, delta, r.options()));
  switch (order) {
    case 0:
      return delta * (r * (r / (h + delta)));
    case 1:
      return delta * (r / h);
    case 2:
      return (delta / h).pow(3);
    case 3:
      return -3 * (delta / h).pow(3) * (r / h) / h;
    default:
      throw InputError("loss pseudo_huber: it has derivatives up to the third");
  }
}

}  // namespace

Loss square_loss() {
  return {
      .name = "square",
      .mean = [](const at::Tensor& f, const at::Tensor& y) { return (check_pair("square", f, y), at::mse_loss(f, y)); },
      .recordable = true,
      .square = true};
}

Loss pseudo_huber_loss(double delta) {
  if (!(delta > 0) || !std::isfinite(delta)) {
    throw InputError(fmt::format("loss pseudo_huber: delta: expected a finite number above 0, got {}", delta));
  }
  const Activation function{.name = "pseudo_huber", .derivative = [delta](const at::Tensor& r, int order) {
                              return pseudo_huber(r, order, delta);
                            }};
  return {.name = "pseudo_huber",
          .mean =
              [function, delta](const at::Tensor& f, const at::Tensor& y) {
                check_pair("pseudo_huber", f, y);
                check_representable("loss.delta", delta, f.scalar_type());
                return elementwise(function, f - y).mean();
              },
          .recordable = true};
}

Loss logistic_loss() {
  return {.name = "logistic",
          // Not by autograd: ATen's derivatives of max(t, 0) and |t| at t = 0, where every symmetric start is, are 0.
          .mean =
              [softplus = softplus()](const at::Tensor& f, const at::Tensor& y) {
                check_pair("logistic", f, y);
                return elementwise(softplus, -y * f).mean();
              },
          .classification = true,
          .recordable = true};
}

}  // namespace entk
