// Running the program `entk` from tests.
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "entk/report/process.h"
#include "tests/support/testing.h"

namespace entk::testing {

using Words = std::vector<std::string>;

inline Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Runs `entk words…` in a folder; stdout and stderr together.
inline ProcessResult entk(const Words& words, const std::filesystem::path& folder) {
  return run_program(Words{ENTK_BINARY_DIR "/entk"} + words, folder, std::chrono::minutes(2));
}

/// The same without waiting; `file_limit` in bytes, 0: none. The child's id.
inline pid_t start_entk(const Words& words, const std::filesystem::path& folder, std::int64_t file_limit = 0) {
  const auto all = Words{ENTK_BINARY_DIR "/entk"} + words;
  std::vector<char*> argv;
  for (const auto& word : all) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    if (file_limit > 0) {
      const rlimit limit{static_cast<rlim_t>(file_limit), static_cast<rlim_t>(file_limit)};
      ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    if (::chdir(folder.c_str()) != 0 || !std::freopen("output.txt", "w", stderr) || ::dup2(2, 1) < 0) ::_exit(99);
    ::execv(argv[0], argv.data());
    ::_exit(99);
  }
  return child;
}

/// Exit status of a child, or minus the signal that ended it.
inline int wait_for(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// Waits until the condition holds or two minutes have passed.
inline bool wait_until(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

inline ::testing::AssertionResult exits_with(const ProcessResult& result, int code) {
  if (!result.timed_out && result.status == code) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "exit " << result.status << ", wanted " << code << ":\n" << result.output;
}

inline ::testing::AssertionResult says(const ProcessResult& result, const std::string& part) {
  if (result.output.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "no '" << part << "' in: " << result.output;
}

inline ::testing::AssertionResult same_bytes(const std::filesystem::path& a, const std::filesystem::path& b) {
  const auto first = read_text(a), second = read_text(b);
  if (first.empty()) return ::testing::AssertionFailure() << a << " is missing or empty";
  if (first == second) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << a << " and " << b << " differ";
}

}  // namespace entk::testing
