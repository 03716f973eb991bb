// A study shared out: --plan, --run, --pending, --at.
#include <signal.h>

#include "entk/base/error.h"
#include "entk/io/csv.h"
#include "entk/io/run_folder.h"
#include "entk/io/strict_json.h"
#include "tests/apps/in_place.h"

namespace entk::plan_test {
namespace {

using testing::entk_in_place;
using testing::exits_with;
using testing::same_bytes;
using testing::says;
using testing::TemporaryFolder;
using testing::Words;
using testing::operator+;

class SharedOut : public ::testing::Test {
 protected:
  ProcessResult run(const Words& words) { return entk_in_place(words, folder.path()); }
  /// What stands on stdout.
  std::string pending(const std::string& command, const std::string& study) {
    return run_program(
               {"sh", "-c", ENTK_BINARY_DIR "/entk " + command + " --resume " + study + " --pending 2>/dev/null"},
               folder.path(), std::chrono::minutes(1))
        .output;
  }
  /// Every file of these names below runs/, and the results.
  void expect_same(const std::string& one, const std::string& other, const Words& files) {
    int found = 0;
    for (const auto& unit : std::filesystem::directory_iterator(folder / one / "runs")) {
      for (const auto& file : files) {
        EXPECT_TRUE(same_bytes(unit.path() / file, folder / other / "runs" / unit.path().filename() / file));
        ++found;
      }
    }
    EXPECT_GT(found, 0);
    EXPECT_TRUE(same_bytes(folder / one / "results.csv", folder / other / "results.csv"));
  }

  const TemporaryFolder folder;
  const Words small = {"--set", "model.width=600",         "--set", "data.dimension=8", "--set", "data.samples=30",
                       "--set", "data.test_samples=20",    "--set", "train.steps=30",   "--set", "lambda.3=1",
                       "--set", "train.noise_variance=0.1"};
};

TEST_F(SharedOut, RunsTakenOneByOneAndInSlicesHaveTheBytesOfOneProcess) {
  const Words study = Words{"train", "--seeds", "1,2,3,4"} + small;
  const auto planned = run(study + Words{"--out", "study", "--plan"});
  ASSERT_TRUE(exits_with(planned, 0));
  EXPECT_TRUE(says(planned, "sbatch --array=0-3 " + (folder / "study/array.sbatch").string()));
  EXPECT_FALSE(std::filesystem::exists(folder / "study/runs")) << "nothing runs";
  EXPECT_EQ(pending("train", "study"), "0-3\n");
  EXPECT_TRUE(exits_with(run({"train", "--resume", "study", "--run", "2", "--runs", "9", "--threads", "2"}), 0));
  EXPECT_EQ(pending("train", "study"), "0,1\n");
  const auto page = run({"report", "study"});
  EXPECT_TRUE(exits_with(page, 0));
  EXPECT_TRUE(says(page, "2 of 4 are not done: seed=1, seed=2"));
  EXPECT_TRUE(exits_with(run({"train", "--resume", "study", "--run", "1", "--quiet"}), 0));
  const auto again = run({"train", "--resume", "study", "--run", "1"});
  EXPECT_TRUE(exits_with(again, 0));
  EXPECT_TRUE(says(again, "1 seed=2: done before"));
  // A study that grows keeps its numbers, and a script that its owner has changed.
  testing::write_text(folder / "study/array.sbatch", "mine");
  ASSERT_TRUE(exits_with(run({"train", "--resume", "study", "--seeds", "0,1,2,3,4", "--plan"}), 0));
  EXPECT_EQ(testing::read_text(folder / "study/array.sbatch"), "mine");
  EXPECT_EQ(pending("train", "study"), "0,4\n");
  EXPECT_TRUE(exits_with(run({"train", "--resume", "study", "--run", "4", "--quiet"}), 0));
  ASSERT_TRUE(exits_with(run({"train", "--resume", "study", "--quiet"}), 0));
  EXPECT_EQ(pending("train", "study"), "\n");
  ASSERT_TRUE(exits_with(run(Words{"train", "--quiet", "--seeds", "0,1,2,3,4", "--out", "one"} + small), 0));
  expect_same("one", "study", {"checkpoint.pt", "metrics.csv"});
}

TEST_F(SharedOut, SearchesPartsAndEpochsAreSharedOutToo) {
  const std::vector<std::tuple<std::string, Words, Words>> studies = {
      {"complexity",
       {"--set", "dimensions=[4,6]", "--set", "model.width=40", "--set", "data.test_samples=20", "--set",
        "train.steps=20", "--set", "last_samples=2", "--seeds", "1,2"},
       {"trials.csv"}},
      {"figure2",
       {"--set", "dimensions=[4,5]", "--set", "search.most=3", "--set", "train.width=10", "--set", "train.steps=20",
        "--set", "train.test_samples=20", "--seeds", "1,2"},
       {"trials.csv"}},
      {"expressivity",
       {"--set", "dimension=6", "--set", "degrees=[1]", "--set", "widths=[100,200]", "--set", "samples=20", "--set",
        "fresh_samples=20", "--set", "draws=2", "--seeds", "1"},
       {}}};
  for (const auto& [name, words, files] : studies) {
    const Words command = Words{name} + words;
    ASSERT_TRUE(exits_with(run(command + Words{"--out", name, "--plan"}), 0)) << name;
    const auto left = pending(name, name);
    const auto last = std::stoi(left.substr(left.find_first_of("-,") + 1));
    EXPECT_GT(last, 0);
    // From behind, each by a process of its own, and the last two by one.
    EXPECT_TRUE(exits_with(run({name, "--resume", name, "--run", std::to_string(last - 1), "--runs", "2"}), 0)) << name;
    for (int i = last - 2; i >= 0; --i)
      EXPECT_TRUE(exits_with(run({name, "--quiet", "--resume", name, "--run", std::to_string(i)}), 0)) << name << i;
    EXPECT_EQ(pending(name, name), "\n") << name;
    ASSERT_TRUE(exits_with(run({name, "--quiet", "--resume", name}), 0)) << name;
    ASSERT_TRUE(exits_with(run(command + Words{"--quiet", "--out", name + "-one"}), 0)) << name;
    if (files.empty()) {
      EXPECT_TRUE(same_bytes(folder / (name + "-one") / "results.csv", folder / name / "results.csv"));
    } else {
      expect_same(name + "-one", name, files);
    }
  }
}

TEST_F(SharedOut, ARunThatAnotherProcessHasIsLeftToItAndSaysSo) {
  ASSERT_TRUE(exits_with(run(Words{"train", "--seeds", "1,2", "--out", "study", "--plan"} + small), 0));
  std::filesystem::create_directory(folder / "study/runs");
  auto held = std::make_optional(RunFolder::create(folder / "study/runs/seed=1"));
  held->set_status(RunState::running, 0);
  const auto refused = run({"train", "--resume", "study", "--run", "0", "--runs", "2", "--quiet"});
  EXPECT_TRUE(exits_with(refused, static_cast<int>(ExitCode::held)));
  EXPECT_TRUE(says(refused, fmt::format("another process is using it (process {} on ", ::getpid())));
  EXPECT_EQ(read_status(folder / "study/runs/seed=2").state, RunState::done) << "the other is taken";
  EXPECT_EQ(pending("train", "study"), "\n");
  EXPECT_TRUE(exits_with(run({"train", "--resume", "study", "--quiet"}), static_cast<int>(ExitCode::held)));
  EXPECT_EQ(read_status(folder / "study").state, RunState::interrupted);
  held.reset();
  EXPECT_EQ(pending("train", "study"), "0\n");
  EXPECT_TRUE(exits_with(run({"train", "--resume", "study", "--quiet"}), 0));
}

TEST_F(SharedOut, WithoutLocksARunOfThePlanGoesOnAndSaysSo) {
  ASSERT_TRUE(exits_with(run(Words{"train", "--seeds", "1,2", "--out", "study", "--plan"} + small), 0));
  ::setenv("LD_PRELOAD", ENTK_NO_LOCKS, 1);
  const auto one = testing::entk({"train", "--resume", "study", "--run", "0"}, folder.path());
  const auto all = testing::entk({"train", "--resume", "study"}, folder.path());
  ::unsetenv("LD_PRELOAD");
  EXPECT_TRUE(exits_with(one, 0));
  EXPECT_TRUE(says(one, "this file system has no locks"));
  EXPECT_EQ(read_status(folder / "study/runs/seed=1").state, RunState::done);
  EXPECT_TRUE(exits_with(all, 2));
  EXPECT_TRUE(says(all, "it cannot be locked"));
}

TEST_F(SharedOut, WhatDoesNotGoTogetherIsRefusedBeforeAnythingIsMade) {
  ASSERT_TRUE(exits_with(run(Words{"train", "--seeds", "1,2", "--out", "study", "--plan"} + small), 0));
  ASSERT_TRUE(exits_with(run(Words{"train", "--seeds", "1,2", "--out", "unplanned"} + small), 0));
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"train", "--resume", "study", "--run", "2"}, "expected a number from 0 to 1"},
      {{"train", "--resume", "study", "--run", "-1"}, "-1"},
      {{"train", "--resume", "study", "--runs", "2"}, "--run"},
      {{"train", "--resume", "study", "--run", "0", "--plan"}, "--plan"},
      {{"train", "--resume", "study", "--run", "0", "--seeds", "1"}, "--seeds"},
      {{"train", "--resume", "study", "--run", "0", "--set", "train.steps=40"}, "train.steps"},
      {{"train", "--resume", "unplanned", "--run", "0"}, "there is no plan; make it with --resume unplanned --plan"},
      {{"figure1", "--preset", "quick", "--run", "0"}, "it needs --resume DIR"},
      {{"figure1", "--preset", "quick", "--pending"}, "it needs --resume DIR"},
      {{"train", "--plan", "--out", "none"}, "give --seeds or --sweep"},
      {{"spectrum", "--plan", "--out", "none.json"}, "--plan makes a folder"},
      {{"train", "--seeds", "1,2", "--plan", "--out", "none", "--set", "model.width=900000000"}, "memory"}};
  for (const auto& [words, message] : cases) {
    const auto result = entk_in_place(words, folder.path());
    EXPECT_TRUE(exits_with(result, 2)) << message;
    EXPECT_TRUE(says(result, message));
    for (const char* made : {"none", "none.json", "runs", "study/runs"})
      EXPECT_FALSE(std::filesystem::exists(folder / made)) << message;
  }
}

TEST_F(SharedOut, OneWordBeginsARunOrAStudyAndGoesOnWithIt) {
  for (const Words& what : {Words{"train"}, Words{"train", "--seeds", "1,2"}}) {
    const auto name = std::to_string(what.size());
    const auto words = what + small + Words{"--quiet", "--at", name};
    ASSERT_TRUE(exits_with(run(words), 0));
    const auto file = what.size() == 1 ? folder / name / "metrics.csv" : folder / name / "runs/seed=2/metrics.csv";
    const auto written = std::filesystem::last_write_time(file);
    EXPECT_TRUE(exits_with(run(words), 0)) << "done already";
    EXPECT_EQ(std::filesystem::last_write_time(file), written);
    EXPECT_TRUE(exits_with(run(words + Words{"--set", "train.steps=40"}), 0)) << "more steps";
    EXPECT_EQ(read_csv(file).rows.size(), read_csv(file).column("step").size());
    const auto changed =
        entk_in_place(words + Words{"--set", "train.steps=40", "--set", "train.learning_rate=0.5"}, folder.path());
    EXPECT_TRUE(exits_with(changed, 2));
    EXPECT_TRUE(says(changed, "train.learning_rate"));
  }
  EXPECT_TRUE(says(run({"train", "--at", "1", "--out", "2"}), "exclude each other"));
}

}  // namespace
}  // namespace entk::plan_test
