#include "entk/io/run_folder.h"

#include <sys/stat.h>

#include <csignal>

#include "entk/io/strict_json.h"
#include "tests/io/io_testing.h"

namespace entk::run_folder_test {
namespace {

using testing::contains;
using testing::in_child;
using testing::input_error;
using testing::message_of;
using testing::read_text;
using testing::TemporaryFolder;
using testing::write_text;

TEST(RunFolder, CreateMakesANewFolderOnly) {
  const TemporaryFolder folder;
  const auto path = folder / "run";
  {
    const auto run = RunFolder::create(path.string() + "/");
    EXPECT_EQ(run.path(), path);
    EXPECT_TRUE(contains(message_of<HeldError>([&] { RunFolder::create(path); }), "another process is using it"));
    EXPECT_TRUE(held_now(path));
    run.write_text("config.json", "{}");
  }
  EXPECT_FALSE(held_now(path));
  EXPECT_FALSE(held_now(folder / "none"));
  EXPECT_TRUE(std::filesystem::is_directory(path));
  const auto message = input_error([&] { RunFolder::create(path); });
  EXPECT_TRUE(contains(message, path.string()));
  EXPECT_TRUE(contains(message, "exists already; choose another --out, or go on with --resume"));
}

TEST(RunFolder, AFolderThatHoldsNothingIsTaken) {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "run" / ".entk-temporary-metrics-AbCdEf");
  write_text(folder / "run" / ".lock", "");
  { EXPECT_EQ(RunFolder::create(folder / "run").path(), folder / "run"); }
  EXPECT_FALSE(std::filesystem::exists(folder / "run" / ".entk-temporary-metrics-AbCdEf"));
}

TEST(RunFolder, FoldersInUseAreMarkedInterruptedWhereTheProcessLeaves) {
  const TemporaryFolder folder;
  const auto study = RunFolder::create(folder / "study"), run = RunFolder::create(folder / "study" / "run"),
             other = RunFolder::create(folder / "other");
  run.set_status(RunState::running, 7);
  study.set_status(RunState::running, 0);
  other.set_status(RunState::running, 0);
  other.set_status(RunState::done, 5);
  EXPECT_EQ(mark_interrupted(), (std::vector<std::filesystem::path>{study.path(), run.path()}));
  EXPECT_EQ(read_status(run.path()).state, RunState::interrupted);
  EXPECT_EQ(read_status(run.path()).step, 7);
  EXPECT_EQ(read_status(other.path()).state, RunState::done);
  for (const auto* mine : {&study, &run}) mine->set_status(RunState::done, 0);
  EXPECT_TRUE(mark_interrupted().empty());
}

TEST(RunFolder, NothingThatExistsIsTakenForAFolder) {
  const TemporaryFolder folder;
  write_text(folder / "file", "x");
  std::filesystem::create_symlink(folder / "nowhere", folder / "link");
  EXPECT_TRUE(contains(input_error([&] { RunFolder::create(folder / "file"); }), "exists already"));
  EXPECT_TRUE(contains(input_error([&] { RunFolder::create(folder / "link"); }), "exists already"));
  EXPECT_TRUE(contains(input_error([&] { RunFolder::open(folder / "file"); }), "no such folder"));
  EXPECT_TRUE(contains(input_error([&] { RunFolder::open(folder / "none"); }), "no such folder"));
  EXPECT_EQ(read_text(folder / "file"), "x");
}

TEST(RunFolder, MissingParentsAreMade) {
  const TemporaryFolder folder;
  EXPECT_EQ(RunFolder::create(folder / "a" / "b" / "c").path(), folder / "a" / "b" / "c");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a" / "b" / "c"));
  write_text(folder / "file", "x");
  EXPECT_TRUE(contains(input_error([&] { RunFolder::create(folder / "file" / "b"); }), "cannot be made"));
}

TEST(RunFolder, NamesThatAreNoFoldersAreRefused) {
  EXPECT_THROW(RunFolder::create(""), InputError);
  EXPECT_THROW(RunFolder::create(std::string("a\0b", 3)), InputError);
  EXPECT_THROW(RunFolder::create("/"), InputError);
  EXPECT_THROW(RunFolder::create("."), InputError);
}

TEST(RunFolder, AReadOnlyFolderIsRefused) {
  const TemporaryFolder folder;
  { RunFolder::create(folder / "run"); }
  std::filesystem::remove(folder / "run" / ".lock");
  ::chmod((folder / "run").c_str(), 0555);
  ::chmod(folder.path().c_str(), 0555);
  const int result = in_child([&] {
    // root may write everywhere: be nobody.
    if (::geteuid() == 0 && ::seteuid(65534) != 0) return 77;
    const bool created =
        contains(input_error([&] { RunFolder::create(folder / "new"); }), "cannot be made: Permission denied");
    const bool opened =
        contains(input_error([&] { RunFolder::open(folder / "run"); }), "cannot be written: Permission denied");
    return created && opened ? 0 : 1;
  });
  ::chmod(folder.path().c_str(), 0755);
  ::chmod((folder / "run").c_str(), 0755);
  if (result == 77) GTEST_SKIP() << "cannot become another user here";
  EXPECT_EQ(result, 0);
}

TEST(RunFolder, ASecondProcessIsRefusedUntilTheFirstIsGone) {
  const TemporaryFolder folder;
  const auto path = folder / "run";
  const auto attempt = [&] {
    return in_child([&] {
      const auto message = message_of<HeldError>([&] { RunFolder::open(path); });
      if (message == "nothing thrown") return 0;
      return contains(message, path.string() + ": another process is using it") ? 1 : 2;
    });
  };
  {
    const auto run = RunFolder::create(path);
    EXPECT_EQ(attempt(), 1);
    auto moved = RunFolder::open(folder.path());  // another folder is free
  }
  EXPECT_EQ(attempt(), 0);
  {
    const auto run = RunFolder::open(path);
    EXPECT_EQ(attempt(), 1);
  }
}

TEST(RunFolder, AKilledProcessHoldsNothing) {
  const TemporaryFolder folder;
  const auto path = folder / "run";
  EXPECT_EQ(in_child([&] {
              const auto run = RunFolder::create(path);
              ::raise(SIGKILL);
              return 0;
            }),
            -SIGKILL);
  EXPECT_NO_THROW(RunFolder::open(path));
}

TEST(RunFolder, AProgramThatIsStartedDoesNotInheritTheHold) {
  const TemporaryFolder folder;
  const auto path = folder / "run";
  pid_t child = 0;
  {
    const auto run = RunFolder::create(path);
    child = ::fork();
    if (child == 0) {
      ::execl("/bin/sleep", "sleep", "60", nullptr);
      ::_exit(1);
    }
    while (read_text("/proc/" + std::to_string(child) + "/comm") != "sleep\n") ::usleep(1000);
  }
  EXPECT_NO_THROW(RunFolder::open(path));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

TEST(RunFolder, OpeningClearsWhatAKilledSaveLeft) {
  const TemporaryFolder folder;
  { RunFolder::create(folder / "run").write_text("kept.txt", "x"); }
  write_text(folder / "run" / ".entk-temporary-1-2", "half");
  { RunFolder::open(folder / "run"); }
  EXPECT_FALSE(std::filesystem::exists(folder / "run" / ".entk-temporary-1-2"));
  EXPECT_EQ(read_text(folder / "run" / "kept.txt"), "x");
}

TEST(RunFolder, FilesStayInTheFolder) {
  const TemporaryFolder folder;
  const auto run = RunFolder::create(folder / "run");
  EXPECT_EQ(run.file("config.json"), folder / "run" / "config.json");
  for (const std::string name : {"", ".", "..", "../x", "a/b", "/x", "a\nb", "\x80"}) {
    EXPECT_THROW(run.file(name), InputError) << name;
  }
  EXPECT_THROW(run.write_text("../x", ""), InputError);
  EXPECT_FALSE(std::filesystem::exists(folder / "x"));
  EXPECT_THROW(run.file(std::string("a\0b", 3)), InputError);
  EXPECT_THROW(run.file(std::string(256, 'a')), InputError);
}

TEST(RunFolder, WritesTextAndJson) {
  const TemporaryFolder folder;
  const auto run = RunFolder::create(folder / "run");
  run.write_text("command.txt", "entk train\n");
  run.write_json("config.json", {{"a", 1}});
  EXPECT_EQ(read_text(folder / "run" / "command.txt"), "entk train\n");
  EXPECT_EQ(load_json(folder / "run" / "config.json"), (nlohmann::json{{"a", 1}}));
}

TEST(RunFolder, TheStatusReadsBack) {
  const TemporaryFolder folder;
  const auto run = RunFolder::create(folder / "run");
  run.set_status(RunState::diverged, 120, "train_loss is inf at step 120 \xff");
  const auto status = read_status(run.path());
  EXPECT_EQ(status.state, RunState::diverged);
  EXPECT_EQ(status.step, 120);
  EXPECT_TRUE(contains(status.message, "train_loss is inf at step 120"));
  EXPECT_EQ(status.time.size(), 16u);
  EXPECT_EQ(status.pid, ::getpid());
  EXPECT_FALSE(status.host.empty());
  EXPECT_EQ(status.job, "");
  ::setenv("SLURM_JOB_ID", "7", 1);
  run.set_status(RunState::running, 1);
  EXPECT_EQ(read_status(run.path()).job, "7");
  ::setenv("SLURM_ARRAY_JOB_ID", "6", 1);
  ::setenv("SLURM_ARRAY_TASK_ID", "3", 1);
  run.set_status(RunState::running, 1);
  EXPECT_EQ(read_status(run.path()).job, "6_3");
  for (const char* name : {"SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"}) ::unsetenv(name);
  // Folders of before say less.
  run.write_text("status.json", R"({"state": "done", "step": 1, "message": "", "time": ""})");
  EXPECT_EQ(read_status(run.path()).host, "");
  for (const auto state : {RunState::running, RunState::done, RunState::failed, RunState::interrupted}) {
    run.set_status(state, 1);
    EXPECT_EQ(read_status(run.path()).state, state);
  }
  run.write_text("status.json", R"({"state": "runing", "step": 1, "message": "", "time": ""})");
  EXPECT_TRUE(contains(input_error([&] { read_status(run.path()); }), "did you mean running?"));
}

TEST(RunFolder, DefaultFoldersOfOneSecondDoNotCollide) {
  const TemporaryFolder folder;
  EXPECT_EQ(in_child([&] {
              if (::chdir(folder.path().c_str()) != 0) return 1;
              std::vector<RunFolder> runs;
              for (int i = 0; i < 3; ++i) runs.push_back(RunFolder::create_default("train"));
              return runs[0].path() != runs[1].path() && runs[1].path() != runs[2].path() ? 0 : 2;
            }),
            0);
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "runs")) {
    EXPECT_TRUE(contains(entry.path().filename().string(), "train-2"));
    ++count;
  }
  EXPECT_EQ(count, 3);
}

TEST(RunFolder, MakeFolderTakesOneThatIsThereButNothingElse) {
  const TemporaryFolder folder;
  make_folder(folder / "a");
  make_folder(folder / "a");
  write_text(folder / "file", "x");
  EXPECT_THROW(make_folder(folder / "file"), InputError);
  EXPECT_THROW(make_folder(folder / "b" / "c"), InputError);
}

TEST(RunFolder, NamesOfASweepAreChecked) {
  for (const std::string name : {"lambda.3=0.1,seed=1", "a", "A-Z_0+9"}) EXPECT_EQ(checked_name(name), name);
  for (const std::string name : {"", ".", "..", ".hidden", "a/b", "a b", "a\n", "é", "a;b", "$x", "~"}) {
    EXPECT_THROW(checked_name(name), InputError) << name;
  }
  EXPECT_TRUE(contains(input_error([] { checked_name(std::string(201, 'a')); }), "at most 200 letters, got 201"));
}

}  // namespace
}  // namespace entk::run_folder_test
