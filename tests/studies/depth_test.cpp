#include "entk/studies/depth.h"

#include <gtest/gtest.h>

#include <cmath>

#include "entk/models/mlp.h"
#include "tests/support/testing.h"

namespace entk::depth_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

constexpr auto held = Verdict::held, failed = Verdict::did_not_hold, small = Verdict::too_small_to_tell;

TEST(Depth, WidthsMatchTheParametersOrItIsSaid) {
  for (const bool biases : {false, true}) {
    for (const std::int64_t depth : {1, 2, 3, 6}) {
      for (const std::int64_t parameters : {20000, 1000000}) {
        const auto widths = matched_widths(10, depth, parameters, biases);
        EXPECT_EQ(widths, std::vector<std::int64_t>(static_cast<std::size_t>(depth), widths[0]));
        const auto m = widths[0];
        const auto count = 10 * m + (depth - 1) * m * m + m + (biases ? depth * m + 1 : 0);
        EXPECT_LE(std::abs(count - parameters), parameters / 50) << depth << " " << parameters;
      }
    }
  }
  EXPECT_EQ(matched_widths(10, 1, 110, false), std::vector<std::int64_t>{10});
  EXPECT_EQ(matched_widths(10, 1, 109, false), std::vector<std::int64_t>{10}) << "110 is nearer than 99";
  try {
    matched_widths(10, 1, 5, false);
    ADD_FAILURE() << "nothing thrown";
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()).find("parameters: expected a number that 1 hidden layer of equal widths in d = 10"),
              std::string::npos)
        << e.what();
  }
}

TEST(Depth, EveryRunIsOfItsTargetDepthModelAndSamples) {
  const auto config = read_depth_config(preset("depth"), "test");
  EXPECT_EQ(write_described(read_depth_config(write_described(config), "again")), write_described(config));
  const auto plan = plan_depth(config, "test");
  ASSERT_EQ(plan.size(), config.targets.size() * config.depths.size() * config.models.size() * config.samples.size() *
                             config.seeds.size());
  std::set<std::string> names;
  for (const auto& run : plan) {
    names.insert(run.name);
    const auto json = to_json(run.config);
    const auto& kind = json["model"]["kind"];
    EXPECT_EQ(kind["name"], "mlp");
    EXPECT_EQ(kind["depth"], run.swept.at(1));
    const auto widths = kind["widths"].get<std::vector<std::int64_t>>();
    EXPECT_EQ(static_cast<std::int64_t>(widths.size()), run.swept.at(1));
    EXPECT_NEAR(static_cast<double>(MlpImpl::parameter_count(run.config.data.dimension, widths, false)),
                static_cast<double>(config.parameters), 0.02 * static_cast<double>(config.parameters));
    EXPECT_EQ(json["data"]["target"]["name"], run.swept.at(0) == "sparse" ? "low_degree_plus_sparse" : "multi_index");
    EXPECT_EQ(run.config.model.whole_network, run.swept.at(2) == "network");
    EXPECT_EQ(run.config.model.order, run.swept.at(2) == "ntk" ? 1 : 2);
    EXPECT_EQ(run.config.data.samples, run.swept.at(3));
  }
  EXPECT_EQ(names.size(), plan.size());
}

/// Finished runs whose test losses at depth 1 and at the deepest are these; at the largest n, others far above.
std::vector<SweepCurves> make_up(const DepthConfig& config,
                                 const std::map<std::string, std::pair<double, double>>& losses, double half = 1) {
  std::vector<SweepCurves> all;
  for (const auto& target : config.targets) {
    for (const auto depth : config.depths) {
      for (const auto& model : config.models) {
        for (const auto n : config.samples) {
          SweepCurves curves{{target.name, depth, model.name, n}, {0, 50, 100}, {}, 0, config.seeds};
          const auto& [shallow, deep] = losses.at(model.name);
          for (std::size_t s = 0; s < config.seeds.size(); ++s) {
            double loss = (depth == config.depths.back() ? deep : shallow) *
                          (1 + 0.1 * static_cast<double>(s) + 0.01 * static_cast<double>(s * depth));
            if (n != config.samples.back()) loss = 7 / loss;
            curves.columns["test_loss"].push_back({1, half * loss, loss});
            curves.columns["train_loss"].push_back({1, 0.1, 0.1});
          }
          all.push_back(std::move(curves));
        }
      }
    }
  }
  return all;
}

std::vector<Verdict> verdicts(const std::vector<Claim>& claims) {
  std::vector<Verdict> all;
  for (const auto& claim : claims) all.push_back(claim.verdict);
  return all;
}

TEST(Depth, AnswersAreThoseOfTheLargestSampleSizeAndOfSettledRuns) {
  const auto config = read_depth_config(preset("depth-quick"), "test");
  ASSERT_EQ(config.models.size(), 4u);
  const std::map<std::string, std::pair<double, double>> losses = {
      {"ntk", {0.5, 0.6}}, {"joint", {0.3, 0.2}}, {"joint_regularized", {0.2, 0.1}}, {"network", {0.2, 0.4}}};
  const auto found = depth_findings(config, make_up(config, losses));
  // Each target: ntk, joint, joint_regularized and network by depth, and joint_regularized over ntk.
  const std::vector<Verdict> one = {failed, held, held, failed, held};
  auto both = one;
  both.insert(both.end(), one.begin(), one.end());
  EXPECT_EQ(verdicts(found.claims), both);
  ASSERT_EQ(found.figures.at(0).figure.panels.size(), config.targets.size() * config.depths.size());
  EXPECT_EQ(found.table.rows.size(), config.targets.size() * config.depths.size() * config.models.size());
  EXPECT_EQ(verdicts(depth_findings(config, make_up(config, losses, 1.2)).claims), std::vector<Verdict>(10, small));
  auto unfinished = make_up(config, losses);
  for (auto& c : unfinished) c.missing = 1;
  EXPECT_EQ(verdicts(depth_findings(config, unfinished).claims), std::vector<Verdict>(10, Verdict::not_run));
}

TEST(Depth, ImpossibleSettingsAreNamed) {
  const auto message = [](const nlohmann::json& change) {
    auto json = preset("depth-quick");
    merge_over(json, change);
    try {
      plan_depth(read_depth_config(json, "test"), "test");
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("nothing thrown");
  };
  const auto says = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << text;
  };
  EXPECT_TRUE(says(message({{"depths", nlohmann::json::array()}}), "depths: expected at least one"));
  EXPECT_TRUE(says(message({{"samples", {5, 5}}}), "samples: expected each value once"));
  EXPECT_TRUE(says(message({{"targets", nlohmann::json::array()}}), "targets"));
  EXPECT_TRUE(says(message({{"parameters", 2}}), "test: parameters: expected a number that"));
  EXPECT_TRUE(says(message({{"model", {{"kind", "two_layer"}}}}), "model.kind: expected an mlp"));
  EXPECT_TRUE(
      says(message({{"model", {{"kind", {{"name", "mlp"}, {"depth", 2}}}}}}), "model.kind.depth: expected none"));
  EXPECT_TRUE(says(message({{"sweep", {{"lambda.3", {1}}}}}), "not a sweep"));
  auto models = preset("depth-quick")["models"];
  models[0]["set"]["model"]["width"] = 10;
  EXPECT_TRUE(says(message({{"models", models}}), "models: ntk: set: model.width: depth and widths are those"));
}

}  // namespace
}  // namespace entk::depth_test
