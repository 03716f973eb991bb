// One run over the processes of mpirun: the bytes of one process, and what happens when a process is lost.
#include <signal.h>

#include <random>

#include "entk/base/error.h"
#include "entk/io/checkpoint_file.h"
#include "entk/io/csv.h"
#include "entk/io/run_folder.h"
#include "tests/apps/in_place.h"

namespace entk::mpi_test {
namespace {

using testing::entk_in_place;
using testing::exits_with;
using testing::same_bytes;
using testing::says;
using testing::TemporaryFolder;
using testing::wait_until;
using testing::Words;
using testing::operator+;

class Mpi : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!ENTK_HAS_MPI) GTEST_SKIP() << "built without MPI";
    if (run_program({"sh", "-c", "command -v mpirun"}, "/", std::chrono::minutes(1)).status != 0)
      GTEST_SKIP() << "no mpirun";
    for (const char* name : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"}) ::setenv(name, "1", 1);
  }

  /// The transport is named: a start that looks for networks takes half as long again. `grace`: seconds between the
  /// SIGTERM and the SIGKILL with which mpirun ends those that a lost process leaves behind; its own default is 1.
  static Words mpirun(int processes, const Words& words, const std::string& program = ENTK_BINARY_DIR "/entk",
                      int grace = 0) {
    const Words settings = {"--mca",
                            "pml",
                            "ob1",
                            "--mca",
                            "btl",
                            "self,vader",
                            "--mca",
                            "oob_tcp_if_include",
                            "lo",
                            "--mca",
                            "odls_base_sigkill_timeout",
                            std::to_string(grace)};
    return Words{"mpirun", "--oversubscribe", "--bind-to", "none", "-n", std::to_string(processes)} + settings +
           Words{program} + words;
  }
  ProcessResult take(int processes, const Words& words) {
    return processes == 1 ? entk_in_place(words, folder.path())
                          : run_program(mpirun(processes, words), folder.path(), std::chrono::minutes(2));
  }
  /// Without waiting; mpirun's id.
  pid_t start(int processes, const Words& words, int grace = 0) {
    auto all = mpirun(processes, words, ENTK_BINARY_DIR "/entk", grace);
    std::vector<char*> argv;
    for (auto& word : all) argv.push_back(word.data());
    argv.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      if (::chdir(folder.path().c_str()) != 0 || !std::freopen("output.txt", "w", stderr) || ::dup2(2, 1) < 0)
        ::_exit(99);
      ::execvp(argv[0], argv.data());
      ::_exit(99);
    }
    return child;
  }
  /// The processes of entk that a mpirun has started.
  static std::vector<pid_t> processes_of(pid_t mpirun) {
    std::istringstream text(run_program({"sh", "-c", "cat /proc/" + std::to_string(mpirun) + "/task/*/children"}, "/",
                                        std::chrono::minutes(1))
                                .output);
    std::vector<pid_t> ids;
    for (pid_t id; text >> id;) ids.push_back(id);
    return ids;
  }
  /// Gone, or left for a parent to collect.
  static bool has_ended(pid_t id) {
    const auto stat = testing::read_text("/proc/" + std::to_string(id) + "/stat");
    return stat.empty() || stat.find(") Z") != std::string::npos;
  }
  bool is_at_work(const std::string& run) const {
    const auto file = folder / run / "metrics.csv";
    return std::filesystem::exists(file) && read_csv(file).rows.size() > 4;
  }
  std::int64_t step_of(const std::string& run) const {
    return read_pt(folder / run / "checkpoint.pt").at("step").item<std::int64_t>();
  }
  void expect_same(const std::string& run, const std::string& other) {
    for (const char* file : {"checkpoint.pt", "metrics.csv"})
      EXPECT_TRUE(same_bytes(folder / run / file, folder / other / file));
    const auto blocks = "checkpoint-" + std::to_string(step_of(run));
    if (!std::filesystem::exists(folder / run / blocks)) return;
    for (const auto& block : std::filesystem::directory_iterator(folder / run / blocks))
      ASSERT_TRUE(same_bytes(block.path(), folder / other / blocks / block.path().filename()));
  }
  void expect_unbroken(const std::string& run) { expect_unbroken(run, wide("unbroken-" + run)); }
  void expect_unbroken(const std::string& run, const Words& begun) {
    const auto steps = step_of(run) + 10;
    const Words more = {"--set", "train.steps=" + std::to_string(steps)};
    ASSERT_TRUE(exits_with(take(2, Words{"train", "--quiet", "--resume", run} + more), 0));
    ASSERT_TRUE(exits_with(take(1, begun + more), 0));
    expect_same(run, "unbroken-" + run);
  }

  /// Five groups of pairs, the last one of 100; everything that is a sum over neurons.
  static Words wide(const std::string& out) {
    return {"train",     "--quiet",
            "--out",     out,
            "--set",     "model.width=4296",
            "--set",     "data.dimension=8",
            "--set",     "data.samples=30",
            "--set",     "data.test_samples=20",
            "--set",     "lambda=[0.1,0.1,1,0.001]",
            "--set",     "train.noise_variance=0.1",
            "--set",     "train.random_signs=true",
            "--set",     "train.checkpoint_seconds=0.05",
            "--threads", "1"};
  }
  /// So wide that checkpoints are in blocks, 129 of them, the last one of 928 pairs; little of everything else.
  static Words very_wide(const std::string& out) {
    return wide(out) + Words{"--set", "model.width=264000",
                             "--set", "data.dimension=3",
                             "--set", "data.samples=6",
                             "--set", "data.test_samples=4",
                             "--set", "train.checkpoint_seconds=1000"};
  }
  const Words endless = {"--set", "train.steps=100000000"};
  const TemporaryFolder folder;
};

TEST_F(Mpi, AnyNumberOfProcessesGivesTheBytesOfOne) {
  const Words steps = {"--set", "train.steps=40"};
  ASSERT_TRUE(exits_with(take(1, wide("1") + steps), 0));
  for (const int processes : {2, 3, 4}) {
    const auto name = std::to_string(processes);
    ASSERT_TRUE(exits_with(take(processes, wide(name) + steps), 0));
    expect_same(name, "1");
  }
}

// Five blocks of neurons: the sixth and seventh have none.
TEST_F(Mpi, ProcessesWithoutNeuronsWaitForTheOthers) {
  const Words steps = {"--set", "train.steps=10", "--rank-timeout", "20"};
  ASSERT_TRUE(exits_with(take(1, wide("1") + steps), 0));
  ASSERT_TRUE(exits_with(take(7, wide("7") + steps), 0));
  expect_same("7", "1");
  const pid_t job = start(6, wide("run") + endless + Words{"--rank-timeout", "2"});
  ASSERT_TRUE(wait_until([&] { return is_at_work("run"); }));
  // Longer than the deadline, which is not for who waits.
  std::this_thread::sleep_for(std::chrono::seconds(4));
  ::kill(job, SIGUSR1);
  EXPECT_EQ(testing::wait_for(job), 143) << testing::read_text(folder / "output.txt");
  expect_unbroken("run");
}

TEST_F(Mpi, UnlabeledPointsAndFloat64GiveTheBytesOfOneToo) {
  const Words more = {
      "--set",   "train.steps=10", "--set", "data.unlabeled_samples=40", "--set", "projector.source=unlabeled",
      "--dtype", "float64"};
  ASSERT_TRUE(exits_with(take(1, wide("1") + more), 0));
  ASSERT_TRUE(exits_with(take(2, wide("2") + more), 0));
  expect_same("2", "1");
}

TEST_F(Mpi, ABallTheBestRecordAndAnAutomaticRateAreThoseOfOneProcess) {
  // d = 9: rows do not end where the processor's cache lines do.
  const Words more = {"--set", "train.steps=20",
                      "--set", "data.dimension=9",
                      "--set", "train.keep_best=true",
                      "--set", "train.learning_rate=auto",
                      "--set", "train.perturbation.radius=0.1",
                      "--set", "train.perturbation.threshold=1e9",
                      "--set", "train.perturbation.interval=7"};
  for (const char* dtype : {"float32", "float64"}) {
    const Words words = more + Words{"--dtype", dtype};
    const auto name = [&](int processes) { return dtype + std::to_string(processes); };
    ASSERT_TRUE(exits_with(take(1, wide(name(1)) + words), 0));
    for (const int processes : {2, 3}) {
      ASSERT_TRUE(exits_with(take(processes, wide(name(processes)) + words), 0));
      expect_same(name(processes), name(1));
      EXPECT_TRUE(same_bytes(folder / name(processes) / "best.pt", folder / name(1) / "best.pt"));
    }
    // And they are gone on with.
    ASSERT_TRUE(exits_with(take(3, {"train", "--quiet", "--resume", name(1), "--set", "train.steps=30"}), 0));
    ASSERT_TRUE(exits_with(take(1, {"train", "--quiet", "--resume", name(2), "--set", "train.steps=30"}), 0));
    expect_same(name(1), name(2));
  }
}

TEST_F(Mpi, TermsOfOnesOwnThatAreSumsOverNeuronsGiveTheBytesOfOne) {
  const Words more = {"--set", "train.steps=10",     "--set", "regularizers.weight_decay=0.01",
                      "--set", "regularizers.l1=0.1"};
  ASSERT_TRUE(exits_with(take(1, wide("1") + more), 0));
  for (const int processes : {2, 3}) {
    ASSERT_TRUE(exits_with(take(processes, wide(std::to_string(processes)) + more), 0));
    expect_same(std::to_string(processes), "1");
  }
  // What is not declared one is refused, with the way to declare it.
  const auto result =
      run_program(mpirun(2, wide("run") + Words{"--set", "regularizers.group_lasso=1"}, ENTK_BINARY_DIR "/own_program"),
                  folder.path(), std::chrono::minutes(2));
  EXPECT_TRUE(exits_with(result, 2));
  EXPECT_TRUE(says(result, "regularizers.group_lasso: "));
  EXPECT_TRUE(says(result, "neuron_regularizer"));
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

// R1 and R2 go through all pairs of neurons, in the objective and, of another degree, in the records: three groups of
// pairs are enough. Of the two steps the second has a gradient of theirs.
TEST_F(Mpi, ProjectorsInClosedFormGiveTheBytesOfOne) {
  for (const char* rank : {"9", "44"}) {
    const Words more = {"--set", "train.steps=2",
                        "--set", "model.width=2248",
                        "--set", "projector.source=harmonic",
                        "--set", std::string("projector.rank=") + rank,
                        "--set", "projector.population_degree=1"};
    const auto name = [&](int processes) { return rank + std::string("-") + std::to_string(processes); };
    ASSERT_TRUE(exits_with(take(1, wide(name(1)) + more), 0));
    for (const int processes : {2, 3}) {
      ASSERT_TRUE(exits_with(take(processes, wide(name(processes)) + more), 0));
      expect_same(name(processes), name(1));
    }
  }
}

TEST_F(Mpi, ObservablesGiveTheBytesOfOne) {
  const Words more = {"--set",
                      "train.steps=10",
                      "--set",
                      "data.dimension=9",
                      "--set",
                      "projector.rank=10",
                      "--set",
                      R"(observables=["movement","shares","harmonic_shares","term_squares","alignment","kernel_drift",)"
                      R"("test_output","expansions"])"};
  ASSERT_TRUE(exits_with(take(1, wide("1") + more), 0));
  for (const int processes : {2, 3}) {
    ASSERT_TRUE(exits_with(take(processes, wide(std::to_string(processes)) + more), 0));
    expect_same(std::to_string(processes), "1");
  }
}

// d = 9: the last rows end where no vector of the processor's does.
TEST_F(Mpi, UpdatesOfEachEntryGiveTheBytesOfOneAndAreGoneOnWith) {
  for (const char* update :
       {R"({"name":"minibatches","size":7})", R"({"name":"momentum","nesterov":true})",
        R"({"name":"sgd","momentum":0.5,"weight_decay":0.01,"batch":7})", R"({"name":"adam","amsgrad":true})"}) {
    // Signs are part of descent's own steps alone, those on minibatches too.
    const bool own = std::string(update).find("minibatches") != std::string::npos;
    const Words more = {
        "--set", "data.dimension=9",         "--set", std::string("train.random_signs=") + (own ? "true" : "false"),
        "--set", "train.learning_rate=0.01", "--set", std::string("train.update=") + update};
    const auto steps = [](int count) { return Words{"--set", "train.steps=" + std::to_string(count)}; };
    ASSERT_TRUE(exits_with(take(1, wide("1") + more + steps(20)), 0));
    ASSERT_TRUE(exits_with(take(2, wide("2") + more + steps(8)), 0));
    ASSERT_TRUE(exits_with(take(3, Words{"train", "--quiet", "--resume", "2"} + steps(13)), 0));
    ASSERT_TRUE(exits_with(take(1, Words{"train", "--quiet", "--resume", "2"} + steps(20)), 0));
    expect_same("2", "1");
    for (const char* run : {"1", "2"}) std::filesystem::remove_all(folder / run);
  }
}

// Products with the Hessian of an objective with R4, whose second derivative couples all neurons; Lanczos' vectors in
// shards; Lemma 3.
TEST_F(Mpi, TheLandscapeIsThatOfOneProcess) {
  ASSERT_TRUE(exits_with(take(1, wide("run") + Words{"--set", "train.steps=20"}), 0));
  const auto look = [&](int processes, const std::string& out) {
    return take(processes,
                {"landscape", "--quiet", "run", "--out", out, "--iterations", "40", "--draws", "2", "--threads", "1"})
        .status;
  };
  const int code = look(1, "1");
  EXPECT_TRUE(code == 0 || code == 1);
  ASSERT_TRUE(std::filesystem::exists(folder / "1/landscape.json"));
  EXPECT_NE(testing::read_text(folder / "1/landscape.json").find("lemma_3"), std::string::npos);
  for (const int processes : {2, 3}) {
    const auto name = std::to_string(processes);
    EXPECT_EQ(look(processes, name), code);
    for (const char* file : {"landscape.json", "direction.pt", "results.csv"})
      EXPECT_TRUE(same_bytes(folder / name / file, folder / "1" / file)) << file;
  }
}

TEST_F(Mpi, TheLandscapeOfACheckpointInBlocksIsThatOfOneProcess) {
  ASSERT_TRUE(exits_with(take(2, very_wide("run") + Words{"--set", "train.steps=2"}), 0));
  const auto look = [&](int processes, const std::string& out) {
    return take(processes, {"landscape", "--quiet", "run", "--out", out, "--iterations", "3", "--draws", "0",
                            "--threads", "1", "--dtype", "float32"})
        .status;
  };
  const int code = look(1, "1");
  EXPECT_EQ(look(3, "3"), code);
  for (const char* file : {"landscape.json", "direction.pt"})
    EXPECT_TRUE(same_bytes(folder / "3" / file, folder / "1" / file)) << file;
}

// Process 0 alone speaks: of the arguments that all see, and of the curvature by all rows of W.
TEST_F(Mpi, WhatIsSaidIsSaidOfAllNeurons) {
  const auto said = [&](int processes, const std::string& run) {
    Words words = wide(run) + Words{"--set", "train.steps=0",           "--set", "model.activation=gelu",
                                    "--set", "train.learning_rate=auto"};
    std::erase(words, "--quiet");
    const auto output = take(processes, words).output;
    std::string lines;
    for (const char* notice : {"Assumption 2 asks", "learning rate"}) {
      const auto from = output.find(notice);
      lines += output.substr(std::min(from, output.size()), output.find('\n', from) - from) + "\n";
    }
    return lines;
  };
  const auto of_one = said(1, "1");
  EXPECT_NE(of_one.find("over the arguments seen"), std::string::npos) << of_one;
  EXPECT_NE(of_one.find("lambda_max = "), std::string::npos) << of_one;
  EXPECT_EQ(said(3, "3"), of_one);
}

TEST_F(Mpi, ARunGoesOnWithAnyNumberOfProcesses) {
  ASSERT_TRUE(exits_with(take(3, wide("run") + Words{"--set", "train.steps=10"}), 0));
  for (const auto& [processes, steps] : {std::pair{1, "25"}, {2, "40"}})
    ASSERT_TRUE(exits_with(
        take(processes, {"train", "--quiet", "--resume", "run", "--set", std::string("train.steps=") + steps}), 0));
  ASSERT_TRUE(exits_with(take(1, wide("unbroken") + Words{"--set", "train.steps=40"}), 0));
  expect_same("run", "unbroken");
}

TEST_F(Mpi, HoweverOftenAProcessIsKilledAllEndAndTheRunGoesOn) {
  std::mt19937 random(1);
  for (int kill = 0; kill < 20; ++kill) {
    const int processes = 2 + kill % 2;
    const auto before = kill ? step_of("run") : 0;
    const pid_t job = start(processes, (kill ? Words{"train", "--quiet", "--resume", "run"} : wide("run")) + endless,
                            kill < 18 ? 0 : 1);
    ASSERT_TRUE(wait_until([&] {
      return std::filesystem::exists(folder / "run/checkpoint.pt") && step_of("run") > before;
    })) << testing::read_text(folder / "output.txt");
    const auto ids = processes_of(job);
    ASSERT_EQ(ids.size(), static_cast<std::size_t>(processes));
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 100));
    ::kill(ids[random() % ids.size()], SIGKILL);
    const auto killed = std::chrono::steady_clock::now();
    EXPECT_NE(testing::wait_for(job), 0);
    EXPECT_LT(std::chrono::steady_clock::now() - killed, std::chrono::seconds(30));
    for (const auto id : ids) EXPECT_TRUE(wait_until([&] { return has_ended(id); })) << "process " << id << " lives on";
  }
  expect_unbroken("run");
}

TEST_F(Mpi, AProcessThatHangsEndsAllWithinTheDeadline) {
  const pid_t job = start(2, wide("run") + endless + Words{"--rank-timeout", "1"});
  ASSERT_TRUE(wait_until([&] { return is_at_work("run"); }));
  const auto ids = processes_of(job);
  ASSERT_EQ(ids.size(), 2u);
  ::kill(ids[1], SIGSTOP);
  EXPECT_EQ(testing::wait_for(job), static_cast<int>(ExitCode::failed)) << testing::read_text(folder / "output.txt");
  for (const auto id : ids) EXPECT_TRUE(wait_until([&] { return has_ended(id); })) << "process " << id << " lives on";
  EXPECT_NE(testing::read_text(folder / "output.txt").find("waited 1 s for the others"), std::string::npos);
}

TEST_F(Mpi, SigusrOneStopsAllBehindOneStepSaved) {
  const pid_t job = start(2, wide("run") + endless);
  ASSERT_TRUE(wait_until([&] { return is_at_work("run"); }));
  ::kill(job, SIGUSR1);
  EXPECT_EQ(testing::wait_for(job), 143) << testing::read_text(folder / "output.txt");
  EXPECT_EQ(read_status(folder / "run").state, RunState::interrupted);
  expect_unbroken("run");
}

// Noise takes W far from step 0, whose test loss stays the least.
TEST_F(Mpi, ABestThatStaysIsNotWrittenAgain) {
  const pid_t job = start(
      2, wide("run") + endless +
             Words{"--set", "train.keep_best=true", "--set", "train.checkpoint_seconds=0", "--set",
                   "train.learning_rate=0.001", "--set", "train.noise_variance=1e12", "--set", "lambda=[0,0,0,0]"});
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(folder / "run/best.pt"); }))
      << testing::read_text(folder / "output.txt");
  std::filesystem::create_hard_link(folder / "run/best.pt", folder / "kept");
  const auto before = step_of("run");
  EXPECT_TRUE(wait_until([&] { return step_of("run") > before + 10; }));
  ::kill(job, SIGUSR1);
  EXPECT_EQ(testing::wait_for(job), 143) << testing::read_text(folder / "output.txt");
  EXPECT_EQ(read_pt(folder / "kept").at("step").item<std::int64_t>(), 0);
  EXPECT_EQ(std::filesystem::hard_link_count(folder / "kept"), 2u);
}

TEST_F(Mpi, WhatIsNoSumOverNeuronsIsRefusedBeforeWork) {
  for (const auto& [key, message] :
       std::vector<std::pair<std::string, std::string>>{{"model.initialisation=plain", "model.initialisation"},
                                                        {"train.update=lbfgs", "train.update"},
                                                        {"regularizers.group_lasso=1", "regularizers"}}) {
    const auto result = take(
        2, wide("run") + Words{"--set", "train.random_signs=false", "--set", "train.noise_variance=0", "--set", key});
    EXPECT_TRUE(exits_with(result, 2)) << key;
    EXPECT_TRUE(says(result, message));
    EXPECT_FALSE(std::filesystem::exists(folder / "run")) << key;
  }
  EXPECT_TRUE(says(take(2, wide("run") + Words{"--seeds", "1,2"}), "this is a study"));
  EXPECT_TRUE(says(take(2, {"report", "run"}), "report is taken by one"));
}

TEST_F(Mpi, CheckpointsInBlocksAreThoseOfOneProcessAndAreGoneOnWithByAnyNumber) {
  const Words steps = {"--set", "train.steps=4"};
  ASSERT_TRUE(exits_with(take(1, very_wide("1") + steps), 0));
  EXPECT_TRUE(std::filesystem::exists(folder / "1/checkpoint-4/00128.pt"));
  for (const int processes : {2, 3, 4}) {
    const auto name = std::to_string(processes);
    ASSERT_TRUE(exits_with(take(processes, very_wide(name) + steps), 0));
    expect_same(name, "1");
  }
  for (const auto& [processes, to] : {std::pair{1, "7"}, {2, "9"}})
    ASSERT_TRUE(exits_with(
        take(processes, {"train", "--quiet", "--resume", "3", "--set", std::string("train.steps=") + to}), 0));
  ASSERT_TRUE(exits_with(take(1, very_wide("unbroken") + Words{"--set", "train.steps=9"}), 0));
  expect_same("3", "unbroken");
  // What reads a checkpoint reads its blocks.
  const auto read = read_checkpoint(folder / "3");
  EXPECT_EQ(read.tensors.at("W").size(0), 264000);
  EXPECT_TRUE(
      torch::equal(read.tensors.at("W0").narrow(0, 0, 132000), read.tensors.at("W0").narrow(0, 132000, 132000)));
  testing::write_text(
      folder / "evaluate.json",
      R"({"activation": {"name": "sigmoid", "shift": 1}, "projector": {"source": "features", "rank": 4}})");
  EXPECT_TRUE(exits_with(take(1, {"evaluate", "3/checkpoint.pt", "--config", "evaluate.json"}), 0));
  // A damaged block is named, by whichever process needs it, and the checkpoint before is taken.
  testing::write_text(folder / "3/checkpoint-9/00100.pt", "damaged");
  const auto resumed = take(2, {"train", "--resume", "3", "--set", "train.steps=10"});
  EXPECT_TRUE(exits_with(resumed, 0));
  EXPECT_TRUE(says(resumed, "checkpoint-9/00100.pt"));
  EXPECT_TRUE(says(resumed, "checkpoint.previous.pt"));
  for (const char* block : {"3/checkpoint-10/00100.pt", "3/checkpoint-9/00100.pt"})
    std::filesystem::remove(folder / block);
  const auto refused = take(2, {"train", "--resume", "3", "--set", "train.steps=11"});
  EXPECT_TRUE(exits_with(refused, 2));
  EXPECT_TRUE(says(refused, "checkpoint-10/00100.pt"));
}

// Killed between its blocks and the file that makes them the checkpoint, a save leaves the one before.
TEST_F(Mpi, ASaveInBlocksThatIsKilledLeavesTheOneBefore) {
  const auto newest = [&] {
    std::int64_t step = -1;
    for (const auto& entry : std::filesystem::directory_iterator(folder / "run")) {
      const auto name = entry.path().filename().string();
      if (name.rfind("checkpoint-", 0) == 0) step = std::max<std::int64_t>(step, std::stoll(name.substr(11)));
    }
    return step;
  };
  bool between = false;
  for (int attempt = 0; attempt < 20 && !between; ++attempt) {
    const bool begun = std::filesystem::exists(folder / "run");
    const pid_t job = start(2, (begun ? Words{"train", "--quiet", "--resume", "run"} : very_wide("run")) + endless +
                                   Words{"--set", "train.checkpoint_seconds=0"});
    const auto before = begun ? step_of("run") : 0;
    ASSERT_TRUE(wait_until([&] {
      return std::filesystem::exists(folder / "run/checkpoint.pt") && newest() > std::max(before, step_of("run"));
    })) << testing::read_text(folder / "output.txt");
    for (const auto id : processes_of(job)) ::kill(id, SIGKILL);
    EXPECT_NE(testing::wait_for(job), 0);
    between = newest() > step_of("run");
  }
  EXPECT_TRUE(between);
  const auto lost = folder / "run" / ("checkpoint-" + std::to_string(newest()));
  expect_unbroken("run", very_wide("unbroken-run"));
  EXPECT_FALSE(std::filesystem::exists(lost)) << "what no file names goes";
}

// Else two copies would take one run in one folder.
TEST(Processes, MoreThanTheProgramSeesAreRefused) {
  const TemporaryFolder folder;
  const auto result = run_program({"sh", "-c", "SLURM_STEP_NUM_TASKS=2 " ENTK_BINARY_DIR "/entk train --out run"},
                                  folder.path(), std::chrono::minutes(1));
  EXPECT_TRUE(exits_with(result, 2));
  EXPECT_TRUE(says(result, "2 processes were started"));
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

TEST_F(Mpi, AFolderThatTheFirstIsRefusedEndsAll) {
  std::filesystem::create_directory(folder / "run");
  testing::write_text(folder / "run/notes.txt", "precious");
  const auto result = take(2, wide("run"));
  EXPECT_TRUE(exits_with(result, 2));
  EXPECT_TRUE(says(result, "exists already"));
}

}  // namespace
}  // namespace entk::mpi_test
