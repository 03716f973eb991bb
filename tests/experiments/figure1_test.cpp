#include "entk/experiments/figure1.h"

#include <gtest/gtest.h>

#include "tests/support/testing.h"

namespace entk {
namespace {

/// One finished seed a weight, recorded at the first and the last step.
SweepCurves curve(double lambda, double train, double test, double r3) {
  return {{lambda}, {0, 20000}, {{"train_loss", {{1.0, train}}}, {"test_loss", {{1.0, test}}}, {"R3", {{0.0, r3}}}}, 0};
}

std::vector<SweepCurves> as_in_the_paper() {
  return {curve(0, 1e-9, 0.50, 0.5),  curve(0.01, 1e-5, 0.48, 0.4), curve(0.1, 1e-4, 0.34, 0.2),
          curve(1, 1e-3, 0.17, 0.02), curve(10, 5e-3, 0.14, 1e-3),  curve(100, 1e-2, 0.22, 1e-4)};
}

RunConfig sizes(std::int64_t dimension, std::int64_t samples, std::int64_t width, std::int64_t steps) {
  RunConfig c;
  c.data.dimension = dimension, c.data.samples = samples, c.model.width = width, c.train.steps = steps;
  return c;
}

std::vector<Verdict> verdicts(const std::vector<Claim>& claims) {
  std::vector<Verdict> all;
  for (const auto& claim : claims) all.push_back(claim.verdict);
  return all;
}

constexpr auto held = Verdict::held, failed = Verdict::did_not_hold, small = Verdict::too_small_to_tell;

TEST(Figure1Claims, HoldOnThePapersOwnValues) {
  const auto claims = figure1_claims(sizes(100, 1000, 10000, 20000), as_in_the_paper(), true);
  EXPECT_EQ(verdicts(claims), (std::vector{held, held, held, held, held}));
  EXPECT_EQ(claims[4].paper, claims[4].ours);
}

TEST(Figure1Claims, EachFailsByItsOwnCriterion) {
  const auto published = sizes(100, 1000, 10000, 20000);
  auto curves = as_in_the_paper();
  curves[5].columns["train_loss"][0][1] = 0.06;
  EXPECT_EQ(verdicts(figure1_claims(published, curves, true)), (std::vector{failed, held, held, held, held}));
  curves = as_in_the_paper();
  curves[0].columns["test_loss"][0][1] = 0.27;  // 0.14 is more than half of it
  EXPECT_EQ(verdicts(figure1_claims(published, curves, true)), (std::vector{held, failed, held, held, failed}));
  curves = as_in_the_paper();
  curves[2].columns["R3"][0][1] = 0.41;
  EXPECT_EQ(verdicts(figure1_claims(published, curves, true)), (std::vector{held, held, failed, held, held}));
  curves = as_in_the_paper();
  curves[3].columns["test_loss"][0][1] = 0.13;
  EXPECT_EQ(verdicts(figure1_claims(published, curves, true)), (std::vector{held, held, held, failed, held}));
}

TEST(Figure1Claims, AtQuickSizesWhatNeedsThePapersSizesIsLeftOpen) {
  const std::vector<SweepCurves> curves = {curve(0, 1e-9, 2, 1), curve(10, 1e-2, 0.4, 0.01)};
  EXPECT_EQ(verdicts(figure1_claims(sizes(50, 354, 2000, 4000), curves, false)),
            (std::vector{held, held, held, small, small}));
}

TEST(Figure1Claims, BelowQuickSizesNothingIsDecided) {
  const std::vector<SweepCurves> curves = {curve(0, 1e-9, 2, 1), curve(10, 1e-2, 0.4, 0.01)};
  for (const auto& config : {sizes(49, 354, 2000, 4000), sizes(50, 353, 2000, 4000), sizes(50, 354, 1998, 4000),
                             sizes(50, 354, 2000, 3999)}) {
    EXPECT_EQ(verdicts(figure1_claims(config, curves, false)), std::vector(5, small));
  }
}

TEST(Figure1Claims, AnUnfinishedStudyHasNoVerdict) {
  auto curves = as_in_the_paper();
  curves[1] = {{0.01}, {}, {}, 1};
  EXPECT_EQ(verdicts(figure1_claims(sizes(100, 1000, 10000, 20000), curves, true)), std::vector(5, Verdict::not_run));
}

TEST(Figure1Claims, EachSaysTheValuesThatItIsAbout) {
  const auto claims = figure1_claims(sizes(50, 354, 2000, 4000), {curve(0, 2e-3, 0.5, 0.3), curve(10, 4e-3, 0.14, 0.2)}, false);
  EXPECT_EQ(claims[0].ours, "0.0020 at 0, 0.0040 at 10");
  EXPECT_EQ(claims[1].ours, "0.50 at 0, 0.14 at 10");
  EXPECT_EQ(claims[2].ours, "0.30 at 0, 0.20 at 10");
  EXPECT_EQ(claims[3].ours, claims[1].ours);
}

TEST(Figure1, PlotAndTableShowEachQuantityInItsPlace) {
  const auto study = read_study_config(preset("figure1-quick"), "test");
  auto c = curve(10, 4e-3, 0.14, 0.2);
  c.columns["step"] = {{0, 20000}};
  const auto figure = figure1_plot(study, {c}, 100);
  ASSERT_EQ(figure.panels.size(), 3u);
  const std::vector<double> last = {0.2, 4e-3, 0.14};  // R3, training loss, test loss
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(figure.panels[i].series.at(0).y, (std::vector{last[i]})) << i;
    EXPECT_NEAR(figure.panels[i].series[0].x.at(0), 2.1505, 1e-4) << "log_100(20000), step 0 left out";
  }
  const auto table = figure1_table(study, {c}, true);
  ASSERT_EQ(table.rows.size(), 1u);
  const auto& row = table.rows[0];
  const auto number = [&](int column) { return std::get<double>(row.at(column).content); };
  const auto measured = [&](int column) { return std::get<Uncertain>(row.at(column).content).value; };
  EXPECT_EQ(number(0), 10);
  EXPECT_EQ(number(1), 1);
  EXPECT_EQ(table.columns[2].name, "training loss");
  EXPECT_EQ(measured(2), 4e-3);
  EXPECT_EQ(table.columns[3].name, "R3");
  EXPECT_EQ(measured(3), 0.2);
  EXPECT_EQ(table.columns[4].name, "test loss");
  EXPECT_EQ(measured(4), 0.14);
  EXPECT_EQ(number(5), 0.14) << "the paper's";
}

TEST(Figure1Claims, AreForStudiesThatAskFigure1sQuestion) {
  const auto asks = [](const char* changed) {
    auto json = preset("figure1-quick");
    const auto [path, value] = parse_override(changed);
    set_at(json, path, value);
    return asks_figure1(read_study_config(json, "test"));
  };
  EXPECT_TRUE(asks("train.steps=10"));
  EXPECT_FALSE(asks("model.order=1"));
  EXPECT_FALSE(asks("loss=logistic"));
  EXPECT_FALSE(asks(R"(data.target={"name": "figure2"})"));
  EXPECT_FALSE(asks(R"(sweep={"lambda.3": [0, 1]})"));
  EXPECT_FALSE(asks(R"(sweep={"lambda.4": [0, 10]})"));
}

}  // namespace
}  // namespace entk
