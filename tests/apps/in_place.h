// The program's commands in a child of the test: LibTorch is loaded already, which most of a command's time goes into.
#pragma once

#include <ATen/Parallel.h>
#include <fcntl.h>

#include "entk/program/program.h"
#include "tests/apps/program.h"

namespace entk::testing {

/// entk() for what ends before it computes: a refusal, --help, --print-config. The child has none of the threads that
/// this process may have begun, and the loops of LibTorch would wait for them.
inline ProcessResult entk_in_place(const Words& words, const std::filesystem::path& folder) {
  auto all = Words{"entk"} + words;
  std::vector<char*> argv;
  for (auto& word : all) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::FILE* const said = std::tmpfile();
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    const int input = ::open("/dev/null", O_RDONLY), output = ::fileno(said);
    if (::chdir(folder.c_str()) != 0 || ::dup2(input, 0) < 0 || ::dup2(output, 1) < 0 || ::dup2(output, 2) < 0)
      ::_exit(99);
    set_threads(1), at::set_num_threads(1);
    const int code = entk::run_program(static_cast<int>(all.size()), argv.data());
    std::fflush(nullptr);
    ::_exit(code);
  }
  ProcessResult result;
  result.status = wait_for(child);
  std::rewind(said);
  char buffer[4096];
  for (std::size_t size; (size = std::fread(buffer, 1, sizeof buffer, said)) > 0;) result.output.append(buffer, size);
  std::fclose(said);
  return result;
}

}  // namespace entk::testing
