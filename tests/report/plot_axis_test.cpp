#include "entk/report/plot_axis.h"

#include <gtest/gtest.h>

#include <cmath>

#include "entk/base/error.h"
#include "tests/support/testing.h"

namespace entk::plot {
namespace {

Panel panel_with(std::vector<double> y, bool logarithmic, std::vector<double> low = {}) {
  Panel panel;
  panel.y.logarithmic = logarithmic;
  Series series;
  for (std::size_t i = 0; i < y.size(); ++i) series.x.push_back(static_cast<double>(i));
  series.y = y;
  series.low = low;
  if (!low.empty()) series.high = y;
  panel.series.push_back(series);
  return panel;
}

TEST(Axis, ValuesThatCannotBeDrawnDoNotCount) {
  const Scale linear = scale_y(panel_with({NAN, 3, INFINITY, 4, -INFINITY}, false), 2);
  EXPECT_GT(linear.low, 2.9);
  EXPECT_LT(linear.high, 4.1);
  const Scale log = scale_y(panel_with({0, -5, 1e-3, 1, NAN}, true), 2);
  EXPECT_GT(log.low, 0.5e-3);
  EXPECT_LT(log.high, 2);
}

TEST(Axis, ZeroIsShownWhereItIsNear) {
  EXPECT_EQ(scale_y(panel_with({0.1, 1}, false), 2).low, 0.0);
  EXPECT_GT(scale_y(panel_with({0.9, 1}, false), 2).low, 0.8);
}

TEST(Axis, ABandThatDipsToZeroDoesNotStretchALogarithmicAxis) {
  EXPECT_GT(scale_y(panel_with({0.1, 1}, true, {1e-12, -0.3}), 2).low, 0.05);
}

TEST(Axis, EqualAndMissingValuesHaveARange) {
  for (const bool logarithmic : {false, true}) {
    for (const auto& values : std::vector<std::vector<double>>{{}, {NAN}, {3, 3, 3}, {0, 0}, {-2}}) {
      const Scale scale = scale_y(panel_with(values, logarithmic), 2);
      EXPECT_LT(scale.low, scale.high);
      EXPECT_TRUE(scale.shows(scale.low) && scale.shows(scale.high));
    }
  }
}

TEST(Axis, TicksAreDecadesOrOneTwoFive) {
  EXPECT_EQ(scale_y(panel_with({1e-4, 1}, true), 2).step, 10);
  EXPECT_GE(scale_y(panel_with({1e-40, 1}, true), 1).step, 1e5);
  const Scale narrow = scale_y(panel_with({10, 100}, true), 2);
  EXPECT_EQ(narrow.step, 0);
  EXPECT_EQ(narrow.ticks, (std::vector<double>{10, 20, 50, 100}));
  EXPECT_GE(scale_y(panel_with({3.1, 3.3}, true), 2).ticks.size(), 2u);
  EXPECT_EQ(scale_y(panel_with({0, 1}, false), 1.5).step, 0.2);
}

TEST(Axis, GivenLimitsAreKeptAndImpossibleOnesRefused) {
  Panel panel = panel_with({1, 2}, false);
  panel.y.minimum = -7;
  panel.y.maximum = 9;
  EXPECT_EQ(scale_y(panel, 2).low, -7);
  EXPECT_EQ(scale_y(panel, 2).high, 9);
  panel.y.logarithmic = true;
  EXPECT_THROW(scale_y(panel, 2), InputError);
  panel.y.logarithmic = false;
  panel.y.maximum = -7;
  EXPECT_THROW(scale_y(panel, 2), InputError);
  panel.y.maximum = NAN;
  EXPECT_THROW(scale_y(panel, 2), InputError);
}

TEST(Axis, TickText) {
  EXPECT_EQ(tick_text(0.2), "0.2");
  EXPECT_EQ(tick_text(50000), "50000");
  EXPECT_EQ(tick_text(2e5), "2×10^{5}");
  EXPECT_EQ(tick_text(5e-4), "5×10^{-4}");
  EXPECT_EQ(tick_text(0.001), "0.001");
}

}  // namespace
}  // namespace entk::plot
