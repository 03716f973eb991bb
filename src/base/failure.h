// What an exception means to whoever runs a program.
#pragma once

#include <string>

#include "entk/base/error.h"

namespace entk {

/// An exit code and a line for people.
struct Failure {
  ExitCode code = ExitCode::failed;  ///< its own of an Error; bad_input where JSON was not as expected; else failed
  std::string message;
};

/// Of the exception that is being handled; LibTorch's come without their backtrace unless it is asked for.
Failure current_failure(bool backtrace = false);

}  // namespace entk
