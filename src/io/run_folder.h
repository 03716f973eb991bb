// A run's folder: made new, held by one process at a time, written a whole file at a time.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "entk/io/descriptor.h"

namespace entk {

enum class RunState { running, done, failed, interrupted, diverged };

/// What status.json says.
struct RunStatus {
  RunState state;
  std::int64_t step;
  std::string message;  ///< the last error, or what there is to say
  std::string time;     ///< UTC
  std::string host{};   ///< of the process that wrote it, as its id
  std::int64_t pid = 0;
  std::string job{};  ///< Slurm's number of the job, as 17 or 17_3 of an array; empty where there is none
};

/// "running" and so on. @throws InputError for another name.
std::string to_string(RunState state);
RunState run_state(const std::string& name);

/// What to do on a file system that has no locks (Lustre without -o flock, some NFS).
enum class Locking { required, where_supported };

/// A folder that this process holds. While it lives no other process can hold the folder; the
/// kernel ends the hold when the process ends, however it ends.
class RunFolder {
 public:
  /// Makes the folder and those it is in. One that is there and holds nothing, as a process leaves that was killed
  /// before its first file, is taken. @throws InputError if anything is there already, or if it cannot be made or
  /// written.
  static RunFolder create(const std::filesystem::path& path);
  /// Makes runs/<command>-<UTC time>, with -2, -3 … behind it where that is taken.
  static RunFolder create_default(const std::string& command);
  /// Holds a folder that is there, to resume its run; removes temporary files of a killed process.
  /// @throws InputError if it is not there or cannot be written; HeldError if another process has it.
  static RunFolder open(const std::filesystem::path& path);
  /// Holds a folder, made new where it is not there: that of a piece of a study.
  static RunFolder create_or_open(const std::filesystem::path& path, Locking locking = Locking::required);
  /// A study's folder, whose pieces are held one by one: not held. @throws InputError if it is not there.
  static RunFolder shared(const std::filesystem::path& path);

  /// Whether no other process can have it.
  bool is_held() const { return static_cast<bool>(lock_); }

  const std::filesystem::path& path() const { return path_; }
  /// The path of a file in the folder. @throws InputError for a name that is not a plain file name.
  std::filesystem::path file(const std::string& name) const;

  /// Write a file whole or not at all. @throws SaveError, and what dump_json throws
  void write_json(const std::string& name, const nlohmann::json& value) const;
  void write_text(const std::string& name, std::string_view text) const;
  void set_status(RunState state, std::int64_t step, const std::string& message = "") const;

 private:
  RunFolder(std::filesystem::path path, Descriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::filesystem::path path_;
  Descriptor lock_;
};

/// For a process that is about to leave: writes `interrupted` into status.json of every folder whose last status here
/// is `running`, a study's before those of its runs, and returns them. Never throws: a status that cannot be written
/// stays.
std::vector<std::filesystem::path> mark_interrupted();

/// Whether a process has the folder. False where it is not there, or the file system has no locks.
bool held_now(const std::filesystem::path& folder);

/// status.json of a run's folder. @throws InputError
RunStatus read_status(const std::filesystem::path& folder);

/// Makes a folder unless it is there. @throws InputError if it cannot be made, or something else is
/// there.
void make_folder(const std::filesystem::path& path);

/// The time in UTC: 20250131T235959Z.
std::string utc_stamp();

/// The name, if it can be that of a run in a sweep: at most 200 letters, digits, and . _ = , + -,
/// not beginning with a point. @throws InputError
const std::string& checked_name(const std::string& name);

}  // namespace entk
