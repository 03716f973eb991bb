// Summaries of repeated runs: mean, sample standard deviation, quantiles, bands over seeds, and the
// power law that a growth plot shows.
#pragma once

#include <string>
#include <vector>

namespace entk {

/// (1/n) Σ x_i. NaN for no values.
double mean(const std::vector<double>& values);
/// sqrt(Σ (x_i − mean)² / (n − 1)), the sample standard deviation. NaN for fewer than two values.
double standard_deviation(const std::vector<double>& values);
/// The middle value, or the mean of the two middle ones. NaN for no values, or if one is NaN.
double median(const std::vector<double>& values);
/// Linear interpolation between order statistics, at position p (n − 1) (NumPy's default).
/// NaN for no values, or if one is NaN. @throws InputError unless 0 ≤ p ≤ 1.
double quantile(std::vector<double> values, double p);

/// Mean over runs at each point, and mean ± one sample standard deviation.
struct MeanBand {
  std::vector<double> mean, deviation;
  std::vector<double> low, high;  ///< empty for a single run, which shows no spread
};

/// `runs`: one curve a run (say, a seed), all at the same x. A value that is not finite in one run
/// leaves a gap (NaN) in the mean there. @throws InputError for no runs or different lengths.
MeanBand mean_and_band(const std::vector<std::vector<double>>& runs);

/// y = exp(intercept) x^slope.
struct PowerLaw {
  double slope, intercept;
  double
      slope_error;  ///< standard error of the slope, √(Σr²/((n−2) Σ(log x − mean)²)); NaN for n = 2
  double operator()(double x) const;
};

/// Ordinary least squares of log y on log x (natural logarithms).
/// @throws InputError unless x and y have the same length, at least two points, all finite and
/// positive, and two different x.
PowerLaw power_law_fit(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace entk
