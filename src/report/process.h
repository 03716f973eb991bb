// Runs another program: no shell, a time limit, what it says kept.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
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
ProcessResult run_program(const std::vector<std::string>& arguments,
                          const std::filesystem::path& folder, std::chrono::milliseconds limit);

}  // namespace entk
