// How long a study would take.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "entk/runs/study.h"

namespace entk {

struct TimeEstimate {
  double seconds = 0;    ///< of the units below, side by side, to their last step; a criterion may end them earlier
  int units = 0;         ///< that this is of
  int jobs = 0;          ///< side by side
  int unknown = 0;       ///< units besides, which a few steps do not tell: searches, parts that are no training runs
  bool stopped = false;  ///< by a signal, before it was known
};

/// From the first steps of as many units of each Unit::cost as would run side by side, taken so in `folder`, which is
/// of no further use. Those named in `settled` are left out.
TimeEstimate estimate_time(Task& task, const RunFolder& folder, const std::set<std::string>& settled,
                           const std::function<int()>& interrupted);

}  // namespace entk
