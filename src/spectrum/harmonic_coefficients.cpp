#include "entk/spectrum/harmonic_coefficients.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/error.h"
#include "entk/spectrum/legendre.h"

namespace entk {

namespace {

void check_degree(int max_degree) {
  if (max_degree < 0 || max_degree > highest_degree) {
    throw InputError(
        fmt::format("harmonic coefficients: expected a degree of 0 to {}, got {}", highest_degree, max_degree));
  }
}

std::vector<double> values_at(const std::function<double(double)>& g, const Quadrature& rule, double scale) {
  std::vector<double> values(rule.nodes.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = g(scale * rule.nodes[i]);
    if (!std::isfinite(values[i])) {
      throw NotFiniteError(
          fmt::format("harmonic coefficients: g({}) is {}, expected a finite value", scale * rule.nodes[i], values[i]));
    }
  }
  return values;
}

}  // namespace

HarmonicCoefficients harmonic_coefficients(const std::vector<double>& values, const Quadrature& rule, int dimension,
                                           int max_degree) {
  if (values.size() != rule.nodes.size()) {
    throw InputError(fmt::format("harmonic coefficients: expected {} values, one for each node, got {}",
                                 rule.nodes.size(), values.size()));
  }
  check_degree(max_degree);
  HarmonicCoefficients result;
  result.dimension = dimension;
  result.norms.assign(max_degree + 1, 0.0);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (rule.weights[i] == 0.0) continue;
    const auto p = orthonormal_values(dimension, max_degree, rule.nodes[i]);
    for (int j = 0; j <= max_degree; ++j) result.norms[j] += rule.weights[i] * values[i] * p[j];
    result.mean_square += rule.weights[i] * values[i] * values[i];
  }
  result.values = result.norms;
  result.errors.assign(max_degree + 1, 0.0);
  double root = 1.0;  // √B(D,j), by B(D,j+1)/B(D,j) = (2j+D)(j+D−2) / ((2j+D−2)(j+1))
  for (int j = 1; j <= max_degree; ++j) {
    const double l = j - 1, d = dimension;
    root *= j == 1 ? std::sqrt(d) : std::sqrt((2 * l + d) * (l + d - 2) / ((2 * l + d - 2) * (l + 1)));
    result.values[j] /= root;
  }
  return result;
}

HarmonicCoefficients harmonic_coefficients(const std::function<double(double)>& g, int dimension, double scale,
                                           int max_degree, const QuadratureOptions& options) {
  if (!g) throw InputError("harmonic coefficients: g: expected a function, got none");
  if (!(std::isfinite(scale) && scale > 0)) {
    throw InputError(fmt::format("harmonic coefficients: expected a scale above 0, got {}", scale));
  }
  check_degree(max_degree);
  if (options.breaks.empty() && options.nodes < max_degree + 2) {
    throw InputError(fmt::format("harmonic coefficients: expected at least {} nodes for degree {}, got {}",
                                 max_degree + 2, max_degree, options.nodes));
  }
  auto breaks = options.breaks;
  for (double& z : breaks) z /= scale;
  const auto rule = [&](double factor) {
    const auto grown = [&](int count) { return static_cast<int>(std::ceil(factor * count)); };
    return breaks.empty() ? gauss_quadrature(dimension, grown(options.nodes))
                          : composite_quadrature(dimension, breaks, grown(options.per_panel));
  };
  const auto coarse_rule = rule(1.0), fine_rule = rule(1.5);
  const auto coarse = harmonic_coefficients(values_at(g, coarse_rule, scale), coarse_rule, dimension, max_degree);
  auto fine = harmonic_coefficients(values_at(g, fine_rule, scale), fine_rule, dimension, max_degree);
  for (int j = 0; j <= max_degree; ++j) fine.errors[j] = std::fabs(fine.norms[j] - coarse.norms[j]);
  return fine;
}

bool Vanishing::is_zero(int degree) const { return std::find(zero.begin(), zero.end(), degree) != zero.end(); }

Vanishing vanishing(const HarmonicCoefficients& coefficients) {
  const double norm = std::sqrt(coefficients.mean_square);
  Vanishing result;
  for (int j = 0; j <= coefficients.max_degree(); ++j) {
    const double size = std::fabs(coefficients.norms[j]);
    if (size <= std::max(Vanishing::zero_below * norm, coefficients.errors[j])) {
      result.zero.push_back(j);
    } else if (size <= Vanishing::nearly_below * norm) {
      result.nearly.push_back(j);
    }
  }
  return result;
}

}  // namespace entk
