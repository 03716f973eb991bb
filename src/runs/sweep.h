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

/// @throws InputError where a run's keys have a sweep among them, or a value where an object belongs.
void check_base(const StudyConfig& config, const std::string& source);

/// What a study of runs with keys of its own in place of a sweep describes last: seeds, and a run's keys.
template <class V>
void describe_runs(V& v, StudyConfig& c) {
  v.value_where_given("seeds", c.seeds, std::vector<std::uint64_t>{},
                      {.at_least = 0, .nonempty = true, .distinct = true}, "as the option of this name: [1, 11]");
  v.rest(c.base, run_config_keys);
}
/// Reads one: a StudyConfig with further members, all described. @throws InputError as read_described and for a sweep.
template <class Config>
Config read_runs_config(const nlohmann::json& json, const std::string& source, const Catalogue& catalogue) {
  auto config = read_described<Config>(with_absolute_file(json), source, catalogue);
  config.catalogue = catalogue;
  check_base(config, source);
  return config;
}
/// Every key of one with its default.
template <class Config>
nlohmann::json runs_defaults() {
  Config config;
  const RunConfig run;  // GCC 12 fails on a temporary here
  config.base = to_json(run);
  return write_described(std::move(config));
}

struct PlannedRun {
  std::string name;  ///< lambda.3=10,seed=1; also its folder's
  RunConfig config;
  std::vector<nlohmann::json> swept;  ///< the value on each axis
  std::uint64_t seed;
};
/// Every combination of swept values, then of seeds. @throws InputError where one is refused.
std::vector<PlannedRun> plan_runs(const StudyConfig& study, const std::string& source);

/// How a run ended that has nothing left to do under this configuration; nothing for others. @throws InputError for one
/// that has taken more steps than it is told now.
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
  int missing = 0;                                                  ///< runs that are not done, or not with this plan
  std::vector<std::uint64_t> seeds{};                               ///< the finished ones, in the columns' order
};
/// A run that settled earlier than others stays where it was.
std::vector<SweepCurves> read_curves(const std::vector<PlannedRun>& plan, const std::filesystem::path& study);

}  // namespace entk
