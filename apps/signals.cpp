#include "signals.h"

#include <signal.h>
#include <unistd.h>

namespace entk::app {

namespace {

volatile sig_atomic_t caught = 0;

void handle(int signal) {
  if (caught) _exit(128 + signal);
  caught = signal;
  static const char message[] = "\nentk: stopping at the end of this step; again to leave at once\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, message, sizeof message - 1);
}

}  // namespace

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = handle;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a file-size limit is an error to report, not a reason to die
}

int caught_signal() { return caught; }

}  // namespace entk::app
