// The program's commands in children of the test: LibTorch is loaded already, which most of a command's time goes into.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>

#include "entk/program/program.h"
#include "tests/apps/program.h"

namespace entk::testing {

/// A child from before the first test. It has neither threads, for which the loops of a copy would wait, nor locks, and
/// each command is taken by a copy of it.
class Nursery : public ::testing::Environment {
 public:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    std::fflush(nullptr);
    child_ = ::fork();
    if (child_ == 0) {
      ::close(ends[0]);
      serve(ends[1]);
    }
    ::close(ends[1]);
    socket_ = ends[0];
  }
  void TearDown() override {
    ::close(socket_);
    wait_for(child_);
  }

  /// Exit status of a command, or minus the signal that ended it; its words end up in a file.
  int take(const std::filesystem::path& output, const std::filesystem::path& folder, const Words& words) {
    std::string message;
    for (const auto& word : Words{output, folder} + words) message += word + '\0';
    int status = -SIGKILL;
    EXPECT_EQ(::send(socket_, message.data(), message.size(), MSG_NOSIGNAL), static_cast<ssize_t>(message.size()));
    EXPECT_EQ(::recv(socket_, &status, sizeof status, 0), static_cast<ssize_t>(sizeof status));
    return status;
  }

 private:
  [[noreturn]] static void serve(int socket) {
    std::string message(1 << 16, '\0');
    for (ssize_t size; (size = ::recv(socket, message.data(), message.size(), 0)) > 0;) {
      std::vector<char*> words;
      for (char* word = message.data(); word < message.data() + size; word += std::strlen(word) + 1)
        words.push_back(word);
      const pid_t child = ::fork();
      if (child == 0) {
        ::close(socket);
        command(words);
      }
      const int status = wait_for(child);
      if (::send(socket, &status, sizeof status, MSG_NOSIGNAL) < 0) break;
    }
    ::_exit(0);
  }
  /// As in apps/entk.cpp.
  [[noreturn]] static void command(std::vector<char*> words) {
    ::alarm(120);
    const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int output = ::open(words[0], O_WRONLY | O_APPEND | O_CLOEXEC);
    if (::chdir(words[1]) != 0 || ::dup2(input, 0) < 0 || ::dup2(output, 1) < 0 || ::dup2(output, 2) < 0) ::_exit(99);
    words.erase(words.begin(), words.begin() + 2);
    const auto count = static_cast<int>(words.size());
    words.push_back(nullptr);
    const int code = entk::run_program(count, words.data());
    std::fflush(nullptr);
    ::_exit(code);
  }

  pid_t child_ = -1;
  int socket_ = -1;
};

inline Nursery& nursery =
    static_cast<Nursery&>(*::testing::AddGlobalTestEnvironment(new Nursery));  // NOLINT: GoogleTest's own now

/// entk() in an environment as it was before the first test, for commands that begin no other of entk.
inline ProcessResult entk_in_place(const Words& words, const std::filesystem::path& folder) {
  const TemporaryFolder scratch;
  write_text(scratch / "output", "");
  ProcessResult result;
  result.status = nursery.take(scratch / "output", folder, Words{"entk"} + words);
  result.output = read_text(scratch / "output");
  return result;
}

}  // namespace entk::testing
