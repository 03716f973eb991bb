#include "entk/io/checkpoint_file.h"

#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <random>

#include "entk/io/atomic_file.h"
#include "tests/io/io_testing.h"

namespace entk::checkpoint_file_test {
namespace {

using testing::contains;
using testing::in_child;
using testing::input_error;
using testing::read_text;
using testing::TemporaryFolder;
using testing::write_text;

TensorDict state(std::int64_t step) {
  return {{"step", torch::scalar_tensor(step, torch::kInt64)}, {"W", torch::full({3, 4}, static_cast<double>(step))}};
}

std::int64_t step_of(const LoadedCheckpoint& loaded) { return loaded.tensors.at("step").item<std::int64_t>(); }

TEST(Checkpoint, ReadsBackTheLastOneWithoutANotice) {
  const TemporaryFolder folder;
  for (int step : {1, 2, 3}) write_checkpoint(folder.path(), state(step));
  const auto loaded = read_checkpoint(folder.path());
  EXPECT_TRUE(testing::same(loaded.tensors, state(3)));
  EXPECT_EQ(loaded.notice, "");
}

TEST(Checkpoint, AMissingTruncatedOrDamagedOneGivesThePreviousWithANotice) {
  const TemporaryFolder folder;
  for (int step : {1, 2}) write_checkpoint(folder.path(), state(step));
  const auto current = folder / "checkpoint.pt";
  const std::string good = read_text(current);
  std::string flipped = good;
  flipped[good.find(std::string("\0\0\0\x40\0\0\0\x40", 8))] ^= 1;  // in W, whose entries are 2
  for (const auto& bytes : {good.substr(0, good.size() - 1), good.substr(0, 100), std::string(), flipped}) {
    write_text(current, bytes);
    const auto loaded = read_checkpoint(folder.path());
    EXPECT_EQ(step_of(loaded), 1);
    EXPECT_TRUE(contains(loaded.notice, current.string() + ": "));
    EXPECT_TRUE(contains(loaded.notice, "using " + (folder / "checkpoint.previous.pt").string()));
  }
  std::filesystem::remove(current);
  EXPECT_EQ(step_of(read_checkpoint(folder.path())), 1);
}

TEST(Checkpoint, WhereBothAreBadBothAreNamed) {
  const TemporaryFolder folder;
  write_text(folder / "checkpoint.pt", "x");
  const auto message = input_error([&] { read_checkpoint(folder.path()); });
  EXPECT_TRUE(contains(message, (folder / "checkpoint.pt").string()));
  EXPECT_TRUE(contains(message, (folder / "checkpoint.previous.pt").string()));
}

TEST(Checkpoint, AFileWithoutChecksumIsRefused) {
  const TemporaryFolder folder;
  write_text(folder / "checkpoint.pt",
             testing::archive(testing::Pickle().begin_dict().text("W").tensor(6, 0, {2, 3}, {3, 1}).end_dict().bytes));
  EXPECT_EQ(read_pt(folder / "checkpoint.pt").size(), 1u);
  EXPECT_TRUE(contains(input_error([&] { read_checkpoint(folder.path()); }), "no checksum"));
}

TEST(Checkpoint, ADictThatCannotBeSavedChangesNothing) {
  const TemporaryFolder folder;
  for (int step : {1, 2}) write_checkpoint(folder.path(), state(step));
  TensorDict bad = state(3);
  bad["W"] = torch::Tensor();
  EXPECT_TRUE(contains(input_error([&] { write_checkpoint(folder.path(), bad); }), "'W'"));
  EXPECT_EQ(step_of(read_checkpoint(folder.path())), 2);
}

/// A number that a child process shares with this one.
class Shared {
 public:
  Shared() {
    void* place =
        ::mmap(nullptr, sizeof(std::atomic<std::int64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    value_ = new (place) std::atomic<std::int64_t>(0);
  }
  ~Shared() { ::munmap(value_, sizeof *value_); }
  std::atomic<std::int64_t>& operator*() { return *value_; }

 private:
  std::atomic<std::int64_t>* value_;
};

void kill_after(pid_t child, std::int64_t microseconds) {
  ::usleep(static_cast<useconds_t>(microseconds));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

/// Microseconds that a save takes here: kills are spread over this time.
std::int64_t save_time(const std::filesystem::path& folder, const TensorDict& dict) {
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 4; ++i) write_checkpoint(folder, dict);
  return 1 +
         std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count() / 4;
}

TEST(Checkpoint, KilledAtAnyMomentOfASaveOneCanBeLoadedAndAtMostTheLastIsLost) {
  const TemporaryFolder folder;
  TensorDict dict = state(0);
  dict["filler"] = torch::zeros({1 << 17});
  const std::int64_t time = save_time(folder.path(), dict);
  Shared saved;
  std::mt19937 random(1);
  for (int kill = 0; kill < 100; ++kill) {
    const std::int64_t first = *saved + 1;
    const pid_t child = ::fork();
    if (child == 0) {
      for (std::int64_t step = first;; ++step) {
        dict["step"] = torch::scalar_tensor(step, torch::kInt64);
        write_checkpoint(folder.path(), dict);
        *saved = step;
      }
    }
    while (*saved < first) ::usleep(100);
    kill_after(child, random() % time);
    const auto loaded = read_checkpoint(folder.path());
    ASSERT_EQ(loaded.notice, "");
    ASSERT_GE(step_of(loaded), *saved);
    ASSERT_LE(step_of(loaded), *saved + 1);
    *saved = step_of(loaded);
  }
}

// The previous one may be the only good file: it goes when the new one has its name, not before.
TEST(Checkpoint, KilledAtAnyMomentOfASaveBesideADamagedOneOneCanBeLoaded) {
  const TemporaryFolder folder;
  const std::string good = serialize_pt(state(1));
  const std::int64_t time = save_time(folder.path(), state(1));
  Shared begun;
  std::mt19937 random(2);
  for (int kill = 0; kill < 200; ++kill) {
    write_text(folder / "checkpoint.previous.pt", good);
    write_text(folder / "checkpoint.pt", "damaged");
    *begun = 0;
    const pid_t child = ::fork();
    if (child == 0) {
      *begun = 1;
      write_checkpoint(folder.path(), state(2));
      ::_exit(0);
    }
    while (*begun == 0) ::usleep(10);
    kill_after(child, random() % (2 * time));
    ASSERT_NO_THROW(read_checkpoint(folder.path()));
  }
}

}  // namespace
}  // namespace entk::checkpoint_file_test
