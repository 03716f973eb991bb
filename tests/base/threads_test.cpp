#include "entk/base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "entk/base/error.h"
#include "tests/support/testing.h"

namespace entk::threads_test {
namespace {

using testing::ThreadCount;

TEST(Threads, EveryIndexRunsOnce) {
  for (int count : {1, 2, 3, 7}) {
    const ThreadCount setting(count);
    for (int repeat = 0; repeat < 200; ++repeat) {
      std::vector<std::atomic<int>> calls(101);
      parallel_for(101, [&](std::int64_t i) { ++calls[i]; });
      for (auto& c : calls) ASSERT_EQ(c.load(), 1);
    }
  }
}

TEST(Threads, AnExceptionReachesTheCallerAndThePoolGoesOn) {
  const ThreadCount setting(3);
  EXPECT_THROW(parallel_for(50,
                            [](std::int64_t i) {
                              if (i == 7) throw std::runtime_error("x");
                            }),
               std::runtime_error);
  std::atomic<int> calls{0};
  parallel_for(50, [&](std::int64_t) { ++calls; });
  EXPECT_EQ(calls.load(), 50);
}

TEST(Threads, NestedAndConcurrentLoopsFinish) {
  const ThreadCount setting(3);
  std::atomic<int> calls{0};
  auto nest = [&] { parallel_for(10, [&](std::int64_t) { parallel_for(10, [&](std::int64_t) { ++calls; }); }); };
  std::thread other(nest);
  nest();
  other.join();
  EXPECT_EQ(calls.load(), 200);
}

TEST(Threads, ABudgetHoldsForItsThreadAlone) {
  const ThreadCount setting(4);
  int inside = 0, budgeted = 0;
  std::thread other([&] {
    const ThreadBudget budget(2);
    inside = threads();
    std::atomic<int> calls{0};
    parallel_for(64, [&](std::int64_t) { ++calls; });
    budgeted = calls.load();
  });
  other.join();
  EXPECT_EQ(inside, 2);
  EXPECT_EQ(budgeted, 64);
  EXPECT_EQ(threads(), 4);
}

TEST(Threads, ThoseOfASlurmTaskAreItsProcessors) {
  const int all = threads();
  for (const auto& [given, want] : {std::pair{"1", 1}, {"100000", all}, {"", all}, {"none", all}}) {
    ::setenv("SLURM_CPUS_PER_TASK", given, 1);
    EXPECT_EQ(threads(), want) << given;
  }
  ::unsetenv("SLURM_CPUS_PER_TASK");
}

TEST(Threads, NegativeCountsAreRefused) { EXPECT_THROW(set_threads(-1), InputError); }

}  // namespace
}  // namespace entk::threads_test
