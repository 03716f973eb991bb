#include "entk/io/checkpoint_file.h"

#include <sys/mman.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <random>
#include <set>

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

/// Ten rows of W and a, twins five apart, in blocks of two pairs.
TensorDict rows_at(std::int64_t step) {
  return {{"W", torch::arange(30).reshape({10, 3}) + step}, {"a", torch::arange(10) + step}};
}
RowBlocks blocks_at(std::int64_t step) {
  return {3, {0, 3}, [step](std::int64_t i) {
            TensorDict block;
            for (const auto& [name, tensor] : rows_at(step)) {
              auto halves = tensor.unflatten(0, std::vector<std::int64_t>{2, 5});
              block[name] = halves.narrow(1, 2 * i, std::min<std::int64_t>(2, 5 - 2 * i));
            }
            return block;
          }};
}
void write_in_blocks(const std::filesystem::path& folder, std::int64_t step) {
  write_checkpoint(folder, {{"step", torch::scalar_tensor(step, torch::kInt64)}}, blocks_at(step));
}
/// Whether what was read is all of one step.
void expect_whole(const LoadedCheckpoint& loaded) {
  auto want = rows_at(step_of(loaded));
  want["step"] = loaded.tensors.at("step");
  EXPECT_TRUE(testing::same(loaded.tensors, want));
}
std::set<std::string> folders_in(const std::filesystem::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.is_directory()) names.insert(entry.path().filename());
  return names;
}

TEST(Checkpoint, InBlocksItIsReadWholeOrOfSomeBlocksAndTwoSetsAreKept) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "checkpoint-notes");
  for (int step : {1, 2, 3}) write_in_blocks(folder.path(), step);
  expect_whole(read_checkpoint(folder.path()));
  EXPECT_EQ(step_of(read_checkpoint(folder.path())), 3);
  EXPECT_EQ(folders_in(folder.path()), (std::set<std::string>{"checkpoint-2", "checkpoint-3", "checkpoint-notes"}));
  const auto some = [&](Share share) {
    return read_checkpoint(folder.path(), [share](auto) { return share; }).tensors.at("a");
  };
  EXPECT_TRUE(torch::equal(some({1, 2}), torch::tensor({5, 6, 7, 10, 11, 12})));
  EXPECT_EQ(some({3, 0}).numel(), 0);
  EXPECT_TRUE(contains(input_error([&] { some({1, 3}); }), "expected at least 4 blocks, got 3"));
}

TEST(Checkpoint, ABlockThatIsMissingDamagedOrOfAnotherSaveGivesThePreviousWithItsName) {
  const TemporaryFolder folder;
  for (int step : {1, 2}) write_in_blocks(folder.path(), step);
  const auto block = folder / "checkpoint-2/00001.pt";
  const std::string good = read_text(block), other = read_text(folder / "checkpoint-1/00001.pt");
  for (const auto& bytes : {good.substr(0, good.size() - 1), std::string(), other}) {
    write_text(block, bytes);
    const auto loaded = read_checkpoint(folder.path());
    EXPECT_EQ(step_of(loaded), 1);
    EXPECT_TRUE(contains(loaded.notice, block.string()));
    expect_whole(loaded);
    // Who has the others does not need it.
    EXPECT_EQ(step_of(read_checkpoint(folder.path(), [](auto) { return Share{2, 1}; })), 2);
  }
  std::filesystem::remove(block);
  EXPECT_TRUE(contains(read_checkpoint(folder.path()).notice, block.string()));
  std::filesystem::remove(folder / "checkpoint-1/00000.pt");
  EXPECT_TRUE(contains(input_error([&] { read_checkpoint(folder.path()); }), "checkpoint-1/00000.pt"));
}

TEST(Checkpoint, EntriesThatNameNoBlocksAreRefused) {
  const TemporaryFolder folder;
  const auto table = torch::zeros({1, 3}, torch::kInt64);
  const auto name = [](const std::string& text) {
    auto bytes = torch::empty({static_cast<std::int64_t>(text.size())}, torch::kUInt8);
    std::copy(text.begin(), text.end(), bytes.data_ptr<std::uint8_t>());
    return bytes;
  };
  for (const auto& dict : {TensorDict{{"blocks", table}},
                           TensorDict{{"blocks_in", name("x")}},
                           {{"blocks", table}, {"blocks_in", name("../x")}},
                           {{"blocks", table.to(torch::kFloat)}, {"blocks_in", name("x")}},
                           {{"blocks", table[0]}, {"blocks_in", name("x")}}}) {
    write_pt(folder / "x.pt", dict);
    EXPECT_TRUE(contains(input_error([&] { read_tensors(folder / "x.pt"); }), "name no blocks"));
  }
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

TEST(Checkpoint, KilledAtAnyMomentOfASaveInBlocksOneCanBeLoadedAndAtMostTheLastIsLost) {
  const TemporaryFolder folder;
  const auto start = std::chrono::steady_clock::now();
  for (int step = 1; step <= 4; ++step) write_in_blocks(folder.path(), step);
  const auto time = (std::chrono::steady_clock::now() - start) / std::chrono::microseconds(4);
  Shared saved;
  *saved = 4;
  std::mt19937 random(3);
  for (int kill = 0; kill < 100; ++kill) {
    const std::int64_t first = *saved + 1;
    const pid_t child = ::fork();
    if (child == 0) {
      for (std::int64_t step = first;; ++step) {
        write_in_blocks(folder.path(), step);
        *saved = step;
      }
    }
    while (*saved < first) ::usleep(100);
    kill_after(child, random() % (1 + time));
    const auto loaded = read_checkpoint(folder.path());
    ASSERT_EQ(loaded.notice, "");
    ASSERT_GE(step_of(loaded), *saved);
    ASSERT_LE(step_of(loaded), *saved + 1);
    expect_whole(loaded);
    *saved = step_of(loaded);
  }
  EXPECT_LE(folders_in(folder.path()).size(), 4u);  // of two files, one in the making, one not yet removed
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
