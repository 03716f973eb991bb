// Calls of what a user wrote.
#pragma once

#include <c10/util/Exception.h>

#include <string>

#include "entk/base/error.h"

namespace entk {

/// f(). @throws InputError with `what` in front where LibTorch refuses what f does.
template <class F>
auto of_user(const std::string& what, F&& f) {
  try {
    return f();
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::AcceleratorError&) {
    throw;
  } catch (const c10::Error& e) {
    const std::string text = e.what_without_backtrace();
    throw InputError(what + ": " + text.substr(0, text.find('\n')));
  }
}

}  // namespace entk
