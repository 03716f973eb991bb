#include "entk/program/console.h"

#include "entk/base/group.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>

namespace entk::app {

namespace {

/// Between two lines about one run in a log.
constexpr double log_seconds = 10;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// To stderr. A reader that has gone, or a full disk, costs lines of talk and not the work.
void tell(const std::string& text) {
  if (!leads()) return;  // of several processes the first one speaks
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

void say(const std::string& text) { tell("entk: " + text + "\n"); }

std::string duration(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  const auto s = static_cast<std::int64_t>(seconds + 0.5);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

Console::Console(bool quiet, bool verbose, std::size_t runs)
    : quiet_(quiet), verbose_(verbose), terminal_(isatty(STDERR_FILENO) == 1), runs_(runs) {}

Console::~Console() { clear_line(); }

void Console::clear_line() {
  if (open_line_) tell("\r\033[K");
  open_line_ = false;
}

void Console::progress(const std::string& run, const Record& r, std::int64_t steps, double seconds_left) {
  if (quiet_) return;
  const std::lock_guard lock(mutex_);
  const bool last = r.step == steps;
  // In a log, a run speaks now and then, and at its end.
  if (!terminal_ && !last && !verbose_ && now() - last_said_[run] < log_seconds) return;
  last_said_[run] = now();
  const auto text =
      fmt::format("{}step {}/{}  train {:.4g}  test {:.4g}{}", runs_ > 1 ? run + "  " : "", r.step, steps, r.train_loss,
                  r.test_loss, last || r.step == 0 ? "" : fmt::format("  {} left", duration(seconds_left)));
  if (terminal_ && !last) {
    tell("\r\033[K" + text);
    open_line_ = true;
  } else {
    clear_line();
    tell(text + "\n");
  }
}

void Console::notice(const std::string& run, const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (quiet_ || said_[text]) return;
  said_[text] = true;
  clear_line();
  tell(fmt::format("note: {}{}\n", runs_ > 1 && verbose_ ? run + ": " : "", text));
}

void Console::line(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (quiet_) return;
  clear_line();
  tell(text + "\n");
}

}  // namespace entk::app
