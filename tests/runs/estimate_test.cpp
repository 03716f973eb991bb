#include "entk/runs/estimate.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>

#include "entk/runs/runs_task.h"
#include "tests/support/testing.h"

namespace entk::estimate_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

/// Units that say at each step how much of their time is left, until they are stopped.
class Told : public Task {
 public:
  struct Kind {
    std::string cost;
    int count;
    double seconds;
  };
  Told(std::vector<Kind> kinds, int jobs) : kinds_(std::move(kinds)), jobs_(jobs) {}
  nlohmann::json config() const override { return {}; }
  std::int64_t threads() const override { return 0; }
  TakeOptions take_options() override { return {.jobs = jobs_}; }
  Findings findings(const std::filesystem::path&) const override { return {}; }
  std::vector<Unit> units(const TakeContext& context) override {
    std::vector<Unit> all;
    for (const auto& kind : kinds_) {
      for (int i = 0; i < kind.count; ++i) {
        all.push_back({.name = fmt::format("{}{}", kind.cost.empty() ? "search" : kind.cost, i),
                       .take =
                           [&, kind](const RunFolder&) {
                             ++taken;
                             RunOutcome outcome;
                             for (std::int64_t step = 0; step <= 1000000; ++step) {
                               Record record;
                               record.step = step;
                               context.hooks.progress("unit", record, 1000000, step == 0 ? 0 : kind.seconds);
                               if (context.hooks.interrupted() != 0) {
                                 last = step;
                                 outcome.state = RunState::interrupted;
                                 outcome.code = static_cast<ExitCode>(130);
                                 return outcome;
                               }
                             }
                             return outcome;
                           },
                       .cost = kind.cost});
      }
    }
    return all;
  }
  std::atomic<int> taken{0};
  std::atomic<std::int64_t> last{0};

 private:
  std::vector<Kind> kinds_;
  int jobs_;
};

TEST(TimeEstimate, IsTheSumOverAllUnitsOfWhatSomeOfEachCostSay) {
  const TemporaryFolder folder;
  Told task({{"short", 10, 30}, {"long", 3, 1000}, {"", 4, 0}}, 2);
  const auto found = estimate_time(task, RunFolder::create(folder / "a"), {}, {});
  EXPECT_EQ(found.units, 13);
  EXPECT_EQ(found.unknown, 4);
  EXPECT_EQ(found.jobs, 2);
  EXPECT_FALSE(found.stopped);
  EXPECT_NEAR(found.seconds, (10 * 30 + 3 * 1000) / 2.0, 5);
  EXPECT_EQ(task.taken, 4) << "as many of each cost as go side by side, and no search";
  EXPECT_EQ(task.last, 10);
}

TEST(TimeEstimate, TheLongestUnitIsTheLeast) {
  const TemporaryFolder folder;
  Told task({{"long", 1, 1000}, {"short", 2, 10}}, 3);
  EXPECT_NEAR(estimate_time(task, RunFolder::create(folder / "a"), {}, {}).seconds, 1000, 5);
}

TEST(TimeEstimate, WhatIsSettledIsLeftOutAndASignalEndsIt) {
  const TemporaryFolder folder;
  Told task({{"run", 3, 100}}, 1);
  const auto left = estimate_time(task, RunFolder::create(folder / "a"), {"run0", "run2"}, {});
  EXPECT_EQ(left.units, 1);
  EXPECT_NEAR(left.seconds, 100, 5);
  EXPECT_TRUE(estimate_time(task, RunFolder::create(folder / "b"), {}, [] { return 15; }).stopped);
}

TEST(TimeEstimate, RunsOfOtherSeedsAndWeightsCostTheSame) {
  const auto study = read_study_config(nlohmann::json::parse(R"({"seeds": [1, 2],
      "sweep": {"lambda.3": [0, 0.1, 1], "train.steps": [20, 30]}, "model": {"width": 20},
      "data": {"dimension": 4, "samples": 9, "test_samples": 5}, "projector": {"rank": 5}, "device": "cpu"})"),
                                       "test");
  class Runs : public RunsTask {
   public:
    using RunsTask::RunsTask;
    nlohmann::json config() const override { return {}; }
    Findings findings(const std::filesystem::path&) const override { return {}; }
  } task(plan_runs(study, "test"));
  const TemporaryFolder folder;
  const auto own = RunFolder::create(folder / "a");
  std::set<std::string> costs;
  for (const auto& unit : task.units({.folder = own, .command = ""})) costs.insert(unit.cost);
  EXPECT_EQ(costs.size(), 4u) << "with R3 or without, 20 steps or 30";
  const auto found = estimate_time(task, own, {}, {});
  EXPECT_EQ(found.units, 12);
  EXPECT_EQ(found.unknown, 0);
  EXPECT_GT(found.seconds, 0);
}

}  // namespace
}  // namespace entk::estimate_test
