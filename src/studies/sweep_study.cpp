#include "entk/studies/sweep_study.h"

#include <fmt/format.h>

#include <algorithm>

#include "entk/runs/curves.h"
#include "entk/studies/figure1.h"
#include "entk/runs/runs_study.h"

namespace entk {

namespace {

/// Figure 1 as published, whatever its seeds.
bool is_published(const StudyConfig& study) {
  const auto published = read_study_config(preset("figure1"), "preset figure1");
  const auto resolved = [](const StudyConfig& s) {
    auto json = to_json(read_run_config(s.base, "configuration", s.catalogue));
    for (const char* key : {"seed", "device", "threads", "lambda"}) json.erase(key);
    for (const char* key : {"checkpoint_seconds", "memory_limit_gb", "kernel"}) json["train"].erase(key);
    return json;
  };
  return resolved(study) == resolved(published);
}

/// `name`: the study's, and of its figure's files; `paper_axis`: over log_d(step) as Figure 1 is.
Findings sweep_findings(const std::string& name, bool paper_axis, const RunsSoFar& runs) {
  const auto& [study, plan, curves] = runs;
  const bool published = is_published(study);
  Findings found{.table = figure1_table(study, curves, published)};
  if (std::any_of(curves.begin(), curves.end(), [](const SweepCurves& c) { return c.steps.size() > 1; })) {
    const auto dimension = paper_axis ? std::optional(plan[0].config.data.dimension) : std::nullopt;
    found.figures = {{name, figure1_plot(study, curves, dimension),
                      fmt::format("R3, training loss, test loss{} over {}: {}.",
                                  own_columns(curves).empty() ? "" : " and what else the runs record",
                                  paper_axis ? "log_d(step)" : "the step", band_text(most_seeds(curves)))}};
  }
  if (asks_figure1(study)) found.claims = figure1_claims(plan[0].config, curves, published, name);
  return found;
}

Study sweep(Study study, bool paper_axis) {
  const auto name = study.name;
  return runs_study(std::move(study), [=](const RunsSoFar& runs) { return sweep_findings(name, paper_axis, runs); });
}

}  // namespace

Study figure1_study() {
  return sweep(
      {.name = "figure1",
       .summary = "The paper's Figure 1: f_L + f_Q trained with R3, its weight swept",
       .title = "Figure 1: f_L + f_Q with R3",
       .presets = {{"quick", "figure1-quick"}, {"published", "figure1"}, {"text", "figure1-text"}},
       .stages = {{.name = "figure1",
                   .title = "Figure 1: f_L + f_Q with R3",
                   .source = "Figure 1",
                   .claim = "Every λ3 reaches near zero training loss; without R3 the NTK overfits and the test loss "
                            "stays high, with it "
                            "the QuadNTK learns the high degree part and the test loss falls from 0.50 to 0.14.",
                   .command = {"figure1"},
                   .quick = {"--preset", "quick"},
                   .published = {"--preset", "published"}}}},
      true);
}

Study train_study() {
  return sweep({.name = "train",
                .summary = "Train any configuration; with seeds or a sweep, a study",
                .title = "Runs of entk train"},
               false);
}

}  // namespace entk
