#include "entk/report/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <set>

#include <fmt/format.h>

#include "entk/base/error.h"

namespace entk {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

double mean(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return values.empty() ? nan : sum / static_cast<double>(values.size());
}

double standard_deviation(const std::vector<double>& values) {
  if (values.size() < 2) return nan;
  const double center = mean(values);
  double sum = 0.0;
  for (const double value : values) sum += (value - center) * (value - center);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

double median(const std::vector<double>& values) { return quantile(values, 0.5); }

double quantile(std::vector<double> values, double p) {
  if (!(p >= 0.0 && p <= 1.0)) {
    throw InputError(fmt::format("quantile: p must be in [0, 1], got {}", p));
  }
  const bool has_nan = std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); });
  if (values.empty() || has_nan) return nan;
  std::sort(values.begin(), values.end());
  const double position = p * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const double part = position - static_cast<double>(below);
  if (part == 0.0) return values[below];
  return (1.0 - part) * values[below] + part * values[below + 1];
}

MeanBand mean_and_band(const std::vector<std::vector<double>>& runs) {
  if (runs.empty()) throw InputError("mean_and_band: expected at least one run, got none");
  const std::size_t points = runs.front().size();
  for (std::size_t r = 0; r < runs.size(); ++r) {
    if (runs[r].size() != points) {
      throw InputError(fmt::format("mean_and_band: run {} has {} points, run 0 has {}", r, runs[r].size(), points));
    }
  }
  MeanBand band;
  for (std::size_t i = 0; i < points; ++i) {
    std::vector<double> values;
    for (const auto& run : runs) values.push_back(run[i]);
    const double center = mean(values);
    const double deviation = standard_deviation(values);
    band.mean.push_back(std::isfinite(center) ? center : nan);
    band.deviation.push_back(std::isfinite(deviation) ? deviation : nan);
    if (runs.size() < 2) continue;
    band.low.push_back(band.mean.back() - band.deviation.back());
    band.high.push_back(band.mean.back() + band.deviation.back());
  }
  return band;
}

bool Estimate::has_interval() const { return std::isfinite(value) && std::isfinite(low) && std::isfinite(high); }

double student_quantile(int degrees) {
  if (degrees < 1) {
    throw InputError(fmt::format("student_quantile: expected degrees of freedom of at least 1, got {}", degrees));
  }
  // P(|T| < √ν tan θ), Abramowitz and Stegun 26.7.3 and 26.7.4: sin θ times a polynomial in cos θ, θ more for odd ν.
  const auto probability = [degrees](double theta) {
    const bool odd = degrees % 2 == 1;
    const double square = std::cos(theta) * std::cos(theta);
    double term = odd ? std::cos(theta) : 1.0, sum = 0.0;
    for (int power = odd ? 1 : 0; power <= degrees - 2; power += 2) {
      sum += term;
      term *= square * (power + 1) / (power + 2);
    }
    return odd ? 2 / std::numbers::pi * (theta + std::sin(theta) * sum) : std::sin(theta) * sum;
  };
  double below = 0.0, above = std::numbers::pi / 2;
  for (int halving = 0; halving < 60; ++halving) {
    const double middle = 0.5 * (below + above);
    (probability(middle) < 0.95 ? below : above) = middle;
  }
  return std::sqrt(static_cast<double>(degrees)) * std::tan(below);
}

Estimate estimate_with(double value, double standard_error, int degrees, std::string from) {
  Estimate e{value, nan, nan, std::move(from)};
  if (!(standard_error > 0) || !std::isfinite(standard_error) || degrees < 1) return e;
  const double half = student_quantile(degrees) * standard_error;
  e.low = value - half;
  e.high = value + half;
  return e;
}

Estimate exact(double value, std::string from) { return {value, value, value, std::move(from)}; }

Estimate mean_over_seeds(const std::vector<double>& values) {
  const int count = static_cast<int>(values.size());
  if (count < 2) return {mean(values), nan, nan, count == 1 ? "one seed" : "no seed"};
  return estimate_with(mean(values), standard_deviation(values) / std::sqrt(count), count - 1,
                       fmt::format("mean over {} seeds", count));
}

Estimate ratio_over_seeds(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) {
    throw InputError(fmt::format("ratio_over_seeds: expected pairs, got {} and {} values", a.size(), b.size()));
  }
  std::vector<double> logarithms;
  for (std::size_t i = 0; i < a.size(); ++i) {
    // The logarithm of a number that is not positive is none: NaN or −∞, and so is the mean.
    const double logarithm = std::log(a[i]) - std::log(b[i]);
    logarithms.push_back(std::isfinite(logarithm) ? logarithm : nan);
  }
  auto e = mean_over_seeds(logarithms);
  for (double* number : {&e.value, &e.low, &e.high}) *number = std::exp(*number);
  return e;
}

double PowerLaw::operator()(double x) const { return std::exp(intercept + slope * std::log(x)); }

PowerLaw power_law_fit(const std::vector<double>& x, const std::vector<double>& y) {
  const std::size_t n = x.size();
  if (y.size() != n || n < 2) {
    throw InputError(fmt::format("power_law_fit: expected as many x as y, at least two, got {} and {}", n, y.size()));
  }
  std::vector<double> log_x, log_y;
  for (std::size_t i = 0; i < n; ++i) {
    if (!(x[i] > 0 && y[i] > 0 && std::isfinite(x[i]) && std::isfinite(y[i]))) {
      throw InputError(
          fmt::format("power_law_fit: x and y must be positive and finite, got ({}, {}) at index {}", x[i], y[i], i));
    }
    log_x.push_back(std::log(x[i]));
    log_y.push_back(std::log(y[i]));
  }
  const auto [least, greatest] = std::minmax_element(log_x.begin(), log_x.end());
  if (*least == *greatest) throw InputError("power_law_fit: expected two different x, all are equal");
  const double mean_x = mean(log_x), mean_y = mean(log_y);
  double xx = 0.0, xy = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    xx += (log_x[i] - mean_x) * (log_x[i] - mean_x);
    xy += (log_x[i] - mean_x) * (log_y[i] - mean_y);
  }
  const double slope = xy / xx;
  return {slope, mean_y - slope * mean_x};
}

ExponentFit exponent_over_seeds(const std::vector<SeedPoints>& seeds) {
  struct Group {
    std::vector<double> x, y;  // logarithms less their means
    double mean_x, mean_y, xx, xy;
  };
  std::vector<Group> groups;
  std::size_t fewest = 0, most = 0;
  for (const auto& seed : seeds) {
    if (seed.x.size() == seed.y.size() && std::set(seed.x.begin(), seed.x.end()).size() < 2) continue;
    power_law_fit(seed.x, seed.y);  // refuses what has no logarithm
    Group g{};
    for (const double x : seed.x) g.x.push_back(std::log(x));
    for (const double y : seed.y) g.y.push_back(std::log(y));
    g.mean_x = mean(g.x);
    g.mean_y = mean(g.y);
    for (double& x : g.x) x -= g.mean_x;
    for (double& y : g.y) y -= g.mean_y;
    for (std::size_t i = 0; i < g.x.size(); ++i) g.xx += g.x[i] * g.x[i], g.xy += g.x[i] * g.y[i];
    fewest = groups.empty() ? g.x.size() : std::min(fewest, g.x.size());
    most = std::max(most, g.x.size());
    groups.push_back(std::move(g));
  }
  const auto count = groups.size();
  if (count == 0) return {{nan, nan, nan, "no seed has two points"}, {nan, nan}};
  const auto points = fewest == most ? fmt::format("{}", most) : fmt::format("{} to {}", fewest, most);
  std::vector<double> slopes, mean_x, mean_y;
  double xx = 0.0, xy = 0.0, inverse = 0.0;
  int total = 0;
  for (const auto& g : groups) {
    slopes.push_back(g.xy / g.xx);
    mean_x.push_back(g.mean_x);
    mean_y.push_back(g.mean_y);
    xx += g.xx, xy += g.xy, inverse += 1 / g.xx;
    total += static_cast<int>(g.x.size());
  }
  ExponentFit fit;
  fit.line.slope = mean(slopes);
  fit.line.intercept = mean(mean_y) - fit.line.slope * mean(mean_x);
  if (count == 1) {
    fit.exponent = {fit.line.slope, nan, nan, fmt::format("fit to {} points of one seed", points)};
    return fit;
  }
  double residuals = 0.0;
  for (const auto& g : groups) {
    for (std::size_t i = 0; i < g.x.size(); ++i) {
      const double r = g.y[i] - xy / xx * g.x[i];
      residuals += r * r;
    }
  }
  const auto from = fmt::format("fits to {} points of each of {} seeds", points, count);
  const int k = static_cast<int>(count), degrees = total - k - 1;
  const auto between = estimate_with(fit.line.slope, standard_deviation(slopes) / std::sqrt(k), k - 1, from);
  const auto common = estimate_with(fit.line.slope, std::sqrt(residuals / degrees * inverse) / k, degrees, from);
  const bool wider = !between.has_interval() || common.high > between.high;
  fit.exponent = wider ? common : between;
  return fit;
}

}  // namespace entk
