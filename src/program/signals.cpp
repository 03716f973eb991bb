#include "entk/program/signals.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "entk/program/console.h"
#include "entk/base/unsaved_work.h"
#include "entk/io/run_folder.h"
#include "entk/report/process.h"

namespace entk::app {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// For work to stop by itself, and then for the process to say so and end.
constexpr auto patience = 1500ms, last_words = 300ms;

std::atomic<int> caught{0}, count{0};                  // other threads read them
static_assert(std::atomic<int>::is_always_lock_free);  // and a handler writes them
std::atomic<bool> resumable{true};
std::mutex leaving;  // who has it decides how the process ends
bool returns = false;
int wake[2] = {-1, -1};  // a byte a signal

void handle(int signal) {
  const int signals = ++count;
  if (signals > 2) _exit(128 + (signal == SIGUSR1 ? SIGTERM : signal));
  caught = signal == SIGUSR1 ? SIGTERM : signal;  // mpirun passes SIGUSR1 on, and after SIGTERM it kills
  static const char message[] = "\nentk: stopping; again to leave at once\n";
  [[maybe_unused]] auto written = write(wake[1], "!", 1);
  if (signals == 1) written = write(STDERR_FILENO, message, sizeof message - 1);
}

bool heard(std::chrono::milliseconds wait) {
  pollfd ready{wake[0], POLLIN, 0};
  char byte = 0;
  return poll(&ready, 1, static_cast<int>(wait.count())) > 0 && read(wake[0], &byte, 1) == 1;
}

void leave() {
  const std::lock_guard lock(leaving);
  if (returns) return;
  end_programs();
  const auto folders = mark_interrupted();
  std::error_code ignored;
  if (resumable && !folders.empty() && std::filesystem::exists(folders[0] / "config.json", ignored)) {
    say(fmt::format("stopped; go on with --resume {}", folders[0].string()));
  } else {
    say("stopped");
  }
  _exit(128 + caught);
}

void watch() {
  while (!heard(1h)) {}
  const auto came = Clock::now();
  for (auto busy = came; Clock::now() - came < patience || Clock::now() - busy < last_words;) {
    if (heard(50ms)) break;
    if (UnsavedWork::exists()) busy = Clock::now();
  }
  leave();
}

}  // namespace

void catch_signals() {
  {
    const std::lock_guard lock(leaving);
    returns = false;
  }
  if (pipe2(wake, O_CLOEXEC) == 0) std::thread(watch).detach();
  struct sigaction action{};
  action.sa_handler = handle;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGUSR1, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a file-size limit is an error to report, not a reason to die
}

void let_return() {
  const std::lock_guard lock(leaving);
  returns = true;
}

int caught_signal() { return caught; }

void begins_anew() { resumable = false; }

}  // namespace entk::app
