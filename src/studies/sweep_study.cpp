#include "entk/studies/sweep_study.h"

#include <fmt/format.h>

#include <algorithm>

#include "entk/runs/curves.h"
#include "entk/studies/figure1.h"
#include "entk/runs/runs_task.h"

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

class SweepTask : public RunsTask {
 public:
  SweepTask(std::string name, StudyConfig study, const std::string& source)
      : RunsTask(plan_runs(study, source)), name_(std::move(name)), study_(std::move(study)) {}

  nlohmann::json config() const override {
    auto json = to_json(plan()[0].config);
    const auto own = to_json(study_);
    for (const char* key : {"seeds", "sweep"}) {
      if (own.contains(key)) json[key] = own[key];
    }
    return json;
  }
  std::vector<std::string> may_change() const override {
    return {"seeds",
            "seed",
            "sweep",
            "train.steps",
            "train.stop_when_settled",
            "train.checkpoint_seconds",
            "train.memory_limit_gb",
            "data.file"};
  }
  Findings findings(const std::filesystem::path& folder) const override {
    const auto curves = read_curves(plan(), folder);
    const bool published = is_published(study_);
    Findings found{.table = figure1_table(study_, curves, published)};
    if (std::any_of(curves.begin(), curves.end(), [](const SweepCurves& c) { return c.steps.size() > 1; })) {
      const bool paper_axis = name_ == "figure1";
      const auto dimension = paper_axis ? std::optional(plan()[0].config.data.dimension) : std::nullopt;
      found.figures = {{name_, figure1_plot(study_, curves, dimension),
                        fmt::format("R3, training loss, test loss{} over {}: {}.",
                                    own_columns(curves).empty() ? "" : " and what the runs record beside",
                                    paper_axis ? "log_d(step)" : "the step", band_text(most_seeds(curves)))}};
    }
    if (asks_figure1(study_)) found.claims = figure1_claims(plan()[0].config, curves, published, name_);
    return found;
  }

 private:
  std::string name_;  ///< the study's, and of its figure's files
  StudyConfig study_;
};

Study sweep(std::string name, std::string summary, std::string title) {
  auto keys = run_config_keys();
  keys.push_back({"seeds", "[]", "as the option of this name: [1, 11]"});
  keys.push_back({"sweep", "{}", "as the option of this name: {\"lambda.3\": [0, 10]}"});
  return {.name = name,
          .summary = std::move(summary),
          .title = std::move(title),
          .standard = to_json(RunConfig{}),
          .keys = std::move(keys),
          .read = [study = name](const nlohmann::json& json, const std::string& source,
                                 const Catalogue& catalogue) -> std::unique_ptr<Task> {
            return std::make_unique<SweepTask>(study, read_study_config(json, source, catalogue), source);
          },
          .sweeps = true};
}

}  // namespace

Study figure1_study() {
  auto study = sweep("figure1", "The paper's Figure 1: f_L + f_Q trained with R3, its weight swept",
                     "Figure 1: f_L + f_Q with R3");
  study.presets = {{"quick", "figure1-quick"}, {"published", "figure1"}, {"text", "figure1-text"}};
  study.stages = {{.name = "figure1",
                   .title = "Figure 1: f_L + f_Q with R3",
                   .source = "Figure 1",
                   .claim = "Every λ3 reaches near zero training loss; without R3 the NTK overfits and the test loss "
                            "stays high, with it "
                            "the QuadNTK learns the high degree part and the test loss falls from 0.50 to 0.14.",
                   .command = {"figure1"},
                   .quick = {"--preset", "quick"},
                   .published = {"--preset", "published"}}};
  return study;
}

Study train_study() {
  return sweep("train", "Train any configuration; with seeds or a sweep, a study", "Runs of entk train");
}

}  // namespace entk
