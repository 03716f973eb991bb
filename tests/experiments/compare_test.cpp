#include "entk/experiments/compare.h"

#include <gtest/gtest.h>

#include <cmath>

#include "entk/experiments/claims.h"
#include "entk/experiments/complexity.h"
#include "entk/io/csv.h"
#include "tests/support/testing.h"

namespace entk {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

nlohmann::json small_compare() {
  auto json = preset("compare-quick");
  merge_over(json, nlohmann::json::parse(R"({
    "seeds": [1], "model": {"width": 60}, "data": {"dimension": 8, "samples": 40, "test_samples": 60},
    "projector": {"rank": 9}, "train": {"steps": 30}, "device": "cpu"})"));
  return json;
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const InputError& e) {
    return e.what();
  }
  return "nothing thrown";
}

TEST(Compare, EachModelIsTheCommonConfigurationWithItsOwnKeysAndAllShareOneDataSet) {
  const auto config = read_compare_config(small_compare(), "test");
  const auto plan = plan_compare(config, "test");
  ASSERT_EQ(plan.size(), config.models.size());
  std::map<std::string, RunConfig> by_name;
  for (const auto& run : plan) by_name[run.swept[0]] = run.config;
  EXPECT_EQ(by_name.at("ntk").model.order, 1);
  EXPECT_FALSE(by_name.at("quadntk").model.linear_term);
  EXPECT_TRUE(by_name.at("quadntk_signs").train.random_signs);
  EXPECT_TRUE(by_name.at("network").model.whole_network);
  EXPECT_EQ(by_name.at("joint").lambda, (std::vector<double>{0, 0, 0, 0}));
  EXPECT_GT(by_name.at("joint_regularized").lambda[2], 0);
  for (const auto& [name, run] : by_name) EXPECT_EQ(to_json(run)["data"], to_json(plan[0].config)["data"]) << name;
  EXPECT_EQ(to_json(read_compare_config(to_json(config), "again")), to_json(config));
}

TEST(Compare, TrainsAllModelsAndLeavesTableFigureAndClaims) {
  const TemporaryFolder folder;
  const auto config = read_compare_config(small_compare(), "test");
  const auto plan = plan_compare(config, "test");
  const auto study = RunFolder::create(folder / "study");
  EXPECT_EQ(take_study(plan, study, "test", {}).code, ExitCode::ok);
  const auto results = write_compare_results(study.path(), config, plan);
  EXPECT_EQ(results.table.rows.size(), config.models.size());
  const auto claims = read_claims(study.path());
  ASSERT_EQ(claims.size(), 2u);
  // One seed shows no spread: nothing can be told.
  for (const auto& claim : claims) EXPECT_EQ(claim.verdict, Verdict::too_small_to_tell) << claim.statement;
  EXPECT_TRUE(std::filesystem::exists(study.path() / "report.html"));
  // Every model that starts at zero starts at the zero model's loss.
  const auto loss_at_start = [&](const std::string& run) {
    return read_csv(study.path() / "runs" / run / "metrics.csv").column("test_loss")[0];
  };
  EXPECT_EQ(loss_at_start("ntk,seed=1"), loss_at_start("joint_regularized,seed=1"));
  EXPECT_EQ(loss_at_start("ntk,seed=1"), loss_at_start("network,seed=1"));
}

TEST(Compare, AModelThatChangesTheDataOrRepeatsANameIsRefused) {
  auto json = small_compare();
  json["models"][0]["set"]["data"]["samples"] = 41;
  EXPECT_NE(message_of([&] { read_compare_config(json, "test"); }).find("keys other than data"), std::string::npos);
  json = small_compare();
  json["models"][1]["name"] = "ntk";
  EXPECT_NE(message_of([&] { read_compare_config(json, "test"); }).find("a name that no other model has"), std::string::npos);
  json = small_compare();
  json["models"][0]["set"]["model"]["ordr"] = 1;
  EXPECT_NE(message_of([&] { plan_compare(read_compare_config(json, "test"), "test"); }).find("order"), std::string::npos);
  json = small_compare();
  json["low_lss"] = 1;
  EXPECT_NE(message_of([&] { plan_compare(read_compare_config(json, "test"), "test"); }).find("low_lss"), std::string::npos);
}

SampleSearchResult found(const std::function<double(std::int64_t, std::uint64_t)>& samples,
                         const std::vector<std::int64_t>& dimensions = {10, 20, 40}) {
  SampleSearchResult result;
  for (const std::int64_t d : dimensions) {
    for (const std::uint64_t seed : {1, 2}) {
      SmallestSamples f;
      f.dimension = d;
      f.seed = seed;
      f.crossing = samples(d, seed);
      f.samples = static_cast<std::int64_t>(f.crossing) + 1;
      result.found.push_back(f);
    }
  }
  return result;
}

TEST(Complexity, TheExponentIsTheMeanOfTheSeedsFitsWithItsStandardError) {
  const auto result = found([](std::int64_t d, std::uint64_t seed) { return 3 * std::pow(d, seed == 1 ? 1.4 : 1.6); });
  const auto exponent = sample_exponent(result);
  EXPECT_NEAR(exponent.value, 1.5, 1e-12);
  EXPECT_NEAR(exponent.deviation, 0.1, 1e-12);  // of two slopes 0.2 apart: 0.2/√2/√2
}

TEST(Complexity, ItsClaimsHoldOnTheoremOnesExponentsAndFailOnOthers) {
  auto config = read_complexity_config(preset("complexity-quick"), "test");  // NTK, QuadNTK, regularized
  config.dimensions = {10, 20, 40, 80};
  config.seeds = {1, 2};
  const auto of_exponent = [](double exponent) {
    return found([=](std::int64_t d, std::uint64_t) { return 3 * std::pow(d, exponent); }, {10, 20, 40, 80});
  };
  const auto verdicts = [&](double ntk, double quadntk, double joint) {
    const TemporaryFolder folder;
    write_complexity_results(folder.path(), config, {{of_exponent(ntk), of_exponent(quadntk), of_exponent(joint)}, false});
    std::vector<Verdict> all;
    for (const auto& claim : read_claims(folder.path())) all.push_back(claim.verdict);
    return all;
  };
  constexpr auto held = Verdict::held, failed = Verdict::did_not_hold;
  EXPECT_EQ(verdicts(2.0, 1.5, 1.0), (std::vector{held, held, held}));
  EXPECT_EQ(verdicts(2.5, 1.5, 2.0), (std::vector{failed, held, failed}));
  EXPECT_EQ(verdicts(1.0, 1.5, 1.2), (std::vector{held, failed, held}));
}

TEST(Complexity, MeasuresResumesAndWritesItsResults) {
  auto json = preset("complexity-quick");
  merge_over(json, nlohmann::json::parse(R"({
    "seeds": [1], "dimensions": [4, 6], "threshold": 0.9, "ratio": 2, "model": {"width": 100}, "data": {"test_samples": 100},
    "train": {"steps": 60}, "device": "cpu"})"));
  const auto config = read_complexity_config(json, "test");
  EXPECT_EQ(to_json(read_complexity_config(to_json(config), "again")), to_json(config));
  const TemporaryFolder folder;
  int trials = 0;
  ComplexityHooks hooks;
  hooks.on_trial = [&](const CompareModel&, const Trial&, double) { ++trials; };
  const auto first = measure_complexity(config, folder.path(), hooks);
  EXPECT_FALSE(first.interrupted);
  EXPECT_GT(trials, 0);
  trials = 0;
  const auto again = measure_complexity(config, folder.path(), hooks);
  EXPECT_EQ(trials, 0) << "finished runs are not run again";
  const auto results = write_complexity_results(folder.path(), config, again);
  EXPECT_EQ(results.table.rows.size(), 3u);
  for (const auto& claim : read_claims(folder.path())) EXPECT_EQ(claim.verdict, Verdict::too_small_to_tell);
  hooks.interrupted = [] { return 2; };
  EXPECT_TRUE(measure_complexity(config, folder.path(), hooks).interrupted);
}

TEST(Complexity, ImpossibleSettingsAreNamed) {
  const auto message = [](const char* key, const nlohmann::json& value) {
    auto json = preset("complexity-quick");
    json[key] = value;
    return message_of([&] { read_complexity_config(json, "test"); });
  };
  EXPECT_NE(message("dimensions", nlohmann::json::array()).find("dimensions: expected at least one"), std::string::npos);
  EXPECT_NE(message("ratio", 1.0).find("ratio"), std::string::npos);
  EXPECT_NE(message("threshold", 0).find("threshold"), std::string::npos);
  EXPECT_NE(message("models", nlohmann::json::array()).find("models"), std::string::npos);
  EXPECT_NE(message("dimensionz", 3).find("dimensionz"), std::string::npos);
}

}  // namespace
}  // namespace entk
