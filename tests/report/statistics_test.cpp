#include "entk/report/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "entk/base/error.h"
#include "entk/base/philox.h"
#include "tests/support/testing.h"

namespace entk {
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
  EXPECT_NEAR(law.slope_error, 0.0, 1e-11);
  EXPECT_NEAR(law(70), 6.0 * 4900, 1e-7);
}

// log x = −1, 0, 1 and log y = 0, 3, 3: slope 3/2, intercept 2, residuals −1/2, 1, −1/2, hence
// standard error sqrt((3/2) / (1 · 2)).
TEST(PowerLaw, ThreePointsByHand) {
  const double e = std::exp(1.0);
  const PowerLaw law = power_law_fit({1 / e, 1, e}, {1, e * e * e, e * e * e});
  EXPECT_NEAR(law.slope, 1.5, rounding);
  EXPECT_NEAR(law.intercept, 2.0, rounding);
  EXPECT_NEAR(law.slope_error, std::sqrt(0.75), rounding);
}

TEST(PowerLaw, StandardErrorIsThatOfRepeatedDraws) {
  const std::vector<double> x = {10, 20, 30, 40, 50, 100};
  std::vector<double> slopes, errors;
  for (int draw = 0; draw < 4000; ++draw) {
    const RandomStream random(Purpose::probe, draw);
    std::vector<double> y;
    for (std::size_t i = 0; i < x.size(); ++i) y.push_back(x[i] * std::exp(0.1 * random.normal(i)));
    const PowerLaw law = power_law_fit(x, y);
    slopes.push_back(law.slope);
    errors.push_back(law.slope_error * law.slope_error);
  }
  // The ratio of the two variances has a standard deviation of some 3% over 4000 draws.
  EXPECT_NEAR(mean(errors) / std::pow(standard_deviation(slopes), 2), 1.0, 0.1);
}

TEST(PowerLaw, TwoPointsHaveNoError) {
  EXPECT_TRUE(std::isnan(power_law_fit({1, 2}, {1, 4}).slope_error));
}

TEST(PowerLaw, WhatHasNoLogarithmIsRefused) {
  EXPECT_THROW(power_law_fit({1, 2}, {1}), InputError);
  EXPECT_THROW(power_law_fit({1}, {1}), InputError);
  EXPECT_THROW(power_law_fit({1, 0}, {1, 1}), InputError);
  EXPECT_THROW(power_law_fit({1, 2}, {1, -1}), InputError);
  EXPECT_THROW(power_law_fit({1, 2}, {1, NAN}), InputError);
  EXPECT_THROW(power_law_fit({3, 3, 3}, {1, 2, 3}), InputError);
}

}  // namespace
}  // namespace entk
