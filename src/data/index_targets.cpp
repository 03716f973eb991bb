#include "entk/data/index_targets.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "entk/base/error.h"
#include "entk/data/map_rows.h"

namespace entk {

namespace {

using Direction = std::vector<double>;

double dot(const double* a, const double* b, std::int64_t d) {
  double sum = 0;
  for (std::int64_t k = 0; k < d; ++k) sum += a[k] * b[k];
  return sum;
}

/// Lengths of 1. @throws InputError for one that is zero or not finite.
void normalise(const char* key, Direction& beta) {
  const double length = std::sqrt(dot(beta.data(), beta.data(), static_cast<std::int64_t>(beta.size())));
  if (!(length > 0) || !std::isfinite(length)) {
    throw InputError(fmt::format("target.{}: expected a finite vector other than zero", key));
  }
  for (double& b : beta) b /= length;
}

/// Random directions made orthogonal one after another.
std::vector<Direction> orthonormal_directions(std::int64_t count, std::int64_t dimension, std::uint64_t seed) {
  std::vector<Direction> all;
  for (std::int64_t i = 0; i < count; ++i) {
    auto beta = random_direction(dimension, seed, i);
    for (int pass = 0; pass < 2; ++pass) {  // the second removes what rounding left of the first
      for (const auto& other : all) {
        const double share = dot(beta.data(), other.data(), dimension);
        for (std::int64_t k = 0; k < dimension; ++k) beta[k] -= share * other[k];
      }
    }
    normalise("terms", beta);
    all.push_back(std::move(beta));
  }
  return all;
}

/// h_0(t) … h_top(t).
std::vector<double> hermite(double t, std::size_t top) {
  std::vector<double> h{1.0};
  for (std::size_t k = 0; k < top; ++k) {
    const double before = k == 0 ? 0.0 : std::sqrt(static_cast<double>(k)) * h[k - 1];
    h.push_back((t * h[k] - before) / std::sqrt(static_cast<double>(k + 1)));
  }
  return h;
}

void check_count(const char* key, std::int64_t count, std::int64_t dimension) {
  if (count < 1 || count > dimension) {
    throw InputError(fmt::format("target.{}: expected 1 to {} (the dimension), got {}", key, dimension, count));
  }
}

std::vector<Direction> axes(std::int64_t count, std::int64_t dimension) {
  std::vector<Direction> all(static_cast<std::size_t>(count), Direction(static_cast<std::size_t>(dimension), 0.0));
  for (std::int64_t i = 0; i < count; ++i) all[i][i] = 1.0;
  return all;
}

}  // namespace

Target single_index_target(std::int64_t dimension, InputLaw law, std::uint64_t seed, std::vector<double> c,
                           std::vector<double> beta) {
  if (beta.empty()) beta = random_direction(dimension, seed, 0);
  if (static_cast<std::int64_t>(beta.size()) != dimension) {
    throw InputError(fmt::format("target.beta: expected {} entries, the dimension, got {}", dimension, beta.size()));
  }
  normalise("beta", beta);
  while (!c.empty() && c.back() == 0) c.pop_back();
  if (c.empty()) throw InputError("target.coefficients: expected at least one other than 0");
  double square = 0;
  for (const double v : c) {
    if (!std::isfinite(v)) throw InputError(fmt::format("target.coefficients: expected finite numbers, got {}", v));
    square += v * v;
  }
  const auto top = c.size() - 1;
  Target target;
  target.description = fmt::format("single-index, Hermite degree {}", top);
  target.second_moment = law == InputLaw::gaussian ? square : NAN;
  target.directions = {beta};
  if (top >= 2) {
    // h_k(t) = t^k/√k! + lower degrees.
    const double leading = c[top] / std::sqrt(std::tgamma(static_cast<double>(top) + 1));
    target.sparse = SparsePart{static_cast<int>(top), {leading}, {beta}};
  }
  target.value = [c, beta, top](const at::Tensor& x) {
    const auto d = static_cast<std::int64_t>(beta.size());
    return map_rows(x, d, [&](const double* row) {
      const auto h = hermite(dot(beta.data(), row, d), top);
      double sum = 0;
      for (std::size_t k = 0; k <= top; ++k) sum += c[k] * h[k];
      return sum;
    });
  };
  return target;
}

Target multi_index_target(std::int64_t dimension, InputLaw law, std::uint64_t seed,
                          const std::vector<IndexTerm>& terms) {
  if (terms.empty()) throw InputError("target.terms: expected at least one");
  const auto count = static_cast<std::int64_t>(terms[0].degrees.size());
  check_count("terms: number of degrees", count, dimension);
  std::map<std::vector<std::int64_t>, double> merged;
  std::int64_t top = 0;
  for (const auto& term : terms) {
    if (static_cast<std::int64_t>(term.degrees.size()) != count) {
      throw InputError(fmt::format("target.terms: expected {} degrees in each, as in the first, got {}", count,
                                   term.degrees.size()));
    }
    for (const auto k : term.degrees) {
      if (k < 0 || k > 20) throw InputError(fmt::format("target.terms: degrees: expected 0 to 20, got {}", k));
      top = std::max(top, k);
    }
    if (!std::isfinite(term.coefficient)) throw InputError("target.terms: coefficient: expected a finite number");
    merged[term.degrees] += term.coefficient;
  }
  double square = 0;
  for (const auto& [degrees, coefficient] : merged) square += coefficient * coefficient;
  Target target;
  target.description = fmt::format("multi-index, {} directions, {} terms", count, merged.size());
  target.second_moment = law == InputLaw::gaussian ? square : NAN;
  target.directions = orthonormal_directions(count, dimension, seed);
  target.value = [merged, top, betas = target.directions](const at::Tensor& x) {
    const auto d = static_cast<std::int64_t>(betas[0].size());
    return map_rows(x, d, [&](const double* row) {
      std::vector<std::vector<double>> h;
      for (const auto& beta : betas) h.push_back(hermite(dot(beta.data(), row, d), static_cast<std::size_t>(top)));
      double sum = 0;
      for (const auto& [degrees, coefficient] : merged) {
        double product = coefficient;
        for (std::size_t i = 0; i < degrees.size(); ++i) product *= h[i][degrees[i]];
        sum += product;
      }
      return sum;
    });
  };
  return target;
}

Target staircase_target(std::int64_t dimension, InputLaw law, std::int64_t steps) {
  check_count("steps", steps, dimension);
  Polynomial p;
  Monomial product{1 / std::sqrt(static_cast<double>(steps)), {}};
  for (std::int64_t i = 0; i < steps; ++i) {
    product.variables.push_back(i);
    p.monomials.push_back(product);
  }
  Target target;
  target.description = fmt::format("staircase of {} steps", steps);
  target.second_moment = p.second_moment(law, dimension);
  target.directions = axes(steps, dimension);
  target.value = [p](const at::Tensor& x) { return p(x); };
  return target;
}

Target parity_target(std::int64_t dimension, std::int64_t degree) {
  check_count("degree", degree, dimension);
  Target target;
  target.description = fmt::format("parity of {} signs", degree);
  target.second_moment = 1.0;
  target.directions = axes(degree, dimension);
  target.value = [degree, dimension](const at::Tensor& x) {
    return map_rows(x, dimension, [degree](const double* row) {
      bool negative = false;
      for (std::int64_t i = 0; i < degree; ++i) negative = negative != (row[i] < 0);
      return negative ? -1.0 : 1.0;
    });
  };
  return target;
}

}  // namespace entk
