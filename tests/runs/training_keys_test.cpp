// Keys of train in a run's folder: what is chosen or decided along the way is there, and resumes to the same bits.
#include <set>

#include "entk/io/strict_json.h"
#include "entk/runs/runs_study.h"
#include "entk/runs/sweep.h"
#include "entk/tools/evaluate.h"
#include "tests/support/errors.h"
#include "tests/support/testing.h"

namespace entk::training_keys_test {
namespace {

using nlohmann::json;
using testing::read_text;
using testing::TemporaryFolder;

json small(const json& train) {
  json config = {{"model", {{"width", 40}}},
                 {"data", {{"dimension", 4}, {"samples", 15}, {"test_samples", 9}}},
                 {"projector", {{"rank", 5}}},
                 {"train", {{"steps", 400}, {"learning_rate", 0.3}}},
                 {"device", "cpu"}};
  if (!train.is_null()) config["train"].update(train);
  return config;
}

/// Takes or resumes the run, interrupted at the end of its `steps`-th step where that is given.
RunOutcome take(const json& config, const std::filesystem::path& path, int steps = 0) {
  ProblemCache cache;
  int asked = 0;
  RunHooks hooks;
  hooks.interrupted = [&] { return ++asked == steps ? 15 : 0; };
  const auto folder = std::filesystem::exists(path) ? RunFolder::open(path) : RunFolder::create(path);
  const auto read = read_run_config(config, "test");
  if (std::filesystem::exists(path / "config.json")) check_resumable(folder, read, false);
  return take_run(read, folder, "run", "test", cache, hooks);
}

/// Whether two folders ended with the same records and the same tensors.
void expect_same(const std::filesystem::path& a, const std::filesystem::path& b) {
  EXPECT_EQ(read_text(a / "metrics.csv"), read_text(b / "metrics.csv"));
  const auto first = read_pt(a / "checkpoint.pt"), second = read_pt(b / "checkpoint.pt");
  ASSERT_EQ(first.size(), second.size());
  for (const auto& [name, tensor] : first) EXPECT_TRUE(testing::identical(second.at(name), tensor)) << name;
}

TEST(TrainingKeys, AnAutomaticRateIsInTheFolderAndAResumedRunGoesOnWithIt) {
  const TemporaryFolder folder;
  const auto config = small({{"learning_rate", "auto"}, {"steps", 60}});
  EXPECT_EQ(take(config, folder / "whole").code, ExitCode::ok);
  EXPECT_EQ(take(config, folder / "parts", 17).state, RunState::interrupted);
  EXPECT_EQ(take(config, folder / "parts").code, ExitCode::ok);
  expect_same(folder / "whole", folder / "parts");
  const double rate = load_json(folder / "parts/summary.json").at("learning_rate").get<double>();
  EXPECT_EQ(read_pt(folder / "parts/checkpoint.pt").at("learning_rate").item<double>(), rate);
  EXPECT_EQ(load_json(folder / "parts/config.json").at("train").at("learning_rate"), "auto");
  // The number as typed gives the same run, whose checkpoint has no such entry.
  EXPECT_EQ(take(small({{"learning_rate", rate}, {"steps", 60}}), folder / "typed").code, ExitCode::ok);
  EXPECT_EQ(read_text(folder / "whole/metrics.csv"), read_text(folder / "typed/metrics.csv"));
  EXPECT_EQ(read_pt(folder / "typed/checkpoint.pt").count("learning_rate"), 0u);
  EXPECT_THROW(read_run_config(small({{"learning_rate", "fast"}}), "test"), InputError);
}

TEST(TrainingKeys, ASettledRunIsDoneAndGoesOnWhereTheCriterionIsDropped) {
  const TemporaryFolder folder;
  const json criterion = {{"training_loss", 0.3}, {"test_change", 0.5}};
  EXPECT_EQ(take(small({}), folder / "whole").code, ExitCode::ok);
  const auto outcome = take(small({{"stop_when_settled", criterion}}), folder / "run");
  EXPECT_EQ(outcome.code, ExitCode::ok);
  EXPECT_EQ(outcome.state, RunState::done);
  const auto status = read_status(folder / "run");
  ASSERT_LT(status.step, 400);
  EXPECT_EQ(status.message, fmt::format("settled at step {} of 400", status.step));
  EXPECT_EQ(load_json(folder / "run/summary.json").at("step"), status.step);
  const auto before = read_text(folder / "run/metrics.csv");
  // Interrupted on the way, it settles where it would have.
  take(small({{"stop_when_settled", criterion}}), folder / "parts", static_cast<int>(status.step) - 1);
  take(small({{"stop_when_settled", criterion}}), folder / "parts");
  EXPECT_EQ(read_text(folder / "parts/metrics.csv"), before);
  EXPECT_EQ(read_status(folder / "parts").step, status.step);
  // Again it takes no step; without the criterion it becomes the run that never stopped.
  EXPECT_EQ(take(small({{"stop_when_settled", criterion}}), folder / "run").code, ExitCode::ok);
  EXPECT_EQ(read_text(folder / "run/metrics.csv"), before);
  EXPECT_EQ(take(small({}), folder / "run").code, ExitCode::ok);
  expect_same(folder / "whole", folder / "run");
}

TEST(TrainingKeys, AFinishedRunThatIsRefusedFewerStepsStaysFinished) {
  const TemporaryFolder folder;
  EXPECT_EQ(take(small({{"steps", 8}}), folder / "run").code, ExitCode::ok);
  const auto refused = take(small({{"steps", 5}}), folder / "run");
  EXPECT_EQ(refused.code, ExitCode::bad_input) << refused.message;
  EXPECT_EQ(read_status(folder / "run").state, RunState::done);
  EXPECT_EQ(read_status(folder / "run").step, 8);
}

TEST(TrainingKeys, SeedsThatSettleAtDifferentStepsKeepTheirLastValuesInCurves) {
  const TemporaryFolder folder;
  const auto study = read_study_config(
      [] {
        auto config = small({{"stop_when_settled", {{"training_loss", 0.3}, {"test_change", 0.5}}}});
        config["seeds"] = {1, 2, 3};
        return config;
      }(),
      "test");
  const auto plan = plan_runs(study, "test");
  const auto place = RunFolder::create(folder / "study");
  ProblemCache cache;
  const TakeContext context{.folder = place, .command = "test"};
  take_units(run_units(plan, context, cache), place.path(), {});
  const auto curves = read_curves(plan, folder / "study");
  ASSERT_EQ(curves.size(), 1u);
  std::set<std::int64_t> steps;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto path = run_path(folder / "study", plan[i]);
    steps.insert(read_status(path).step);
    EXPECT_EQ(curves[0].columns.at("test_loss")[i].back(), read_csv(path / "metrics.csv").column("test_loss").back());
  }
  EXPECT_GT(steps.size(), 1u) << "a case with different ends";
}

TEST(TrainingKeys, AStudyOfMoreStepsHasNoValuesOfThoseOfFewerAndOneOfFewerIsRefused) {
  const TemporaryFolder folder;
  const auto plan_of = [](int steps) {
    auto config = small({{"steps", steps}});
    config["seeds"] = {1, 2};
    return plan_runs(read_study_config(config, "test"), "test");
  };
  const auto place = RunFolder::create(folder / "study");
  const TakeContext context{.folder = place, .command = "test"};
  const auto take_parts = [&](const std::vector<PlannedRun>& plan, std::size_t count) {
    ProblemCache cache;
    auto units = run_units(plan, context, cache);
    units.resize(count);
    EXPECT_EQ(take_units(units, place.path(), {}).code, ExitCode::ok);
  };
  take_parts(plan_of(8), 2);
  EXPECT_EQ(read_curves(plan_of(8), place.path())[0].missing, 0);
  const auto longer = plan_of(20);
  take_parts(longer, 1);
  const auto curves = read_curves(longer, place.path());
  EXPECT_EQ(curves[0].missing, 1);
  EXPECT_EQ(curves[0].seeds, std::vector<std::uint64_t>{1});
  EXPECT_EQ(curves[0].steps.back(), 20);
  const auto fewer = plan_of(5);
  ProblemCache cache;
  const TakeContext looking{.folder = place, .command = "", .take = false};
  EXPECT_NE(testing::error_of([&] { run_units(fewer, looking, cache); }).find("it has taken 20 steps, more than"),
            std::string::npos);
}

TEST(TrainingKeys, ASweepOfDimensionsHasEachItsOwnRankInAResumedStudyToo) {
  auto json = small({{"steps", 5}});
  json["projector"].erase("rank");
  json["sweep"]["data.dimension"] = {4, 6};
  const auto ranks = [](const nlohmann::json& of) {
    std::vector<std::int64_t> all;
    for (const auto& run : plan_runs(read_study_config(of, "test"), "test")) all.push_back(run.config.projector.rank);
    return all;
  };
  EXPECT_EQ(ranks(json), (std::vector<std::int64_t>{5, 7}));
  const auto study =
      runs_study({.name = "s", .summary = "a study", .title = "A study"}, [](const RunsSoFar&) { return Findings{}; });
  // What the study's folder has, from which it is resumed.
  EXPECT_EQ(ranks(study.read(json, "test", built_in_catalogue())->config()), (std::vector<std::int64_t>{5, 7}));
  json["projector"]["rank"] = 3;
  EXPECT_EQ(ranks(study.read(json, "test", built_in_catalogue())->config()), (std::vector<std::int64_t>{3, 3}));
}

TEST(TrainingKeys, WhetherTheBestRecordIsKeptIsNoMatterOfResuming) {
  for (const bool kept : {true, false}) {
    const TemporaryFolder folder;
    EXPECT_EQ(take(small({{"steps", 8}, {"keep_best", kept}}), folder / "run").code, ExitCode::ok);
    EXPECT_NE(testing::error_of([&] {
                take(small({{"steps", 20}, {"keep_best", !kept}}), folder / "run");
              }).find("this one changes train.keep_best"),
              std::string::npos);
  }
}

TEST(TrainingKeys, AnInterruptedRunOfAnyUpdateRuleGoesOnToTheSameBits) {
  for (const json& update : std::vector<json>{{{"name", "minibatches"}, {"size", 4}},
                                              {{"name", "momentum"}, {"batch", 4}},
                                              {{"name", "adam"}},
                                              {{"name", "lbfgs"}, {"iterations", 3}}}) {
    const TemporaryFolder folder;
    const auto config = small({{"update", update}, {"steps", 41}, {"learning_rate", 0.05}, {"keep_best", true}});
    EXPECT_EQ(take(config, folder / "whole").code, ExitCode::ok) << update;
    EXPECT_EQ(take(config, folder / "parts", 17).state, RunState::interrupted);
    EXPECT_EQ(take(config, folder / "parts").code, ExitCode::ok);
    EXPECT_EQ(read_text(folder / "whole/metrics.csv"), read_text(folder / "parts/metrics.csv")) << update;
    for (const char* file : {"checkpoint.pt", "best.pt"}) {
      const auto first = read_pt(folder / "whole" / file), second = read_pt(folder / "parts" / file);
      for (const char* name : {"W", "step"}) EXPECT_TRUE(testing::identical(second.at(name), first.at(name))) << file;
    }
    const auto summary = load_json(folder / "parts/summary.json");
    EXPECT_EQ(read_pt(folder / "parts/best.pt").at("step").item<std::int64_t>(), summary.at("best_step"));
    const auto table = read_csv(folder / "parts/metrics.csv");
    const auto tests = table.column("test_loss"), steps = table.column("step");
    const auto least = std::min_element(tests.begin(), tests.end());
    EXPECT_EQ(summary.at("best_test_loss"), *least);
    EXPECT_EQ(summary.at("best_step").get<double>(), steps[static_cast<std::size_t>(least - tests.begin())]);
    // It is read as a checkpoint is.
    const auto evaluated = evaluate_tensors(
        read_pt(folder / "parts/best.pt"),
        {{"activation", {{"name", "sigmoid"}, {"shift", 1.0}}}, {"projector", {{"source", "features"}, {"rank", 5}}}},
        "test", false);
    EXPECT_NEAR(evaluated.values.at("loss").get<double>(),
                table.column("train_loss")[static_cast<std::size_t>(least - tests.begin())], 1e-5);
    // Another rule, or its parameter, makes another run.
    auto other = config;
    other["train"]["update"] = {{"name", "momentum"}, {"momentum", 0.3}};
    EXPECT_THROW(take(other, folder / "parts"), InputError);
  }
}

TEST(TrainingKeys, DescentIsNoEntryOfAConfigurationAndWhatDoesNotFitIsRefusedByKey) {
  const auto written = [](const json& train) { return to_json(read_run_config(small(train), "test")); };
  EXPECT_EQ(written({{"update", "descent"}}), written(json::object()));
  EXPECT_FALSE(written(json::object()).at("train").contains("update"));
  EXPECT_EQ(written({{"update", "adam"}}).at("train").at("update"), "adam");
  const auto refused = [&](const json& train) {
    try {
      written(train);
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("nothing thrown");
  };
  const auto says = [&](const json& train, const char* part) {
    EXPECT_NE(refused(train).find(part), std::string::npos) << refused(train);
  };
  says({{"update", "adma"}}, "test: train.update: expected one of descent, minibatches");
  says({{"update", {{"name", "adam"}, {"beta1", 1}}}}, "test: train.update.beta1: expected a number");
  says({{"update", {{"name", "adam"}, {"beta3", 1}}}}, "test: train.update.beta3: unknown key");
  says({{"update", {{"name", "minibatches"}, {"size", 16}}}}, "test: train.update: expected a batch of at most 15");
  says({{"update", "lbfgs"}, {"noise_variance", 0.1}}, "test: train.update: one that searches");
  says({{"update", "adam"}, {"learning_rate", "auto"}}, "test: train.learning_rate: auto");
}

TEST(TrainingKeys, SettlingAndTheBestRecordNeedTestPoints) {
  for (const json& train : {json{{"stop_when_settled", {{"training_loss", 1e-4}}}}, json{{"keep_best", true}}}) {
    auto config = small(train);
    config["data"]["test_samples"] = 0;
    EXPECT_THROW(read_run_config(config, "test"), InputError);
  }
}

}  // namespace
}  // namespace entk::training_keys_test
