#include "entk/studies/escape.h"

#include <gtest/gtest.h>

#include <cmath>

#include "entk/base/philox.h"
#include "entk/io/checkpoint_file.h"
#include "entk/runs/curves.h"
#include "tests/support/testing.h"

namespace entk::escape_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

/// How the runs of a model end: ‖w_r‖ of every neuron is close to m^exponent, and where the movement is.
struct MadeUp {
  double exponent, v2_first, v2_last, loss = 1e-5;
};

/// Finished runs of these models, sizes of neurons a hair apart from seed to seed.
std::vector<SweepCurves> make_up(const EscapeConfig& config, const std::map<std::string, MadeUp>& models) {
  std::vector<SweepCurves> all;
  std::uint32_t number = 0;
  for (const auto& model : config.models) {
    const auto& of = models.at(model.name);
    for (const auto width : config.widths) {
      SweepCurves curves{{model.name, width}, {0, 100}, {}, 0, config.seeds};
      const auto m = static_cast<double>(width);
      for (std::size_t s = 0; s < config.seeds.size(); ++s) {
        const double hair = RandomStream(Purpose::probe, 12, number++).normal(0);
        const double size = 3 * std::pow(m, of.exponent) * (1 + 0.005 * hair);
        const double v2 = (width == config.widths.back() ? of.v2_last : of.v2_first) * (1 + 0.01 * hair);
        for (const auto& [name, last] : {std::pair{"train_loss", of.loss},
                                         {"test_loss", 0.1},
                                         {"norm_W", std::sqrt(m) * size},
                                         {"R4", std::pow(m * std::pow(size, 4), 2)},
                                         {"movement_median", std::sqrt(m) * size},
                                         {"movement_p99", 2 * std::sqrt(m) * size},
                                         {"share_V1", 0.1},
                                         {"share_V2", v2},
                                         {"share_rest", 0.9 - v2}}) {
          curves.columns[name].push_back({1.0, last});
        }
      }
      all.push_back(std::move(curves));
    }
  }
  return all;
}

const std::map<std::string, MadeUp> as_the_paper_says = {{"ntk", {-0.5, 0.8, 0.8}},
                                                         {"joint", {-0.4, 0.4, 0.7}},
                                                         {"joint_regularized", {-0.25, 1e-6, 1e-6}},
                                                         {"network", {-0.45, 0.3, 0.6}}};

std::vector<Verdict> verdicts(const std::map<std::string, MadeUp>& models,
                              nlohmann::json json = preset("escape-quick")) {
  const auto config = read_escape_config(json, "test");
  std::vector<Verdict> all;
  for (const auto& claim : escape_findings(config, make_up(config, models)).claims) all.push_back(claim.verdict);
  return all;
}

constexpr auto held = Verdict::held, failed = Verdict::did_not_hold, small = Verdict::too_small_to_tell;

TEST(Escape, FindsTheExponentOfEverySizeOfNeurons) {
  const auto config = read_escape_config(preset("escape-quick"), "test");
  const auto table = escape_findings(config, make_up(config, as_the_paper_says)).table;
  ASSERT_EQ(table.rows.size(), config.models.size());
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    for (std::size_t column = 1; column < table.columns.size(); ++column) {
      const auto found = std::get<Estimate>(table.rows[i][column].content);
      EXPECT_NEAR(found.value, as_the_paper_says.at(config.models[i].name).exponent, 0.005)
          << table.columns[column].name;
      EXPECT_LT(found.high - found.low, 0.05);
    }
  }
}

TEST(Escape, ClaimsHoldOnThePapersExponentsAndEachFailsByItsOwnCriterion) {
  EXPECT_EQ(verdicts(as_the_paper_says), (std::vector{held, held, held, held, held, held}));
  const auto with = [](const std::string& name, const MadeUp& made) {
    auto models = as_the_paper_says;
    models[name] = made;
    return verdicts(models);
  };
  EXPECT_EQ(with("ntk", {-0.4, 0.8, 0.8}), (std::vector{failed, held, held, held, held, held}));
  EXPECT_EQ(with("joint_regularized", {-0.5, 1e-6, 1e-6}), (std::vector{held, failed, failed, held, held, held}));
  EXPECT_EQ(with("joint_regularized", {-0.25, 0.6, 0.6}), (std::vector{held, held, held, failed, failed, held}));
  EXPECT_EQ(with("joint", {-0.4, 0.7, 0.6}), (std::vector{held, held, held, held, held, failed}));
}

TEST(Escape, RunsThatHaveNotSettledAndTooFewWidthsOrSeedsDecideNothing) {
  auto models = as_the_paper_says;
  models["joint_regularized"].loss = 2e-3;
  EXPECT_EQ(verdicts(models), (std::vector{held, small, small, small, small, held}));
  auto json = preset("escape-quick");
  json["widths"] = {500, 1000, 2000, 4000};
  EXPECT_EQ(verdicts(as_the_paper_says, json), std::vector<Verdict>(6, small));
  json = preset("escape-quick");
  json["seeds"] = {1};
  EXPECT_EQ(verdicts(as_the_paper_says, json), std::vector<Verdict>(6, small));
}

TEST(Escape, SizesAreThoseOfTheTrainedW) {
  auto json = preset("escape-quick");
  merge_over(json, nlohmann::json::parse(R"({
    "seeds": [3], "widths": [40, 80], "data": {"dimension": 6, "samples": 20, "test_samples": 30},
    "projector": {"rank": 7}, "train": {"steps": 20}, "device": "cpu", "observables": ["alignment"]})"));
  const auto config = read_escape_config(json, "test");
  EXPECT_EQ(write_described(read_escape_config(write_described(config), "again")), write_described(config));
  const auto plan = plan_escape(config, "test");
  ASSERT_EQ(plan.size(), 2 * config.models.size());
  const TemporaryFolder folder;
  const auto study = RunFolder::create(folder / "study");
  ProblemCache cache;
  const TakeContext context{.folder = study, .command = "test"};
  EXPECT_EQ(take_units(run_units(plan, context, cache), study.path(), {}).code, ExitCode::ok);
  const auto findings = escape_findings(config, read_curves(plan, study.path()));
  ASSERT_EQ(findings.figures.size(), 2u);
  EXPECT_EQ(findings.figures[0].figure.panels.size(), 4u);
  EXPECT_EQ(findings.figures[1].figure.panels.size(), config.models.size());
  const auto& [heading, table] = findings.tables.at(0);
  ASSERT_EQ(table.rows.size(), plan.size());
  const auto number = [&](std::size_t row, const std::string& column) -> double {
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      if (table.columns[i].name == column) return std::get<Uncertain>(table.rows[row][i].content).value;
    }
    ADD_FAILURE() << "no column " << column;
    return NAN;
  };
  for (std::size_t i = 0; i < plan.size(); ++i) {
    EXPECT_EQ(std::get<double>(table.rows[i][1].content), static_cast<double>(plan[i].config.model.width));
    const auto tensors = read_checkpoint(run_path(study.path(), plan[i])).tensors;
    const auto norms = tensors.at("W").to(at::kDouble).square().sum(1).sqrt();  // of each neuron
    const auto m = norms.numel();
    EXPECT_EQ(m, plan[i].config.model.width);
    const auto sorted = std::get<0>(norms.sort()).contiguous();
    EXPECT_NEAR(number(i, "median"), sorted[m / 2 - 1].item<double>(), 1e-6);
    EXPECT_NEAR(number(i, "99th percentile"), sorted[m - 1].item<double>(), 1e-6);
    EXPECT_NEAR(number(i, "‖W‖_F m^(-1/2)"), std::sqrt(norms.square().mean().item<double>()), 1e-6);
    EXPECT_NEAR(number(i, "‖W‖_{2,4} m^(-1/4)"), std::pow(norms.pow(4).mean().item<double>(), 0.25), 1e-6);
    EXPECT_NEAR(number(i, "share_V1") + number(i, "share_V2") + number(i, "share_rest"), 1, 1e-12);
    EXPECT_GT(number(i, "alignment"), 0);
  }
}

TEST(Escape, ImpossibleSettingsAreNamed) {
  const auto message = [](const nlohmann::json& change) {
    auto json = preset("escape-quick");
    merge_over(json, change);
    try {
      plan_escape(read_escape_config(json, "test"), "test");
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("nothing thrown");
  };
  const auto says = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << text;
  };
  EXPECT_TRUE(says(message({{"widths", nlohmann::json::array()}}), "widths: expected at least one"));
  EXPECT_TRUE(says(message({{"widths", {100, 100}}}), "widths: expected each value once"));
  EXPECT_TRUE(says(message({{"widths", {0}}}), "widths"));
  EXPECT_TRUE(says(message({{"projector", {{"source", "none"}}}}), "projector.source: expected features or unlabeled"));
  EXPECT_TRUE(says(message({{"observables", "movement"}}), "observables: expected a list"));
  EXPECT_TRUE(says(message({{"sweep", {{"lambda.3", {1}}}}}), "keys of this study say which runs it has, not a sweep"));
  auto models = preset("escape-quick")["models"];
  models[0]["set"]["model"]["width"] = 10;
  EXPECT_TRUE(says(message({{"models", models}}), "model.width: the widths are those of the list"));
}

}  // namespace
}  // namespace entk::escape_test
