// A problem for kernels in float32 with its answer in float64 and the componentwise bound
//   4 (L + log₂ m + 8) eps Σ|terms| + count · smallest subnormal,
// L = d for each factor Z of a term, log₂ n more for the pull-back, tables given.
#pragma once

#include <gtest/gtest.h>
#include <torch/types.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "entk/kernels/taylor_primitive.h"

namespace entk::testing {

/// sigmoid(z − 1), orders 0 … 4, without code of the kernels' own.
inline Activation smooth_activation() {
  Activation f;
  f.derivative = [](const at::Tensor& z, int order) {
    const auto s = torch::sigmoid(z - 1.0), one = s * (1 - s), odd = 1 - 2 * s;
    switch (order) {
      case 0:
        return s;
      case 1:
        return one;
      case 2:
        return one * odd;
      case 3:
        return one * (1 - 6 * one);
      default:
        return one * odd * (1 - 12 * one);
    }
  };
  return f;
}

struct BoundedProblem {
  /// Rows of W0 are unit vectors of the axes, so that W0 x, and with it the tables, are the same
  /// whatever multiplies.
  BoundedProblem(int n, int d, int m, bool twins, int orders, c10::Device device = c10::kCPU) : orders(orders) {
    torch::manual_seed(100 * n + 10 * d + m);
    const auto options = torch::dtype(torch::kFloat32);
    const int neurons = twins ? m / 2 : m;
    x = torch::randn({n, d}, options);
    w0 = torch::zeros({neurons, d}, options);
    for (int r = 0; r < neurons; ++r) w0[r][r % d] = 1;
    a = torch::randn({neurons}, options).sign();
    if (twins) {
      w0 = torch::cat({w0, w0});
      a = torch::cat({a, -a});
    }
    w = torch::randn({m, d}, options);
    v = torch::randn({m, d}, options);
    g = torch::randn({orders, n}, options);
    directional_g = torch::randn({3, n}, options);
    for (auto* t : {&x, &w0, &a, &w, &v, &g, &directional_g}) *t = t->to(device);
  }

  /// S_p as the kernels hold it (rounded to float32), n×m, float64, on the CPU.
  torch::Tensor table(int p) const {
    const auto z0 = x.cpu().mm(w0.cpu().t());
    const auto scale = (a.cpu().to(torch::kFloat64) / std::sqrt(static_cast<double>(a.size(0)))).to(torch::kFloat32);
    return (smooth_activation().derivative(z0, p) * scale).to(torch::kFloat64);
  }
  torch::Tensor reference_terms() const { return reference_terms(w); }
  torch::Tensor reference_terms(const torch::Tensor& at_w) const { return forms(wide(x), wide(at_w), false); }
  torch::Tensor reference_pull_back(const torch::Tensor& at_w) const {
    return pull(wide(x), wide(at_w), wide(g), false);
  }

  ::testing::AssertionResult terms_within_bound(const torch::Tensor& got) const {
    auto bounds = forms(wide(x).abs(), wide(w).abs(), true);
    for (int p = 1; p <= orders; ++p) bounds[p - 1] = bound(p * x.size(1), bounds[p - 1]);
    return within(got, reference_terms(), bounds);
  }
  ::testing::AssertionResult pull_back_within_bound(const torch::Tensor& got) const {
    const double length = static_cast<double>(x.size(1) * std::max(1, orders - 1)) + std::log2(x.size(0));
    return within(got, reference_pull_back(w), bound(length, pull(wide(x).abs(), wide(w).abs(), wide(g).abs(), true)));
  }

  int orders;
  torch::Tensor x, w0, a, w, v, g, directional_g;

 private:
  static torch::Tensor wide(const torch::Tensor& t) { return t.cpu().to(torch::kFloat64); }

  torch::Tensor forms(const torch::Tensor& points, const torch::Tensor& weights, bool absolute) const {
    const auto z = points.mm(weights.t());
    std::vector<torch::Tensor> sums;
    double factorial = 1;
    for (int p = 1; p <= orders; ++p) {
      factorial *= p;
      const auto s = table(p);
      sums.push_back(((absolute ? s.abs() : s) * z.pow(p)).sum(1) / factorial);
    }
    return torch::stack(sums);
  }
  torch::Tensor pull(const torch::Tensor& points, const torch::Tensor& weights, const torch::Tensor& cotangents,
                     bool absolute) const {
    const auto z = points.mm(weights.t());
    auto form = torch::zeros_like(z);
    double factorial = 1;
    for (int p = 1; p <= orders; ++p) {
      if (p > 1) factorial *= p - 1;
      const auto s = table(p);
      form += cotangents[p - 1].unsqueeze(1) * (absolute ? s.abs() : s) * z.pow(p - 1) / factorial;
    }
    return form.t().mm(points);
  }
  torch::Tensor bound(double length, const torch::Tensor& absolute) const {
    const double m = static_cast<double>(a.size(0)), count = static_cast<double>(x.numel()) * m;
    return 4 * (length + std::log2(m) + 8) * std::numeric_limits<float>::epsilon() * absolute +
           count * std::numeric_limits<float>::denorm_min();
  }
  static ::testing::AssertionResult within(const torch::Tensor& got, const torch::Tensor& want,
                                           const torch::Tensor& bounds) {
    if (got.sizes() != want.sizes()) return ::testing::AssertionFailure() << "shape " << got.sizes();
    const auto ratio = ((wide(got) - want).abs() / bounds).nan_to_num(INFINITY, INFINITY).flatten();
    const double worst = ratio.max().item<double>();
    if (worst <= 1) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << fmt::format("{:.3g} times the bound at flat index {}", worst,
                                                        ratio.argmax().item<std::int64_t>());
  }
};

}  // namespace entk::testing
