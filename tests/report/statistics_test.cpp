#include "entk/report/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

#include <fmt/format.h>

#include "entk/base/error.h"
#include "entk/base/philox.h"
#include "tests/support/testing.h"

namespace entk::statistics_test {
namespace {

constexpr double rounding = 1e-12;  // closed forms in float64

TEST(Statistics, MomentsOfASmallSample) {
  EXPECT_DOUBLE_EQ(mean({1, 2, 3, 6}), 3.0);
  EXPECT_NEAR(standard_deviation({1, 2, 3, 6}), std::sqrt(14.0 / 3.0), rounding);
  EXPECT_TRUE(std::isnan(mean({})));
  EXPECT_TRUE(std::isnan(standard_deviation({1})));
}

TEST(Statistics, QuantilesInterpolateBetweenOrderStatistics) {
  EXPECT_DOUBLE_EQ(median({5, 1, 3}), 3.0);
  EXPECT_DOUBLE_EQ(median({4, 1, 3, 2}), 2.5);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(quantile({4, 1, 3, 2}, 1.0), 4.0);
  EXPECT_NEAR(quantile({4, 1, 3, 2}, 0.9), 3.7, rounding);
  EXPECT_TRUE(std::isnan(median({})));
  EXPECT_TRUE(std::isnan(median({1, NAN, 2})));
  EXPECT_THROW(quantile({1}, 1.5), InputError);
  EXPECT_THROW(quantile({1}, NAN), InputError);
}

TEST(Statistics, BandIsMeanAndOneSampleDeviation) {
  const auto band = mean_and_band({{1, 10}, {3, 10}, {5, 10}});
  EXPECT_EQ(band.mean, (std::vector<double>{3, 10}));
  EXPECT_EQ(band.deviation, (std::vector<double>{2, 0}));
  EXPECT_EQ(band.low, (std::vector<double>{1, 10}));
  EXPECT_EQ(band.high, (std::vector<double>{5, 10}));
}

TEST(Statistics, OneDivergedRunLeavesAGapAndNothingElse) {
  const auto band = mean_and_band({{1, INFINITY, 3}, {1, 2, 5}});
  EXPECT_TRUE(std::isnan(band.mean[1]));
  EXPECT_TRUE(std::isnan(band.low[1]));
  EXPECT_DOUBLE_EQ(band.mean[2], 4.0);
}

TEST(Statistics, OneRunHasNoBand) {
  const auto band = mean_and_band({{1, 2}});
  EXPECT_EQ(band.mean, (std::vector<double>{1, 2}));
  EXPECT_TRUE(band.low.empty());
  EXPECT_TRUE(band.high.empty());
}

TEST(Statistics, RunsOfDifferentLengthsAreRefused) {
  EXPECT_THROW(mean_and_band({{1, 2}, {1}}), InputError);
  EXPECT_THROW(mean_and_band({}), InputError);
}

TEST(PowerLaw, AnExactLawIsFoundWithNoError) {
  const std::vector<double> x = {10, 20, 30, 40, 50, 100};
  std::vector<double> y;
  for (const double d : x) y.push_back(6.0 * d * d);
  const PowerLaw law = power_law_fit(x, y);
  EXPECT_NEAR(law.slope, 2.0, rounding);
  EXPECT_NEAR(law.intercept, std::log(6.0), 1e-11);  // log x up to 4.6 times the slope's rounding
  EXPECT_NEAR(law(70), 6.0 * 4900, 1e-7);
}

// log x = −1, 0, 1 and log y = 0, 3, 3: slope 3/2, intercept 2.
TEST(PowerLaw, ThreePointsByHand) {
  const double e = std::exp(1.0);
  const PowerLaw law = power_law_fit({1 / e, 1, e}, {1, e * e * e, e * e * e});
  EXPECT_NEAR(law.slope, 1.5, rounding);
  EXPECT_NEAR(law.intercept, 2.0, rounding);
}

TEST(PowerLaw, WhatHasNoLogarithmIsRefused) {
  EXPECT_THROW(power_law_fit({1, 2}, {1}), InputError);
  EXPECT_THROW(power_law_fit({1}, {1}), InputError);
  EXPECT_THROW(power_law_fit({1, 0}, {1, 1}), InputError);
  EXPECT_THROW(power_law_fit({1, 2}, {1, -1}), InputError);
  EXPECT_THROW(power_law_fit({1, 2}, {1, NAN}), InputError);
  EXPECT_THROW(power_law_fit({3, 3, 3}, {1, 2, 3}), InputError);
}

// The two-sided 95% points of printed tables.
TEST(Estimate, StudentsQuantilesAreThoseOfTheTables) {
  const std::pair<int, double> tabulated[] = {{1, 12.7062}, {2, 4.3027}, {3, 3.1824},  {4, 2.7764},   {5, 2.5706},
                                              {6, 2.4469},  {9, 2.2622}, {30, 2.0423}, {1000, 1.9623}};
  for (const auto& [degrees, t] : tabulated) EXPECT_NEAR(student_quantile(degrees), t, 6e-5) << degrees;
  EXPECT_THROW(student_quantile(0), InputError);
}

TEST(Estimate, MeansAndRatiosByHand) {
  const auto m = mean_over_seeds({1, 3});  // standard error 1
  EXPECT_DOUBLE_EQ(m.value, 2);
  EXPECT_NEAR(m.high - 2, 12.7062, 1e-4);
  EXPECT_NEAR(2 - m.low, 12.7062, 1e-4);
  EXPECT_EQ(m.from, "mean over 2 seeds");
  const auto r = ratio_over_seeds({2, 8, 4}, {1, 1, 1});  // logarithms 1, 3, 2 of base 2: standard error 1/√3
  EXPECT_NEAR(r.value, 4, rounding);
  EXPECT_NEAR(std::log2(r.high), 2 + 4.3027 / std::sqrt(3.0), 1e-4);
  EXPECT_NEAR(std::log2(r.low), 2 - 4.3027 / std::sqrt(3.0), 1e-4);
  EXPECT_THROW(ratio_over_seeds({1, 2}, {1}), InputError);
}

TEST(Estimate, TooFewDataGiveNoInterval) {
  EXPECT_FALSE(mean_over_seeds({}).has_interval());
  EXPECT_FALSE(mean_over_seeds({3}).has_interval());
  EXPECT_EQ(mean_over_seeds({3}).value, 3);
  EXPECT_EQ(mean_over_seeds({3}).from, "one seed");
  EXPECT_FALSE(mean_over_seeds({3, 3, 3}).has_interval()) << "equal values show no spread";
  EXPECT_FALSE(ratio_over_seeds({1, -1}, {1, 1}).has_interval());
  EXPECT_FALSE(ratio_over_seeds({1, 0}, {1, 1}).has_interval());
  EXPECT_FALSE(ratio_over_seeds({1, 2}, {1, NAN}).has_interval());
  const auto one = exponent_over_seeds({{{1, 2, 4}, {1, 2.1, 3.9}}});
  EXPECT_FALSE(one.exponent.has_interval()) << "one seed's points are not independent";
  EXPECT_NEAR(one.exponent.value, 1, 0.1);
  EXPECT_TRUE(exact(3).has_interval());
}

// Slopes 1 and 3 at log x = −1, 0, 1 with no other noise: the seeds' slopes have standard error 1, and about the
// common slope 2 residuals ±1, 0, ∓1 leave 4/3 at 6 − 2 − 1 = 3 degrees of freedom, hence √(4/3 · (1/2 + 1/2))/2.
TEST(Estimate, AnExponentHasTheWiderOfTwoIntervals) {
  const double e = std::exp(1.0);
  const std::vector<double> x = {1 / e, 1, e};
  const auto fit = exponent_over_seeds({{x, {1 / e, 1, e}}, {x, {std::pow(e, -3), 1, std::pow(e, 3)}}});
  EXPECT_NEAR(fit.exponent.value, 2, rounding);
  EXPECT_NEAR(fit.exponent.high - 2, 12.7062, 1e-4);
  // The same slope from both seeds by chance, residuals (1, −2, 1)/3 of each: the seeds' slopes alone would say
  // "certain".
  const std::vector<double> y = {std::exp(-1 + 1.0 / 3), std::exp(-2.0 / 3), std::exp(1 + 1.0 / 3)};
  const auto agree = exponent_over_seeds({{x, y}, {x, {5 * y[0], 5 * y[1], 5 * y[2]}}});
  EXPECT_NEAR(agree.exponent.value, 1, rounding);
  EXPECT_NEAR(agree.exponent.high - 1, 3.1824 * std::sqrt(2 * 6.0 / 9 / 3) / 2, 1e-4);
  EXPECT_EQ(agree.exponent.from, "fits to 3 points of each of 2 seeds");
}

/// log n = a_s + (1.5 + b_s) log d + noise: with these deviations of a_s, b_s and noise, the share of 2000 draws whose
/// interval holds 1.5, and that of mean ± 2 standard errors of the seeds' slopes. `cut`: the last seed lacks the
/// largest d.
struct Coverage {
  double interval, two_errors;
};
Coverage coverage(int seeds, int dimensions, double slopes, double noise, bool cut = false) {
  constexpr double d[] = {10, 15, 20, 30, 40, 60}, intercepts = 0.7;
  constexpr int draws = 2000;
  int inside = 0, inside_two = 0;
  for (int draw = 0; draw < draws; ++draw) {
    const RandomStream random(Purpose::probe, 7, static_cast<std::uint32_t>(draw));
    std::int64_t next = 0;
    std::vector<SeedPoints> points(static_cast<std::size_t>(seeds));
    std::vector<double> fitted;
    for (auto& p : points) {
      const double a = intercepts * random.normal(next++), b = 1.5 + slopes * random.normal(next++);
      const int count = dimensions - (cut && &p == &points.back() ? 1 : 0);
      for (int i = 0; i < count; ++i) {
        p.x.push_back(d[i]);
        p.y.push_back(std::exp(a + b * std::log(d[i]) + noise * random.normal(next++)));
      }
      fitted.push_back(power_law_fit(p.x, p.y).slope);
    }
    const auto e = exponent_over_seeds(points).exponent;
    inside += e.low <= 1.5 && 1.5 <= e.high;
    inside_two += std::fabs(mean(fitted) - 1.5) <= 2 * standard_deviation(fitted) / std::sqrt(seeds);
  }
  return {inside / static_cast<double>(draws), inside_two / static_cast<double>(draws)};
}

TEST(Estimate, IntervalsOfExponentsCoverTheTruthAsOftenAsTheySay) {
  // Over 2000 draws a share of 0.95 has a standard deviation of 0.005.
  constexpr double least = 0.95 - 3 * 0.005;
  for (const int seeds : {2, 3, 5}) {
    for (const int dimensions : {3, 4, 5, 6}) {
      for (const auto& [slopes, noise] : {std::pair{0.0, 0.2}, {0.1, 0.2}, {0.3, 0.2}, {0.3, 0.02}}) {
        const auto covered = coverage(seeds, dimensions, slopes, noise);
        const auto what =
            fmt::format("{} seeds, {} dimensions, deviations of slopes {} and noise {}: {}, two standard errors {}",
                        seeds, dimensions, slopes, noise, covered.interval, covered.two_errors);
        EXPECT_GE(covered.interval, least) << what;
        if (seeds == 2) {
          EXPECT_LT(covered.two_errors, 0.8) << what;
        }
        RecordProperty(fmt::format("coverage_{}_{}_{}_{}", seeds, dimensions, slopes, noise), what);
      }
    }
    EXPECT_GE(coverage(seeds, 4, 0.1, 0.2, true).interval, least) << seeds << " seeds of unequal numbers of points";
  }
}

TEST(Estimate, IntervalsOfMeansAndRatiosCoverTheTruthAsOftenAsTheySay) {
  for (const int seeds : {2, 3, 5}) {
    int inside = 0, inside_ratio = 0;
    for (int draw = 0; draw < 4000; ++draw) {
      const RandomStream random(Purpose::probe, 8, static_cast<std::uint32_t>(draw));
      std::vector<double> values, a, b;
      for (int s = 0; s < seeds; ++s) {
        values.push_back(3 + random.normal(3 * s));
        b.push_back(std::exp(random.normal(3 * s + 1)));  // what a seed's runs share
        a.push_back(0.5 * b.back() * std::exp(0.3 * random.normal(3 * s + 2)));
      }
      const auto m = mean_over_seeds(values), r = ratio_over_seeds(a, b);
      inside += m.low <= 3 && 3 <= m.high;
      inside_ratio += r.low <= 0.5 && 0.5 <= r.high;
    }
    EXPECT_NEAR(inside / 4000.0, 0.95, 0.0105) << seeds;  // three standard deviations
    EXPECT_NEAR(inside_ratio / 4000.0, 0.95, 0.0105) << seeds;
  }
}

}  // namespace
}  // namespace entk::statistics_test
