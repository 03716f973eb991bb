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
    const std::string text = backtrace ? e.what() : e.what_without_backtrace();
    // After "[enforce fail at alloc_cpu.cpp:127] err == 0. ".
    const std::string allocator = "DefaultCPUAllocator: can't allocate memory: you";
    const auto at = text.find(allocator);
    if (at == std::string::npos) return {ExitCode::failed, text};
    return {ExitCode::failed, "out of memory: LibTorch" + text.substr(at + allocator.size())};
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
