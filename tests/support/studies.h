// Studies' units taken without a program.
#pragma once

#include "entk/runs/sample_search.h"

namespace entk::testing {

/// What the searches over a file of trials find. @throws RunError with what a run threw
inline SampleSearchResult search_samples(const SampleSearch& search, const std::filesystem::path& trials,
                                         int jobs = 0) {
  for (const auto& unit : take_units(search_units(search, trials), {.jobs = jobs}).units) {
    if (unit.state == RunState::failed) throw RunError(unit.message);
  }
  return read_searches(search, trials);
}

}  // namespace entk::testing
