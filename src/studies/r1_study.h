// Appendix G, R1 beside R3: R3's weight fixed, R1's swept, R1 estimated in several ways.
#pragma once

#include "entk/runs/runs_task.h"

namespace entk {

/// How R1 is estimated.
enum class R1Estimate {
  fresh,       ///< on new inputs every step, as in the paper
  unlabeled,   ///< on one fixed sample
  population,  ///< in closed form, with the harmonic projector for R3 too
};
template <>
struct WordsOf<R1Estimate> {
  static constexpr std::pair<const char*, R1Estimate> all[] = {
      {"fresh", R1Estimate::fresh}, {"unlabeled", R1Estimate::unlabeled}, {"population", R1Estimate::population}};
};

/// A run's keys and seeds, and these beside them.
struct R1StudyConfig : StudyConfig {
  std::vector<R1Estimate> estimates = {R1Estimate::fresh, R1Estimate::unlabeled, R1Estimate::population};
  std::vector<double> weights = {0, 0.01, 0.1, 1};  ///< λ1; with 0 every estimate but population is the same run
};

template <class V>
void describe(V& v, R1StudyConfig& c) {
  v.value("estimates", c.estimates, {.nonempty = true, .distinct = true}, "how R1 is estimated");
  v.value("weights", c.weights, {.at_least = 0, .distinct = true}, "R1's weights, 0 among them; R3's is lambda.3");
  describe_runs(v, c);
}

/// @throws InputError
R1StudyConfig read_r1_study_config(const nlohmann::json& json, const std::string& source,
                                   const Catalogue& catalogue = built_in_catalogue());

/// Every estimate, weight and seed; `swept` holds estimate and weight. @throws InputError
std::vector<PlannedRun> plan_r1_study(const R1StudyConfig& config, const std::string& source);

/// Final test loss and population R1 over λ1.
Findings r1_findings(const std::filesystem::path& folder, const R1StudyConfig& config,
                     const std::vector<PlannedRun>& plan);

Study r1_study();

}  // namespace entk
