#include "entk/spectrum/sigma_spectrum.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "entk/base/error.h"
#include "entk/spectrum/legendre.h"

namespace entk {

namespace {

// A quadrature that moves by more than this when refined has met a kink that was not named.
constexpr double converged_below = 1e-9;

void check_convergence(const char* name, const HarmonicCoefficients& c, std::vector<std::string>& warnings) {
  const double worst = *std::max_element(c.errors.begin(), c.errors.end()) / std::sqrt(c.mean_square);
  if (worst > converged_below) {
    warnings.push_back(
        fmt::format("the coefficients of {} are known to {:.1e} of its L² norm only: name its "
                    "kinks and jumps as breaks",
                    name, worst));
  }
}

// E_{d+2}[σ''(√d t) P_j] = √d η_{j+1} for every σ' that is the integral of σ''.
void check_derivative(const std::function<double(double)>& ddsigma, const SigmaSpectrum& s,
                      const QuadratureOptions& options, std::vector<std::string>& warnings) {
  const double d = s.dimension;
  const auto direct = harmonic_coefficients(ddsigma, s.dimension + 2, std::sqrt(d), s.max_degree(), options);
  const double scale = std::max(std::sqrt(direct.mean_square), std::sqrt(s.eta.mean_square));
  double worst = 0.0;
  for (int j = 0; j <= s.max_degree(); ++j) {
    const double ratio = (j + d - 1) * (j + 1) / (d * (d - 1));  // B(d+2,j) / B(d,j+1)
    worst = std::max(worst, std::fabs(direct.norms[j] - std::sqrt(d * ratio) * s.eta.norms[j + 1]));
  }
  if (worst > 1e-6 * scale) {
    warnings.push_back(
        "σ'' is not the derivative of σ': either σ' jumps, and f_Q does not see the jump, or σ'' "
        "is wrong");
  }
}

}  // namespace

SigmaSpectrum sigma_spectrum(const std::function<double(double)>& dsigma, const std::function<double(double)>& ddsigma,
                             int dimension, int max_degree, const QuadratureOptions& options) {
  if (dimension < 2) {
    throw InputError(fmt::format("dimension: expected 2 or more (a sphere), got {}", dimension));
  }
  if (max_degree < 2 || max_degree >= highest_degree) {
    throw InputError(fmt::format("max_degree: expected 2 to {}, got {}", highest_degree - 1, max_degree));
  }

  const double d = dimension, root = std::sqrt(d);
  SigmaSpectrum s;
  s.dimension = dimension;
  s.eta = harmonic_coefficients(dsigma, dimension, root, max_degree + 1, options);
  s.mu = harmonic_coefficients(ddsigma, dimension, root, max_degree, options);
  s.trace = d * s.eta.mean_square;

  const auto& eta = s.eta.values;
  const auto square = [](double x) { return x * x; };
  for (int l = 0; l <= max_degree; ++l) {
    // Degree 0 apart: l/(2l+d−2) and (l+d−2)/(2l+d−2) are 0/0 at d = 2, their limits 0 and 1.
    const double below = l == 0 ? 0.0 : l / (2 * l + d - 2);
    s.lambda.push_back(d * ((l == 0 ? 0.0 : below * square(eta[l - 1])) + (1 - below) * square(eta[l + 1])));
    s.kappa.push_back(l == 0 ? 0.0 : (eta[l - 1] - eta[l + 1]) / (2 * l + d - 2));
    s.multiplicity.push_back(multiplicity(dimension, l));
    // B λ by norms, finite where B is not: B(d,l) l/(2l+d−2) = B(d,l−1) (l+d−3)/(2l+d−4) and
    // B(d,l) (l+d−2)/(2l+d−2) = B(d,l+1) (l+1)/(2l+d).
    const double from_below = l == 0 ? 0.0 : l == 1 ? 1.0 : (l + d - 3) / (2 * l + d - 4);
    s.trace_part.push_back(d * ((l == 0 ? 0.0 : from_below * square(s.eta.norms[l - 1])) +
                                (l + 1) / (2 * l + d) * square(s.eta.norms[l + 1])));
    s.trace_captured += s.trace_part.back();
  }

  s.order.resize(max_degree + 1);
  std::iota(s.order.begin(), s.order.end(), 0);
  std::stable_sort(s.order.begin(), s.order.end(), [&](int a, int b) { return s.lambda[a] > s.lambda[b]; });
  for (int i = 0; i < max_degree; ++i) {
    const double above = s.lambda[s.order[i]], next = s.lambda[s.order[i + 1]];
    s.gaps.push_back(above > 0 ? 1 - next / above : 0.0);
  }

  s.blocks = {root * eta[1], eta[0] - eta[2], d * eta[2], d * root * (eta[1] - eta[3]) / (d + 2), d * root * eta[3]};
  check_convergence("σ'", s.eta, s.warnings);
  check_convergence("σ''", s.mu, s.warnings);
  check_derivative(ddsigma, s, options, s.warnings);
  return s;
}

DegreeCheck check_degrees(const SigmaSpectrum& s, int k) {
  if (k < 0 || k >= s.max_degree()) {
    throw InputError(fmt::format("k: expected 0 to {} for a spectrum up to degree {}, got {}", s.max_degree() - 1,
                                 s.max_degree(), k));
  }
  DegreeCheck check;
  const auto first = s.lambda.begin(), cut = first + k + 1;
  const auto smallest = std::min_element(first, cut);
  const auto largest = std::max_element(cut, s.lambda.end());
  check.leading = *smallest > *largest;
  check.relative_gap = *smallest > 0 ? 1 - *largest / *smallest : 0.0;
  if (!check.leading) {
    check.warnings.push_back(fmt::format(
        "λ_{} = {:.3g} is not above λ_{} = {:.3g}: the top n_{} = {:.0f} eigenvectors "
        "of Σ are not the degrees ≤ {}",
        smallest - first, *smallest, largest - first, *largest, k, cumulative_multiplicity(s.dimension, k), k));
  }

  const auto eta = vanishing(s.eta);
  for (int l = 0; l <= k; ++l) {
    if ((l == 0 || eta.is_zero(l - 1)) && eta.is_zero(l + 1)) {
      const auto cause = l == 0 ? std::string("η_1 vanishes") : fmt::format("η_{} and η_{} vanish", l - 1, l + 1);
      check.warnings.push_back(fmt::format("λ_{} = 0, as {}: f_L cannot learn degree {}", l, cause, l));
    }
  }
  for (int j : eta.nearly) {
    if (j <= k + 1) {
      check.warnings.push_back(fmt::format("η_{} nearly vanishes (its part of σ' is {:.1e} of the L² norm)", j,
                                           std::fabs(s.eta.norms[j]) / std::sqrt(s.eta.mean_square)));
    }
  }

  const auto mu = vanishing(s.mu);
  std::vector<int> missing;
  for (int l = (k + 1) % 2; l <= k - 1; l += 2) {
    if (mu.is_zero(l)) missing.push_back(l);
  }
  if (!missing.empty()) {
    check.warnings.push_back(
        fmt::format("μ_l = 0 for l = {}: f_Q cannot fit (β·x)^{} by neurons moved along β, as Lemma 1 does",
                    fmt::join(missing, ", "), k + 1));
  }
  return check;
}

Partition partition(const SigmaSpectrum& s, int k, std::int64_t width) {
  if (k < 1 || 2 * k > s.max_degree()) {
    throw InputError(fmt::format("k: expected 1 to {} for a spectrum up to degree {}, got {}", s.max_degree() / 2,
                                 s.max_degree(), k));
  }
  if (width < 1) throw InputError(fmt::format("width: expected 1 or more, got {}", width));
  Partition p;
  p.k = k;
  const auto first = s.lambda.begin();
  p.large_min = *std::min_element(first, first + k + 1);
  const auto [least, most] = std::minmax_element(first + k + 1, first + 2 * k + 1);
  p.medium_min = *least;
  p.medium_max = *most;

  const double total = static_cast<double>(width) * s.dimension;
  p.large = cumulative_multiplicity(s.dimension, k);
  p.medium = 0.0;
  for (int l = k + 1; l <= 2 * k; ++l) p.medium += s.multiplicity[l];
  p.small = total - p.large - p.medium;
  p.exists = p.large + p.medium <= 0.5 * total;
  const double kept = std::accumulate(s.trace_part.begin(), s.trace_part.begin() + 2 * k + 1, 0.0);
  p.small_mean = p.exists ? std::max(0.0, s.trace - kept) / p.small : 0.0;
  p.statement = fmt::format(
      "Degrees ≤ {} take {:.0f} directions, {} {:.0f}, of md/2 = {:.0f} with a nonzero eigenvalue: the partition {}", k,
      p.large, k == 1 ? "degree 2 takes" : fmt::format("degrees {} to {} take", k + 1, 2 * k), p.medium, 0.5 * total,
      p.exists ? "exists at this width" : "cannot exist at this width");
  return p;
}

}  // namespace entk
