#include "entk/report/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

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

double median(const std::vector<double>& values) {
  return quantile(values, 0.5);
}

double quantile(std::vector<double> values, double p) {
  if (!(p >= 0.0 && p <= 1.0)) {
    throw InputError(fmt::format("quantile: p must be in [0, 1], got {}", p));
  }
  const bool has_nan =
      std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); });
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
      throw InputError(fmt::format("mean_and_band: run {} has {} points, run 0 has {}", r,
                                   runs[r].size(), points));
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

double PowerLaw::operator()(double x) const {
  return std::exp(intercept + slope * std::log(x));
}

PowerLaw power_law_fit(const std::vector<double>& x, const std::vector<double>& y) {
  const std::size_t n = x.size();
  if (y.size() != n || n < 2) {
    throw InputError(fmt::format(
        "power_law_fit: expected as many x as y, at least two, got {} and {}", n, y.size()));
  }
  std::vector<double> log_x, log_y;
  for (std::size_t i = 0; i < n; ++i) {
    if (!(x[i] > 0 && y[i] > 0 && std::isfinite(x[i]) && std::isfinite(y[i]))) {
      throw InputError(fmt::format(
          "power_law_fit: x and y must be positive and finite, got ({}, {}) at index {}", x[i],
          y[i], i));
    }
    log_x.push_back(std::log(x[i]));
    log_y.push_back(std::log(y[i]));
  }
  const auto [least, greatest] = std::minmax_element(log_x.begin(), log_x.end());
  if (*least == *greatest)
    throw InputError("power_law_fit: expected two different x, all are equal");
  const double mean_x = mean(log_x), mean_y = mean(log_y);
  double xx = 0.0, xy = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    xx += (log_x[i] - mean_x) * (log_x[i] - mean_x);
    xy += (log_x[i] - mean_x) * (log_y[i] - mean_y);
  }
  const double slope = xy / xx;
  const double intercept = mean_y - slope * mean_x;
  double residuals = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    const double r = log_y[i] - (intercept + slope * log_x[i]);
    residuals += r * r;
  }
  const double error = n > 2 ? std::sqrt(residuals / (static_cast<double>(n - 2) * xx)) : nan;
  return {slope, intercept, error};
}

}  // namespace entk
