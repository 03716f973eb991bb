#include "entk/spectrum/top_eigenpairs.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/sphere.h"
#include "entk/base/threads.h"
#include "entk/spectrum/feature_kernel.h"

namespace entk {

namespace {

constexpr std::int64_t dense_limit = 1500;
constexpr double wanted_residual = 1e-12, acceptable_residual = 1e-8;
constexpr int most_iterations = 60;

Eigenpairs dense(const at::Tensor& matrix, std::int64_t count) {
  const SerialTorch serial;
  const auto [values, vectors] = at::linalg_eigh(matrix);
  const std::int64_t n = matrix.size(0);
  return {values.flip(0).narrow(0, 0, count).contiguous(), vectors.flip(1).narrow(1, 0, count).contiguous(),
          n * 2.2e-16};
}

at::Tensor orthonormal(const at::Tensor& v) { return std::get<0>(at::linalg_qr(v)); }

}  // namespace

Eigenpairs top_eigenpairs(const at::Tensor& matrix, std::int64_t count) {
  check_matrix("matrix", matrix, -1, -1);
  check_matrix("matrix", matrix, matrix.size(0), matrix.size(0));
  check_floating("matrix", matrix);
  check_finite("matrix", matrix);
  const std::int64_t n = matrix.size(0);
  if (count < 1 || count > n) throw InputError(fmt::format("count: expected 1 to {}, got {}", n, count));
  if (n <= dense_limit || 3 * count > n) return dense(matrix, count);
  return top_eigenpairs([&](const at::Tensor& v) { return tiled_product(matrix, v); }, n, count, matrix.options());
}

Eigenpairs top_eigenpairs(const std::function<at::Tensor(const at::Tensor&)>& product, std::int64_t n,
                          std::int64_t count, const at::TensorOptions& options) {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const std::int64_t block = std::min(n, count + std::max<std::int64_t>(12, count / 8));
  auto v = orthonormal(gaussian_points(n, block, RandomStream(Purpose::sketch, 1)).to(options));
  Eigenpairs best{{}, {}, INFINITY};
  int degree = 1;  // of the filter: plain products until the unwanted end is known
  double edge = 0;
  for (int iteration = 0; iteration < most_iterations; ++iteration) {
    // Chebyshev polynomial of (2A/edge − 1): at most 1 on [0, edge], growing fast above it.
    auto before = v, now = product(v);
    if (degree > 1) {
      now = now * (2 / edge) - before;
      for (int k = 2; k <= degree; ++k) {
        auto next = product(now) * (4 / edge) - 2 * now - before;
        before = now;
        now = next;
      }
    }
    v = orthonormal(now);
    const auto av = product(v);
    const auto [values, rotation] = at::linalg_eigh(tiled_product(v.t().contiguous(), av));
    const auto order = rotation.flip(1).contiguous();
    v = tiled_product(v, order);
    const auto top = values.flip(0);
    const auto residuals = (tiled_product(av, order) - v * top).norm(2, 0).narrow(0, 0, count);
    const double largest = top[0].item<double>();
    const double residual = residuals.max().item<double>() / largest;
    const bool improved = residual < 0.5 * best.residual;
    if (residual < best.residual) {
      best = {top.narrow(0, 0, count).contiguous(), v.narrow(1, 0, count).contiguous(), residual};
    }
    if (residual < wanted_residual || (!improved && residual < acceptable_residual) || block == n) break;
    edge = std::max(top[block - 1].item<double>(), 1e-14 * largest);
    // The filter may spread the columns over some ten orders of magnitude and no more: beyond, the
    // smaller ones drown in the rounding of the larger.
    degree = std::clamp(static_cast<int>(25 / std::acosh(2 * largest / edge - 1)), 2, 12);
  }
  if (best.residual > acceptable_residual) {
    throw RunError(
        fmt::format("eigenvectors: subspace iteration stopped at a residual of {:.2g} (wanted {:.0e}): "
                    "the eigenvalues at the cut of {} lie too close",
                    best.residual, acceptable_residual, count));
  }
  return best;
}

double top_eigenpairs_bytes(double n, double count) {
  // The matrix, LAPACK's copy of it and two of its size to work in; or the matrix and the iteration's blocks.
  if (n <= dense_limit || 3 * count > n) return 4 * n * n * 8;
  return n * n * 8 + 8 * n * (count + std::max(12.0, count / 8)) * 8;
}

}  // namespace entk
