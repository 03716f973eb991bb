// Studies on a cluster: Slurm's own programs on this machine's loopback, and GNU parallel.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>

#include "entk/io/csv.h"
#include "entk/io/run_folder.h"
#include "entk/io/strict_json.h"
#include "tests/apps/program.h"

namespace entk::slurm_test {
namespace {

using testing::entk;
using testing::exits_with;
using testing::same_bytes;
using testing::says;
using testing::TemporaryFolder;
using testing::wait_until;
using testing::Words;

bool have(const std::string& program) {
  return run_program({"sh", "-c", "command -v " + program}, "/", std::chrono::minutes(1)).status == 0;
}

/// A configuration of some `seconds` on one thread at most, in the place where the pages have one.
void write_small(const std::filesystem::path& folder, std::int64_t steps) {
  std::filesystem::create_directory(folder / "configs");
  const nlohmann::json small = {{"model", {{"width", 600}}},
                                {"data", {{"dimension", 8}, {"samples", 30}, {"test_samples", 20}}},
                                {"lambda", {0, 0, 1, 0}},
                                {"train", {{"steps", steps}, {"noise_variance", 0.1}}}};
  for (const char* name : {"figure1-quick.json", "figure1.json"})
    testing::write_text(folder / "configs" / name, dump_json(small));
}

/// What the ```sh blocks of a page say between two headings.
std::string commands_of(const std::string& page, const std::string& heading) {
  std::istringstream lines(testing::read_text(std::filesystem::path(ENTK_SOURCE_DIR) / page));
  std::string text;
  bool here = false, block = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("#", 0) == 0 && !block) here = line == "## " + heading;
    if (line.rfind("```", 0) == 0) {
      block = !block && line == "```sh";
    } else if (here && block) {
      text += line + "\n";
    }
  }
  return text;
}

ProcessResult bash(const std::string& script, const std::filesystem::path& folder) {
  return run_program({"bash", "-c", "set -ex; export PATH=" ENTK_BINARY_DIR ":$PATH\n" + script}, folder,
                     std::chrono::minutes(4));
}

void expect_same_runs(const std::filesystem::path& one, const std::filesystem::path& other, std::size_t count) {
  std::size_t found = 0;
  for (const auto& run : std::filesystem::directory_iterator(one / "runs")) {
    ++found;
    for (const char* file : {"checkpoint.pt", "metrics.csv"})
      EXPECT_TRUE(same_bytes(run.path() / file, other / "runs" / run.path().filename() / file));
  }
  EXPECT_EQ(found, count);
}

class Slurm : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* program : {"slurmctld", "slurmd", "munged", "sbatch", "srun", "scontrol"}) {
      if (!have(program)) GTEST_SKIP() << "no " << program;
    }
    if (::geteuid() != 0) GTEST_SKIP() << "a cluster on this machine is root's to start";
    const auto start =
        run_program({ENTK_SOURCE_DIR "/tests/slurm/cluster.sh", cluster()}, "/", std::chrono::minutes(1));
    ASSERT_EQ(start.status, 0) << start.output;
    started_ = true;
    ::setenv("SLURM_CONF", (cluster() + "/slurm.conf").c_str(), 1);
  }
  void TearDown() override {
    if (!started_) return;
    run_program({"sh", "-c", "scancel --quiet --signal=KILL --full -u root; sleep 0.3"}, "/", std::chrono::minutes(1));
    run_program({ENTK_SOURCE_DIR "/tests/slurm/cluster.sh", "--stop", cluster()}, "/", std::chrono::minutes(1));
  }
  std::string cluster() const { return (folder / "cluster").string(); }

  const TemporaryFolder folder;

 private:
  bool started_ = false;
};

TEST_F(Slurm, TheCommandsOfThePageGiveTheBytesOfOneProcess) {
  write_small(folder.path(), 200);
  std::filesystem::create_directory(folder / "one");
  write_small(folder / "one", 200);
  for (const char* heading : {"A study on Slurm", "One run that may start again"}) {
    const auto commands = commands_of("docs/cluster.md", heading);
    ASSERT_FALSE(commands.empty()) << heading;
    const auto result = bash(commands, folder.path());
    ASSERT_TRUE(exits_with(result, 0)) << heading;
  }
  ASSERT_TRUE(exits_with(entk({"train", "--quiet", "--config", "configs/figure1-quick.json", "--sweep",
                               "lambda.3=0,0.1,1,10", "--seeds", "1,11", "--out", "study"},
                              folder / "one"),
                         0));
  expect_same_runs(folder / "one/study", folder / "study", 8);
  for (const char* file : {"results.csv", "claims.json"})
    EXPECT_TRUE(same_bytes(folder / "one/study" / file, folder / "study" / file));
  EXPECT_TRUE(read_status(folder / "study/runs/lambda.3=0,seed=1").job.find("_0") != std::string::npos);
  EXPECT_EQ(read_status(folder / "runs/wide").state, RunState::done);
}

TEST_F(Slurm, OneRunOverTheTasksOfAJobGivesTheBytesOfOneProcessAndALostTaskEndsAll) {
  if (!ENTK_HAS_MPI) GTEST_SKIP() << "built without MPI";
  if (!says(run_program({"srun", "--mpi=list"}, "/", std::chrono::minutes(1)), "pmix"))
    GTEST_SKIP() << "Slurm has no plugin mpi/pmix";
  write_small(folder.path(), 100);
  const auto commands = commands_of("docs/cluster.md", "One run over the tasks of a job");
  ASSERT_FALSE(commands.empty());
  ASSERT_TRUE(exits_with(bash(commands, folder.path()), 0)) << testing::read_text(folder / "shared.txt");
  ASSERT_TRUE(exits_with(
      entk({"train", "--quiet", "--config", "configs/figure1.json", "--set", "model.width=10000", "--out", "one"},
           folder.path()),
      0));
  for (const char* file : {"checkpoint.pt", "metrics.csv"})
    EXPECT_TRUE(same_bytes(folder / "runs/shared" / file, folder / "one" / file));
  EXPECT_EQ(load_json(folder / "runs/shared/environment.json").at("processes"), 2);
  // status.json has the first task's process.
  const auto lost = bash(
      "srun --mpi=pmix --kill-on-bad-exit=1 -n 2 entk train --quiet --config configs/figure1.json --set "
      "model.width=10000 --set train.steps=100000000 --set train.checkpoint_seconds=0.1 --at lost & job=$!\n"
      "until [ -s lost/checkpoint.pt ]; do sleep 0.1; done\n"
      "kill -KILL $(sed -n 's/.*\"pid\": \\([0-9]*\\).*/\\1/p' lost/status.json)\n"
      "wait $job",
      folder.path());
  EXPECT_NE(lost.status, 0);
  const auto step = read_csv(folder / "lost/metrics.csv").rows.back()[0];
  EXPECT_GT(step, 0);
}

TEST_F(Slurm, TasksThatAreStoppedKilledOrHeldOutAreRequeuedAndGoOn) {
  // Some seconds of each run.
  write_small(folder.path(), 12000);
  const Words study = {"train", "--config", "configs/figure1-quick.json", "--seeds", "1,2,3", "--threads", "1"};
  using testing::operator+;
  const auto planned = entk(study + Words{"--out", "study", "--plan"}, folder.path());
  ASSERT_TRUE(exits_with(planned, 0));
  ASSERT_TRUE(exits_with(entk(study + Words{"--quiet", "--out", "one"}, folder.path()), 0));
  // The third is in another process's hands for a while.
  std::filesystem::create_directories(folder / "study/runs");
  auto held = std::make_optional(RunFolder::create(folder / "study/runs/seed=3"));
  const auto job = bash("sbatch --parsable --array=0-2 study/array.sbatch 2>/dev/null", folder.path()).output;
  const auto number = job.substr(job.rfind('\n', job.size() - 2) + 1, job.size() - job.rfind('\n', job.size() - 2) - 2);
  // Held still as soon as it has begun, so that it cannot end before what is to happen to it.
  const auto begun = [&](const char* run) {
    const auto at = folder / "study/runs" / run;
    pid_t pid = 0;
    EXPECT_TRUE(wait_until([&] {
      if (!std::filesystem::exists(at / "metrics.csv") || read_csv(at / "metrics.csv").rows.size() <= 3) return false;
      pid = static_cast<pid_t>(read_status(at).pid);
      return true;
    })) << run;
    if (pid > 0) ::kill(pid, SIGSTOP);
    return pid;
  };
  const auto control = [](Words words) {
    words.insert(words.begin(), "scontrol");
    return run_program(words, "/", std::chrono::minutes(1)).output;
  };
  const auto requeued = [&](const std::string& task) {
    return wait_until([&] {
      ::usleep(100000);
      const auto shown = control({"show", "job", number + "_" + task});
      return shown.find("Restarts=") != std::string::npos && shown.find("Restarts=0") == std::string::npos;
    });
  };
  const auto first = begun("seed=1"), second = begun("seed=2");
  ASSERT_TRUE(first > 0 && second > 0);
  run_program({"scancel", "--signal=TERM", number + "_0"}, "/", std::chrono::minutes(1));
  ::kill(first, SIGCONT);
  ::kill(second, SIGKILL);
  for (const char* task : {"0", "1", "2"}) {
    EXPECT_TRUE(requeued(task)) << control({"show", "job", number + "_" + task})
                                << testing::read_text(folder / "cluster/log/slurmctld.log");
  }
  held.reset();
  // Slurm keeps a requeued task back for two minutes. Of that a little is needed: what starts in the second in which
  // its forerunner's credential was revoked is killed for it.
  ::sleep(3);
  EXPECT_TRUE(wait_until([&] {
    ::usleep(100000);
    for (const char* task : {"0", "1", "2"}) control({"update", "jobid=" + number + "_" + task, "starttime=now"});
    return std::ranges::all_of(std::array{1, 2, 3}, [&](int seed) {
      const auto run = folder / fmt::format("study/runs/seed={}", seed);
      return std::filesystem::exists(run / "status.json") && read_status(run).state == RunState::done;
    });
  })) << control({"show", "job", number})
      << testing::read_text(folder / "cluster/log/slurmctld.log");
  EXPECT_EQ(entk({"train", "--resume", "study", "--pending"}, folder.path()).output, "\n");
  expect_same_runs(folder / "one", folder / "study", 3);
}

TEST(Parallel, TheCommandsOfThePageGiveTheBytesOfOneProcess) {
  if (!have("parallel")) GTEST_SKIP() << "no parallel";
  const TemporaryFolder folder;
  write_small(folder.path(), 200);
  const auto commands = commands_of("docs/cluster.md", "Without Slurm");
  ASSERT_FALSE(commands.empty());
  ASSERT_TRUE(exits_with(bash(commands, folder.path()), 0));
  ASSERT_TRUE(exits_with(
      entk({"train", "--quiet", "--config", "configs/figure1-quick.json", "--seeds", "1,11,21,31", "--out", "one"},
           folder.path()),
      0));
  expect_same_runs(folder / "one", folder / "seeds", 4);
}

}  // namespace
}  // namespace entk::slurm_test
