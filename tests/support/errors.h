// What a call refuses, as text.
#pragma once

#include <string>

#include "entk/base/error.h"

namespace entk::testing {

/// The message of the InputError that a call throws; "nothing thrown" without one.
template <class F>
std::string error_of(F&& call) {
  try {
    call();
  } catch (const InputError& e) {
    return e.what();
  }
  return "nothing thrown";
}

}  // namespace entk::testing
