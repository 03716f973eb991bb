// What entk throws, and the exit code that the program gives for each.
#pragma once

#include <stdexcept>
#include <string>

namespace entk {

/// Exit codes of the program `entk`, from best to worst within a study.
enum class ExitCode : int {
  ok = 0,
  check_failed = 1,   ///< compare-devices out of tolerance; landscape found a direction below −γ, or is undecided
  bad_input = 2,      ///< refused before any work started
  diverged = 3,       ///< a loss or a result was not finite
  save_failed = 4,    ///< the last checkpoint could not be written
  failed = 5,         ///< out of memory, a CUDA error, a bug
  held = 75,          ///< another process has the folder: later it may be free (EX_TEMPFAIL of sysexits.h)
  interrupted = 130,  ///< SIGINT
  terminated = 143,   ///< SIGTERM
};

/// Base of every exception that entk throws on purpose.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message)
      : std::runtime_error(message), code_(code) {}  ///< by the exit code that it stands for
  ExitCode code() const { return code_; }            ///< of the program

 private:
  ExitCode code_;
};

/// Bad input: names what was wrong and what was expected. Thrown before work starts.
class InputError : public Error {
 public:
  explicit InputError(const std::string& message)
      : Error(ExitCode::bad_input, message) {}  ///< what is wrong, what was expected, what came
};

/// A folder that another process has.
class HeldError : public Error {
 public:
  explicit HeldError(const std::string& message) : Error(ExitCode::held, message) {}  ///< which, and by whom
};

/// A result that is not finite.
class NotFiniteError : public Error {
 public:
  explicit NotFiniteError(const std::string& message) : Error(ExitCode::diverged, message) {}  ///< what, and where
};

/// A file could not be written; what stood there before is still there.
class SaveError : public Error {
 public:
  explicit SaveError(const std::string& message)
      : Error(ExitCode::save_failed, message) {}  ///< the file and the reason
};

/// Something failed while running that the input does not explain.
class RunError : public Error {
 public:
  explicit RunError(const std::string& message) : Error(ExitCode::failed, message) {}  ///< what failed
};

}  // namespace entk
