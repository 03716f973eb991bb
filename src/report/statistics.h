// Summaries of repeated runs: mean, sample standard deviation, quantiles, bands over seeds; 95% confidence intervals
// of means, of ratios and of the exponents of power laws, from few seeds.
#pragma once

#include <limits>
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
  std::vector<double> mean;       ///< at each point
  std::vector<double> deviation;  ///< of the sample
  std::vector<double> low;        ///< mean − deviation; empty for a single run, which shows no spread
  std::vector<double> high;       ///< mean + deviation
};

/// `runs`: one curve a run (say, a seed), all at the same x. A value that is not finite in one run
/// leaves a gap (NaN) in the mean there. @throws InputError for no runs or different lengths.
MeanBand mean_and_band(const std::vector<std::vector<double>>& runs);

/// A number with its two-sided 95% confidence interval, and what both rest on.
struct Estimate {
  double value = std::numeric_limits<double>::quiet_NaN();  ///< the number itself
  /// NaN where the data are too few to give an interval: one seed, or seeds that agree in every digit.
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = low;          ///< NaN where `low` is
  std::string from{};         ///< "mean over 3 seeds"; "computed" where nothing is random
  bool has_interval() const;  ///< whether low and high are numbers
};

/// t with P(|T| < t) = 0.95 for Student's T of `degrees` degrees of freedom: 12.71, 4.30, 3.18, …
/// @throws InputError unless degrees ≥ 1.
double student_quantile(int degrees);

/// value ± t(degrees)·standard_error; no interval for an error that is 0 or not finite.
Estimate estimate_with(double value, double standard_error, int degrees, std::string from);
/// A number that nothing random went into, or one that is said of one sample alone: an interval of no width.
Estimate exact(double value, std::string from = "computed");
/// The mean of one value a seed, with the interval of Student's t at one degree of freedom fewer than seeds.
Estimate mean_over_seeds(const std::vector<double>& values);
/// The geometric mean of a_s/b_s, pairs of one seed; the interval is that of the mean of log(a_s/b_s). Pairs keep
/// what seeds have in common, their data and target, out of it. Without a value unless all are positive and finite.
/// @throws InputError for different lengths.
Estimate ratio_over_seeds(const std::vector<double>& a, const std::vector<double>& b);

/// y = exp(intercept) x^slope.
struct PowerLaw {
  double slope;                       ///< the exponent
  double intercept;                   ///< log y at x = 1
  double operator()(double x) const;  ///< y
};

/// Ordinary least squares of log y on log x (natural logarithms).
/// @throws InputError unless x and y have the same length, at least two points, all finite and
/// positive, and two different x.
PowerLaw power_law_fit(const std::vector<double>& x, const std::vector<double>& y);

/// The points of one seed.
struct SeedPoints {
  std::vector<double> x;  ///< positive
  std::vector<double> y;  ///< positive
};
/// A power law through several seeds' points, its exponent with an interval.
struct ExponentFit {
  Estimate exponent;  ///< the mean of the seeds' slopes
  PowerLaw line;      ///< that exponent, through the centre of all points
};
/// log y = a_s + b_s log x + noise, a_s and b_s a seed's own: what seeds share, their data, makes the points of
/// one seed no independent ones. The exponent is the mean of the k seeds' least-squares slopes. Its interval is the
/// wider of two: Student's t of those slopes at k − 1 degrees of freedom, which holds for slopes that differ from
/// seed to seed, also with unequal numbers of points (Ibragimov and Müller, 2010), and that of one common slope with
/// an intercept a seed at N − k − 1, which slopes that agree by chance do not narrow. None for one seed.
/// Seeds with fewer than two different x are left out. @throws InputError as power_law_fit.
ExponentFit exponent_over_seeds(const std::vector<SeedPoints>& seeds);

}  // namespace entk
