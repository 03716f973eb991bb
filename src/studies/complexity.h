// Theorem 1 and Remark 1, measured: the smallest number of samples for a given test loss as d grows, for
// the NTK alone, the quadratic NTK alone and f_L + f_Q with regularizers.
#pragma once

#include "entk/studies/compare.h"
#include "entk/runs/sample_search.h"

namespace entk {

/// A run's keys and seeds, and these beside them. data.dimension, data.samples and, where it is 0, projector.rank
/// follow the search.
struct ComplexityConfig : StudyConfig {
  ComplexityConfig() { seeds = {1}; }
  std::vector<CompareModel> models;
  std::vector<std::int64_t> dimensions;
  double threshold = 0.2;  ///< learned: a final test loss below this
  /// Candidates n: from first_samples·d to last_samples·d², each about `ratio` times the one before.
  double first_samples = 2, last_samples = 2, ratio = 1.25;
};

template <class V>
void describe(V& v, ComplexityConfig& c) {
  v.list("models", c.models, "what is searched: objects of name, title and set, a run's keys over the common ones");
  v.value("dimensions", c.dimensions, {.at_least = 2, .at_most = 1e6, .nonempty = true, .distinct = true},
          "d; data.dimension and data.samples follow the search");
  v.value("threshold", c.threshold, {.above = 0}, "final test loss below which a run has learned");
  v.value("first_samples", c.first_samples, {.above = 0, .at_most = 1e6}, "the smallest n tried, in multiples of d");
  v.value("last_samples", c.last_samples, {.above = 0, .at_most = 1e6},
          "the largest n tried, in multiples of d squared");
  v.value("ratio", c.ratio, {.above = 1, .at_most = 100}, "between neighbouring candidates n");
  describe_runs(v, c);
}

/// @throws InputError for malformed keys, or a run that is refused at some dimension.
ComplexityConfig read_complexity_config(const nlohmann::json& json, const std::string& source,
                                        const Catalogue& catalogue = built_in_catalogue());

/// One model's run at a dimension, number of samples and seed. @throws InputError
RunConfig complexity_run(const ComplexityConfig& config, const CompareModel& model, std::int64_t dimension,
                         std::int64_t samples, std::uint64_t seed, const std::string& source);

/// What each model's searches found, in the configuration's order.
Findings complexity_findings(const ComplexityConfig& config, const std::vector<SampleSearchResult>& models);

/// A unit is a model's search at a dimension and seed; finished runs are kept in its trials.csv.
Study complexity_study();

}  // namespace entk
