// Derivatives of activations, and expectations over planes and spheres by brute force, for this
// room's tests.
#pragma once

#include <array>
#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

#include "entk/spectrum/quadrature.h"

namespace entk::testing {

using Scalar = std::function<double(double)>;

/// σ(z) = sigmoid(z − shift) and its first three derivatives.
struct Sigmoid {
  double shift;
  double s(double z) const { return 1 / (1 + std::exp(shift - z)); }
  Scalar first() const {
    return [*this](double z) { return s(z) * (1 - s(z)); };
  }
  Scalar second() const {
    return [*this](double z) { return s(z) * (1 - s(z)) * (1 - 2 * s(z)); };
  }
  Scalar third() const {
    return [*this](double z) { return s(z) * (1 - s(z)) * (1 - 6 * s(z) + 6 * s(z) * s(z)); };
  }
};

inline double step(double z) { return z > 0 ? 1.0 : 0.0; }
inline double zero(double) { return 0.0; }

/// E over x uniform on the sphere of radius √d in R^d of h(w·x, w'·x, p) with p the two coordinates
/// of x in the plane of e1 = w and e2, w' = (ρ, √(1−ρ²)): density ∝ (1−|p|²/d)^((d−4)/2), d ≥ 3.
/// With |p| = √d sin ψ: (d−2) cos^(d−3) ψ sin ψ dψ on [0, π/2], exponentially convergent.
inline double plane_expectation(int d, double rho, const std::function<double(double, double, double, double)>& h,
                                int radial = 100, int angular = 160) {
  const auto rule = gauss_quadrature(3, radial);
  const double quarter = std::numbers::pi / 4, s = std::sqrt(std::fmax(0.0, 1 - rho * rho));
  double sum = 0;
  for (int i = 0; i < radial; ++i) {
    const double psi = quarter * (1 + rule.nodes[i]);
    const double weight = 2 * quarter * rule.weights[i] * (d - 2) * std::pow(std::cos(psi), d - 3) * std::sin(psi);
    const double r = std::sqrt(d) * std::sin(psi);
    for (int j = 0; j < angular; ++j) {
      const double phi = 2 * std::numbers::pi * (j + 0.5) / angular;
      const double p1 = r * std::cos(phi), p2 = r * std::sin(phi);
      sum += weight / angular * h(p1, rho * p1 + s * p2, p1, p2);
    }
  }
  return sum;
}

/// Points x of the sphere of radius √d and weights, d = 2 or 3, exact for polynomials of degree
/// < 2·count: a product of Gauss's rule and the trapezoidal rule.
struct SpherePoints {
  torch::Tensor x;        // N×d
  torch::Tensor weights;  // N
};
inline SpherePoints sphere_points(int d, int count) {
  std::vector<double> x, w;
  const auto rule = gauss_quadrature(3, count);
  const int angular = 2 * count;
  for (int i = 0; i < (d == 2 ? 1 : count); ++i) {
    const double u = d == 2 ? 0.0 : rule.nodes[i];
    for (int j = 0; j < angular; ++j) {
      const double phi = 2 * std::numbers::pi * j / angular, across = std::sqrt(d * (1 - u * u));
      x.push_back(across * std::cos(phi));
      x.push_back(across * std::sin(phi));
      if (d == 3) x.push_back(std::sqrt(3.0) * u);
      w.push_back((d == 2 ? 1.0 : rule.weights[i]) / angular);
    }
  }
  const auto n = static_cast<std::int64_t>(w.size());
  return {torch::tensor(x, torch::kFloat64).view({n, d}), torch::tensor(w, torch::kFloat64)};
}

/// f applied to each entry.
inline torch::Tensor map(const Scalar& f, const torch::Tensor& z) {
  auto out = z.contiguous().clone();
  auto* p = out.data_ptr<double>();
  for (std::int64_t i = 0; i < out.numel(); ++i) p[i] = f(p[i]);
  return out;
}

/// Rows uniform on the unit sphere, from torch's generator at this seed.
inline torch::Tensor unit_rows(std::int64_t rows, int d, std::uint64_t seed) {
  torch::manual_seed(seed);
  const auto w = torch::randn({rows, d}, torch::kFloat64);
  return w / w.norm(2, 1, true);
}

/// 1/Z_D of the density (1−t²)^((D−3)/2)/Z_D.
inline double density_constant(int D) {
  return std::exp(std::lgamma(D / 2.0) - std::lgamma((D - 1) / 2.0)) / std::sqrt(std::numbers::pi);
}

}  // namespace entk::testing
