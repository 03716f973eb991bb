#include "entk/io/descriptor.h"

#include <fcntl.h>
#include <sys/time.h>

#include <csignal>

#include "tests/io/io_testing.h"

namespace entk::descriptor_test {
namespace {

// A pipe, unlike a file, takes part of a write, and lets signals interrupt it.
TEST(Descriptor, WriteAllWritesAllWhateverSignalsArrive) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string bytes(4 << 20, 'x');
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    struct sigaction action{};
    action.sa_handler = [](int) {};  // without SA_RESTART: calls are interrupted
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval often{{0, 100}, {0, 100}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
    ::_exit(write_all(ends[1], bytes) ? 0 : 1);
  }
  ::close(ends[1]);
  std::size_t received = 0;
  char buffer[4096];
  for (ssize_t count = 1; count > 0; received += static_cast<std::size_t>(count)) {
    ::usleep(200);
    count = ::read(ends[0], buffer, sizeof buffer);
    ASSERT_GE(count, 0);
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(received, bytes.size());
  EXPECT_EQ(status, 0);
}

TEST(Descriptor, WriteAllReportsAFullDevice) {
  const Descriptor full = open_file("/dev/full", O_WRONLY);
  ASSERT_TRUE(full);
  EXPECT_FALSE(write_all(full.get(), "x"));
  EXPECT_EQ(error_text(errno), "No space left on device");
}

TEST(Descriptor, IsClosedOnceHoweverItIsMoved) {
  Descriptor a = open_file("/", O_RDONLY);
  const int number = a.get();
  Descriptor b = std::move(a);
  EXPECT_FALSE(a);
  EXPECT_EQ(b.get(), number);
  EXPECT_TRUE(b.close());
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  EXPECT_TRUE(b.close());
}

}  // namespace
}  // namespace entk::descriptor_test
