#include "entk/spectrum/kernel_regression.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/sphere.h"
#include "entk/base/threads.h"
#include "entk/base/users_code.h"
#include "entk/kernels/primitive_parts.h"

namespace entk {

namespace {

/// The least eigenvalue of LLᵀ, by inverse iteration: too large by a factor of a few at most.
double least_eigenvalue(const at::Tensor& factor) {
  constexpr int iterations = 12;
  auto v = gaussian_points(factor.size(0), 1, RandomStream(Purpose::sketch, 1)).to(factor.options());
  double size = 0;
  for (int i = 0; i < iterations; ++i) {
    v = at::cholesky_solve(v / v.norm(), factor);
    size = v.norm().item<double>();
  }
  return 1 / size;
}

/// α by Cholesky's factors; undefined where K + shift I may have an eigenvalue below the cut.
at::Tensor cholesky_coefficients(const at::Tensor& kernel, const at::Tensor& y, double shift, double cut) {
  const auto shifted = shift > 0 ? kernel + shift * at::eye(kernel.size(0), kernel.options()) : kernel;
  const auto [factor, info] = at::linalg_cholesky_ex(shifted);
  if (info.item<std::int64_t>() != 0) return {};
  constexpr double margin = 100;  // of the estimate
  if (!(least_eigenvalue(factor) > margin * cut * shifted.trace().item<double>())) return {};
  return at::cholesky_solve(y.unsqueeze(1), factor).squeeze(1);
}

}  // namespace

KernelRegression kernel_regression(const at::Tensor& kernel, const at::Tensor& y,
                                   const KernelRegressionOptions& options) {
  check_matrix("kernel", kernel, -1, -1);
  const std::int64_t n = kernel.size(0);
  check_matrix("kernel", kernel, n, n);
  check_vector("y", y, n);
  if (kernel.scalar_type() != at::kDouble) {
    throw InputError(fmt::format("kernel: expected float64, got {}", toString(kernel.scalar_type())));
  }
  check_floating("y", y);
  check_finite("kernel", kernel);
  check_finite("y", y);
  for (const auto& [name, value] : {std::pair{"ridge", options.ridge}, {"cut", options.cut}}) {
    if (!(value >= 0) || !std::isfinite(value)) {
      throw InputError(fmt::format("{}: expected a finite number of at least 0, got {}", name, value));
    }
  }
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  if (!((kernel - kernel.t()).abs_().max().item<double>() <= 1e-6 * kernel.diagonal().abs().max().item<double>())) {
    throw InputError("kernel: expected a symmetric matrix");
  }
  const auto labels = y.to(kernel.options());
  const double shift = options.ridge * static_cast<double>(n);
  KernelRegression fit;
  fit.rank = n;
  fit.coefficients = cholesky_coefficients(kernel, labels, shift, options.cut);
  if (!fit.coefficients.defined()) {
    const auto [values, vectors] = at::linalg_eigh(kernel);
    const double largest = values[n - 1].item<double>();
    // With a ridge nothing needs a cut; rounding leaves eigenvalues below zero.
    const auto kept = values > options.cut * std::max(largest, 0.0);
    const auto inverse =
        options.ridge > 0 ? 1 / (values.clamp_min(0) + shift) : at::where(kept, 1 / values, at::zeros_like(values));
    fit.coefficients = vectors.mv(inverse * vectors.t().mv(labels));
    if (!(options.ridge > 0)) fit.rank = kept.sum().item<std::int64_t>();
    if (fit.rank < n) {
      fit.notice = fmt::format(
          "the kernel is singular at these points: {} of its {} eigenvalues are at most {:.0e} of the largest and "
          "count "
          "as zero; the fit is that of least norm, and need not meet every y",
          n - fit.rank, n, options.cut);
    }
  }
  fit.fitted = kernel.mv(fit.coefficients);
  fit.squared_norm = fit.coefficients.dot(fit.fitted).item<double>();
  return fit;
}

at::Tensor kernel_prediction(const KernelFunction& kernel, const at::Tensor& x, const at::Tensor& train,
                             const at::Tensor& coefficients) {
  if (!kernel) throw InputError("kernel: expected a function, got none");
  check_matrix("train", train, -1, -1);
  check_matrix("x", x, -1, train.size(1));
  check_vector("coefficients", coefficients, train.size(0));
  kernels::check_constant("x", x);
  constexpr std::int64_t rows = 2048;
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  auto out = at::empty({x.size(0)}, coefficients.options());
  for (std::int64_t from = 0; from < x.size(0); from += rows) {
    const auto part = x.narrow(0, from, std::min(rows, x.size(0) - from));
    const auto values = of_user("kernel: its values cannot be made", [&] { return kernel(part, train); });
    check_matrix("kernel's values", values, part.size(0), train.size(0));
    check_like("coefficients", coefficients, "the kernel's values", values);
    out.narrow(0, from, part.size(0)).copy_(values.mv(coefficients));
  }
  return out;
}

double kernel_regression_bytes(double n) {
  // K, its copy with a ridge, Cholesky's factor; or K, its eigenvectors and LAPACK's two of their size to work in.
  return 4 * n * n * 8;
}

}  // namespace entk
