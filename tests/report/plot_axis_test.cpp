#include "entk/report/plot_axis.h"

#include <gtest/gtest.h>

#include <cmath>

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

std::vector<std::string> labels(const Scale& scale) {
  std::vector<std::string> texts;
  for (const auto& tick : scale.ticks) {
    if (!tick.text.empty()) texts.push_back(tick.text);
  }
  return texts;
}

TEST(Axis, TicksAreDecadesOrOneTwoFive) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(labels(scale_y(panel_with({1e-2, 1}, true), 2)), (Texts{"10^{−2}", "10^{−1}", "10^{0}"}));
  EXPECT_EQ(labels(scale_y(panel_with({10, 100}, true), 2)), (Texts{"10", "20", "50", "100"}));
  EXPECT_GE(labels(scale_y(panel_with({3.1, 3.3}, true), 2)).size(), 2u);
  EXPECT_EQ(labels(scale_y(panel_with({0, 1}, false), 1.5)), (Texts{"0", "0.2", "0.4", "0.6", "0.8", "1"}));
  EXPECT_EQ(labels(scale_y(panel_with({-0.2, 0.2}, false), 1.1)), (Texts{"−0.2", "−0.1", "0", "0.1", "0.2"}));
}

TEST(Axis, APowerStandsAtThatPower) {
  for (const auto& [low, high] :
       {std::pair{552.0, 64000.0}, std::pair{0.03, 7.0}, std::pair{3e-9, 0.7}, std::pair{1e-34, 1e35}}) {
    for (const auto& tick : scale_y(panel_with({low, high}, true), 2).ticks) {
      int power = 0;
      if (std::sscanf(tick.text.c_str(), "10^{−%d}", &power) == 1) power = -power;
      if (power == 0) std::sscanf(tick.text.c_str(), "10^{%d}", &power);
      if (!tick.text.empty()) {
        EXPECT_NEAR(std::log10(tick.at), power, 1e-9) << tick.text;
      }
    }
  }
}

TEST(Axis, NeighbouringLabelsOfXHaveRoom) {
  for (const double inches : {0.6, 1.0, 2.0, 5.0}) {
    for (const bool logarithmic : {false, true}) {
      for (const double least : {1e-7, 0.9, 900.0}) {
        Panel panel{.x = {.logarithmic = logarithmic}};
        panel.series.push_back({.x = {least, 1000}, .y = {1, 2}});
        const Scale scale = scale_x(panel, inches);
        double before = -INFINITY;
        for (const auto& tick : scale.ticks) {
          if (tick.text.empty()) continue;
          EXPECT_GT(inches * (scale.part(tick.at) - before), em * (scale.label_em() + 0.5)) << tick.text;
          before = scale.part(tick.at);
        }
      }
    }
  }
}

TEST(Axis, TickText) {
  EXPECT_EQ(tick_text(0.2), "0.2");
  EXPECT_EQ(tick_text(50000), "50000");
  EXPECT_EQ(tick_text(2e5), "2×10^{5}");
  EXPECT_EQ(tick_text(5e-4), "5×10^{−4}");
  EXPECT_EQ(tick_text(0.001), "0.001");
}

}  // namespace
}  // namespace entk::plot
