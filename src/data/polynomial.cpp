#include "entk/data/polynomial.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "entk/base/check.h"
#include "entk/base/threads.h"

namespace entk {

int Polynomial::degree() const {
  int degree = 0;
  if (!linear.empty()) degree = 1;
  if (quadratic.defined()) degree = 2;
  for (const auto& m : monomials) degree = std::max(degree, static_cast<int>(m.variables.size()));
  return degree;
}

at::Tensor Polynomial::operator()(const at::Tensor& x) const {
  check_matrix("x", x, -1, -1);
  if (x.scalar_type() != at::kDouble || !x.is_cpu()) {
    throw InputError(
        fmt::format("x: expected float64 on the cpu, got {} on {}", toString(x.scalar_type()), x.device().str()));
  }
  check(x.size(1));
  const auto rows = x.contiguous();
  const double* points = rows.const_data_ptr<double>();
  const std::int64_t n = rows.size(0), d = rows.size(1);
  const auto matrix = quadratic.defined() ? quadratic.contiguous() : at::Tensor();
  const double* entries = matrix.defined() ? matrix.const_data_ptr<double>() : nullptr;
  auto out = at::empty({n}, at::kDouble);
  double* values = out.mutable_data_ptr<double>();
  parallel_for(n, [&](std::int64_t i) {
    const double* row = points + i * d;
    double value = constant;
    for (std::size_t k = 0; k < linear.size(); ++k) value += linear[k] * row[k];
    if (entries) {
      for (std::int64_t j = 0; j < d; ++j) {
        double inner = 0;
        for (std::int64_t k = 0; k < d; ++k) inner += entries[j * d + k] * row[k];
        value += row[j] * inner;
      }
    }
    for (const auto& m : monomials) {
      double product = m.coefficient;
      for (const std::int64_t k : m.variables) product *= row[k];
      value += product;
    }
    values[i] = value;
  });
  return out;
}

double monomial_mean(const std::vector<std::int64_t>& variables, InputLaw law, std::int64_t dimension) {
  std::map<std::int64_t, int> powers;
  for (const auto v : variables) ++powers[v];
  double mean = 1;
  int half_degree = 0;
  for (const auto& [variable, power] : powers) {
    if (power % 2) return 0;
    for (int odd = power - 1; odd > 1; odd -= 2) mean *= odd;
    half_degree += power / 2;
  }
  if (law == InputLaw::sphere) {
    const double d = static_cast<double>(dimension);
    for (int s = 0; s < half_degree; ++s) mean *= d / (d + 2 * s);
  }
  return mean;
}

double Polynomial::second_moment(InputLaw law, std::int64_t dimension) const {
  if (!monomials.empty()) {
    if (!linear.empty() || quadratic.defined()) {
      throw InputError("polynomial: give either monomials, or a linear and a quadratic part, not both");
    }
    auto terms = monomials;
    if (constant != 0) terms.push_back({constant, {}});
    double moment = 0;
    for (const auto& a : terms) {
      for (const auto& b : terms) {
        auto both = a.variables;
        both.insert(both.end(), b.variables.begin(), b.variables.end());
        moment += a.coefficient * b.coefficient * monomial_mean(both, law, dimension);
      }
    }
    return moment;
  }
  // E (c + b·x + xᵀMx)² = c² + ‖b‖² + 2c tr M + κ (tr(M)² + 2 tr(M²)), κ = d/(d+2) on the sphere.
  double moment = constant * constant;
  for (const double b : linear) moment += b * b;
  if (quadratic.defined()) {
    const SerialTorch serial;
    const auto m = 0.5 * (quadratic + quadratic.t());
    const double trace = m.trace().item<double>(), square = (m * m).sum().item<double>();
    const double d = static_cast<double>(dimension);
    const double kappa = law == InputLaw::sphere ? d / (d + 2) : 1.0;
    moment += 2 * constant * trace + kappa * (trace * trace + 2 * square);
  }
  return moment;
}

void Polynomial::scale(double factor) {
  constant *= factor;
  for (double& b : linear) b *= factor;
  if (quadratic.defined()) quadratic = quadratic * factor;
  for (auto& m : monomials) m.coefficient *= factor;
}

void Polynomial::check(std::int64_t dimension) const {
  const auto finite = [](double v, const std::string& name) {
    if (!std::isfinite(v)) throw InputError(fmt::format("polynomial: {}: expected a finite number, got {}", name, v));
  };
  finite(constant, "constant");
  if (!linear.empty() && static_cast<std::int64_t>(linear.size()) != dimension) {
    throw InputError(
        fmt::format("polynomial: linear: expected {} coefficients, one a dimension, got {}", dimension, linear.size()));
  }
  for (std::size_t k = 0; k < linear.size(); ++k) finite(linear[k], fmt::format("linear[{}]", k));
  if (quadratic.defined() && (quadratic.dim() != 2 || quadratic.size(0) != dimension ||
                              quadratic.size(1) != dimension || quadratic.scalar_type() != at::kDouble)) {
    throw InputError(fmt::format("polynomial: quadratic: expected a float64 matrix of {}×{}", dimension, dimension));
  }
  for (std::size_t j = 0; j < monomials.size(); ++j) {
    finite(monomials[j].coefficient, fmt::format("monomials[{}].coefficient", j));
    for (const auto v : monomials[j].variables) {
      if (v < 0 || v >= dimension) {
        throw InputError(fmt::format("polynomial: monomials[{}]: variable {} is outside 0 … {}", j, v, dimension - 1));
      }
    }
  }
}

}  // namespace entk
