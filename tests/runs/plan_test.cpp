#include "entk/runs/plan.h"

#include <gmock/gmock.h>

#include "entk/base/error.h"
#include "entk/io/run_folder.h"
#include "entk/report/process.h"
#include "tests/support/testing.h"

namespace entk::plan_test {
namespace {

using ::testing::HasSubstr;
using testing::read_text;
using testing::TemporaryFolder;

std::vector<Unit> units_of(const std::vector<std::string>& names) {
  std::vector<Unit> units;
  for (const auto& name : names) units.push_back({.name = name, .take = {}});
  return units;
}

TEST(Plan, NumbersAreWrittenAsAnArrayExpression) {
  EXPECT_EQ(array_expression({}), "");
  EXPECT_EQ(array_expression({3}), "3");
  EXPECT_EQ(array_expression({3, 17, 20, 21, 22, 23}), "3,17,20-23");
  EXPECT_EQ(array_expression({0, 1, 4}), "0,1,4");
}

TEST(Plan, AUnitKeepsItsNumberWhenTheStudyGrows) {
  const TemporaryFolder place;
  const auto folder = RunFolder::create(place / "study");
  EXPECT_THROW(read_plan(folder.path()), InputError);
  write_plan(folder, units_of({"lambda.3=1,seed=1", "lambda.3=1,seed=2"}));
  EXPECT_EQ(read_text(place / "study/plan.csv"), "index,name\n0,\"lambda.3=1,seed=1\"\n1,\"lambda.3=1,seed=2\"\n");
  write_plan(folder, units_of({"lambda.3=0,seed=1", "lambda.3=1,seed=1"}));
  EXPECT_EQ(read_plan(folder.path()),
            (std::vector<std::string>{"lambda.3=1,seed=1", "lambda.3=1,seed=2", "lambda.3=0,seed=1"}));
  for (const char* text : {"index,name\n1,\"a\"\n", "name\na\n", "index,name\n0,\"\"\n", "index,name\n0,a\n"}) {
    folder.write_text("plan.csv", text);
    EXPECT_THROW(read_plan(folder.path()), InputError) << text;
  }
}

/// The script is run with programs of the scheduler's names that write down how they were called.
TEST(Plan, TheScriptRequeuesWhatWasStoppedKilledOrHeldAndNothingElse) {
  const TemporaryFolder place;
  testing::write_text(place / "array.sbatch",
                      array_script({.command = "entk train --resume 'a b'", .name = "x", .folder = "/a b/50%"}));
  const auto text = read_text(place / "array.sbatch");
  EXPECT_THAT(text, HasSubstr("#SBATCH --output=\"/a b/50%%/log-%A_%a.txt\"\n"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("--mem")));
  EXPECT_THAT(array_script({.command = "x", .name = "x", .folder = "x", .bytes = 800000000}),
              HasSubstr("#SBATCH --mem=1001M\n"));
  testing::write_text(place / "srun", "#!/bin/sh\necho srun \"$@\" >>called\nexit $CODE\n");
  testing::write_text(place / "scontrol", "#!/bin/sh\necho scontrol \"$@\" >>called\nexit ${BUSY:-0}\n");
  testing::write_text(place / "sleep", "#!/bin/sh\n");
  for (const char* name : {"srun", "scontrol", "sleep"})
    std::filesystem::permissions(place / name, std::filesystem::perms::owner_all);
  const auto run = [&](int code, const std::string& more) {
    std::filesystem::remove(place / "called");
    const auto result = run_program({"sh", "-c",
                                     "PATH=" + place.path().string() + ":$PATH CODE=" + std::to_string(code) +
                                         " SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=40 " + more + " bash array.sbatch"},
                                    place.path(), std::chrono::minutes(1));
    EXPECT_EQ(result.status, code) << result.output;
    return read_text(place / "called");
  };
  const std::string task = "srun --mpi=none --cpus-per-task=1 entk train --resume a b --run 40 --runs ";
  EXPECT_EQ(run(0, ""), task + "1\n");
  EXPECT_EQ(run(0, "SLURM_CPUS_PER_TASK=4 SLURM_ARRAY_TASK_STEP=20"),
            "srun --mpi=none --cpus-per-task=4 entk train --resume a b --run 40 --runs 20\n");
  for (const int code : {143, 137, 75}) EXPECT_EQ(run(code, ""), task + "1\nscontrol requeue 7_40\n");
  for (const int code : {2, 3, 4, 5, 130}) EXPECT_EQ(run(code, ""), task + "1\n");
  EXPECT_EQ(run(143, "SLURM_RESTART_COUNT=20"), task + "1\n");
  const std::string asked = "scontrol requeue 7_40\n";
  EXPECT_EQ(run(143, "BUSY=1"), task + "1\n" + asked + asked + asked);
}

}  // namespace
}  // namespace entk::plan_test
