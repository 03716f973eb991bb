// Figure 2: how many samples the standard two-layer ReLU network needs, by gradient descent, to learn a
// dense quadratic plus a sparse cubic: the smallest n whose final test loss is below a threshold, for
// each d, next to the lines 6d² and d³.
#pragma once

#include <map>

#include "entk/runs/sample_search.h"
#include "entk/runs/study.h"

namespace entk {

template <>
struct WordsOf<SearchMethod> {
  static constexpr std::pair<const char*, SearchMethod> all[] = {{"scan", SearchMethod::scan},
                                                                 {"bisection", SearchMethod::bisection}};
};

/// n = round(i · step · d²) for whole i, up to most · d².
struct SearchConfig {
  double step = 1.0, most = 20.0;
  double threshold = 0.1;
  SearchMethod method = SearchMethod::scan;
};

struct ReluTrainConfig {
  std::int64_t width = 100;
  double learning_rate = 0.05;
  std::int64_t steps = 30000;
  std::int64_t test_samples = 10000;
  bool exact_scale = false;
};

struct Figure2Config {
  std::vector<std::int64_t> dimensions = {10, 20, 30, 40, 50, 100};
  SearchConfig search;
  ReluTrainConfig train;
  std::vector<std::uint64_t> seeds = {1};
  at::ScalarType dtype = at::kFloat;
  std::string device = "auto";
  std::int64_t threads = 0;
};

template <class V>
void describe(V& v, SearchConfig& c) {
  v.value("step", c.step, {.at_least = 0.01, .at_most = 100}, "samples tried are multiples of step d^2");
  v.value("most", c.most, {.above = 0, .at_most = 1e4}, "up to most d^2");
  v.value("threshold", c.threshold, {.above = 0}, "n is enough where the final test loss is below");
  v.value("method", c.method, {},
          "scan: every n upwards until one is enough; bisection: fewer runs, right if the loss falls with n");
}

template <class V>
void describe(V& v, ReluTrainConfig& c) {
  v.value("width", c.width, {.at_least = 1, .at_most = 1e6}, "m; both layers and their biases are trained");
  v.value("learning_rate", c.learning_rate, {.above = 0, .at_most = 1e6}, "of full-batch gradient descent");
  v.value("steps", c.steps, {.at_least = 1, .at_most = 4294967295.0}, "of every run");
  v.value("test_samples", c.test_samples, {.at_least = 1, .at_most = 1e9}, "test inputs");
  v.value("exact_scale", c.exact_scale, {}, "E (quadratic part)^2 = 1 at every d, not at d = 50 alone");
}

template <class V>
void describe(V& v, Figure2Config& c) {
  v.value("dimensions", c.dimensions, {.at_least = 1, .at_most = 1e5, .nonempty = true, .distinct = true},
          "d, one search each");
  v.object("search", c.search);
  v.object("train", c.train);
  v.value("seeds", c.seeds, {.at_least = 0, .nonempty = true, .distinct = true},
          "one search per seed of inputs, target and weights");
  v.value("dtype", c.dtype, {}, "float32 or float64");
  v.value("device", c.device, {}, "cpu, cuda, cuda:N or auto");
  v.value("threads", c.threads, {.at_least = 0, .at_most = 4096}, "0: all processors");
}

/// @throws InputError naming source, key, value and what was expected.
Figure2Config read_figure2_config(const nlohmann::json& json, const std::string& source);

/// The candidates of a search, ascending.
std::vector<std::int64_t> figure2_sizes(const SearchConfig& search, std::int64_t dimension);

/// @throws InputError where the largest runs that are taken side by side do not fit the memory that is there.
void check_figure2_memory(const Figure2Config& config);

/// The final losses of a run, NaN where it diverged; nothing where `interrupted` asked it to stop.
std::optional<FinalLosses> train_relu(const Figure2Config& config, std::int64_t dimension, std::int64_t samples,
                                      std::uint64_t seed, const std::function<int()>& interrupted);

/// What the searches found.
struct Figure2Result {
  std::map<std::int64_t, NeededSamples> needed;  ///< by dimension
  ExponentFit fit;                               ///< of n against d, over the dimensions that every seed has its n of
  bool complete = false;                         ///< those are all
  bool finished = false;                         ///< every search has ended
  std::string diverged{};                        ///< how many runs did
};
/// The searches of all dimensions and seeds; `interrupted` goes to the runs.
SampleSearch figure2_search(const Figure2Config& config, const std::function<int()>& interrupted);
Figure2Result figure2_result(const Figure2Config& config, const SampleSearchResult& searches);
Table figure2_table(const Figure2Config& config, const Figure2Result& result);
Figure figure2_plot(const Figure2Config& config, const Figure2Result& result);
std::vector<Claim> figure2_claims(const Figure2Config& config, const Figure2Result& result);

/// A unit is the search at a dimension and seed; finished runs are kept in its trials.csv.
Study figure2_study();

}  // namespace entk
