#include "entk/studies/reproduce.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "entk/runs/claims.h"
#include "tests/support/testing.h"

namespace entk::reproduce_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::read_text;
using testing::TemporaryFolder;
using testing::write_text;

/// A program that stands for entk: notes how it was called, makes its folder and one claim with a
/// figure. What else it does is decided by a file `behaviour` beside it.
constexpr const char* fake = R"sh(#!/bin/sh
here=$(dirname "$0")
for place; do :; done
stage=$(basename "$place")
echo "$@" >> "$here/calls"
[ -e "$here/bad-input" ] && { echo "entk: bad input"; exit 2; }
mkdir -p "$place"
echo '{}' > "$place/config.json"
if [ "$stage" = "$(cat "$here/hang" 2>/dev/null)" ]; then
  trap 'echo stopping; exit 130' INT
  echo ready
  sleep 60 & wait
fi
if [ "$stage" = "$(cat "$here/fail" 2>/dev/null)" ]; then
  echo "step 1"; echo "entk: out of luck" >&2
  exit $(cat "$here/code")
fi
cat > "$place/claims.json" <<END
{"claims": [{"source": "Figure 1", "statement": "a < b in $stage", "paper": "0.50", "ours": "0.49", "verdict": "held",
  "reason": "within 0.05", "figure": "plot"}]}
END
echo '<svg width="100" height="50" viewBox="0 0 100 50"><rect width="9" height="9"/></svg>' > "$place/plot.svg"
)sh";

class Reproduce : public ::testing::Test {
 protected:
  Reproduce() {
    program = folder / "fake entk";
    write_text(program, fake);
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    for (const auto& stage : reproduce_stages()) {
      if (config.stages.size() < 2) config.stages.push_back(stage.name);
    }
    first = config.stages.front(), last = config.stages.back();
  }

  ExitCode take() { return take_stages(study, config, program, hooks); }
  std::string calls() const { return read_text(folder / "calls"); }
  std::string out(const std::string& stage) const { return "--out " + (study.path() / stage).string(); }
  std::string resume(const std::string& stage) const { return "--resume " + (study.path() / stage).string(); }
  void behave(const std::string& file, const std::string& text) { write_text(folder / file, text); }
  void behave_no_more(const std::string& file) { std::filesystem::remove(folder / file); }

  TemporaryFolder folder;
  RunFolder study = RunFolder::create(folder / "study");
  std::filesystem::path program;
  ReproduceConfig config = [] {
    auto c = read_reproduce_config(nlohmann::json::object(), "test");
    c.stages.clear();
    return c;
  }();
  ReproduceHooks hooks;
  std::string first, last;
};

TEST_F(Reproduce, EveryStageRunsOnceAndWhatIsDoneIsNotRunAgain) {
  EXPECT_EQ(take(), ExitCode::ok);
  const auto once = calls();
  EXPECT_THAT(once, HasSubstr(out(first)));
  EXPECT_THAT(once, HasSubstr(out(last)));
  EXPECT_LT(once.find(out(first)), once.find(out(last)));
  EXPECT_EQ(take(), ExitCode::ok);
  EXPECT_EQ(calls(), once);
  EXPECT_TRUE(read_stage_records(study.path()).at(first).done());
}

TEST_F(Reproduce, AFailedStageDoesNotStopTheOthersAndIsTriedAgainWhereItWas) {
  behave("fail", first), behave("code", "5");
  EXPECT_EQ(take(), ExitCode::failed);
  EXPECT_THAT(calls(), HasSubstr(out(last)));
  const auto record = read_stage_records(study.path()).at(first);
  EXPECT_EQ(record.exit_code, 5);
  EXPECT_EQ(record.message, "entk: out of luck");
  EXPECT_EQ(read_text(study.path() / (first + ".log")), "step 1\nentk: out of luck\n");
  EXPECT_THAT(read_text(study.path() / "report.html"), HasSubstr("failed with exit code 5: entk: out of luck"));
  behave_no_more("fail");
  EXPECT_EQ(take(), ExitCode::ok);
  EXPECT_THAT(calls(), HasSubstr(resume(first)));
  EXPECT_THAT(calls(), Not(HasSubstr(resume(last))));
  EXPECT_THAT(read_text(study.path() / "report.html"), Not(HasSubstr("out of luck")));
}

TEST_F(Reproduce, AStageThatNeverMadeItsFolderStartsAnew) {
  behave("bad-input", "");
  EXPECT_EQ(take(), ExitCode::bad_input);
  behave_no_more("bad-input");
  EXPECT_EQ(take(), ExitCode::ok);
  EXPECT_THAT(calls(), Not(HasSubstr("--resume")));
}

TEST_F(Reproduce, ACheckThatFailedIsAResultAndACrashIsAFailure) {
  behave("fail", first), behave("code", "1");
  EXPECT_EQ(take(), ExitCode::ok);
  TemporaryFolder other;
  const auto crashed = RunFolder::create(other / "study");
  behave("code", "139");
  EXPECT_EQ(take_stages(crashed, config, program, hooks), ExitCode::failed);
}

TEST_F(Reproduce, AnInterruptIsPassedOnStopsAllAndTheStageGoesOnWhereItWas) {
  behave("hang", first);
  int signal = 0;
  std::string said;
  hooks.interrupted = [&] { return signal; };
  hooks.output = [&](std::string_view text) {
    said += text;
    if (said.find("ready") != std::string::npos) signal = SIGINT;
  };
  EXPECT_EQ(take(), ExitCode::interrupted);
  EXPECT_THAT(said, HasSubstr("stopping"));
  EXPECT_THAT(calls(), Not(HasSubstr(out(last))));
  behave_no_more("hang");
  hooks = {};
  EXPECT_EQ(take(), ExitCode::ok);
  EXPECT_THAT(calls(), HasSubstr(resume(first)));
}

TEST_F(Reproduce, AMissingProgramIsAFailureOfEachStage) {
  EXPECT_EQ(take_stages(study, config, folder / "nothing", hooks), ExitCode::failed);
  EXPECT_THAT(read_stage_records(study.path()).at(last).message, HasSubstr("No such file"));
}

TEST_F(Reproduce, ThePageHasEachClaimWithItsVerdictAndWhatWasNotRun) {
  behave("fail", last), behave("code", "2");
  take();
  const auto page = read_text(study.path() / "report.html");
  EXPECT_THAT(page, HasSubstr("<span class=\"badge\">✓ held</span></td><td data-name=\"Claim\"><a href=\"#stage-" +
                              first + "\">a &lt; b in " + first + "</a></td>"));
  EXPECT_THAT(page, HasSubstr("<dt>Criterion</dt><dd>within 0.05</dd>"));
  EXPECT_THAT(page, HasSubstr("%3Crect width=%229%22"));
  EXPECT_THAT(page, HasSubstr("entk " + first));
  EXPECT_THAT(page, HasSubstr("– not run"));
  EXPECT_THAT(page, HasSubstr("left out by the configuration"));
  EXPECT_THAT(page, Not(HasSubstr("://")));
}

TEST_F(Reproduce, OverridesReachTheStageAsItsOwnOptions) {
  const auto of = [&](const char* text) {
    const auto c = read_reproduce_config(nlohmann::json::parse(text), "test");
    return stage_arguments(reproduce_stages().front(), c, "DIR");
  };
  EXPECT_THAT(of(R"({"figure1": {"train": {"steps": 10}, "seeds": [1, 2], "loss": "square"}})"),
              ElementsAre("figure1", "--preset", "quick", "--set", "loss=\"square\"", "--set", "seeds=[1,2]", "--set",
                          "train.steps=10", "--out", "DIR/figure1"));
  EXPECT_THAT(of(R"({"preset": "published", "device": "cuda", "threads": 2, "figure1": {"sweep": {"lambda.3": [0]}}})"),
              ElementsAre("figure1", "--preset", "published", "--device", "cuda", "--threads", "2", "--set",
                          R"(sweep={"lambda.3":[0]})", "--out", "DIR/figure1"));
  EXPECT_THAT(of(R"({"figure1": {"model": {"activation": {"name": "tanh"}}}})"),
              ElementsAre("figure1", "--preset", "quick", "--set", R"(model.activation={"name":"tanh"})", "--out",
                          "DIR/figure1"));
}

TEST_F(Reproduce, AWrongConfigurationIsRefusedByKey) {
  for (const char* text : {R"({"preset": "huge"})", R"({"stages": ["figure9"]})", R"({"stages": []})",
                           R"({"figure1": 3})", R"({"figure9": {}})", R"({"threads": -1})"}) {
    EXPECT_THROW(read_reproduce_config(nlohmann::json::parse(text), "test"), InputError) << text;
  }
}

TEST_F(Reproduce, StagesHaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const auto& stage : reproduce_stages()) EXPECT_TRUE(names.insert(stage.name).second) << stage.name;
}

}  // namespace
}  // namespace entk::reproduce_test
