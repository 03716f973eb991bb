#include "entk/report/process.h"

#include <gtest/gtest.h>

#include "entk/base/error.h"
#include "tests/support/testing.h"

namespace entk::process_test {
namespace {

using namespace std::chrono_literals;
using testing::TemporaryFolder;

TEST(Process, KeepsWhatItSaysAndItsStatus) {
  const TemporaryFolder folder;
  const auto run = run_program({"sh", "-c", "echo out; echo err >&2; pwd; exit 7"}, folder.path(), 60s);
  EXPECT_TRUE(run.found);
  EXPECT_FALSE(run.timed_out);
  EXPECT_EQ(run.status, 7);
  EXPECT_EQ(run.output, "out\nerr\n" + std::filesystem::canonical(folder.path()).string() + "\n");
}

TEST(Process, ArgumentsAreNotReadByAShell) {
  const TemporaryFolder folder;
  const std::string hostile = "$(touch x) `touch x` ; touch x '\"";
  const auto run = run_program({"printf", "%s", hostile}, folder.path(), 60s);
  EXPECT_EQ(run.output, hostile);
  EXPECT_FALSE(std::filesystem::exists(folder / "x"));
}

TEST(Process, AMissingProgramIsNotFound) { EXPECT_FALSE(run_program({"entk-no-such-program"}, "/", 60s).found); }

TEST(Process, TheWholeGroupEndsWhenTimeIsUp) {
  const TemporaryFolder folder;
  const auto run = run_program({"sh", "-c", "sleep 600 & echo $!; wait"}, folder.path(), 300ms);
  EXPECT_TRUE(run.timed_out);
  EXPECT_EQ(run.status, 128 + SIGKILL);
  const pid_t grandchild = std::stoi(run.output);
  for (int i = 0; i < 1000 && ::kill(grandchild, 0) == 0; ++i) {
    // A killed orphan may stay as a zombie where nothing collects it.
    const std::string stat = testing::read_text("/proc/" + std::to_string(grandchild) + "/stat");
    if (stat.find(") Z") != std::string::npos) return;
    ::usleep(1000);
  }
  EXPECT_NE(::kill(grandchild, 0), 0);
}

TEST(Process, TimeIsUpAlsoForOneThatClosedItsOutput) {
  const auto run = run_program({"sh", "-c", "exec >&- 2>&-; sleep 600"}, "/", 300ms);
  EXPECT_TRUE(run.timed_out);
}

TEST(Process, LongOutputIsCutNotStuck) {
  const auto run = run_program({"sh", "-c", "yes | head -c 1000000"}, "/", 60s);
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.output.size(), 65536u);
}

TEST(Watched, IsHeardWhileItRunsAndItsStatusComesBack) {
  const TemporaryFolder folder;
  std::string said;
  const auto listen = [&](std::string_view text) { said += text; };
  EXPECT_EQ(run_watched({"sh", "-c", "echo out; echo err >&2; exit 7"}, folder.path(), {listen, {}}), 7);
  EXPECT_EQ(said, "out\nerr\n");
  EXPECT_EQ(run_watched({"sh", "-c", "kill -9 $$"}, folder.path(), {}), 128 + SIGKILL);
}

TEST(Watched, ASignalIsPassedOnOnce) {
  std::string said;
  ProcessWatch watch;
  watch.output = [&](std::string_view text) { said += text; };
  watch.signal = [&] { return said.find("ready") == std::string::npos ? 0 : SIGINT; };
  const auto* script = "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.02; done";
  EXPECT_EQ(run_watched({"sh", "-c", script}, "/", watch), 3);
  EXPECT_EQ(said, "ready\ncaught\n");
}

TEST(Watched, AProgramThatCannotStartIsNamedWithTheReason) {
  try {
    run_watched({"entk-no-such-program"}, "/", {});
    FAIL();
  } catch (const RunError& e) {
    EXPECT_STREQ(e.what(), "cannot start entk-no-such-program: No such file or directory");
  }
}

TEST(Watched, ALastingGrandchildDoesNotHoldItBack) {
  EXPECT_EQ(run_watched({"sh", "-c", "sleep 20 & exit 0"}, "/", {}), 0);
}

TEST(Shell, WordsAreQuotedWhereTheyNeedIt) {
  EXPECT_EQ(shell_word("train.steps=10"), "train.steps=10");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word(R"({"a": 1})"), R"('{"a": 1}')");
}

}  // namespace
}  // namespace entk::process_test
