// Theorem 1 and Remark 1, measured: the smallest number of samples for a given test loss as d grows, for
// the NTK alone, the quadratic NTK alone and f_L + f_Q with regularizers.
#pragma once

#include "entk/studies/compare.h"
#include "entk/runs/sample_search.h"

namespace entk {

/// A run's keys, with "seeds", "models" and these beside them. data.dimension, data.samples and, where it
/// is 0, projector.rank follow the search.
struct ComplexityConfig {
  nlohmann::json base;
  std::vector<std::uint64_t> seeds = {1};
  std::vector<CompareModel> models;
  std::vector<std::int64_t> dimensions;
  double threshold = 0.2;  ///< learned: a final test loss below this
  /// Candidates n: from first_samples·d to last_samples·d², each about `ratio` times the one before.
  double first_samples = 2, last_samples = 2, ratio = 1.25;
  Catalogue catalogue = built_in_catalogue();  ///< of names; no key
};

/// @throws InputError for malformed keys, or a run that is refused at some dimension.
ComplexityConfig read_complexity_config(const nlohmann::json& json, const std::string& source,
                                        const Catalogue& catalogue = built_in_catalogue());
nlohmann::json to_json(const ComplexityConfig& config);
std::vector<KeyInfo> complexity_config_keys();

/// One model's run at a dimension, number of samples and seed. @throws InputError
RunConfig complexity_run(const ComplexityConfig& config, const CompareModel& model, std::int64_t dimension,
                         std::int64_t samples, std::uint64_t seed, const std::string& source);

/// What each model's searches found, in the configuration's order.
Findings complexity_findings(const ComplexityConfig& config, const std::vector<SampleSearchResult>& models);

/// A unit is a model's search at a dimension and seed; finished runs are kept in its trials.csv.
Study complexity_study();

}  // namespace entk
