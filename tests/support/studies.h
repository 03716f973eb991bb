// Studies' units taken without a program.
#pragma once

#include "entk/runs/sample_search.h"

namespace entk::testing {

/// What the searches of a study's folder find. @throws RunError with what a run threw
inline SampleSearchResult search_samples(const SampleSearch& search, const std::filesystem::path& study, int jobs = 0) {
  std::filesystem::create_directories(study);
  for (const auto& unit : take_units(search_units(search, study), study, {.jobs = jobs}).units) {
    if (unit.state == RunState::failed) throw RunError(unit.message);
  }
  return read_searches(search, study);
}

}  // namespace entk::testing
