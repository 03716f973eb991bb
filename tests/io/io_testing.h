// What the tests of io share: messages of exceptions, child processes, Python, archives made by
// hand.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "entk/base/error.h"
#include "entk/io/pickle_opcodes.h"
#include "entk/io/pt_file.h"
#include "entk/io/zip_writer.h"
#include "tests/support/testing.h"

namespace entk::testing {

/// The message of the exception of type E that the call throws; "nothing thrown" if it returns.
template <class E>
std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing thrown";
}

inline std::string input_error(const std::function<void()>& call) { return message_of<InputError>(call); }
inline std::string save_error(const std::function<void()>& call) { return message_of<SaveError>(call); }

inline ::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "no '" << part << "' in: " << text;
}

/// Runs a function in a child process; its result is the exit status. Negative: the signal that
/// ended it.
inline int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    int result = 99;
    try {
      result = body();
    } catch (...) {}
    ::_exit(result);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// What a Python program prints; ends with "exit N" if it fails.
inline std::string python(const std::string& program, const std::filesystem::path& folder) {
  write_text(folder / "program.py", program);
  const std::string command = "cd '" + folder.string() + "' && '" ENTK_PYTHON "' program.py 2>&1";
  FILE* pipe = ::popen(command.c_str(), "r");
  std::string output;
  char buffer[4096];
  while (const std::size_t count = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, count);
  const int status = ::pclose(pipe);
  return status == 0 ? output : output + "exit " + std::to_string(status);
}

inline bool have_python() { return std::string(ENTK_PYTHON) != ""; }

/// Pickles by hand.
struct Pickle {
  std::string bytes = "\x80\x02";

  template <class T>
  static std::string raw(T value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
  }

  Pickle& op(pickle::Opcode code, const std::string& argument = "") {
    bytes += static_cast<char>(code);
    bytes += argument;
    return *this;
  }
  Pickle& text(const std::string& value) {
    return op(pickle::BINUNICODE, raw(static_cast<std::uint32_t>(value.size())) + value);
  }
  Pickle& integer(std::int64_t value) { return op(pickle::LONG1, "\x08" + raw(value)); }
  Pickle& integers(const std::vector<std::int64_t>& values) {
    op(pickle::MARK);
    for (const std::int64_t value : values) integer(value);
    return op(pickle::TUPLE);
  }
  Pickle& global(const std::string& module, const std::string& name) {
    return op(pickle::GLOBAL, module + "\n" + name + "\n");
  }
  Pickle& storage(const std::string& type, const std::string& key, std::int64_t size) {
    return op(pickle::MARK)
        .text("storage")
        .global("torch", type)
        .text(key)
        .text("cpu")
        .integer(size)
        .op(pickle::TUPLE)
        .op(pickle::BINPERSID);
  }
  /// A float tensor in storage 0.
  Pickle& tensor(std::int64_t storage_size, std::int64_t offset, const std::vector<std::int64_t>& sizes,
                 const std::vector<std::int64_t>& strides) {
    return global("torch._utils", "_rebuild_tensor_v2")
        .op(pickle::MARK)
        .storage("FloatStorage", "0", storage_size)
        .integer(offset)
        .integers(sizes)
        .integers(strides)
        .op(pickle::NEWFALSE)
        .global("collections", "OrderedDict")
        .op(pickle::EMPTY_TUPLE)
        .op(pickle::REDUCE)
        .op(pickle::TUPLE)
        .op(pickle::REDUCE);
  }
  Pickle& begin_dict() { return op(pickle::EMPTY_DICT).op(pickle::MARK); }
  Pickle& end_dict() { return op(pickle::SETITEMS).op(pickle::STOP); }
};

/// An archive with a pickle and storage 0, whose check sums are right.
inline std::string archive(const std::string& pickle, const std::string& storage = std::string(24, '\0')) {
  ZipWriter zip;
  zip.add("archive/data.pkl", pickle);
  zip.add("archive/data/0", storage);
  return std::move(zip).finish();
}

/// The same keys, types, shapes and bits.
inline bool same(const TensorDict& a, const TensorDict& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) {
           return x.first == y.first && identical(x.second, y.second);
         });
}

}  // namespace entk::testing
