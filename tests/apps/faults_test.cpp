// What must never happen to a run: killed, interrupted, out of disk, damaged, diverged.
#include <signal.h>

#include "entk/runs/run.h"
#include "entk/io/checkpoint_file.h"
#include "entk/io/csv.h"
#include "entk/io/strict_json.h"
#include "entk/program/signals.h"
#include "tests/apps/in_place.h"

namespace entk::faults_test {
namespace {

using testing::entk_in_place;
using testing::exits_with;
using testing::same_bytes;
using testing::says;
using testing::start_entk;
using testing::TemporaryFolder;
using testing::wait_for;
using testing::wait_until;
using testing::Words;

/// A run of two tiles of neurons, with noise: what could differ between threads does.
Words tiny(const std::string& out, const Words& more) {
  using testing::operator+;
  return Words{"train", "--quiet",         "--out", out,
               "--set", "model.width=600", "--set", "data.dimension=8",
               "--set", "data.samples=30", "--set", "data.test_samples=20",
               "--set", "lambda.3=1",      "--set", "train.noise_variance=0.1"} +
         more;
}

std::string steps(std::int64_t count) { return "train.steps=" + std::to_string(count); }
const std::string save_always = "train.checkpoint_seconds=0", save_at_end = "train.checkpoint_seconds=10000";
constexpr std::int64_t endless = 100000000;

std::int64_t checkpoint_step(const std::filesystem::path& run) {
  return read_checkpoint(run).tensors.at("step").item<std::int64_t>();
}

std::int64_t lines_of(const std::filesystem::path& file) {
  const auto text = testing::read_text(file);
  return std::count(text.begin(), text.end(), '\n');
}

class Faults : public ::testing::Test {
 protected:
  /// The run that nothing happened to.
  void expect_unbroken(const std::string& run, std::int64_t count) {
    const std::string name = "unbroken-" + run;
    ASSERT_TRUE(exits_with(entk_in_place(tiny(name, {"--set", steps(count), "--set", save_at_end}), folder.path()), 0));
    for (const char* file : {"checkpoint.pt", "metrics.csv"}) {
      EXPECT_TRUE(same_bytes(folder / run / file, folder / name / file));
    }
    EXPECT_EQ(read_status(folder / run).state, RunState::done);
  }
  ProcessResult resume(const std::string& run, const Words& more, const std::string& from = "") {
    using testing::operator+;
    std::filesystem::create_directories(folder / from);
    return entk_in_place(Words{"train", "--resume", run} + more, folder / from);
  }
  /// Starts an endless run and sends it a signal once a condition holds; its exit status.
  int stop(const Words& words, int signal, const std::function<bool()>& condition) {
    const pid_t child = start_entk(words, folder.path());
    const bool came = wait_until(condition);
    ::kill(child, signal);
    const int status = wait_for(child);
    EXPECT_TRUE(came) << testing::read_text(folder / "output.txt");
    return status;
  }

  ProcessResult shell(const std::string& command) {
    return run_program({"bash", "-c", command}, folder.path(), std::chrono::minutes(2));
  }

  const std::string train = ENTK_BINARY_DIR
      "/entk train --set model.width=100 --set data.dimension=8 --set data.samples=30 "
      "--set data.test_samples=20 --set train.steps=7 ";
  const TemporaryFolder folder;
};

TEST_F(Faults, KilledAndResumedWithOtherThreadsItHasTheBytesOfTheUnbrokenRun) {
  const auto saved_twice = [&] { return std::filesystem::exists(folder / "run/checkpoint.previous.pt"); };
  EXPECT_EQ(stop(tiny("run", {"--threads", "1", "--set", steps(endless), "--set", save_always}), SIGKILL, saved_twice),
            -SIGKILL);
  const auto first = checkpoint_step(folder / "run");
  const auto saved_later = [&] { return checkpoint_step(folder / "run") > first + 5; };
  EXPECT_EQ(stop({"train", "--quiet", "--resume", "run", "--threads", "2"}, SIGKILL, saved_later), -SIGKILL);
  const auto count = checkpoint_step(folder / "run") + 20;
  ASSERT_TRUE(exits_with(resume("run", {"--quiet", "--set", steps(count), "--set", save_at_end}), 0));
  expect_unbroken("run", count);
}

TEST_F(Faults, KilledBeforeItsFirstCheckpointARunBeginsAgain) {
  const auto recorded = [&] { return lines_of(folder / "run/metrics.csv") > 4; };
  EXPECT_EQ(stop(tiny("run", {"--set", steps(endless), "--set", save_at_end}), SIGKILL, recorded), -SIGKILL);
  EXPECT_FALSE(std::filesystem::exists(folder / "run/checkpoint.pt"));
  ASSERT_TRUE(exits_with(resume("run", {"--quiet", "--set", steps(30)}), 0));
  expect_unbroken("run", 30);
}

TEST_F(Faults, OneAndTwoThreadsGiveTheSameBytes) {
  for (const char* threads : {"1", "2", "3"}) {
    ASSERT_TRUE(exits_with(entk_in_place(tiny(threads, {"--threads", threads, "--set", steps(40)}), folder.path()), 0));
    for (const char* file : {"checkpoint.pt", "metrics.csv"})
      EXPECT_TRUE(same_bytes(folder / threads / file, folder / "1" / file));
  }
}

TEST_F(Faults, ASignalSavesAndSaysHowToResume) {
  for (const auto& [signal, code] : std::vector<std::pair<int, int>>{{SIGINT, 130}, {SIGTERM, 143}}) {
    const std::string run = "run" + std::to_string(code);
    const auto recorded = [&] { return lines_of(folder / run / "metrics.csv") > 4; };
    EXPECT_EQ(stop(tiny(run, {"--set", steps(endless), "--set", save_at_end}), signal, recorded), code);
    const auto output = testing::read_text(folder / "output.txt");
    EXPECT_NE(output.find("resume with: entk train --resume " + run), std::string::npos) << output;
    EXPECT_EQ(read_status(folder / run).state, RunState::interrupted);
    const auto count = checkpoint_step(folder / run) + 10;
    ASSERT_TRUE(exits_with(resume(run, {"--quiet", "--set", steps(count)}), 0));
    expect_unbroken(run, count);
  }
}

TEST_F(Faults, ADamagedCheckpointIsNamedAndThePreviousOneUsed) {
  ASSERT_TRUE(exits_with(entk_in_place(tiny("run", {"--set", steps(10), "--set", save_always}), folder.path()), 0));
  const auto checkpoint = folder / "run/checkpoint.pt", previous = folder / "run/checkpoint.previous.pt";
  auto flipped = testing::read_text(checkpoint);
  flipped[flipped.size() / 2] ^= 1;
  testing::write_text(checkpoint, flipped);
  auto result = resume("run", {"--set", steps(30)});
  ASSERT_TRUE(exits_with(result, 0));
  EXPECT_TRUE(says(result, "run/checkpoint.pt"));
  EXPECT_TRUE(says(result, "previous"));
  expect_unbroken("run", 30);

  std::filesystem::resize_file(checkpoint, 1000);
  result = resume("run", {"--set", steps(30)});
  ASSERT_TRUE(exits_with(result, 0));
  EXPECT_TRUE(says(result, "truncated"));
  std::filesystem::resize_file(checkpoint, 1000);
  std::filesystem::resize_file(previous, 1000);
  result = resume("run", {"--set", steps(40)});
  EXPECT_TRUE(exits_with(result, 2));
  EXPECT_TRUE(says(result, "run/checkpoint.pt"));
  EXPECT_TRUE(says(result, "run/checkpoint.previous.pt"));
}

TEST_F(Faults, AFullDiskIsNamedAndLosesNothing) {
  ASSERT_TRUE(exits_with(entk_in_place(tiny("run", {"--set", steps(10), "--set", save_always}), folder.path()), 0));
  const auto before = testing::read_text(folder / "run/checkpoint.pt");
  // Files may not grow beyond half a checkpoint; the write fails as on a full disk.
  const pid_t child = start_entk({"train", "--quiet", "--resume", "run", "--set", steps(30)}, folder.path(),
                                 static_cast<std::int64_t>(before.size() / 2));
  EXPECT_EQ(wait_for(child), 4);
  const auto output = testing::read_text(folder / "output.txt");
  EXPECT_NE(output.find("run/checkpoint.pt"), std::string::npos) << output;
  EXPECT_NE(output.find("File too large"), std::string::npos) << output;
  EXPECT_TRUE(testing::read_text(folder / "run/checkpoint.pt") == before);
  EXPECT_EQ(read_status(folder / "run").state, RunState::failed);
  ASSERT_TRUE(exits_with(resume("run", {"--quiet", "--set", steps(30)}), 0));
  expect_unbroken("run", 30);
}

TEST_F(Faults, DivergenceStopsNamesTheStepAndIsNotSaved) {
  const auto result = entk_in_place(
      tiny("run", {"--set", steps(100), "--set", "train.learning_rate=1000", "--set", save_always}), folder.path());
  EXPECT_TRUE(exits_with(result, 3));
  EXPECT_TRUE(says(result, "not finite at step"));
  EXPECT_TRUE(says(result, "learning rate 1000"));
  EXPECT_EQ(read_status(folder / "run").state, RunState::diverged);
  EXPECT_GT(read_csv(folder / "run/metrics.csv").rows.size(), 0u);
  EXPECT_TRUE(read_checkpoint(folder / "run").tensors.at("W").isfinite().all().item<bool>());
}

TEST_F(Faults, OneDivergedRunDoesNotStopAStudyAndResumingSkipsWhatIsDone) {
  const auto result =
      entk_in_place(tiny("study", {"--set", steps(30), "--sweep", "train.learning_rate=1000,1"}), folder.path());
  EXPECT_TRUE(exits_with(result, 3));
  const auto done = folder / "study/runs/train.learning_rate=1,seed=1";
  EXPECT_EQ(read_status(done).state, RunState::done);
  EXPECT_EQ(read_status(folder / "study/runs/train.learning_rate=1000,seed=1").state, RunState::diverged);
  // Runs of a study share their data and projector, and nothing else.
  ASSERT_TRUE(exits_with(entk_in_place(tiny("alone", {"--set", steps(30)}), folder.path()), 0));
  for (const char* file : {"checkpoint.pt", "metrics.csv"})
    EXPECT_TRUE(same_bytes(done / file, folder / "alone" / file));
  const auto written = std::filesystem::last_write_time(done / "metrics.csv");
  EXPECT_TRUE(exits_with(resume("study", {"--quiet"}), 3));
  EXPECT_EQ(std::filesystem::last_write_time(done / "metrics.csv"), written);
}

TEST_F(Faults, WhatExistsIsNotOverwrittenAndAHeldFolderIsRefused) {
  std::filesystem::create_directory(folder / "mine");
  testing::write_text(folder / "mine/notes.txt", "precious");
  const auto result = entk_in_place(tiny("mine", {"--set", steps(1)}), folder.path());
  EXPECT_TRUE(exits_with(result, 2));
  EXPECT_TRUE(says(result, "exists already"));
  EXPECT_EQ(testing::read_text(folder / "mine/notes.txt"), "precious");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "mine"), {}), 1);

  const auto held = RunFolder::create(folder / "held");
  held.write_json("config.json", to_json(RunConfig{}));
  const auto refused = resume("held", {});
  EXPECT_TRUE(exits_with(refused, static_cast<int>(ExitCode::held)));
  EXPECT_TRUE(says(refused, "another process is using it"));
}

TEST_F(Faults, AChangedConfigurationOrDataFileIsNotResumed) {
  ASSERT_TRUE(exits_with(entk_in_place(tiny("run", {"--set", steps(5)}), folder.path()), 0));
  const auto changed = entk_in_place({"train", "--resume", "run", "--set", "train.learning_rate=0.5"}, folder.path());
  EXPECT_TRUE(exits_with(changed, 2));
  EXPECT_TRUE(says(changed, "train.learning_rate"));

  const Words from_file = {
      "train", "--quiet",           "--out",   "own", "--set", "model.width=40", "--set", "data.source=file",
      "--set", "data.file=data.pt", "--seeds", "1,2", "--set", steps(5)};
  torch::manual_seed(1);
  const TensorDict data = {{"X", torch::randn({20, 4})},
                           {"y", torch::randn({20})},
                           {"X_test", torch::randn({9, 4})},
                           {"y_test", torch::randn({9})},
                           {"X_unlabeled", torch::randn({6, 4})}};
  write_pt(folder / "data.pt", data);
  ASSERT_TRUE(exits_with(entk_in_place(from_file, folder.path()), 0));
  ASSERT_TRUE(exits_with(resume("own", {"--quiet", "--set", steps(8)}), 0));
  for (const auto& [name, tensor] : data) {
    auto other = data;
    other[name] = tensor + 1;
    write_pt(folder / "data.pt", other);
    // The finished runs of the study as well as a run alone.
    for (const Words& words : {Words{"own", "--seeds", "1,2,3"}, {"own/runs/seed=1", "--set", steps(9)}}) {
      const auto refused = resume(words[0], {words.begin() + 1, words.end()});
      EXPECT_TRUE(exits_with(refused, 2)) << name;
      EXPECT_TRUE(says(refused, "it was made with another " + name + " than "));
      EXPECT_TRUE(says(refused, "has the data file changed?"));
    }
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "own/runs/seed=3"));
  // From another folder, and with the data in another place.
  write_pt(folder / "data.pt", data);
  EXPECT_TRUE(exits_with(resume("../own", {"--quiet", "--set", steps(9)}, "elsewhere"), 0));
  EXPECT_TRUE(
      exits_with(entk_in_place({"landscape", "../own/runs/seed=1", "--quiet", "--out", "l"}, folder / "elsewhere"), 0));
  std::filesystem::rename(folder / "data.pt", folder / "moved.pt");
  EXPECT_TRUE(exits_with(resume("own", {"--quiet", "--set", steps(10)}), 2));
  EXPECT_TRUE(exits_with(resume("own", {"--quiet", "--set", steps(10), "--set", "data.file=moved.pt"}), 0));
}

TEST_F(Faults, KeysThatADataFileDecidesAreRefusedOrSaid) {
  using testing::operator+;
  write_pt(folder / "data.pt", {{"X", torch::eye(6)}, {"y", torch::ones({6})}});
  const Words train = {"train",
                       "--out",
                       "run",
                       "--set",
                       "data.source=file",
                       "--set",
                       "data.file=data.pt",
                       "--set",
                       steps(1),
                       "--set",
                       "model.width=40",
                       "--set",
                       "projector.rank=3"};
  for (const std::string key : {"data.samples=50", "data.dimension=6", "data.target.name=figure2"}) {
    const auto refused = entk_in_place(train + Words{"--set", key}, folder.path());
    EXPECT_TRUE(exits_with(refused, 2));
    EXPECT_TRUE(says(refused, "--set " + key + ": the data file decides it"));
  }
  EXPECT_TRUE(says(entk_in_place(train + Words{"--sweep", "data.samples=4,5"}, folder.path()),
                   "--sweep data.samples=4,5: the data file"));
  const auto said = entk_in_place(train, folder.path());
  EXPECT_TRUE(exits_with(said, 0));
  EXPECT_TRUE(
      says(said, "data.pt: d = 6, 6 inputs, 0 test inputs, 0 unlabeled; the keys data.dimension, data.samples"));
}

TEST_F(Faults, KeysWithoutEffectOnAModelAreRefused) {
  using testing::operator+;
  const Words words = {"train", "--out", "run", "--set", "data.dimension=64", "--set", steps(1)};
  const Words convolutional = words + Words{"--set", "model.kind=convolutional"};
  for (const std::string key : {"model.width=50", "model.activation=tanh"}) {
    EXPECT_TRUE(says(entk_in_place(convolutional + Words{"--set", key}, folder.path()),
                     "--set " + key + ": a convolutional network has model.kind.channels and ReLU"));
  }
  EXPECT_TRUE(says(entk_in_place(convolutional + Words{"--sweep", "model.activation=tanh,relu"}, folder.path()),
                   "--sweep model.activation=tanh,relu: a convolutional"));
  EXPECT_TRUE(says(
      entk_in_place(words + Words{"--set", R"(model.kind={"name":"mlp","widths":[3,4]})", "--set", "model.width=9"},
                    folder.path()),
      "--set model.width=9: model.kind.widths has each layer's"));
  EXPECT_TRUE(says(entk_in_place(convolutional + Words{"--set", "data.dimension=9"}, folder.path()),
                   "model.kind.blocks: expected so many that 3 by 3 pixels"));
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

TEST_F(Faults, ARepeatedSweepOfOneKeyHasAllItsValues) {
  const auto one = entk_in_place(
      tiny("run", {"--set", steps(1), "--sweep", "lambda.4=0,1", "--sweep", "lambda.2=0.5", "--sweep", "lambda.4=2"}),
      folder.path());
  ASSERT_TRUE(exits_with(one, 0));
  for (const char* value : {"0", "1", "2"}) {
    EXPECT_EQ(read_status(folder / "run/runs" / ("lambda.2=0.5,lambda.4=" + std::string(value) + ",seed=1")).state,
              RunState::done);
  }
  const auto twice = entk_in_place(tiny("twice", {"--sweep", "lambda.4=0,1", "--sweep", "lambda.4=1"}), folder.path());
  EXPECT_TRUE(exits_with(twice, 2));
  EXPECT_TRUE(says(twice, "expected each value once"));
}

TEST_F(Faults, EachStepIsRecordedOnceAndALostRecordIsNotPassedOver) {
  ASSERT_TRUE(exits_with(entk_in_place(tiny("run", {"--set", steps(0)}), folder.path()), 0));
  ASSERT_TRUE(exits_with(resume("run", {"--quiet", "--set", steps(12)}), 0));
  expect_unbroken("run", 12);
  const auto metrics = folder / "run/metrics.csv";
  auto text = testing::read_text(metrics);
  const auto eight = text.find("\n8,");
  text.erase(eight, text.find('\n', eight + 1) - eight);
  testing::write_text(metrics, text);
  const auto refused = resume("run", {"--set", steps(20)});
  EXPECT_TRUE(exits_with(refused, 2));
  EXPECT_TRUE(says(refused, "metrics.csv: expected the record of step 8, got that of step 9"));
  EXPECT_EQ(testing::read_text(metrics), text);
}

TEST_F(Faults, AFinishedRunWithoutItsCheckpointIsNotTakenAgain) {
  ASSERT_TRUE(exits_with(entk_in_place(tiny("run", {"--set", steps(3)}), folder.path()), 0));
  for (const char* file : {"checkpoint.pt", "checkpoint.previous.pt"}) std::filesystem::remove(folder / "run" / file);
  const auto metrics = testing::read_text(folder / "run/metrics.csv");
  const auto refused = resume("run", {"--set", steps(5)});
  EXPECT_TRUE(exits_with(refused, 2));
  EXPECT_TRUE(says(refused, "run: the run is finished and its checkpoint is gone"));
  EXPECT_EQ(testing::read_text(folder / "run/metrics.csv"), metrics);
}

TEST_F(Faults, AKeyThatAStudysListOrSweepReplacesIsRefusedBesideIt) {
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"train", "--seeds", "1,2", "--set", "seed=3"},
       "--set seed=3: what seeds says stands in its place; leave it out"},
      {{"escape", "--set", "model.width=50"}, "--set model.width=50: what widths says"},
      {{"depth", "--set", "model.width=50"}, "--set model.width=50: what parameters says"},
      {{"depth", "--set", "data.samples=50"}, "--set data.samples=50: what samples says"},
      {{"depth", "--set", "data.target.name=parity"}, "--set data.target.name=parity: what targets says"},
      {{"complexity", "--set", "data.dimension=9"}, "--set data.dimension=9: what dimensions says"},
      {{"r1-noise", "--set", "run.seed=9"}, "--set run.seed=9: what seeds says"},
      {{"figure1", "--set", "lambda.3=5"}, "--set lambda.3=5: the sweep has the values of lambda.3"},
      {{"train", "--sweep", "lambda.3=0,1", "--set", "lambda.3=5"}, "--set lambda.3=5: the sweep has the values"}};
  for (auto [words, message] : cases) {
    words.push_back("--print-config");
    const auto refused = entk_in_place(words, folder.path());
    EXPECT_TRUE(exits_with(refused, 2)) << message;
    EXPECT_TRUE(says(refused, message));
  }
  EXPECT_TRUE(exits_with(entk_in_place({"figure1", "--set", "lambda.4=1e-9", "--print-config"}, folder.path()), 0));
}

TEST_F(Faults, AWeightThatIsTypedBesideTheoremFoursIsTaken) {
  const Words words = {
      "train",          "--set", R"(data.target={"name":"low_degree_plus_sparse"})", "--theory-weights", "0.1",
      "--print-config", "--set"};
  using testing::operator+;
  const auto taken = entk_in_place(words + Words{"lambda.4=0"}, folder.path());
  EXPECT_EQ(parse_json(taken.output, "stdout").at("lambda"), nlohmann::json({10, 0.1, 10, 0}));
  EXPECT_TRUE(exits_with(entk_in_place(words + Words{"lambda=[0,0,1,0]"}, folder.path()), 2));
}

TEST_F(Faults, AStudyThatIsRefusedFewerStepsKeepsItsConfiguration) {
  ASSERT_TRUE(exits_with(entk_in_place(tiny("study", {"--seeds", "1,2", "--set", steps(8)}), folder.path()), 0));
  const auto config = testing::read_text(folder / "study/config.json");
  const auto refused = resume("study", {"--set", steps(5)});
  EXPECT_TRUE(exits_with(refused, 2));
  EXPECT_TRUE(says(refused, "it has taken 8 steps, more than train.steps = 5"));
  EXPECT_EQ(testing::read_text(folder / "study/config.json"), config);
}

TEST_F(Faults, AResumedStudyMayChangeThreadsAlone) {
  using testing::operator+;
  const Words sizes = {"--set", "dimensions=[3]", "--set", "train.width=8",         "--set",   "train.steps=20",
                       "--set", "search.most=2",  "--set", "train.test_samples=20", "--seeds", "1"};
  ASSERT_TRUE(exits_with(entk_in_place(Words{"figure2", "--out", "run", "--threads", "1"} + sizes, folder.path()), 0));
  EXPECT_TRUE(exits_with(entk_in_place({"figure2", "--resume", "run", "--threads", "2"}, folder.path()), 0));
  const auto refused =
      entk_in_place({"figure2", "--resume", "run", "--threads", "2", "--set", "train.steps=21"}, folder.path());
  EXPECT_TRUE(exits_with(refused, 2));
  EXPECT_TRUE(says(refused, "a resumed study may change threads alone; this one changes train.steps\n"));
}

TEST_F(Faults, AStudyOfNoiseTakesItsDefaultsAndItsOptions) {
  testing::write_text(folder / "noise.json", R"({"run": {"model": {"width": 20}, "data": {"dimension": 4, "samples": 20,
    "test_samples": 10}, "train": {"steps": 3}, "device": "cpu"}})");
  ASSERT_TRUE(exits_with(entk_in_place({"r1-noise", "--config", "noise.json", "--out", "run"}, folder.path()), 0));
  EXPECT_EQ(load_json(folder / "run/config.json")["seeds"], nlohmann::json({1}));
  EXPECT_EQ(load_json(folder / "run/environment.json")["device"], "cpu");
  const auto refused = entk_in_place({"r1-noise", "--config", "noise.json", "--set", "run.projector=3"}, folder.path());
  EXPECT_TRUE(exits_with(refused, 2));
  EXPECT_TRUE(says(refused, "projector: expected an object, got 3"));
}

TEST_F(Faults, AConfigurationThatIsNotWholeIsNotResumed) {
  for (const std::string command : {"train", "compare", "complexity", "appendix-g --study r1"}) {
    const auto refused = shell(ENTK_BINARY_DIR "/entk " + command + " --out out --set data=3");
    EXPECT_TRUE(exits_with(refused, 2)) << command;
    EXPECT_TRUE(says(refused, "data: expected an object, got 3")) << command;
  }
  ASSERT_TRUE(exits_with(entk_in_place(tiny("run", {"--set", steps(2)}), folder.path()), 0));
  ASSERT_TRUE(exits_with(entk_in_place(tiny("study", {"--set", steps(2), "--seeds", "1,2"}), folder.path()), 0));
  for (const std::string run : {"run", "study"}) {
    for (const char* text : {"{}", "[]", "{\"model\": {}, \"data\": {}, \"train\": {\"steps\": \"x\"}}"}) {
      testing::write_text(folder / run / "config.json", text);
      const auto refused = entk_in_place({"train", "--resume", run}, folder.path());
      EXPECT_TRUE(exits_with(refused, 2)) << text;
      EXPECT_TRUE(says(refused, run + "/config.json: ")) << text;
      EXPECT_FALSE(says(refused, "json.exception")) << text;
    }
  }
}

TEST_F(Faults, AFolderOfAnotherCommandIsRefusedByItsName) {
  using testing::operator+;
  const Words sizes = {"--quiet",         "--set", "model.width=40",       "--set", "data.dimension=6", "--set",
                       "data.samples=20", "--set", "data.test_samples=10", "--set", "projector.rank=3", "--set",
                       steps(2)};
  ASSERT_TRUE(exits_with(entk_in_place(Words{"figure1", "--seeds", "1", "--out", "f"} + sizes, folder.path()), 0));
  const auto page = testing::read_text(folder / "f/report.html");
  for (const std::string command : {"train", "compare", "complexity", "escape", "depth", "figure2", "r1-noise",
                                    "appendix-g", "spectrum", "expressivity", "landscape"}) {
    const auto refused = entk_in_place({command, "--resume", "f"}, folder.path());
    EXPECT_TRUE(exits_with(refused, 2)) << command;
    EXPECT_TRUE(says(refused, "f: begun by entk figure1, not by " + command + "; go on with: entk figure1 --resume f"));
  }
  EXPECT_EQ(testing::read_text(folder / "f/report.html"), page);
  const auto single = entk_in_place({"compare", "--resume", "f/runs/lambda.3=0,seed=1"}, folder.path());
  EXPECT_TRUE(exits_with(single, 2));
  EXPECT_TRUE(says(single, "a single run, not a study; go on with: entk train"));
  const auto landscape = entk_in_place({"landscape", "f", "--out", "l"}, folder.path());
  EXPECT_TRUE(exits_with(landscape, 2));
  EXPECT_TRUE(says(landscape, "expected the folder of one run, got a study's; its runs are in "));
  EXPECT_FALSE(std::filesystem::exists(folder / "l"));
  testing::write_text(folder / "f/config.json", "{}");
  for (const char* option : {"--resume", "--at"}) {
    const auto lost = entk_in_place(Words{"figure1", option, "f"}, folder.path());
    EXPECT_TRUE(exits_with(lost, 2));
    EXPECT_TRUE(says(lost, "f/config.json: it has no keys, so it is not the configuration"));
  }
}

TEST_F(Faults, AStudyFromBeforeAKeyWasThereIsResumedWithItsDefault) {
  using testing::operator+;
  const Words sweep = {"train", "--quiet",         "--seeds", "1,2",
                       "--set", "model.width=40",  "--set",   "data.dimension=8",
                       "--set", "data.samples=30", "--set",   "data.test_samples=20",
                       "--set", "train.steps=7",   "--out",   "study"};
  ASSERT_TRUE(exits_with(entk_in_place(sweep, folder.path()), 0));
  auto old = load_json(folder / "study/config.json");
  old["train"].erase("tf32");
  testing::write_text(folder / "study/config.json", dump_json(old));
  EXPECT_TRUE(exits_with(
      entk_in_place({"train", "--quiet", "--resume", "study", "--set", "train.tf32=true"}, folder.path()), 2));
  EXPECT_TRUE(exits_with(entk_in_place({"train", "--quiet", "--resume", "study"}, folder.path()), 0));
}

// Whatever file it has made last: the folder is resumed, or, where it holds nothing yet, used.
TEST_F(Faults, KilledAtAnyStageOfItsSetUpARunBeginsAgain) {
  using testing::operator+;
  const auto one = tiny("run", {"--set", steps(2)}), two = tiny("run", {"--set", steps(2), "--seeds", "1,2"});
  for (const char* stage : {"", "config.json", "status.json", "runs/seed=1", "runs/seed=1/config.json"}) {
    std::filesystem::remove_all(folder / "run");
    const auto& words = std::string(stage).starts_with("runs") ? two : one;
    EXPECT_EQ(stop(words, SIGKILL, [&] { return std::filesystem::exists(folder / "run" / stage); }), -SIGKILL) << stage;
    const bool begun = std::filesystem::exists(folder / "run/config.json");
    EXPECT_TRUE(exits_with(begun ? resume("run", {"--quiet"}) : entk_in_place(words, folder.path()), 0)) << stage;
    EXPECT_EQ(read_status(folder / "run").state, RunState::done) << stage;
  }
  std::filesystem::remove_all(folder / "run");
  std::filesystem::create_directory(folder / "run");
  EXPECT_TRUE(
      says(resume("run", {}), "--resume run: there is no config.json, so nothing has begun there; begin with --out"));
}

/// Seconds until a run that a signal reaches once a condition holds has ended.
double seconds_to_stop(const Words& words, const std::filesystem::path& folder,
                       const std::function<bool()>& condition) {
  const pid_t child = start_entk(words, folder);
  EXPECT_TRUE(wait_until(condition)) << testing::read_text(folder / "output.txt");
  ::usleep(200000);
  const auto sent = std::chrono::steady_clock::now();
  ::kill(child, SIGTERM);
  EXPECT_EQ(wait_for(child), 143) << testing::read_text(folder / "output.txt");
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - sent).count();
}

// Two seconds are asked for; the test leaves a busy machine more.
TEST_F(Faults, ASignalDuringSetUpIsHeardWithinSeconds) {
  // The eigenvectors of a 4000×4000 matrix: ten seconds and more.
  const Words words = {"train",
                       "--out",
                       "run",
                       "--set",
                       "data.samples=4000",
                       "--set",
                       "projector.rank=1400",
                       "--set",
                       "data.test_samples=0",
                       "--set",
                       "model.width=10",
                       "--set",
                       steps(1)};
  EXPECT_LT(seconds_to_stop(words, folder.path(), [&] { return std::filesystem::exists(folder / "run/status.json"); }),
            4);
  EXPECT_EQ(read_status(folder / "run").state, RunState::interrupted);
  EXPECT_NE(testing::read_text(folder / "output.txt").find("stopped; go on with --resume run"), std::string::npos);
}

TEST_F(Faults, ACommandThatCannotGoOnSaysNoWayTo) {
  const Words words = {"kernel", "--out", "k", "--set", "data.samples=6000", "--set", "model.width=10"};
  EXPECT_LT(seconds_to_stop(words, folder.path(), [&] { return std::filesystem::exists(folder / "k/status.json"); }),
            4);
  const auto said = testing::read_text(folder / "output.txt");
  EXPECT_NE(said.find("stopped"), std::string::npos);
  EXPECT_EQ(said.find("--resume"), std::string::npos) << said;
}

TEST_F(Faults, ASignalDuringALongStepIsHeardWithinSecondsAndTheRunGoesOn) {
  // Slow kernels on one thread: a step of more than the four seconds below. The first is saved because it is long.
#if defined(__SANITIZE_ADDRESS__)
  const char* const width = "model.width=2000";
#else
  const char* const width = "model.width=24000";
#endif
  const Words words = {"train",
                       "--threads",
                       "1",
                       "--isa",
                       "portable",
                       "--out",
                       "run",
                       "--set",
                       "data.samples=8000",
                       "--set",
                       "projector.source=none",
                       "--set",
                       "data.test_samples=0",
                       "--set",
                       width,
                       "--set",
                       "lambda=[0,0,0,0]",
                       "--set",
                       "train.learning_rate=0.1",
                       "--set",
                       save_at_end,
                       "--set",
                       steps(1000)};
  EXPECT_LT(
      seconds_to_stop(words, folder.path(), [&] { return std::filesystem::exists(folder / "run/checkpoint.pt"); }), 4);
  const auto saved = checkpoint_step(folder / "run");
  EXPECT_GE(saved, 1);
  EXPECT_EQ(read_status(folder / "run").state, RunState::interrupted);
  EXPECT_TRUE(exits_with(resume("run", {"--quiet", "--set", steps(saved)}), 0));
}

// While a process ends, what the last words are made of is gone.
TEST_F(Faults, AfterACommandsEndASignalIsTheCallers) {
  for (const bool ends : {false, true}) {
    const pid_t child = ::fork();
    if (child == 0) {
      std::freopen("/dev/null", "w", stderr);
      app::catch_signals();
      ::raise(SIGTERM);
      if (ends) app::let_return();
      std::this_thread::sleep_for(std::chrono::milliseconds(2500));
      ::_exit(7);
    }
    EXPECT_EQ(wait_for(child), ends ? 7 : 143);
  }
}

TEST_F(Faults, ASignalBehindAGnuplotThatHangsIsHeardWithinSeconds) {
  testing::write_text(folder / "gnuplot", "#!/bin/sh\necho $$ > " + (folder / "pid").string() + "\nexec sleep 300\n");
  std::filesystem::permissions(folder / "gnuplot", std::filesystem::perms::owner_all);
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", (folder.path().string() + ":" + path).c_str(), 1);
  EXPECT_LT(
      seconds_to_stop(tiny("run", {"--set", steps(2)}), folder.path(), [&] { return lines_of(folder / "pid") == 1; }),
      4);
  ::setenv("PATH", path.c_str(), 1);
  const auto pid = std::stoi(testing::read_text(folder / "pid"));
  EXPECT_TRUE(wait_until([&] {
    const auto stat = testing::read_text("/proc/" + std::to_string(pid) + "/stat");
    return stat.empty() || stat.find(") Z") != std::string::npos;
  }));
  // What gnuplot had begun goes away where the run goes on.
  const auto scratch = [&] {
    return std::any_of(std::filesystem::directory_iterator(folder / "run"), {}, [](const auto& entry) {
      return entry.path().filename().string().starts_with(".entk-temporary");
    });
  };
  EXPECT_TRUE(scratch());
  ASSERT_TRUE(exits_with(entk_in_place({"report", "run"}, folder.path()), 0));
  EXPECT_FALSE(scratch());
}

TEST_F(Faults, ASpectrumStopsBetweenItsPartsAndLeavesWhatWasFinished) {
  const auto begun = [&] { return std::filesystem::exists(folder / "run/status.json"); };
  EXPECT_EQ(stop({"spectrum", "--quiet", "--out", "run", "--set", "samples=2500", "--set", "training_samples=2500"},
                 SIGINT, begun),
            130);
  EXPECT_EQ(read_status(folder / "run").state, RunState::interrupted);
  ASSERT_TRUE(exits_with(entk_in_place({"report", "run"}, folder.path()), 0));
  const auto values = load_json(folder / "run/spectrum.json");
  EXPECT_TRUE(values.contains("lambda"));
  EXPECT_FALSE(values.contains("features"));
  ASSERT_TRUE(
      exits_with(entk_in_place({"spectrum", "--quiet", "--resume", "run", "--threads", "1"}, folder.path()), 0));
  EXPECT_EQ(read_status(folder / "run").state, RunState::done);
  EXPECT_TRUE(load_json(folder / "run/spectrum.json").contains("features"));
}

TEST_F(Faults, LandscapeRefusesABadCheckpointBeforeAFolderIsMade) {
  using testing::operator+;
  testing::write_text(folder / "text.pt", "no checkpoint");
  write_pt(folder / "other.pt", {{"X", torch::randn({20, 4})}});
  ASSERT_TRUE(exits_with(entk_in_place(tiny("run", {"--set", steps(2)}), folder.path()), 0));
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"text.pt"}, "text.pt"},
      {{"other.pt"}, "other.pt: expected a checkpoint of entk train; it has no entry 'W'"},
      {{"none.pt"}, "none.pt' is neither a run's folder nor a checkpoint"},
      {{"run", "--set", "seed=77"}, "run: its X is not what its configuration gives"},
      {{"run", "--device", "gpu"}, "device"}};
  for (const auto& [words, message] : cases) {
    const auto result = entk_in_place(Words{"landscape", "--out", "out"} + words, folder.path());
    EXPECT_TRUE(exits_with(result, 2)) << message;
    EXPECT_TRUE(says(result, message));
    EXPECT_FALSE(std::filesystem::exists(folder / "out")) << message;
  }
}

TEST_F(Faults, TalkThatNobodyTakesCostsNoWorkAndLostOutputIsAnError) {
  EXPECT_TRUE(exits_with(shell(train + "--out full >/dev/null 2>/dev/full"), 0));
  EXPECT_TRUE(exits_with(shell("set -o pipefail; " + train + "--out piped 2>&1 >/dev/null | true"), 0));
  for (const char* run : {"full", "piped"}) EXPECT_EQ(read_status(folder / run).state, RunState::done);
  for (const std::string words :
       {"report full >/dev/full", "--help >/dev/full", "--help >&-", "train --help >/dev/full", "completion >/dev/full",
        "train --print-config >/dev/full"}) {
    const auto lost = shell(ENTK_BINARY_DIR "/entk " + words);
    EXPECT_TRUE(exits_with(lost, static_cast<int>(ExitCode::save_failed))) << words;
    EXPECT_TRUE(says(lost, "standard output: it cannot be written")) << words;
  }
}

TEST_F(Faults, ClosedOutputsDoNotEndUpInAFile) {
  ASSERT_TRUE(exits_with(shell(train + "--out open"), 0));
  EXPECT_TRUE(exits_with(shell(train + "--verbose --out closed >&- 2>&-"), static_cast<int>(ExitCode::save_failed)));
  for (const char* file : {"metrics.csv", "config.json", "checkpoint.pt"}) {
    EXPECT_TRUE(same_bytes(folder / "open" / file, folder / "closed" / file)) << file;
  }
}

TEST_F(Faults, StudiesThatDoNotFitTheMemoryAreRefusedBeforeAFolderIsMade) {
  const auto figure2 = entk_in_place({"figure2", "--out", "two", "--set", "dimensions=[100000]"}, folder.path());
  EXPECT_TRUE(exits_with(figure2, 2));
  EXPECT_TRUE(says(figure2, "memory: this run would take about"));
  EXPECT_FALSE(std::filesystem::exists(folder / "two"));
  // Every model of a comparison, not the first alone.
  testing::write_text(folder / "models.json",
                      R"({"models": [{"name": "small"}, {"name": "large", "set": {"model": {"width": 900000000}}}],
    "data": {"samples": 10, "test_samples": 10}, "projector": {"rank": 5}})");
  const auto models = entk_in_place({"compare", "--config", "models.json", "--out", "three"}, folder.path());
  EXPECT_TRUE(exits_with(models, 2));
  EXPECT_TRUE(says(models, "memory: this run would take about"));
  EXPECT_FALSE(std::filesystem::exists(folder / "three"));
  const auto bench = entk_in_place({"bench", "--sizes", "1000x100x100000000", "--pieces", "step"}, folder.path());
  EXPECT_TRUE(exits_with(bench, 2));
  EXPECT_TRUE(says(bench, "the size 1000x100x100000000 smaller"));
}

// 30 is no recorded step.
TEST_F(Faults, ForcedStudiesRunAlthoughTheEstimateSaysNo) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer needs all addresses";
#endif
  using testing::operator+;
  for (const auto& [command, key] : {std::pair{"r1-noise", "run.data.samples"}, {"figure1", "data.samples"}}) {
    // Addresses are bounded: where a system promises more than it has, the run would take all of it.
    const Words words{"/bin/sh",
                      "-c",
                      "ulimit -v 8000000; exec \"$0\" \"$@\"",
                      ENTK_BINARY_DIR "/entk",
                      command,
                      "--quiet",
                      "--preset",
                      "quick",
                      "--set",
                      fmt::format("{}=1000000000", key)};
    const auto run = [&](const Words& more) {
      return run_program(words + more, folder.path(), std::chrono::minutes(2));
    };
    const auto refused = run({"--out", "refused"});
    EXPECT_TRUE(exits_with(refused, 2));
    EXPECT_TRUE(says(refused, "memory: this run would take about"));
    EXPECT_FALSE(std::filesystem::exists(folder / "refused"));
    EXPECT_TRUE(says(run({"--force", "--out", command}), "out of memory: LibTorch tried to allocate"));
  }
}

TEST_F(Faults, FinalValuesAreThoseOfTheLastStep) {
  ASSERT_TRUE(exits_with(entk_in_place(tiny("runs/deep/one", {"--set", steps(30)}), folder.path()), 0));
  const auto table = read_records(folder / "runs/deep/one");
  const auto summary = load_json(folder / "runs/deep/one/summary.json");
  EXPECT_EQ(table.rows.back()[0], 30);
  EXPECT_EQ(table.column("train_loss").back(), summary["train_loss"].get<double>());
  EXPECT_LT(read_csv(folder / "runs/deep/one/metrics.csv").rows.back()[0], 30);
  // And a run's folder is not taken for a study's.
  const auto result = entk_in_place({"figure1", "--resume", "runs/deep/one"}, folder.path());
  EXPECT_TRUE(exits_with(result, 2));
  EXPECT_TRUE(says(result, "a single run, not a study"));
}

TEST_F(Faults, BadInputIsRefusedByNameBeforeAFolderIsMade) {
  using testing::operator+;
  torch::manual_seed(1);
  auto x = torch::randn({20, 4}), bad = x.clone();
  bad[3][2] = NAN;
  write_pt(folder / "nan.pt", {{"X", bad}, {"y", torch::randn({20})}});
  write_pt(folder / "short.pt", {{"X", x}, {"y", torch::randn({19})}});
  const auto y = torch::randn({20});
  write_pt(folder / "large.pt", {{"X", x}, {"y", y * 1e30}});
  write_pt(folder / "test.pt", {{"X", x}, {"y", y}, {"X_test", x}, {"y_test", y * 1e30}});
  testing::write_text(folder / "twice.json", "{\"train\": {\n\"steps\": 1,\n\"steps\": 2}}");
  const auto file = [](const char* name) {
    return Words{"--config", "file.json", "--set", std::string("data.file=") + name};
  };
  testing::write_text(folder / "file.json", R"({"data": {"source": "file"}})");
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"--set", "train.stepz=3"}, "train.stepz: unknown key; did you mean 'steps'"},
      {{"--set", "train.steps=1.5"}, "train.steps: expected an integer"},
      {{"--set", "train.learning_rate=true"}, "train.learning_rate: expected a number"},
      {{"--set", "train.learning_rate=0"}, "train.learning_rate: expected a number above 0"},
      {{"--set", "lambda.3=NaN"}, "lambda"},
      {{"--set", "lambda.1=1e39"}, "lambda.1: expected 0 or a size of 1.2e-38 to 3.4e+38, as float32 holds, got 1e+39"},
      {{"--set", "lambda.1=1e-50"}, "lambda.1: expected 0 or a size"},
      {{"--set", "loss={\"name\": \"pseudo_huber\", \"delta\": 1e-300}"}, "loss.delta: expected 0 or a size"},
      {{"--set", "model.activation={\"name\": \"polynomial\", \"coefficients\": [0, 1, 1e39]}"},
       "model.activation.coefficients.2: expected 0 or a size"},
      {{"--set", "train.learning_rate=1e-60"}, "train.learning_rate: expected 0 or a size"},
      {{"--set", "lambda.3=-2"}, "lambda.3: expected a finite number of at least 0, got -2"},
      {{"--sweep", "lambda.4=1,-2"}, "lambda.4: expected a finite number of at least 0, got -2"},
      {{"--seeds", "1,-1"}, "--seeds: expected whole numbers of at least 0, got -1"},
      {{"--theory-weights", "-1"}, "--theory-weights: expected a finite number above 0, got -1"},
      {{"--set", "model.width=7"}, "model.width: expected an even number"},
      {{"--set", "model.width=1000000000", "--set", "data.samples=1000000"}, "memory"},
      {{"--set", "projector.rank=31"}, "projector.rank: expected at most 30"},
      {{"--set", "model.activation.name=sigmoi"}, "did you mean sigmoid"},
      {{"--config", "twice.json"}, "twice.json:3"},
      {{"--config", "list.json"}, "list.json: expected an object, got []"},
      {{"--set", "regularizers={\"l1\":1e39}"}, "regularizers.l1: expected 0 or a size"},
      {{"--sweep", "dtype=" + std::string(300, 'x')}, "a run's name of at most 200 letters"},
      {{"--device", "gpu"}, "device"},
      {{"--sweep", "train.steps=1,x"}, "train.steps"},
      {file("nan.pt"), "nan.pt: X: entry [3, 2]"},
      {file("short.pt"), "short.pt: y: expected a vector of length 20"},
      {file("large.pt"), "large.pt: y: entry ["},
      {file("test.pt"), "test.pt: y_test: entry ["},
      {file("test.pt") + Words{"--set", "loss=logistic"}, "test.pt: y: the logistic loss needs labels"},
      {file("none.pt"), "none.pt"}};
  testing::write_text(folder / "list.json", "[]");
  for (const auto& [words, message] : cases) {
    const bool own = words[1] == "file.json";
    const auto result = entk_in_place(own ? Words{"train", "--out", "run"} + words : tiny("run", words), folder.path());
    EXPECT_TRUE(exits_with(result, 2)) << message;
    EXPECT_TRUE(says(result, message));
    EXPECT_FALSE(std::filesystem::exists(folder / "run")) << message;
    std::filesystem::remove_all(folder / "run");
  }
  EXPECT_TRUE(says(entk_in_place({"trian"}, folder.path()), "did you mean train"));
}

}  // namespace
}  // namespace entk::faults_test
