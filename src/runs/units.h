// The resumable pieces of a study (a run, a search, a part), taken side by side, by one process or by several.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "entk/runs/run.h"

namespace entk {

/// One piece: taken whole or, after an interrupt, from where it was left. Its result is in the study's folder.
struct Unit {
  std::string name;
  /// Called once, from any thread, with the unit's own folder, runs/<name> of the study's, which is held meanwhile.
  std::function<RunOutcome(const RunFolder& own)> take;
  std::optional<RunOutcome> settled{};  ///< how it ended, of one with nothing left to do
  std::int64_t bytes = 0;               ///< that it takes at its peak, beside what the process holds now
  std::string shared{};                 ///< units that share tables stand together, so that these are freed early
  std::string cost{};  ///< units of one cost take as long as each other, told by some steps; empty: nothing tells it
};

/// What units are made for.
struct TakeContext {
  const RunFolder& folder;
  std::string command;  ///< as it was typed
  RunHooks hooks{};
  std::function<void(const std::string&)> line{};  ///< what a unit has to say; from any thread
  bool take = true;  ///< false: which are settled is all that is asked; data are not read and nothing is written
};

/// A piece that leaves one JSON file, and is settled where that is there. `make` gives nothing where it was
/// interrupted.
Unit part_unit(std::string name, const std::filesystem::path& file,
               std::function<std::optional<nlohmann::json>()> make);

struct StudyOutcome {
  ExitCode code = ExitCode::ok;  ///< the worst of its units'
  bool interrupted = false;
  /// In their order; of one that was not reached: RunState::interrupted; of one that another process has:
  /// RunState::running.
  std::vector<RunOutcome> units;
};

struct TakeOptions {
  int jobs = 0;  ///< side by side; 0: as many as threads, while memory lasts
  std::function<void(const std::string& shared)> release{};  ///< after the last unit that shares it
  Locking locking = Locking::required;
  std::function<void(const std::string& text)> no_lock{};  ///< told where a folder cannot be held; from any thread
};

/// How many of these, none of them settled, are taken side by side: options.jobs, else as many as threads, while memory
/// lasts.
int jobs_for(const std::vector<const Unit*>& pending, const TakeOptions& options);

/// "3 of 24 are not done: a, b, c", or nothing.
std::string missing_text(const std::vector<Unit>& units);

/// Where a unit's own folder is.
std::filesystem::path unit_path(const std::filesystem::path& study, const std::string& name);

/// Takes all units that are not settled; their bits do not depend on how many run side by side. One that diverges or
/// fails (what it throws becomes its outcome), or that another process has, does not stop the others; an interrupt
/// stops all.
StudyOutcome take_units(const std::vector<Unit>& units, const std::filesystem::path& study, const TakeOptions& options);

}  // namespace entk
