// The smallest number of samples at which a model learns its target, for each dimension and seed: by a
// scan or by bisection, in parallel, resumable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "entk/runs/units.h"
#include "entk/report/statistics.h"
#include "entk/report/table.h"

namespace entk {

struct FinalLosses {
  double train = 0, test = 0;  ///< NaN for a run that diverged: not learned
};

/// One training run of a search.
struct Trial {
  std::int64_t dimension = 0, samples = 0;
  std::uint64_t seed = 0;
  FinalLosses losses{};
};

/// "d = 10, n = 40, seed 1: training loss 0.01, test loss 0.4 (3.2 s)"
std::string trial_text(const Trial& trial, double seconds);

/// "3 of 12 runs diverged, and count as not learned"; nothing where none did. Their n bounds a rate, no samples.
std::string diverged_text(const std::vector<Trial>& trials);

enum class SearchMethod {
  scan,       ///< every candidate upwards, until one learns
  bisection,  ///< upwards, each time to at most twice the last n, until one learns, then between the last two
};

struct SampleSearch {
  std::string name{};  ///< of what is searched, where a study searches several
  std::vector<std::int64_t> dimensions;
  std::vector<std::uint64_t> seeds;
  /// The candidates n for a dimension, ascending.
  std::function<std::vector<std::int64_t>(std::int64_t dimension)> sizes;
  double threshold = 0.1;                         ///< learned: a final test loss below this
  SearchMethod method = SearchMethod::bisection;  ///< bisection takes the loss to fall with n
  /// One run's final losses; no value where it was interrupted. Called from several threads.
  std::function<std::optional<FinalLosses>(std::int64_t dimension, std::int64_t samples, std::uint64_t seed)> run;
  std::function<void(const Trial&, double seconds)> on_trial{};  ///< after each new run; one call at a time
};

/// What was found for one dimension and seed.
struct SmallestSamples {
  std::int64_t dimension = 0;
  std::uint64_t seed = 0;
  std::optional<std::int64_t> samples;  ///< the smallest candidate that learned; none did: none
  std::optional<std::int64_t> failed;   ///< the candidate below it, or the largest; none where the first learned
  /// Where log(test loss) crosses log(threshold) between the two, linear in log n; NaN where there are
  /// not two finite losses.
  double crossing = 0;
};

struct SampleSearchResult {
  std::vector<SmallestSamples> found;  ///< every dimension, then every seed; unfinished ones are left out
  std::vector<Trial> trials;           ///< all that were run, also before a resume
  bool finished = false;               ///< every search is
};

/// A unit for each dimension and seed, the largest dimensions first: they take longest. trials.csv in its folder
/// (dimension, samples, seed, train_loss, test_loss) keeps each finished run: a search that finds it there continues
/// after it. Older folders have one such file for all of a name's searches, which is read too. No run is larger
/// than about twice what is needed. The units keep `search`. @throws InputError for empty or unordered candidates.
std::vector<Unit> search_units(const SampleSearch& search, const std::filesystem::path& study);
/// What the runs in the study's folder say; `search` needs no `run`.
SampleSearchResult read_searches(const SampleSearch& search, const std::filesystem::path& study);

/// What the searches of one dimension found, a seed each.
struct NeededSamples {
  std::map<std::uint64_t, double> samples;  ///< by seed, where a candidate failed and another learned
  int above = 0;                            ///< searches in which no candidate learned: n is larger than all
  int below = 0;                            ///< in which the first one learned: n may be smaller
};
/// By dimension. `interpolated`: the crossing, or in a search without one the middle of its two candidates (on a
/// logarithmic scale); else the smallest candidate that learned.
std::map<std::int64_t, NeededSamples> needed_samples(const SampleSearchResult& result, bool interpolated);
/// The dimensions in which every one of `seeds` searches has its n. The others' n are bounds: a mean over the seeds
/// that have one, or a fit with them, would be of the easier seeds alone.
std::map<std::int64_t, NeededSamples> complete_dimensions(const std::map<std::int64_t, NeededSamples>& needed,
                                                          std::size_t seeds);
/// The exponent of n in d over these dimensions, with the seeds as groups.
ExponentFit sample_exponent(const std::map<std::int64_t, NeededSamples>& needed);
/// "3600 ± 566" as a cell; where a search has a bound alone, "3600 in 1 of 2 seeds, else > 8000".
Cell needed_cell(const NeededSamples& needed, const std::vector<std::int64_t>& candidates);

/// first, first·ratio, … rounded, up to `last` and with `last` itself: candidates on a logarithmic scale. Those of
/// first/ratio are these and one below them. @throws InputError unless ½ ≤ first ≤ last and ratio > 1.
std::vector<std::int64_t> geometric_sizes(double first, std::int64_t last, double ratio);

}  // namespace entk
