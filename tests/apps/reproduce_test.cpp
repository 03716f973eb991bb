// `entk reproduce` with the program itself: its stages are commands that exist, and a small one goes
// from the command line to the page.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "entk/studies/reproduce.h"
#include "tests/apps/in_place.h"

namespace entk::reproduce_test {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using testing::read_text;
using testing::TemporaryFolder;

const std::string program = ENTK_BINARY_DIR "/entk";

ProcessResult entk(const std::vector<std::string>& words) {
  std::vector<std::string> arguments = {program};
  arguments.insert(arguments.end(), words.begin(), words.end());
  return run_program(arguments, "/", 120s);
}

/// The same where no stage is begun, which would be this test: reproduce starts the program that it is.
ProcessResult in_place(const std::vector<std::string>& words) { return testing::entk_in_place(words, "/"); }

/// What the program says of a stage's options: its configuration, or that they exist.
void expect_understood(const Stage& stage, const std::string& preset) {
  auto config = read_reproduce_config({{"preset", preset}, {"device", "cpu"}}, "test");
  auto arguments = stage_arguments(stage, config, "/nowhere");
  const auto help = in_place({stage.command[0], "--help"}).output;
  for (const auto& word : arguments) {
    if (word.rfind("--", 0) == 0) {
      EXPECT_THAT(help, HasSubstr(word));
    }
  }
  if (help.find("--print-config") == std::string::npos) return;
  arguments.resize(arguments.size() - 2);  // --out
  arguments.push_back("--print-config");
  const auto run = in_place(arguments);
  EXPECT_EQ(run.status, 0) << stage.name << ": " << run.output;
}

TEST(ReproduceProgram, StagesAreCommandsThatExist) {
  for (const auto& stage : reproduce_stages()) {
    expect_understood(stage, "quick");
    expect_understood(stage, "full");
  }
}

TEST(ReproduceProgram, ASmallStageGoesFromTheCommandLineToThePage) {
  const TemporaryFolder folder;
  const auto out = (folder / "r").string();
  const auto run =
      entk({"reproduce", "--stages", "figure1", "--out", out, "--set", "figure1.train.steps=3", "--set",
            "figure1.data.dimension=4", "--set", "figure1.data.samples=9", "--set", "figure1.data.test_samples=5",
            "--set", "figure1.projector.rank=5", "--set", "figure1.model.width=20", "--set", "figure1.seeds=[1]"});
  ASSERT_EQ(run.status, 0) << run.output;
  EXPECT_THAT(run.output, HasSubstr("[1/1] figure1: entk figure1 --preset quick"));
  const auto page = read_text(folder / "r/report.html");
  EXPECT_THAT(page, HasSubstr("? too small to tell"));
  EXPECT_THAT(page, HasSubstr("this run has 4, 9, 20 and 3"));
  EXPECT_THAT(read_text(folder / "r/status.json"), HasSubstr("\"done\""));
  const auto again = entk({"reproduce", "--resume", out});
  EXPECT_EQ(again.status, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("[1/1] figure1: done before"));
}

TEST(ReproduceProgram, HowLongItTakesIsSaidBeforeAnythingIsMade) {
  const TemporaryFolder folder;
  const std::vector<std::string> small = {"--set", "figure1.data.dimension=4",    "--set", "figure1.data.samples=9",
                                          "--set", "figure1.data.test_samples=5", "--set", "figure1.projector.rank=5",
                                          "--set", "figure1.model.width=20",      "--set", "figure1.seeds=[1]"};
  auto words = std::vector<std::string>{"reproduce", "--stages", "figure1,landscape,spectrum", "--estimate"};
  words.insert(words.end(), small.begin(), small.end());
  const auto said = entk(words);
  ASSERT_EQ(said.status, 0) << said.output;
  for (const char* line : {"figure1            about ", "landscape          as its run of figure1",
                           "spectrum           2 parts whose time no first steps tell", "together           about "}) {
    EXPECT_THAT(said.output, HasSubstr(line));
  }
}

TEST(ReproduceProgram, AStageThatFailsIsSaidAndIsTheExitCode) {
  const TemporaryFolder folder;
  const auto run = entk({"reproduce", "--stages", "figure1", "--out", (folder / "r").string(), "--set",
                         "figure1.data.source=file", "--set", "figure1.data.file=\"/nowhere.csv\""});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.output, HasSubstr("figure1 failed with exit code 2"));
  EXPECT_THAT(read_text(folder / "r/report.html"), HasSubstr("nowhere.csv"));
}

TEST(ReproduceProgram, AWrongKeyOfALaterStageIsFoundBeforeTheFirst) {
  const TemporaryFolder folder;
  const auto out = (folder / "r").string();
  const auto run = entk({"reproduce", "--stages", "figure1,compare", "--out", out, "--set", "compare.train.stepps=3"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.output, HasSubstr("compare: "));
  EXPECT_THAT(run.output, HasSubstr("train.stepps"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(ReproduceProgram, AStageThatReadsAnotherIsNotTakenWithoutIt) {
  const TemporaryFolder folder;
  const auto out = (folder / "r").string();
  const auto run = in_place({"reproduce", "--stages", "landscape", "--out", out});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.output, HasSubstr("landscape reads what figure1 leaves"));
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(ReproduceProgram, SeedsAreAStagesOwn) {
  const auto run = in_place({"reproduce", "--seeds", "1", "--print-config"});
  EXPECT_EQ(run.status, 2);
  EXPECT_THAT(run.output, HasSubstr("--seeds"));
}

}  // namespace
}  // namespace entk::reproduce_test
