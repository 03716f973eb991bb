#include "entk/data/targets.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/sphere.h"
#include "entk/data/map_rows.h"

namespace entk {

namespace {

double dot(const std::vector<double>& a, const double* b) {
  double sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

void check_dimension(std::int64_t dimension) {
  if (dimension < 1) throw InputError(fmt::format("dimension: expected at least 1, got {}", dimension));
}

/// c + b·x (+ xᵀMx) with normal coefficients, each degree with the same share of the variance.
Polynomial dense_polynomial(const LowDegreePlusSparse& o) {
  const RandomStream stream(Purpose::target_low_degree, o.seed);
  const std::int64_t d = o.dimension;
  Polynomial p;
  p.constant = stream.normal(0);
  for (std::int64_t k = 0; k < d; ++k) p.linear.push_back(stream.normal(1 + k) / std::sqrt(d));
  if (o.degree >= 2) {
    p.quadratic = at::empty({d, d}, at::kDouble);
    double* m = p.quadratic.mutable_data_ptr<double>();
    for (std::int64_t j = 0; j < d; ++j) {
      for (std::int64_t k = 0; k <= j; ++k) {
        m[j * d + k] = m[k * d + j] = stream.normal(1 + d + j * d + k) / (std::sqrt(2.0) * d);
      }
    }
  }
  return p;
}

}  // namespace

at::Tensor SparsePart::operator()(const at::Tensor& x) const {
  if (alphas.size() != betas.size()) {
    throw InputError(fmt::format("sparse part: expected a direction for each of {} coefficients, got {}", alphas.size(),
                                 betas.size()));
  }
  return map_rows(x, betas.empty() ? -1 : static_cast<std::int64_t>(betas[0].size()), [&](const double* row) {
    double sum = 0;
    for (std::size_t i = 0; i < betas.size(); ++i) {
      const double t = dot(betas[i], row);
      double term = alphas[i];
      for (int p = 0; p < degree; ++p) term *= t;
      sum += term;
    }
    return sum;
  });
}

std::vector<double> random_direction(std::int64_t dimension, std::uint64_t seed, std::int64_t index) {
  check_dimension(dimension);
  const auto points = sphere_points(index + 1, dimension, 1.0, RandomStream(Purpose::target_directions, seed));
  const double* row = points.const_data_ptr<double>() + index * dimension;
  return {row, row + dimension};
}

Target low_degree_plus_sparse(const LowDegreePlusSparse& o) {
  check_dimension(o.dimension);
  if (o.degree < 1) throw InputError(fmt::format("target.degree: expected at least 1, got {}", o.degree));
  Polynomial low = o.low_degree;
  const bool given = low.constant != 0 || low.degree() > 0;
  if (!given) low = dense_polynomial(o);
  low.check(o.dimension);
  if (low.degree() > o.degree) {
    throw InputError(fmt::format("target.low_degree: its degree {} is above k = {}", low.degree(), o.degree));
  }
  const double moment = low.second_moment(o.law, o.dimension);
  if (!(moment > 0)) throw InputError("target.low_degree: it is zero; it cannot be scaled to E f_k² = 1");
  low.scale(1.0 / std::sqrt(moment));

  const auto count = static_cast<std::int64_t>(o.alphas.size());
  for (std::int64_t i = 0; i < count; ++i) {
    if (!(std::fabs(o.alphas[i]) <= 1)) {
      throw InputError(fmt::format("target.alphas[{}]: Assumption 1 asks for |α| ≤ 1, got {}", i, o.alphas[i]));
    }
  }
  if (!o.betas.empty() && static_cast<std::int64_t>(o.betas.size()) != count) {
    throw InputError(
        fmt::format("target.betas: expected {} directions, one for each of alphas, got {}", count, o.betas.size()));
  }
  std::vector<std::vector<double>> betas;
  for (std::int64_t i = 0; i < count; ++i) {
    auto beta = o.betas.empty() ? random_direction(o.dimension, o.seed, i) : o.betas[i];
    if (static_cast<std::int64_t>(beta.size()) != o.dimension) {
      throw InputError(fmt::format("target.betas[{}]: expected {} entries, got {}", i, o.dimension, beta.size()));
    }
    const double length = std::sqrt(dot(beta, beta.data()));
    if (!(length > 0) || !std::isfinite(length)) {
      throw InputError(fmt::format("target.betas[{}]: expected a finite vector other than zero", i));
    }
    for (double& b : beta) b /= length;
    betas.push_back(std::move(beta));
  }
  Target target;
  target.description = fmt::format("low degree (k = {}) + sparse (R = {}, degree {})", o.degree, count, o.degree + 1);
  target.second_moment = count == 0 ? 1.0 : NAN;
  if (count > 0) target.sparse = SparsePart{o.degree + 1, o.alphas, betas};
  target.value = [low, sparse_part = SparsePart{o.degree + 1, o.alphas, betas}](const at::Tensor& x) {
    const auto sparse = sparse_part(x);
    return low(x) + sparse;
  };
  return target;
}

Target figure1_target(std::int64_t dimension, InputLaw law, std::uint64_t seed) {
  check_dimension(dimension);
  const auto beta = random_direction(dimension, seed, 0);
  // E ((t² − 1 + t)²)/3 with E t⁴ = 3 (Gaussian) or 3d/(d+2) (sphere).
  const double d = static_cast<double>(dimension);
  const double fourth = law == InputLaw::sphere ? 3 * d / (d + 2) : 3.0;
  return {"Figure 1 as run: ((b.x)^2 - 1 + b.x)/sqrt(3)",
          [beta](const at::Tensor& x) {
            return map_rows(x, static_cast<std::int64_t>(beta.size()), [&](const double* row) {
              const double t = dot(beta, row);
              return (t * t - 1 + t) / std::sqrt(3.0);
            });
          },
          fourth / 3, SparsePart{2, {1 / std::sqrt(3.0)}, {beta}}};
}

Target figure1_text_target(std::int64_t dimension, InputLaw law, std::uint64_t seed) {
  check_dimension(dimension);
  const auto beta = random_direction(dimension, seed, 0);
  const double d = static_cast<double>(dimension);
  const double fourth = law == InputLaw::sphere ? 3 * d / (d + 2) : 3.0;
  return {"Figure 1 as the text says it: x_1 - 1 + (b.x)^2",
          [beta](const at::Tensor& x) {
            return map_rows(x, static_cast<std::int64_t>(beta.size()), [&](const double* row) {
              const double t = dot(beta, row);
              return row[0] - 1 + t * t;
            });
          },
          fourth, SparsePart{2, {1.0}, {beta}}};
}

Target figure2_target(std::int64_t dimension, bool exact_scale, std::uint64_t seed) {
  check_dimension(dimension);
  const auto beta = random_direction(dimension, seed, 0);
  // A has t = ⌈d/2⌉ ones (0-based i ≥ d/2 … as i > d/2 counted from 1): E (xᵀAx)² = t² + 2t.
  const std::int64_t first = dimension / 2;
  const double ones = static_cast<double>(dimension - first);
  const double scale = exact_scale ? std::sqrt(ones * ones + 2 * ones) : std::sqrt(675.0);
  return {exact_scale ? "Figure 2, scaled at every d" : "Figure 2 as run",
          [beta, first, scale](const at::Tensor& x) {
            const std::int64_t d = x.size(1);
            return map_rows(x, static_cast<std::int64_t>(beta.size()), [&](const double* row) {
              double square = 0;
              for (std::int64_t k = first; k < d; ++k) square += row[k] * row[k];
              const double t = dot(beta, row);
              return square / scale + (t * t * t - 3 * t) / std::sqrt(6.0);
            });
          },
          NAN, SparsePart{3, {1 / std::sqrt(6.0)}, {beta}}};
}

}  // namespace entk
