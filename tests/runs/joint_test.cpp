// Runs of several folders together: which of them are one configuration's seeds, and what their last values are.
#include <cmath>
#include <fstream>

#include "entk/io/run_folder.h"
#include "entk/io/strict_json.h"
#include "entk/runs/joint.h"
#include "tests/support/testing.h"

namespace entk::joint_test {
namespace {

using testing::TemporaryFolder;

/// A run's folder with these training losses at steps 0, 1, 2, …
std::filesystem::path make_run(const std::filesystem::path& path, int seed, const std::vector<double>& losses,
                               RunState state = RunState::done, const nlohmann::json& resolved = nullptr) {
  const auto folder = RunFolder::create(path);
  nlohmann::json config = {{"model", {{"width", 10}}}, {"data", {{"file", "d.pt"}}}, {"seed", seed}};
  if (!resolved.is_null()) config["resolved"] = resolved;
  folder.write_json("config.json", config);
  folder.set_status(state, static_cast<std::int64_t>(losses.size()) - 1);
  std::ofstream file(path / "metrics.csv");
  file << "step,train_loss,test_loss,R1,R3\n";
  for (std::size_t i = 0; i < losses.size(); ++i) file << i << "," << losses[i] << ",1,1,1\n";
  return path;
}

Findings together(const std::vector<std::filesystem::path>& folders) {
  std::vector<FoundRun> runs;
  for (const auto& folder : folders) {
    for (auto& run : find_runs(folder)) runs.push_back(std::move(run));
  }
  return joint_findings(runs);
}

/// Mean and deviation of the training loss in a row of a table without keys.
Uncertain loss_in(const Findings& found, std::size_t row, std::size_t column = 1) {
  return std::get<Uncertain>(found.table.rows.at(row).at(column).content);
}

TEST(Joint, ARunThatEndedEarlierThanOtherSeedsStaysWhereItWasAndTheOthersKeepTheirLastValues) {
  const TemporaryFolder folder;
  const auto found = together({make_run(folder / "a", 1, {8, 4}), make_run(folder / "b", 2, {8, 6, 3, 2})});
  ASSERT_EQ(found.table.rows.size(), 1u);
  EXPECT_EQ(loss_in(found, 0).value, 3);  // of 4 and 2
  const auto& curve = found.figures.at(0).figure.panels.at(0).series.at(0);
  EXPECT_EQ(curve.x, (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(curve.y, (std::vector<double>{5, 3.5, 3}));
  EXPECT_TRUE(found.warnings.empty());
}

TEST(Joint, WhereARunGoesOnItsSeedsAreCutToItsRecordsAndThatIsSaid) {
  const TemporaryFolder folder;
  const auto found =
      together({make_run(folder / "a", 1, {8, 6, 3, 2}), make_run(folder / "b", 2, {8, 4}, RunState::interrupted)});
  EXPECT_EQ(loss_in(found, 0).value, 5);
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_NE(found.warnings[0].find("b has not ended"), std::string::npos) << found.warnings[0];
  EXPECT_NE(found.warnings[0].find("step 1"), std::string::npos) << found.warnings[0];
}

TEST(Joint, TwoRunsOfOneSeedAreNoTwoSeeds) {
  const TemporaryFolder folder;
  const auto found = together({make_run(folder / "a", 1, {8, 4}), make_run(folder / "b", 1, {8, 4})});
  EXPECT_EQ(found.table.title, "Final values, one seed");
  ASSERT_EQ(found.table.rows.size(), 2u);
  EXPECT_TRUE(std::isnan(loss_in(found, 0).deviation));
}

TEST(Joint, WhatNoKeySaysTellsConfigurationsApart) {
  for (const char* key : {"objective", "data"}) {
    const auto with = [&](const char* value) {
      return nlohmann::json{{key, key == std::string("data") ? nlohmann::json{{"X", value}} : nlohmann::json(value)}};
    };
    const TemporaryFolder folder;
    const std::vector<std::filesystem::path> runs = {make_run(folder / "a", 1, {8, 4}, RunState::done, with("one")),
                                                     make_run(folder / "b", 2, {8, 2}, RunState::done, with("other"))};
    const auto found = together(runs);
    ASSERT_EQ(found.table.rows.size(), 2u) << key;
    EXPECT_EQ(std::get<std::string>(found.table.rows[1][1].content), "other");
    EXPECT_EQ(loss_in(found, 1, 2).value, 2);
  }
}

TEST(Joint, KeysAreToldInWordsTheDefaultThatIsNotWrittenToo) {
  const TemporaryFolder folder;
  const std::vector<std::filesystem::path> runs = {make_run(folder / "a", 1, {8, 4}),
                                                   make_run(folder / "b", 1, {8, 2})};
  auto config = load_json(runs[1] / "config.json");
  config["model"]["kind"] = {{"name", "mlp"}, {"depth", 2}};
  testing::write_text(runs[1] / "config.json", config.dump());
  const auto found = together(runs);
  EXPECT_EQ(std::get<std::string>(found.table.rows.at(0).at(1).content), "default");
  EXPECT_EQ(std::get<std::string>(found.table.rows.at(1).at(1).content), "mlp (depth 2)");
}

}  // namespace
}  // namespace entk::joint_test
