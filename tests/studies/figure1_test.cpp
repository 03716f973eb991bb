#include "entk/studies/figure1.h"

#include <gtest/gtest.h>

#include <array>
#include <tuple>

#include "entk/base/philox.h"
#include "tests/support/testing.h"

namespace entk::figure1_test {
namespace {

/// Finished seeds of a weight, recorded at the first and the last step, their final values some 0.5% apart.
SweepCurves curve(double lambda, double train, double test, double r3, std::size_t seeds = 3) {
  SweepCurves c{{lambda}, {0, 20000}, {}, 0, {}};
  const RandomStream random(Purpose::probe, 3, static_cast<std::uint32_t>(1000 * lambda));
  for (std::size_t s = 0; s < seeds; ++s) {
    c.seeds.push_back(s + 1);
    int column = 0;
    for (const auto& [name, first, last] :
         {std::tuple{"train_loss", 1.0, train}, {"test_loss", 1.0, test}, {"R3", 0.0, r3}}) {
      c.columns[name].push_back(
          {first, last * (1 + 0.005 * random.normal(static_cast<std::int64_t>(10 * s) + column++))});
    }
  }
  return c;
}

/// The same final value for every seed but for a hair.
void set_last(SweepCurves& c, const char* column, double value) {
  double hair = 0;
  for (auto& run : c.columns[column]) run.back() = value * (1 + 0.001 * hair++);
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
}

TEST(Figure1Claims, EachFailsByItsOwnCriterion) {
  const auto published = sizes(100, 1000, 10000, 20000);
  auto curves = as_in_the_paper();
  set_last(curves[5], "train_loss", 0.06);
  EXPECT_EQ(verdicts(figure1_claims(published, curves, true)), (std::vector{failed, held, held, held, held}));
  curves = as_in_the_paper();
  set_last(curves[0], "test_loss", 0.26);  // 0.14 is more than half of it
  EXPECT_EQ(verdicts(figure1_claims(published, curves, true)), (std::vector{held, failed, held, held, failed}));
  curves = as_in_the_paper();
  set_last(curves[2], "R3", 0.42);
  EXPECT_EQ(verdicts(figure1_claims(published, curves, true)), (std::vector{held, held, failed, held, held}));
  curves = as_in_the_paper();
  set_last(curves[3], "test_loss", 0.13);
  EXPECT_EQ(verdicts(figure1_claims(published, curves, true)), (std::vector{held, held, held, failed, held}));
}

TEST(Figure1Claims, SeedsThatDoNotAgreeEnoughAndOneSeedDecideNothing) {
  const auto published = sizes(100, 1000, 10000, 20000);
  std::vector<SweepCurves> one;
  for (const auto& c : as_in_the_paper()) {
    one.push_back(curve(c.swept[0].get<double>(), c.columns.at("train_loss")[0][1], c.columns.at("test_loss")[0][1],
                        c.columns.at("R3")[0][1], 1));
  }
  EXPECT_EQ(verdicts(figure1_claims(published, one, true)), std::vector(5, small));
  auto curves = as_in_the_paper();
  // Test losses 0.05, 0.14 and 0.4 at λ3 = 10: a third of that at 0 on average, and as much as that in one seed.
  for (int seed = 0; seed < 3; ++seed) curves[4].columns["test_loss"][seed][1] = std::array{0.05, 0.14, 0.4}[seed];
  EXPECT_EQ(verdicts(figure1_claims(published, curves, true)), (std::vector{held, small, held, small, small}));
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
  const auto claims =
      figure1_claims(sizes(50, 354, 2000, 4000), {curve(0, 2e-3, 0.5, 0.3), curve(10, 4e-3, 0.14, 0.2)}, false);
  const auto begins = [&](int claim, const std::string& text) {
    EXPECT_EQ(claims[claim].ours.substr(0, text.size()), text) << claim;
    EXPECT_NE(claims[claim].ours.find("95% interval"), std::string::npos) << claims[claim].ours;
    EXPECT_NE(claims[claim].ours.find("mean over 3 seeds"), std::string::npos) << claims[claim].ours;
  };
  begins(0, "0.0020 at 0, 0.0040 at 10; last over first at 0: 0.00");
  begins(1, "0.50 at 0, 0.14 at 10; test loss at 10 over that at 0: 0.28");
  begins(2, "0.30 at 0, 0.20 at 10; R3 at 10 over that at 0: 0.66");
  begins(3, "0.50 at 0, 0.14 at 10; test loss at 0 over that at 10: 3.5");
}

TEST(Figure1, PlotAndTableShowEachQuantityInItsPlace) {
  const auto study = read_study_config(preset("figure1-quick"), "test");
  auto c = curve(10, 4e-3, 0.14, 0.2, 1);
  set_last(c, "R3", 0.2), set_last(c, "train_loss", 4e-3), set_last(c, "test_loss", 0.14);
  const auto figure = figure1_plot(study, {c}, 100);
  ASSERT_EQ(figure.panels.size(), 3u);
  const std::vector<double> last = {0.2, 4e-3, 0.14};  // R3, training loss, test loss
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(figure.panels[i].series.at(0).y, (std::vector{last[i]})) << i;
    EXPECT_NEAR(figure.panels[i].series[0].x.at(0), 2.1505, 1e-4) << "log_100(20000), step 0 left out";
  }
  const auto table = figure1_table(study, {c}, true);
  EXPECT_EQ(table.title, "Final values, one seed");
  EXPECT_EQ(figure1_table(study, {curve(10, 4e-3, 0.14, 0.2, 2)}, true).title,
            "Final values, mean ± standard deviation over 2 seeds");
  EXPECT_EQ(figure.caption, "Training f_L + f_Q with R3, its weight swept: one seed");
  ASSERT_EQ(table.rows.size(), 1u);
  const auto& row = table.rows[0];
  const auto number = [&](int column) { return std::get<double>(row.at(column).content); };
  const auto measured = [&](int column) { return std::get<Uncertain>(row.at(column).content).value; };
  EXPECT_EQ(number(0), 10);
  EXPECT_EQ(number(1), 1);
  EXPECT_EQ(table.columns[2].name, "training loss");
  EXPECT_EQ(measured(2), 4e-3);
  EXPECT_EQ(table.columns[3].name, "test loss");
  EXPECT_EQ(measured(3), 0.14);
  EXPECT_EQ(table.columns[4].name, "R3");
  EXPECT_EQ(measured(4), 0.2);
  EXPECT_EQ(number(5), 0.14) << "the paper's";
}

TEST(Figure1, OfTwoSweptKeysOneIsToldByColoursAndOneByDashes) {
  auto json = preset("figure1-quick");
  json["sweep"] = {{"lambda.3", {0, 10}}, {"model.width", {100, 200, 400}}};
  const auto study = read_study_config(json, "test");
  std::vector<SweepCurves> curves;
  for (const int lambda : {0, 10}) {
    for (const int width : {100, 200, 400}) {
      curves.push_back(curve(lambda, 4e-3, 0.14, 0.2, 1));
      curves.back().swept = {lambda, width};
    }
  }
  const auto figure = figure1_plot(study, curves, std::nullopt);
  std::vector<std::pair<int, int>> looks;
  std::vector<std::string> names;
  for (const auto& s : figure.panels[2].series) {
    if (!s.x.empty()) looks.emplace_back(s.color.value(), s.dash);
    if (!s.label.text.empty()) names.push_back(s.label.text);
  }
  EXPECT_EQ(looks, (std::vector<std::pair<int, int>>{{0, 0}, {1, 0}, {2, 0}, {0, 1}, {1, 1}, {2, 1}}));
  EXPECT_EQ(names, (std::vector<std::string>{"{/:Italic m} = 100", "{/:Italic m} = 200", "{/:Italic m} = 400",
                                             "{/:Italic λ}_3 = 0", "{/:Italic λ}_3 = 10"}));
  const auto table = figure1_table(study, curves, false);
  EXPECT_EQ(table.columns[0].name, "λ3");
  EXPECT_EQ(table.columns[1].name, "m");
  EXPECT_EQ(table.keys, 2u);
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
}  // namespace entk::figure1_test
