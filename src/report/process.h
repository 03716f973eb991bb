// Runs another program, without a shell: with a time limit, what it says kept; or watched while it runs.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace entk {

struct ProcessResult {
  bool found = true;  ///< false: no such program on PATH
  bool timed_out = false;
  int status = 0;      ///< exit status, or 128 + the signal that ended it
  std::string output;  ///< stdout and stderr together, the first 64 KiB
};

/// Runs arguments[0], searched on PATH, in `folder` with no input, in a process group of its own
/// (an interrupt from the terminal does not reach it). When time is up the whole group is killed.
/// @throws RunError if no process can be started.
ProcessResult run_program(const std::vector<std::string>& arguments, const std::filesystem::path& folder,
                          std::chrono::milliseconds limit);

/// For a process that is about to leave: kills what run_program runs, and no more is started from here on.
void end_programs();

/// What is heard from a program while it runs, and said to it.
struct ProcessWatch {
  std::function<void(std::string_view)> output;  ///< stdout and stderr together, as they come
  std::function<int()> signal;                   ///< a signal's number, or 0: asked every 50 ms, passed on once
};

/// Runs arguments[0], searched on PATH, with no input and no time limit, in a process group of its
/// own: an interrupt from the terminal reaches it through `watch` alone. When this process dies, it
/// gets SIGTERM. Returns the exit status, or 128 + the signal that ended it.
/// @throws RunError if it cannot be started.
int run_watched(const std::vector<std::string>& arguments, const std::filesystem::path& folder,
                const ProcessWatch& watch);

/// A word as it would be typed into a shell: in quotes where it needs them.
std::string shell_word(const std::string& word);

}  // namespace entk
