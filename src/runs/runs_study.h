// A study of training runs: the keys, seeds and sweeps of `entk train`, and findings of its own from their curves.
#pragma once

#include "entk/runs/runs_task.h"

namespace entk {

/// The runs of a study, and what those that are finished recorded.
struct RunsSoFar {
  const StudyConfig& study;
  const std::vector<PlannedRun>& plan;
  std::vector<SweepCurves> curves;
};

/// `study` has name, summary, title, presets and, where it likes, stages; the rest is filled in.
///
///   own.study(entk::runs_study({.name = "widths", .summary = "…", .title = "…", .presets = {{"quick", {…}}}},
///                              [](const entk::RunsSoFar& runs) { return entk::Findings{.table = …}; }));
Study runs_study(Study study, std::function<Findings(const RunsSoFar&)> findings);

}  // namespace entk
