// The resumable pieces of a study (a run, a search, a part), taken side by side.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "entk/runs/run.h"

namespace entk {

/// One piece: taken whole or, after an interrupt, from where it was left. Its result is in the study's folder.
struct Unit {
  std::string name;
  std::function<RunOutcome()> take;     ///< called once, from any thread
  std::optional<RunOutcome> settled{};  ///< how it ended, of one with nothing left to do
  std::int64_t bytes = 0;               ///< that it takes at its peak, beside what the process holds now
  std::string shared{};                 ///< units that share tables stand together, so that these are freed early
};

struct StudyOutcome {
  ExitCode code = ExitCode::ok;  ///< the worst of its units'
  bool interrupted = false;
  std::vector<RunOutcome> units;  ///< in their order; of one that was not reached: RunState::interrupted
};

struct TakeOptions {
  int jobs = 0;  ///< side by side; 0: as many as threads, while memory lasts
  std::function<void(const std::string& shared)> release{};  ///< after the last unit that shares it
};

/// Takes all units that are not settled; their bits do not depend on how many run side by side. One that diverges or
/// fails (what it throws becomes its outcome) does not stop the others; an interrupt stops all.
StudyOutcome take_units(const std::vector<Unit>& units, const TakeOptions& options);

}  // namespace entk
