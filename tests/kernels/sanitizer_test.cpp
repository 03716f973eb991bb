// Negative controls: a build with a sanitizer must report faults planted here. Other builds skip them.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <limits>

#include "entk/base/threads.h"
#include "entk/kernels/cpu/aligned_buffer.h"
#include "tests/support/testing.h"

namespace entk::kernels {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool has_address = true;
#else
constexpr bool has_address = false;
#endif
#if defined(__SANITIZE_THREAD__)
constexpr bool has_thread = true;
#else
constexpr bool has_thread = false;
#endif

class Sanitizer : public ::testing::Test {
 protected:
  Sanitizer() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(Sanitizer, AddressReportsAReadBehindATilesBuffer) {
  if (!has_address) GTEST_SKIP() << "not built with AddressSanitizer";
  const AlignedBuffer<float> buffer(64);
  volatile std::size_t behind = 64;
  EXPECT_DEATH(std::exit(buffer.data()[behind] > 0), "AddressSanitizer: heap-buffer-overflow");
}

TEST_F(Sanitizer, UndefinedBehaviourStopsTheProgram) {
  if (!has_address) GTEST_SKIP() << "not built with UndefinedBehaviorSanitizer";
  volatile int most = std::numeric_limits<int>::max();
  const auto overflow = [&] {
    volatile int above = most + 1;  // a name of its own: GCC makes most >= 0 of most + 1 > 0, and nothing overflows
    std::exit(above > 0);
  };
  EXPECT_DEATH(overflow(), "runtime error: signed integer overflow");
}

TEST_F(Sanitizer, ThreadReportsARaceInALoopOfOurOwnThreads) {
  if (!has_thread) GTEST_SKIP() << "not built with ThreadSanitizer";
  const auto race = [] {
    const testing::ThreadCount setting(2);
    std::atomic<int> inside{0};
    int shared = 0;
    parallel_for(2, [&](std::int64_t) {
      inside.fetch_add(1, std::memory_order_relaxed);
      while (inside.load(std::memory_order_relaxed) < 2) {}  // both threads are here, and nothing orders them
      ++shared;
    });
    std::exit(shared > 2);
  };
  EXPECT_EXIT(race(), ::testing::ExitedWithCode(66), "ThreadSanitizer: data race");
}

}  // namespace
}  // namespace entk::kernels
