#include "entk/studies/compare.h"

#include <gtest/gtest.h>

#include <atomic>

#include <cmath>

#include "entk/base/philox.h"
#include "entk/runs/claims.h"
#include "entk/studies/complexity.h"
#include "entk/runs/study_page.h"
#include "entk/io/csv.h"
#include "tests/support/testing.h"

namespace entk::compare_test {
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
  EXPECT_EQ(write_described(read_compare_config(write_described(config), "again")), write_described(config));
}

TEST(Compare, TrainsAllModelsAndLeavesTableFigureAndClaims) {
  const TemporaryFolder folder;
  const auto config = read_compare_config(small_compare(), "test");
  const auto plan = plan_compare(config, "test");
  const auto study = RunFolder::create(folder / "study");
  ProblemCache cache;
  const TakeContext context{.folder = study, .command = "test"};
  EXPECT_EQ(take_units(run_units(plan, context, cache), study.path(), {}).code, ExitCode::ok);
  const auto results = write_study_page(study.path(), "compare", "test", compare_findings(study.path(), config, plan));
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
  // A kernel's fit stands at the last step, with as few records as that takes.
  const auto kernel = read_csv(study.path() / "runs" / "ntk_limit,seed=1" / "metrics.csv");
  EXPECT_EQ(kernel.column("step"), (std::vector<double>{0, 1, 30}));
  EXPECT_LT(kernel.column("train_loss")[2], 1e-12);
  EXPECT_EQ(kernel.column("test_loss")[1], kernel.column("test_loss")[2]);
  EXPECT_NEAR(kernel.column("test_loss")[0] / loss_at_start("ntk,seed=1"), 1, 1e-5);
}

TEST(Compare, AModelThatDoesNotStartAtZeroIsNoZeroModel) {
  const auto shares = [](const nlohmann::json& second) {
    auto json = small_compare();
    json["models"] = {{{"name", "plain"}, {"title", "plain"}, {"set", {{"model", {{"initialisation", "plain"}}}}}},
                      {{"name", "other"}, {"title", "other"}, {"set", {{"model", second}}}}};
    const TemporaryFolder folder;
    const auto config = read_compare_config(json, "test");
    const auto plan = plan_compare(config, "test");
    const auto study = RunFolder::create(folder / "study");
    ProblemCache cache;
    const TakeContext context{.folder = study, .command = "test"};
    EXPECT_EQ(take_units(run_units(plan, context, cache), study.path(), {}).code, ExitCode::ok);
    const auto found = compare_findings(study.path(), config, plan);
    const auto zero = read_records(study.path() / "runs/other,seed=1").column("test_loss")[0];
    const auto last = read_records(study.path() / "runs/plain,seed=1").column("test_loss").back();
    return std::pair{std::get<double>(found.table.rows[0][4].content), last / zero};
  };
  const auto [share, wanted] = shares({{"initialisation", "symmetric"}});
  EXPECT_NEAR(share, wanted, 1e-12) << "the symmetric start's loss is the zero model's, though another comes first";
  EXPECT_TRUE(std::isnan(shares({{"initialisation", "plain"}, {"order", 1}}).first)) << "nobody starts at zero";
  EXPECT_FALSE(std::isnan(shares({{"initialisation", "plain"}, {"initial_output", false}}).first));
}

TEST(Compare, TheWholeNetworkIsTrainedAsItselfBesideItsExpansionOnTheSamePoints) {
  const TemporaryFolder folder;
  const auto study = RunFolder::create(folder / "study");
  std::map<std::string, PlannedRun> runs;
  for (auto& run : plan_compare(read_compare_config(small_compare(), "test"), "test")) runs.emplace(run.swept[0], run);
  const auto metrics = [&](const std::string& model, const std::string& name, ProblemCache& cache) {
    const auto own = RunFolder::create(study.path() / name);
    EXPECT_EQ(take_run(runs.at(model).config, own, name, "test", cache, {}).code, ExitCode::ok);
    return read_text(own.file("metrics.csv"));
  };
  ProblemCache shared, fresh;  // the primitives of runs on the same points are shared
  const auto expansion = metrics("joint", "joint", shared), network = metrics("network", "beside", shared);
  EXPECT_EQ(network, metrics("network", "alone", fresh));
  EXPECT_NE(network, expansion);
}

TEST(Compare, AModelThatChangesTheDataOrRepeatsANameIsRefused) {
  auto json = small_compare();
  json["models"][0]["set"]["data"]["samples"] = 41;
  EXPECT_NE(message_of([&] { read_compare_config(json, "test"); }).find("keys other than data"), std::string::npos);
  json = small_compare();
  json["models"][0]["set"]["loss"] = "logistic";  // whose labels are the target's signs
  EXPECT_NE(message_of([&] { read_compare_config(json, "test"); }).find("keys other than loss"), std::string::npos);
  json = small_compare();
  json["models"][1]["name"] = "ntk";
  EXPECT_NE(message_of([&] { read_compare_config(json, "test"); }).find("a name that no other model has"),
            std::string::npos);
  json = small_compare();
  json["models"][1]["title"] = json["models"][0]["title"];
  EXPECT_NE(message_of([&] { read_compare_config(json, "test"); }).find("a title that no other model has"),
            std::string::npos);
  json = small_compare();
  json["models"][0]["set"]["model"]["ordr"] = 1;
  EXPECT_NE(message_of([&] { plan_compare(read_compare_config(json, "test"), "test"); }).find("order"),
            std::string::npos);
  json = small_compare();
  json["low_lss"] = 1;
  EXPECT_NE(message_of([&] { plan_compare(read_compare_config(json, "test"), "test"); }).find("low_lss"),
            std::string::npos);
}

SampleSearchResult found(const std::function<double(std::int64_t, std::uint64_t)>& samples,
                         const std::vector<std::int64_t>& dimensions, const std::vector<std::uint64_t>& seeds) {
  SampleSearchResult result;
  for (const std::int64_t d : dimensions) {
    for (const std::uint64_t seed : seeds) {
      SmallestSamples f;
      f.dimension = d;
      f.seed = seed;
      f.crossing = samples(d, seed);
      f.samples = static_cast<std::int64_t>(f.crossing) + 1;
      f.failed = *f.samples - 1;
      result.found.push_back(f);
    }
  }
  result.finished = true;
  return result;
}

// Two seeds of n = 3 d^1.5, a factor of two apart, about the line by 20% up and down: their slopes agree to every
// digit.
TEST(Complexity, SeedsThatAgreeByChanceDoNotMakeTheExponentCertain) {
  const auto result = found(
      [](std::int64_t d, std::uint64_t seed) {
        return 3 * static_cast<double>(seed) * std::pow(d, 1.5) * (d == 15 ? 1.2 : d == 20 ? 0.8 : 1.0);
      },
      {10, 15, 20, 30}, {1, 2});
  const auto exponent = sample_exponent(needed_samples(result, true)).exponent;
  EXPECT_NEAR(exponent.value, 1.5, 0.1);
  EXPECT_GT(exponent.high - exponent.value, 0.2);
  EXPECT_EQ(exponent.from, "fits to 4 points of each of 2 seeds");
}

TEST(Complexity, ASearchThatOnlyBoundsNIsNoPointOfTheFit) {
  auto result = found([](std::int64_t d, std::uint64_t seed) { return static_cast<double>(seed) * std::pow(d, 1.5); },
                      {10, 20, 40}, {1, 2});
  result.found[0].failed.reset();   // d = 10, seed 1: the first candidate learned already
  result.found[5].samples.reset();  // d = 40, seed 2: none learned
  const auto needed = needed_samples(result, true);
  EXPECT_EQ(needed.at(10).below, 1);
  EXPECT_EQ(needed.at(40).above, 1);
  EXPECT_EQ(complete_dimensions(needed, 2).size(), 1u);
  EXPECT_EQ(std::get<std::string>(needed_cell(needed.at(40), {80, 100, 3200}).content),
            "253 in 1 of 2 seeds, else > 3200");
  EXPECT_EQ(std::get<std::string>(needed_cell(needed.at(10), {20, 25, 200}).content),
            "63.2 in 1 of 2 seeds, else ≤ 20");
  EXPECT_NEAR(std::get<Uncertain>(needed_cell(needed.at(20), {}).content).value, 1.5 * std::pow(20, 1.5), 1e-9);
  result.found[3].crossing = NAN;  // no finite loss at the candidate that failed: between the two
  const auto n = static_cast<double>(*result.found[3].samples);
  EXPECT_NEAR(needed_samples(result, true).at(20).samples.at(2), std::sqrt(n * (n - 1)), 1e-9);
  EXPECT_EQ(needed_samples(result, false).at(20).samples.at(2), n);
}

TEST(Complexity, ItsClaimsHoldOnTheoremOnesExponentsAndFailOnOthers) {
  auto config = read_complexity_config(preset("complexity-quick"), "test");  // NTK, QuadNTK, regularized
  std::erase_if(config.models, [](const CompareModel& m) { return m.name == "ntk_infinite"; });
  config.dimensions = {10, 20, 40, 80};
  config.seeds = {1, 2, 3};
  int model = 0;
  const auto of_exponent = [&](double exponent, double noise) {
    const RandomStream random(Purpose::probe, 4, static_cast<std::uint32_t>(model++));
    return found(
        [=](std::int64_t d, std::uint64_t seed) {
          return 3000 * std::pow(d, exponent) *
                 std::exp(noise * random.normal(100 * static_cast<std::int64_t>(seed) + d));
        },
        config.dimensions, config.seeds);
  };
  const auto claims = [&](double ntk, double quadntk, double joint, double noise = 0.02) {
    return complexity_findings(config,
                               {of_exponent(ntk, noise), of_exponent(quadntk, noise), of_exponent(joint, noise)})
        .claims;
  };
  const auto verdicts = [&](auto... arguments) {
    std::vector<Verdict> all;
    for (const auto& claim : claims(arguments...)) all.push_back(claim.verdict);
    return all;
  };
  constexpr auto held = Verdict::held, failed = Verdict::did_not_hold, small = Verdict::too_small_to_tell;
  EXPECT_EQ(verdicts(2.0, 1.5, 1.0), (std::vector{held, held, held}));
  EXPECT_EQ(verdicts(2.5, 1.5, 2.0), (std::vector{failed, held, failed}));
  EXPECT_EQ(verdicts(1.0, 1.5, 1.2), (std::vector{held, failed, held}));
  EXPECT_EQ(verdicts(1.3, 1.5, 1.2, 0.7), (std::vector{small, small, small}));
  const auto theorem = claims(2.0, 1.5, 1.0)[0];
  ASSERT_EQ(theorem.evidence.size(), 1u);
  EXPECT_NE(theorem.ours.find("fits to 4 points of each of 3 seeds"), std::string::npos) << theorem.ours;
  EXPECT_LT(theorem.evidence[0].found.low, 1);
  EXPECT_GT(theorem.evidence[0].found.high, 1);
  EXPECT_EQ(theorem.evidence[0].at_most, 1.3);
}

TEST(Complexity, RunsThatDivergedAreSaidAndDecideNothing) {
  const auto config = read_complexity_config(preset("complexity"), "test");
  std::vector<SampleSearchResult> models;
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    models.push_back(found([](std::int64_t d, std::uint64_t seed) { return 3.0 * d * (1 + 0.01 * (seed % 3)); },
                           config.dimensions, config.seeds));
    models.back().trials = {{.dimension = 10, .samples = 20, .seed = 1, .losses = {0.1, 0.2}}};
  }
  const auto verdict = [&] { return complexity_findings(config, models).claims.at(0).verdict; };
  EXPECT_TRUE(complexity_findings(config, models).warnings.empty());
  EXPECT_EQ(verdict(), Verdict::held);
  for (auto& model : models) model.trials.push_back({.dimension = 10, .samples = 40, .seed = 1, .losses = {NAN, NAN}});
  const auto found = complexity_findings(config, models);
  EXPECT_EQ(found.warnings.size(), models.size());
  EXPECT_NE(found.warnings.at(0).find(": 1 of 2 runs diverged, and count as not learned"), std::string::npos);
  EXPECT_EQ(verdict(), Verdict::too_small_to_tell);
}

TEST(Claims, TheSizeIsWhatTheStudyVariesBeforeARunsOwnKeys) {
  EXPECT_EQ(size_text(preset("escape-quick")), "d = 20, n = 160, m = 250 … 4000, steps = 6000, 3 seeds");
  EXPECT_EQ(size_text({{"dimension", 8}, {"samples", {40}}, {"width", 50}}), "d = 8, n = 40, m = 50");
  EXPECT_EQ(size_text({{"seeds", {1}}, {"run", {{"data", {{"dimension", 3}}}}}}), "d = 3, 1 seed");
  EXPECT_EQ(size_text(nlohmann::json::object()), "");
}

TEST(Claims, AVerdictIsThatOfItsIntervals) {
  const Estimate inside{1, 0.5, 1.5, ""}, outside{3, 2.5, 3.5, ""}, across{2, 1.5, 2.5, ""}, none{.value = 1};
  const auto verdict = [](std::vector<Estimate> found) {
    std::vector<Evidence> evidence;
    for (auto& f : found) evidence.push_back({"x", f, 0, 2});
    return verdict_of(evidence);
  };
  EXPECT_EQ(verdict({inside, inside}), Verdict::held);
  EXPECT_EQ(verdict({inside, outside}), Verdict::did_not_hold);
  EXPECT_EQ(verdict({across, outside}), Verdict::did_not_hold);
  EXPECT_EQ(verdict({inside, across}), Verdict::too_small_to_tell);
  EXPECT_EQ(verdict({inside, none}), Verdict::too_small_to_tell);
  EXPECT_EQ(verdict({}), Verdict::too_small_to_tell);
  EXPECT_EQ(verdict({exact(2)}), Verdict::held);
  EXPECT_EQ(judged({.evidence = {{"x", inside, 0, 2}}}, false).verdict, Verdict::not_run);
  const auto small = judged({.reason = "x below 2", .evidence = {{"x", inside, 0, 2}}}, true, "needs more");
  EXPECT_EQ(small.verdict, Verdict::too_small_to_tell);
  EXPECT_EQ(small.reason, "x below 2; needs more");
}

TEST(Complexity, MeasuresResumesAndWritesItsResults) {
  auto json = preset("complexity-quick");
  merge_over(json, nlohmann::json::parse(R"({
    "seeds": [1], "dimensions": [4, 6], "threshold": 0.9, "ratio": 2, "model": {"width": 100}, "data": {"test_samples": 100},
    "train": {"steps": 60}, "device": "cpu"})"));
  const auto config = read_complexity_config(json, "test");
  EXPECT_EQ(write_described(read_complexity_config(write_described(config), "again")), write_described(config));
  const TemporaryFolder folder;
  const auto task = complexity_study().read(json, "test", built_in_catalogue());
  std::atomic<int> trials = 0;
  const auto study = RunFolder::create(folder / "study");
  TakeContext context{study, "test", {}, [&](const std::string&) { ++trials; }};
  EXPECT_FALSE(take_units(task->units(context), study.path(), {}).interrupted);
  EXPECT_GT(trials, 0);
  trials = 0;
  EXPECT_FALSE(take_units(task->units(context), study.path(), {}).interrupted);
  EXPECT_EQ(trials, 0) << "finished runs are not run again";
  const auto findings = task->findings(study.path());
  EXPECT_EQ(findings.table.rows.size(), 4u);
  for (const auto& claim : findings.claims) EXPECT_EQ(claim.verdict, Verdict::too_small_to_tell);
  const auto other = RunFolder::create(folder / "other");
  TakeContext stopping{other, "test", {.interrupted = [] { return 2; }}, {}};
  EXPECT_TRUE(take_units(task->units(stopping), other.path(), {}).interrupted);
  EXPECT_EQ(task->findings(other.path()).claims[0].verdict, Verdict::not_run);
}

TEST(Complexity, ASearchOverKernelsEndsWhereDescentOnTheLinearTermDoes) {
  auto json = preset("complexity-quick");
  merge_over(json, nlohmann::json::parse(R"({
    "seeds": [1], "dimensions": [5], "first_samples": 4, "last_samples": 0.1, "model": {"width": 200},
    "data": {"test_samples": 200}, "device": "cpu", "dtype": "float64",
    "train": {"learning_rate": 10, "steps": 30000}, "models": [
      {"name": "descent", "title": "a", "set": {"model": {"order": 1}, "projector": {"source": "none"}}},
      {"name": "limit", "title": "b", "set": {"model": {"kernel": "ntk"}}}]})"));
  const TemporaryFolder folder;
  const auto study = RunFolder::create(folder / "study");
  const auto task = complexity_study().read(json, "test", built_in_catalogue());
  EXPECT_EQ(take_units(task->units({.folder = study, .command = "test"}), study.path(), {}).code, ExitCode::ok);
  const auto descent = read_csv(study.path() / "runs/descent,d=5,seed=1/trials.csv").rows.at(0);
  const auto limit = read_csv(study.path() / "runs/limit,d=5,seed=1/trials.csv").rows.at(0);
  EXPECT_EQ(descent[1], 20);
  EXPECT_LT(descent[3], 1e-12);
  EXPECT_LT(limit[3], 1e-20);
  EXPECT_NEAR(limit[4] / descent[4], 1, 1e-5);
}

TEST(Complexity, ImpossibleSettingsAreNamed) {
  const auto message = [](const char* key, const nlohmann::json& value) {
    auto json = preset("complexity-quick");
    json[key] = value;
    return message_of([&] { read_complexity_config(json, "test"); });
  };
  EXPECT_NE(message("dimensions", nlohmann::json::array()).find("dimensions: expected at least one"),
            std::string::npos);
  EXPECT_NE(message("ratio", 1.0).find("ratio"), std::string::npos);
  EXPECT_NE(message("threshold", 0).find("threshold"), std::string::npos);
  EXPECT_NE(message("models", nlohmann::json::array()).find("models"), std::string::npos);
  EXPECT_NE(message("dimensionz", 3).find("dimensionz"), std::string::npos);
}

}  // namespace
}  // namespace entk::compare_test
