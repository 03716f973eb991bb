// Appendix G: a convolutional network and its Taylor expansions, trained apart from one initialisation, and the
// expansions evaluated at the network's own weights.
#pragma once

#include "entk/runs/runs_task.h"

namespace entk {

/// The configuration of the network's run, over which a study's is laid: Appendix G's network on two digits.
nlohmann::json standard_taylor_run();

struct TaylorStudyConfig {
  nlohmann::json run = standard_taylor_run();
  std::vector<std::uint64_t> seeds = {1};
  std::vector<std::int64_t> orders = {1, 2};   ///< of the expansions
  Catalogue catalogue = built_in_catalogue();  ///< of names; no key
};

/// Keys: run, seeds, orders. @throws InputError naming source, key, value and what was expected.
TaylorStudyConfig read_taylor_study_config(const nlohmann::json& json, const std::string& source,
                                           const Catalogue& catalogue = built_in_catalogue());
nlohmann::json to_json(const TaylorStudyConfig& config);
std::vector<KeyInfo> taylor_study_keys();

/// The network itself, which records its expansions at its own weights, and the expansions.
struct TaylorPlans {
  std::vector<PlannedRun> network, expansions;
  std::vector<PlannedRun> all() const;
};
TaylorPlans plan_taylor_study(const TaylorStudyConfig& config, const std::string& source);

/// Final values of each; curves over steps; claims on order 2 against order 1, pairs of one seed. Distances are root
/// mean squares over the test points that the runs record.
Findings taylor_findings(const std::filesystem::path& folder, const TaylorStudyConfig& config,
                         const TaylorPlans& plans);

Study taylor_study();

}  // namespace entk
