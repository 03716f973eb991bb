#include "entk/runs/runs_study.h"

#include <algorithm>

#include "entk/config/config_layers.h"

namespace entk {

namespace {

class SweepTask : public RunsTask {
 public:
  SweepTask(StudyConfig study, const std::string& source, std::function<Findings(const RunsSoFar&)> findings)
      : RunsTask(plan_runs(study, source)), study_(std::move(study)), findings_(std::move(findings)) {}

  nlohmann::json config() const override {
    auto json = to_json(plan()[0].config);
    const auto own = to_json(study_);
    for (const char* key : {"seeds", "sweep"}) {
      if (own.contains(key)) json[key] = own[key];
    }
    // The rank d + 1 is each run's own where d is swept: 0 stands for it.
    const auto rank = [](const PlannedRun& run) { return run.config.projector.rank; };
    const bool differs =
        std::any_of(plan().begin(), plan().end(), [&](const PlannedRun& run) { return rank(run) != rank(plan()[0]); });
    const bool swept = std::any_of(study_.sweep.begin(), study_.sweep.end(),
                                   [](const SweepAxis& axis) { return axis.path == "projector.rank"; });
    if (differs && !swept) json["projector"]["rank"] = 0;
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
    return findings_({study_, plan(), read_curves(plan(), folder)});
  }

 private:
  StudyConfig study_;
  std::function<Findings(const RunsSoFar&)> findings_;
};

}  // namespace

Study runs_study(Study study, std::function<Findings(const RunsSoFar&)> findings) {
  study.standard = to_json(RunConfig{});
  study.keys = run_config_keys();
  study.keys.push_back({"seeds", "[]", "as the option of this name: [1, 11]"});
  study.keys.push_back({"sweep", "{}", "as the option of this name: {\"lambda.3\": [0, 10]}"});
  study.read = [findings = std::move(findings)](const nlohmann::json& json, const std::string& source,
                                                const Catalogue& catalogue) -> std::unique_ptr<Task> {
    return std::make_unique<SweepTask>(read_study_config(json, source, catalogue), source, findings);
  };
  study.sweeps = true;
  return study;
}

}  // namespace entk
