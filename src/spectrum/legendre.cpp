#include "entk/spectrum/legendre.h"

#include <torch/types.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "entk/base/check.h"

namespace entk {

namespace {

void check_arguments(int dimension, int degree) {
  if (dimension < 2) {
    throw InputError(fmt::format("dimension: expected 2 or more (a sphere), got {}", dimension));
  }
  if (degree < 0) throw InputError(fmt::format("degree: expected 0 or more, got {}", degree));
}

// P_{l+1} = up(l) t P_l − down(l) P_{l−1}. The quotient is 0/0 at l = 0, D = 2: P_1 = t always.
double up(int dimension, int l) { return l == 0 ? 1.0 : (2.0 * l + dimension - 2.0) / (l + dimension - 2.0); }
double down(int dimension, int l) { return l == 0 ? 0.0 : l / (l + dimension - 2.0); }

// C(n, k) unless it is beyond 64 bits. Each partial product is itself a binomial coefficient, and
// they grow: the first that does not fit proves that the result does not.
std::optional<std::int64_t> binomial(std::int64_t n, std::int64_t k) {
  k = std::min(k, n - k);
  __int128 value = 1;
  for (std::int64_t i = 1; i <= k; ++i) {
    value = value * (n - k + i) / i;
    if (value > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
  }
  return static_cast<std::int64_t>(value);
}

}  // namespace

std::vector<double> legendre_values(int dimension, int max_degree, double t) {
  check_arguments(dimension, max_degree);
  std::vector<double> values(max_degree + 1, 1.0);
  if (max_degree > 0) values[1] = t;
  for (int l = 1; l < max_degree; ++l) {
    values[l + 1] = up(dimension, l) * t * values[l] - down(dimension, l) * values[l - 1];
  }
  return values;
}

at::Tensor legendre_values(int dimension, int max_degree, const at::Tensor& t) {
  check_arguments(dimension, max_degree);
  if (!t.defined() || !t.is_floating_point()) throw InputError("t: expected floating numbers, got " + shape_text(t));
  std::vector<at::Tensor> values{torch::ones_like(t)};
  if (max_degree > 0) values.push_back(t);
  for (int l = 1; l < max_degree; ++l) {
    values.push_back(up(dimension, l) * t * values[l] - down(dimension, l) * values[l - 1]);
  }
  return torch::stack(values);
}

double jacobi_entry(int dimension, int degree) {
  check_arguments(dimension, degree);
  if (degree == 0) return 0.0;
  const double d = dimension, l = degree;
  if (degree == 1) return std::sqrt(1.0 / d);  // E[t²]; the general quotient is 0/0 at D = 2
  return std::sqrt(l * (l + d - 3.0) / ((2.0 * l + d - 2.0) * (2.0 * l + d - 4.0)));
}

std::vector<double> orthonormal_values(int dimension, int max_degree, double t) {
  check_arguments(dimension, max_degree);
  std::vector<double> values(max_degree + 1, 1.0);
  double below = 0.0;
  for (int l = 1; l <= max_degree; ++l) {
    const double entry = jacobi_entry(dimension, l);
    values[l] = (t * values[l - 1] - (l > 1 ? below * values[l - 2] : 0.0)) / entry;
    below = entry;
  }
  return values;
}

std::optional<std::int64_t> exact_multiplicity(int dimension, int degree) {
  check_arguments(dimension, degree);
  if (degree == 0) return 1;
  // (2l+D−2)/l · C(l+D−3, l−1); the quotient is above 2, so B fits only if the binomial does.
  const auto choose = binomial(std::int64_t{degree} + dimension - 3, degree - 1);
  if (!choose) return std::nullopt;
  const __int128 value = static_cast<__int128>(*choose) * (2 * std::int64_t{degree} + dimension - 2) / degree;
  if (value > std::numeric_limits<std::int64_t>::max()) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

double multiplicity(int dimension, int degree) {
  if (const auto exact = exact_multiplicity(dimension, degree)) return static_cast<double>(*exact);
  long double value = (2.0L * degree + dimension - 2.0L) / degree;
  const int k = std::min(degree - 1, dimension - 2);
  const std::int64_t n = std::int64_t{degree} + dimension - 3;
  for (int i = 1; i <= k; ++i) value *= static_cast<long double>(n - k + i) / i;
  return static_cast<double>(value);
}

std::optional<std::int64_t> exact_cumulative_multiplicity(int dimension, int degree) {
  check_arguments(dimension, degree);
  std::int64_t sum = 0;
  for (int l = 0; l <= degree; ++l) {
    const auto exact = exact_multiplicity(dimension, l);
    if (!exact || __builtin_add_overflow(sum, *exact, &sum)) return std::nullopt;
  }
  return sum;
}

double cumulative_multiplicity(int dimension, int degree) {
  if (const auto exact = exact_cumulative_multiplicity(dimension, degree)) {
    return static_cast<double>(*exact);
  }
  double sum = 0.0;
  for (int l = 0; l <= degree; ++l) sum += multiplicity(dimension, l);
  return sum;
}

std::vector<double> monomials_to_legendre(int dimension, const std::vector<double>& coefficients) {
  check_arguments(dimension, 0);
  // Horner's rule, with t P_l = [(l+D−2) P_{l+1} + l P_{l−1}] / (2l+D−2) as multiplication by t.
  std::vector<double> series(coefficients.size(), 0.0);
  for (std::size_t i = coefficients.size(); i-- > 0;) {
    std::vector<double> product(series.size(), 0.0);
    for (std::size_t l = 0; l + 1 < series.size(); ++l) {
      const double share = l == 0 ? 0.0 : l / (2.0 * l + dimension - 2.0);
      product[l + 1] += (1.0 - share) * series[l];
      if (l > 0) product[l - 1] += share * series[l];
    }
    series = std::move(product);
    series[0] += coefficients[i];
  }
  return series;
}

}  // namespace entk
