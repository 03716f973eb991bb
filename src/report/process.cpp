#include "entk/report/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>

#include "entk/base/error.h"

namespace entk {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t output_cap = 65536;

// The process groups that run_program waits for.
std::mutex running_mutex;
std::set<pid_t> running;

struct Pipe {
  int read_end = -1, write_end = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      throw RunError(std::string("cannot make a pipe: ") + std::strerror(errno));
    }
    read_end = ends[0], write_end = ends[1];
  }
  ~Pipe() {
    ::close(read_end);
    close_write_end();
  }
  void close_write_end() {
    if (write_end >= 0) ::close(write_end);
    write_end = -1;
  }
};

// 0, or the error number with which the program could not be started.
int spawn(const std::vector<std::string>& arguments, const std::filesystem::path& folder, int output, pid_t& pid) {
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, 1);
  posix_spawn_file_actions_adddup2(&actions, output, 2);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());

  // The child starts with no blocked and no ignored signals, whatever this process does with them.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  const int error = posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// Reads until the other end closes (true) or the deadline passes (false).
bool read_until(int descriptor, Clock::time_point deadline, std::string& output) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    pollfd ready{descriptor, POLLIN, 0};
    const int count = ::poll(&ready, 1, static_cast<int>(std::min<long long>(left.count(), 1000)));
    if (count <= 0) continue;  // a slice of time, or a signal
    char buffer[4096];
    const ssize_t size = ::read(descriptor, buffer, sizeof buffer);
    if (size == 0) return true;
    if (size > 0 && output.size() < output_cap) {
      output.append(buffer, std::min<std::size_t>(size, output_cap - output.size()));
    }
  }
}

// True once the process has ended; false when the deadline passes first.
bool wait_until(pid_t pid, Clock::time_point deadline, int& status) {
  for (;;) {
    const pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended == pid) return true;
    if (ended < 0 && errno != EINTR) return true;  // collected by someone else's handler
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace

ProcessResult run_program(const std::vector<std::string>& arguments, const std::filesystem::path& folder,
                          std::chrono::milliseconds limit) {
  ProcessResult result;
  Pipe pipe;
  pid_t pid = 0;
  int error = 0;
  {
    const std::lock_guard lock(running_mutex);
    error = spawn(arguments, folder, pipe.write_end, pid);
    if (error == 0) running.insert(pid);
  }
  if (error == ENOENT || error == EACCES || error == ENOTDIR) {
    result.found = false;
    return result;
  }
  if (error != 0) throw RunError("cannot start " + arguments[0] + ": " + std::strerror(error));
  pipe.close_write_end();

  const auto deadline = Clock::now() + limit;
  int status = 0;
  const bool ended = read_until(pipe.read_end, deadline, result.output) && wait_until(pid, deadline, status);
  if (!ended) {
    result.timed_out = true;
    ::kill(-pid, SIGKILL);
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  }
  {
    const std::lock_guard lock(running_mutex);
    running.erase(pid);
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

void end_programs() {
  running_mutex.lock();  // for good
  for (const pid_t pid : running) ::kill(-pid, SIGKILL);
}

int run_watched(const std::vector<std::string>& arguments, const std::filesystem::path& folder,
                const ProcessWatch& watch) {
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  Pipe output, failure;  // the second closes when the program runs, or brings the reason why not
  sigset_t none;
  sigemptyset(&none);

  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw RunError("cannot start " + arguments[0] + ": " + std::strerror(errno));
  if (pid == 0) {  // from here on only what is safe after a fork
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(127);
    ::setpgid(0, 0);
    for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    const int input = ::open("/dev/null", O_RDONLY);
    if (input >= 0 && ::dup2(input, 0) == 0 && ::dup2(output.write_end, 1) == 1 && ::dup2(output.write_end, 2) == 2 &&
        ::chdir(folder.c_str()) == 0) {
      ::execvp(argv[0], argv.data());
    }
    const int error = errno;
    [[maybe_unused]] const auto written = ::write(failure.write_end, &error, sizeof error);
    ::_exit(127);
  }
  output.close_write_end();
  failure.close_write_end();

  int passed_on = 0, status = 0;
  const auto listen = [&](int milliseconds) {
    pollfd ready{output.read_end, POLLIN, 0};
    if (::poll(&ready, 1, milliseconds) <= 0) return true;
    char buffer[4096];
    const ssize_t size = ::read(output.read_end, buffer, sizeof buffer);
    if (size > 0 && watch.output) watch.output({buffer, static_cast<std::size_t>(size)});
    return size != 0;
  };
  // What it started may keep the pipe open after its end: its own end is what counts.
  bool open = true;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (open) {
      open = listen(50);
    } else {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    if (const int signal = watch.signal ? watch.signal() : 0; signal != 0 && passed_on == 0) {
      ::kill(-pid, signal);
      passed_on = signal;
    }
  }
  while (open) {
    pollfd ready{output.read_end, POLLIN, 0};
    if (::poll(&ready, 1, 0) <= 0) break;
    open = listen(0);
  }
  int error = 0;
  if (::read(failure.read_end, &error, sizeof error) == sizeof error) {
    throw RunError("cannot start " + arguments[0] + ": " + std::strerror(error));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string shell_word(const std::string& word) {
  if (!word.empty() && word.find_first_of(" \t\n\"'\\$`;&|<>(){}*?[]#~!") == std::string::npos) return word;
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace entk
