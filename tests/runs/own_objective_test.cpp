// A run from a script, with an objective that no key says.
#include "entk/io/strict_json.h"
#include "entk/runs/sweep.h"
#include "tests/support/errors.h"
#include "tests/support/testing.h"

namespace entk::own_objective_test {
namespace {

using testing::error_of;
using testing::read_text;
using testing::TemporaryFolder;

RunConfig config(std::int64_t steps) {
  return read_run_config({{"model", {{"width", 20}}},
                          {"data", {{"dimension", 4}, {"samples", 15}, {"test_samples", 9}}},
                          {"projector", {{"rank", 5}}},
                          {"lambda", {0, 0, 2, 0}},
                          {"train", {{"steps", steps}, {"learning_rate", 0.3}}},
                          {"device", "cpu"}},
                         "test");
}

/// What the keys say, put together by hand.
OwnObjective like_keys() {
  return {"by hand", [](const Problem& p, const TaylorModel& model) {
            return square_loss() + paper_regularizers(*p.sigma, *model->network, p.data.train.x, {0, 0, 2, 0});
          }};
}

OwnObjective other() {
  return {"absolute + 0.1 quartic", [](const Problem&, const TaylorModel&) {
            const Loss absolute{"absolute",
                                [](const at::Tensor& f, const at::Tensor& y) { return (f - y).abs().mean(); }};
            return absolute + 0.1 * regularizer("quartic", [](const at::Tensor& w) { return w.pow(4).sum(); });
          }};
}

TEST(OwnObjectives, WhatTheKeysSayGivesTheBytesOfTheCommand) {
  const TemporaryFolder folder;
  ASSERT_EQ(take_run(config(30), folder / "keys").code, ExitCode::ok);
  ASSERT_EQ(take_run(config(30), folder / "own", like_keys()).code, ExitCode::ok);
  EXPECT_EQ(read_text(folder / "own/metrics.csv"), read_text(folder / "keys/metrics.csv"));
  EXPECT_TRUE(std::filesystem::exists(folder / "own/report.html"));
}

TEST(OwnObjectives, TermsAreColumnsAndAResumedRunGivesTheBytesOfOneNeverStopped) {
  const TemporaryFolder folder;
  ASSERT_EQ(take_run(config(30), folder / "whole", other()).code, ExitCode::ok);
  ASSERT_EQ(take_run(config(10), folder / "parts", other()).code, ExitCode::ok);
  ASSERT_EQ(take_run(config(30), folder / "parts", other()).code, ExitCode::ok);
  EXPECT_EQ(read_text(folder / "parts/metrics.csv"), read_text(folder / "whole/metrics.csv"));
  const auto table = read_csv(folder / "whole/metrics.csv");
  EXPECT_EQ(table.columns, metrics_columns({"quartic"}));
  EXPECT_NEAR(table.column("regularized_loss").back(),
              table.column("train_loss").back() + 0.1 * table.column("quartic").back(), 1e-5);
  EXPECT_EQ(load_json(folder / "whole/config.json").at("resolved").at("objective"), "absolute + 0.1 quartic");
}

TEST(OwnObjectives, NobodyGoesOnWithAnother) {
  const TemporaryFolder folder;
  ASSERT_EQ(take_run(config(5), folder / "run", other()).code, ExitCode::ok);
  EXPECT_NE(
      error_of([&] {
        take_run(config(9), folder / "run", like_keys());
      }).find("it was made for the objective \"absolute + 0.1 quartic\", and is not gone on with for \"by hand\""),
      std::string::npos);
  // As `entk train --resume` asks.
  EXPECT_NE(error_of([&] {
              check_resumable(RunFolder::open(folder / "run"), config(9), false);
            }).find("not gone on with for what its keys say"),
            std::string::npos);
}

}  // namespace
}  // namespace entk::own_objective_test
