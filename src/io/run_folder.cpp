#include "entk/io/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <map>
#include <mutex>
#include <utility>

#include "entk/base/error.h"
#include "entk/io/atomic_file.h"
#include "entk/io/json_reader.h"
#include "entk/io/strict_json.h"
#include "entk/io/text.h"

namespace entk {

namespace {

namespace fs = std::filesystem;

constexpr char lock_name[] = ".lock";
constexpr char status_name[] = "status.json";
constexpr std::array state_names = {"running", "done", "failed", "interrupted", "diverged"};

[[noreturn]] void refuse(const fs::path& path, const std::string& why) {
  throw InputError("folder " + path.string() + ": " + why);
}

/// Without a slash at the end, which would hide the parent.
fs::path tidy(const fs::path& path) {
  if (path.empty() || path.native().find('\0') != std::string::npos) {
    throw InputError("expected the name of a folder, got " + in_quotes(path.native()));
  }
  const fs::path normal = path.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

/// 0, or errno.
int try_lock(const Descriptor& file) {
  int failed = -1;
  do {
    failed = ::flock(file.get(), LOCK_EX | LOCK_NB);
  } while (failed != 0 && errno == EINTR);
  return failed == 0 ? 0 : errno;
}

bool has_no_locks(int error) { return error == ENOSYS || error == EOPNOTSUPP || error == ENOLCK; }

/// " (process 1234 on node7, job 55_3)", as far as the folder's status says so.
std::string holder_of(const fs::path& path) {
  try {
    const auto status = read_status(path);
    if (status.state != RunState::running || status.pid == 0) return "";
    return fmt::format(" (process {} on {}{})", status.pid, status.host,
                       status.job.empty() ? "" : ", job " + status.job);
  } catch (const Error&) {
    return "";
  }
}

/// Holds the folder, or throws at once. Empty where the file system has no locks and none is required.
Descriptor lock(const fs::path& path, Locking locking = Locking::required) {
  Descriptor file = open_file(path / lock_name, O_RDWR | O_CREAT);
  if (!file) refuse(path, "it cannot be written: " + error_text(errno));
  const int error = try_lock(file);
  if (error == 0) return file;
  if (error == EWOULDBLOCK) {
    throw HeldError("folder " + path.string() + ": another process is using it" + holder_of(path));
  }
  if (has_no_locks(error) && locking == Locking::where_supported) return Descriptor();
  refuse(path, "it cannot be locked: " + error_text(error));
}

/// 0, or errno.
int make(const fs::path& path) {
  if (::mkdir(path.c_str(), 0777) != 0) return errno;
  sync_folder(path.parent_path());
  return 0;
}

[[noreturn]] void refuse_new(const fs::path& path, int error) {
  if (error == EEXIST) refuse(path, "it exists already; choose another --out, or go on with --resume");
  refuse(path, "it cannot be made: " + error_text(error));
}

/// The folders whose last status is `running`, with their steps.
std::mutex running_mutex;
std::map<fs::path, std::int64_t> running_folders;

std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

/// Slurm's number of this job, as its commands take it.
std::string job_name() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  const auto array = variable("SLURM_ARRAY_JOB_ID");
  return array.empty() ? variable("SLURM_JOB_ID") : array + "_" + variable("SLURM_ARRAY_TASK_ID");
}

void write_status(const fs::path& folder, RunState state, std::int64_t step, const std::string& message) {
  write_file_atomically(folder / status_name, dump_json({{"state", to_string(state)},
                                                         {"step", step},
                                                         {"message", message},
                                                         {"time", utc_stamp()},
                                                         {"host", host_name()},
                                                         {"pid", ::getpid()},
                                                         {"job", job_name()}}));
}

/// What a killed process leaves.
void remove_temporary(const fs::path& path) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    if (is_temporary_name(entry.path().filename().string())) fs::remove_all(entry.path(), error);
  }
}

/// Whether a folder holds nothing: what a process leaves that was killed before its first file.
bool is_unused(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(path, error))) return false;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    const auto name = entry.path().filename().string();
    if (name != lock_name && !is_temporary_name(name)) return false;
  }
  return !error;
}

}  // namespace

std::string to_string(RunState state) { return state_names.at(static_cast<std::size_t>(state)); }

RunState run_state(const std::string& name) {
  const auto found = std::find(state_names.begin(), state_names.end(), name);
  if (found == state_names.end()) throw InputError("expected the state of a run, got " + in_quotes(name));
  return static_cast<RunState>(found - state_names.begin());
}

RunFolder RunFolder::create(const fs::path& asked) {
  const fs::path path = tidy(asked);
  if (const fs::path parent = path.parent_path(); !parent.empty()) {
    std::error_code error;
    fs::create_directories(parent, error);
    if (error) refuse(parent, "it cannot be made: " + error.message());
  }
  if (const int code = make(path); code != 0) {
    if (code != EEXIST || !is_unused(path)) refuse_new(path, code);
    auto found = open(path);
    if (!is_unused(path)) refuse_new(path, code);  // another process was here meanwhile
    return found;
  }
  return {path, lock(path)};
}

RunFolder RunFolder::create_default(const std::string& command) {
  make_folder("runs");
  const std::string name = checked_name(command + "-" + utc_stamp());
  for (int count = 1;; ++count) {
    const fs::path path = fs::path("runs") / (count == 1 ? name : name + "-" + std::to_string(count));
    const int error = make(path);
    if (error == 0) return {path, lock(path)};
    if (error != EEXIST) refuse_new(path, error);
  }
}

RunFolder RunFolder::open(const fs::path& asked) {
  const fs::path path = tidy(asked);
  std::error_code error;
  if (!fs::is_directory(path, error)) refuse(path, "there is no such folder");
  Descriptor held = lock(path);
  remove_temporary(path);
  return {path, std::move(held)};
}

RunFolder RunFolder::create_or_open(const fs::path& asked, Locking locking) {
  const fs::path path = tidy(asked);
  make_folder(path.parent_path());
  make_folder(path);
  Descriptor held = lock(path, locking);
  remove_temporary(path);
  return {path, std::move(held)};
}

RunFolder RunFolder::shared(const fs::path& asked) {
  const fs::path path = tidy(asked);
  std::error_code error;
  if (!fs::is_directory(path, error)) refuse(path, "there is no such folder");
  return {path, Descriptor()};
}

bool held_now(const fs::path& folder) {
  const Descriptor file = open_file(folder / lock_name, O_RDWR);
  return file && try_lock(file) == EWOULDBLOCK;
}

fs::path RunFolder::file(const std::string& name) const {
  const bool printable = std::all_of(name.begin(), name.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  if (name.empty() || name.size() > 255 || name == "." || name == ".." || !printable ||
      name.find('/') != std::string::npos) {
    throw InputError("expected a plain file name, got " + in_quotes(name));
  }
  return path_ / name;
}

void RunFolder::write_json(const std::string& name, const nlohmann::json& value) const {
  write_text(name, dump_json(value));
}

void RunFolder::write_text(const std::string& name, std::string_view text) const {
  write_file_atomically(file(name), text);
}

void RunFolder::set_status(RunState state, std::int64_t step, const std::string& message) const {
  {
    const std::lock_guard lock(running_mutex);
    if (state == RunState::running) {
      running_folders[path_] = step;
    } else {
      running_folders.erase(path_);
    }
  }
  write_status(path_, state, step, message);
}

std::vector<fs::path> mark_interrupted() {
  std::map<fs::path, std::int64_t> running;
  {
    const std::lock_guard lock(running_mutex);
    running = running_folders;
  }
  std::vector<fs::path> marked;
  for (const auto& [path, step] : running) {
    marked.push_back(path);
    try {
      write_status(path, RunState::interrupted, step, "stopped where there was nothing to save");
    } catch (const SaveError&) {
      // Nobody is left to tell.
    }
  }
  return marked;
}

RunStatus read_status(const fs::path& folder) {
  const fs::path path = folder / status_name;
  const JsonReader reader(load_json(path), path.string());
  const std::vector<std::string> names(state_names.begin(), state_names.end());
  RunStatus status{run_state(reader.get<std::string>("state", {.one_of = names})),
                   reader.get<std::int64_t>("step"),
                   reader.get<std::string>("message"),
                   reader.get<std::string>("time"),
                   reader.get_or<std::string>("host", ""),
                   reader.get_or<std::int64_t>("pid", 0),
                   reader.get_or<std::string>("job", "")};
  reader.finish();
  return status;
}

void make_folder(const fs::path& asked) {
  const fs::path path = tidy(asked);
  std::error_code ignored;
  const int error = make(path);
  if (error == 0 || (error == EEXIST && fs::is_directory(path, ignored))) return;
  if (error == EEXIST) refuse(path, "something that is not a folder has this name");
  refuse_new(path, error);
}

std::string utc_stamp() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts)};
}

const std::string& checked_name(const std::string& name) {
  constexpr char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=,+-";
  if (name.size() > 200) {
    throw InputError(
        fmt::format("expected a run's name of at most 200 letters, got {} (the swept keys and values make it): {}",
                    name.size(), in_quotes(name)));
  }
  if (name.empty() || name[0] == '.' || name.find_first_not_of(allowed) != std::string::npos) {
    throw InputError(
        "expected a run's name of letters, digits and . _ = , + -, not beginning with a point, "
        "got " +
        in_quotes(name));
  }
  return name;
}

}  // namespace entk
