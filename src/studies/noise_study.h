// `entk r1-noise`: does the noise of (21) regularise R1, as section 5 of the paper supposes? And is R3's
// rank d, as in the authors' runs, worse than n_1 = d + 1?
#pragma once

#include "entk/runs/runs_task.h"

namespace entk {

struct NoiseStudyConfig {
  nlohmann::json run = nlohmann::json::object();  ///< a run's configuration; rank d + 1
  std::vector<std::uint64_t> seeds = {1};
  std::vector<double> noise_variances = {0};   ///< σ² of (21)
  std::vector<double> r1_weights = {0};        ///< λ1, on the run's projector
  std::vector<std::int64_t> ranks;             ///< of R3, by the features' projector, without noise and R1
  Catalogue catalogue = built_in_catalogue();  ///< of names; no key
};

template <class V>
void describe(V& v, NoiseStudyConfig& c) {
  v.value("seeds", c.seeds, {.nonempty = true, .distinct = true}, "one run per seed");
  v.value("noise_variances", c.noise_variances, {.at_least = 0, .nonempty = true, .distinct = true}, "sigma^2 of (21)");
  v.value("r1_weights", c.r1_weights, {.at_least = 0, .nonempty = true, .distinct = true}, "lambda_1");
  v.value("ranks", c.ranks, {.at_least = 1, .distinct = true},
          "of R3's projector, by the features, without noise and R1");
  v.raw("run", c.run, "what all runs share: an object of these keys");
}

/// projector.population_degree is 1 in every run. @throws InputError
NoiseStudyConfig read_noise_study_config(const nlohmann::json& json, const std::string& source,
                                         const Catalogue& catalogue = built_in_catalogue());

/// The runs of both questions.
struct NoisePlans {
  std::vector<PlannedRun> noise, ranks;
  std::vector<PlannedRun> all() const;
};
NoisePlans plan_noise_study(const NoiseStudyConfig& config, const std::string& source);

/// E R1 of −η ΣΞ_t after T steps, the displacement that noise alone makes: η²σ²T (tr Σ − Σ_{l≤1} B(d,l)λ_l)/(md).
double noise_alone_r1(const RunConfig& config);

Findings noise_findings(const std::filesystem::path& folder, const NoisePlans& plans);

Study noise_study();

}  // namespace entk
