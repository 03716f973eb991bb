#include "entk/base/failure.h"

#include <c10/util/Exception.h>

#include <new>
#include <nlohmann/json.hpp>

namespace entk {

Failure current_failure(bool backtrace) {
  try {
    throw;
  } catch (const Error& e) {
    return {e.code(), e.what()};
  } catch (const c10::Error& e) {
    return {ExitCode::failed, backtrace ? e.what() : e.what_without_backtrace()};
  } catch (const std::bad_alloc&) {
    return {ExitCode::failed, "out of memory"};
  } catch (const nlohmann::json::exception& e) {
    // "[json.exception.type_error.302] (/train/steps) type must be number, but is string"
    const std::string text = e.what();
    const auto behind = text.find("] ");
    return {ExitCode::bad_input, "a JSON value is not as expected: " +
                                     (text[0] == '[' && behind != std::string::npos ? text.substr(behind + 2) : text)};
  } catch (const std::exception& e) {
    return {ExitCode::failed, e.what()};
  } catch (...) {
    return {ExitCode::failed, "an exception that is no std::exception"};
  }
}

}  // namespace entk
