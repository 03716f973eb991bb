#include "entk/spectrum/quadrature.h"

#include <fmt/format.h>
#include <Eigen/Eigenvalues>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "entk/base/error.h"
#include "entk/spectrum/legendre.h"

namespace entk {

namespace {

void check_rule(int dimension, int count) {
  if (dimension < 2) {
    throw InputError(fmt::format("quadrature: expected a dimension of 2 or more, got {}", dimension));
  }
  if (count < 1 || count > 2000) {
    throw InputError(fmt::format("quadrature: expected 1 to 2000 nodes, got {}", count));
  }
}

void normalise(std::vector<double>& weights) {
  double sum = 0.0, lost = 0.0;  // Kahan: the sum of weights is 1 to the last bits
  for (double w : weights) {
    const double corrected = w - lost, next = sum + corrected;
    lost = (next - sum) - corrected;
    sum = next;
  }
  for (double& w : weights) w /= sum;
}

// The orthonormal p_count and its derivative at t.
struct AtNode {
  double value, slope;
};
AtNode at_node(const std::vector<double>& entries, int count, double t) {
  double below = 0.0, value = 1.0, slope_below = 0.0, slope = 0.0;
  for (int l = 1; l <= count; ++l) {
    const double next = (t * value - entries[l - 1] * below) / entries[l];
    const double next_slope = (value + t * slope - entries[l - 1] * slope_below) / entries[l];
    below = value, value = next;
    slope_below = slope, slope = next_slope;
  }
  return {value, slope};
}

}  // namespace

Quadrature gauss_quadrature(int dimension, int count) {
  check_rule(dimension, count);
  std::vector<double> entries(count + 1);
  for (int l = 0; l <= count; ++l) entries[l] = jacobi_entry(dimension, l);

  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver;
  const Eigen::VectorXd diagonal = Eigen::VectorXd::Zero(count);
  const Eigen::VectorXd off = Eigen::Map<const Eigen::VectorXd>(entries.data() + 1, count - 1);
  solver.computeFromTridiagonal(diagonal, off, Eigen::EigenvaluesOnly);
  if (solver.info() != Eigen::Success) {
    throw RunError(fmt::format("quadrature: no eigenvalues at dimension {}, {} nodes", dimension, count));
  }

  Quadrature rule{std::vector<double>(count, 0.0), std::vector<double>(count, 0.0)};
  for (int i = (count - 1) / 2, j = count / 2; i >= 0; --i, ++j) {
    double t = i == j ? 0.0 : 0.5 * (solver.eigenvalues()[j] - solver.eigenvalues()[i]);
    if (i != j) {
      const AtNode here = at_node(entries, count, t);
      const double step = here.value / here.slope;
      if (std::isfinite(step)) t -= step;
    }
    // Weights are ∝ 1/((1−t²) p_count'(t)²). Far out at high D the square overflows, the weight
    // being below 1e-308.
    const double slope = at_node(entries, count, t).slope;
    const double inverse = (1.0 - t) * (1.0 + t) * slope * slope;
    rule.nodes[j] = t, rule.nodes[i] = -t;
    rule.weights[j] = rule.weights[i] = std::isfinite(inverse) ? 1.0 / inverse : 0.0;
  }
  normalise(rule.weights);
  return rule;
}

Quadrature composite_quadrature(int dimension, const std::vector<double>& breaks, int per_panel) {
  check_rule(dimension, per_panel);
  const double reach = std::min(std::numbers::pi / 2, 40.0 / std::sqrt(dimension));
  const double width = std::min(0.8, 4.0 / std::sqrt(dimension));
  std::vector<double> edges{-reach, reach};
  for (double t : breaks) {
    if (!std::isfinite(t)) throw InputError(fmt::format("quadrature: expected finite breaks, got {}", t));
    if (std::fabs(t) < 1.0 && std::fabs(std::asin(t)) < reach) edges.push_back(std::asin(t));
  }
  std::sort(edges.begin(), edges.end());
  edges.erase(std::unique(edges.begin(), edges.end()), edges.end());

  const Quadrature panel = gauss_quadrature(3, per_panel);  // D = 3 is Gauss–Legendre, of mean 1 over [−1, 1]
  Quadrature rule;
  for (std::size_t e = 0; e + 1 < edges.size(); ++e) {
    const int panels = static_cast<int>(std::ceil((edges[e + 1] - edges[e]) / width));
    const double half = 0.5 * (edges[e + 1] - edges[e]) / panels;
    for (int p = 0; p < panels; ++p) {
      for (int i = 0; i < per_panel; ++i) {
        const double theta = edges[e] + half * (2 * p + 1 + panel.nodes[i]);
        const double t = std::sin(theta);
        // At D = 10⁴ the rounding of cos θ near 1 would show, near θ = ±π/2 that of 1 − t².
        const double log_cos = t * t < 0.5 ? 0.5 * std::log1p(-t * t) : std::log(std::cos(theta));
        rule.nodes.push_back(t);
        rule.weights.push_back(half * panel.weights[i] * std::exp((dimension - 2) * log_cos));
      }
    }
  }
  normalise(rule.weights);
  return rule;
}

}  // namespace entk
