// Many runs of one configuration: seeds and swept keys, side by side, resumable.
#pragma once

#include <filesystem>
#include <map>

#include "entk/config/config_layers.h"
#include "entk/runs/units.h"

namespace entk {

/// A configuration with "seeds" and "sweep" beside a run's keys.
struct StudyConfig {
  nlohmann::json base;               ///< a run's configuration
  std::vector<std::uint64_t> seeds;  ///< empty: base's own
  std::vector<SweepAxis> sweep;
  Catalogue catalogue = built_in_catalogue();  ///< of names
};
/// @throws InputError for malformed seeds or sweeps, or if a run's configuration is refused.
StudyConfig read_study_config(const nlohmann::json& json, const std::string& source,
                              const Catalogue& catalogue = built_in_catalogue());
nlohmann::json to_json(const StudyConfig& study);

/// A study with keys of its own in place of "sweep".
struct SplitStudy {
  StudyConfig common;
  nlohmann::json own;  ///< the own keys that are there
};
/// @throws InputError as read_study_config, and for a sweep: "sweep: <in_place_of_sweep>, not a sweep".
SplitStudy split_study_config(const nlohmann::json& json, const std::vector<std::string>& own_keys,
                              const std::string& in_place_of_sweep, const std::string& source,
                              const Catalogue& catalogue);

struct PlannedRun {
  std::string name;  ///< lambda.3=10,seed=1; also its folder's
  RunConfig config;
  std::vector<nlohmann::json> swept;  ///< the value on each axis
  std::uint64_t seed;
};
/// Every combination of swept values, then of seeds. @throws InputError where one is refused.
std::vector<PlannedRun> plan_runs(const StudyConfig& study, const std::string& source);

/// How a run ended that has nothing left to do under this configuration; nothing for others.
std::optional<RunOutcome> settled_run(const std::filesystem::path& folder, const RunConfig& config);
/// A unit for each planned run. `cache` holds what they share: TakeOptions::release is its forget. They refer to the
/// plan and the context. @throws InputError where a run that is there was made with another data file.
std::vector<Unit> run_units(const std::vector<PlannedRun>& plan, const TakeContext& context, ProblemCache& cache);

/// Where a planned run's folder is.
std::filesystem::path run_path(const std::filesystem::path& study, const PlannedRun& run);

/// The curves of the runs that share swept values, over their seeds: column by column of metrics.csv.
struct SweepCurves {
  std::vector<nlohmann::json> swept;
  std::vector<double> steps;
  std::map<std::string, std::vector<std::vector<double>>> columns;  ///< one curve a finished seed
  int missing = 0;                                                  ///< runs that are not done
  std::vector<std::uint64_t> seeds{};                               ///< the finished ones, in the columns' order
};
/// Cut to the steps that all finished runs of a combination have.
std::vector<SweepCurves> read_curves(const std::vector<PlannedRun>& plan, const std::filesystem::path& study);

}  // namespace entk
