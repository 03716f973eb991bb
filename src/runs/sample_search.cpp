#include "entk/runs/sample_search.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "entk/base/error.h"
#include "entk/io/csv.h"

namespace entk {

namespace {

std::string unit_name(const SampleSearch& search, std::int64_t dimension, std::uint64_t seed) {
  return fmt::format("{}{}d={},seed={}", search.name, search.name.empty() ? "" : ",", dimension, seed);
}

/// Finished trials of one search, in memory and in its file.
class TrialLog {
 public:
  TrialLog(const SampleSearch& search, const std::filesystem::path& study, std::int64_t dimension, std::uint64_t seed,
           bool writes) {
    const auto own = unit_path(study, unit_name(search, dimension, seed)) / "trials.csv";
    const auto common = study / (search.name.empty() ? "trials.csv" : "trials-" + search.name + ".csv");
    if (writes) file_.emplace(own, std::vector<std::string>{"dimension", "samples", "seed", "train_loss", "test_loss"});
    for (const auto& path : {common, own}) {
      if (!std::filesystem::exists(path)) continue;
      for (const auto& row : read_csv(path).rows) {
        if (row[0] != static_cast<double>(dimension) || row[2] != static_cast<double>(seed)) continue;
        keep({dimension, static_cast<std::int64_t>(row[1]), seed, {row[3], row[4]}});
      }
    }
  }
  std::optional<FinalLosses> find(std::int64_t samples) const {
    const auto found = losses_.find(samples);
    return found == losses_.end() ? std::nullopt : std::optional(found->second);
  }
  void add(const Trial& t) {
    file_->row({static_cast<double>(t.dimension), static_cast<double>(t.samples), static_cast<double>(t.seed),
                t.losses.train, t.losses.test});
    file_->sync();
    keep(t);
  }
  const std::vector<Trial>& trials() const { return trials_; }

 private:
  void keep(const Trial& t) {
    losses_[t.samples] = t.losses;
    trials_.push_back(t);
  }

  std::optional<CsvWriter> file_;
  std::map<std::int64_t, FinalLosses> losses_;
  std::vector<Trial> trials_;
};

std::mutex told_mutex;

double crossing_between(std::int64_t n_above, double above, std::int64_t n_below, double below, double threshold) {
  if (!(above > 0) || !(below > 0) || !std::isfinite(above)) return NAN;
  const double t = (std::log(above) - std::log(threshold)) / (std::log(above) - std::log(below));
  return std::exp(std::log(n_above) + t * (std::log(n_below) - std::log(n_above)));
}

/// One search; no value where it was interrupted.
std::optional<SmallestSamples> search_one(const SampleSearch& search, std::int64_t dimension, std::uint64_t seed,
                                          const std::vector<std::int64_t>& sizes, TrialLog& log) {
  bool stopped = false;
  const auto loss_at = [&](std::int64_t index) {
    Trial trial{dimension, sizes[index], seed};
    if (const auto known = log.find(trial.samples)) return known->test;
    const auto started = std::chrono::steady_clock::now();
    const auto losses = search.run(dimension, trial.samples, seed);
    stopped = !losses.has_value();
    if (stopped) return static_cast<double>(NAN);
    trial.losses = *losses;
    log.add(trial);
    if (search.on_trial) {
      const std::lock_guard one_at_a_time(told_mutex);
      search.on_trial(trial, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
    }
    return losses->test;
  };
  // Invariant: every candidate up to `failed` failed; `learned`, where there is one, learned. What the file has comes
  // first, so that a grid that has been extended asks for new runs alone.
  const auto count = static_cast<std::int64_t>(sizes.size());
  std::int64_t failed = -1, learned = count;
  for (std::int64_t i = 0; i < count && learned == count; ++i) {
    if (const auto known = log.find(sizes[i])) {
      (known->test < search.threshold ? learned : failed) = i;
    }
  }
  while (learned == count && failed < count - 1) {
    std::int64_t index = failed + 1;
    if (search.method == SearchMethod::bisection) {
      while (failed >= 0 && index + 1 < count && sizes[index + 1] <= 2 * sizes[failed]) ++index;
    }
    const bool good = loss_at(index) < search.threshold;
    if (stopped) return std::nullopt;
    if (good) {
      learned = index;
      break;
    }
    failed = index;
  }
  while (learned < count && learned - failed > 1) {
    const auto middle = (failed + learned) / 2;
    const bool good = loss_at(middle) < search.threshold;
    if (stopped) return std::nullopt;
    (good ? learned : failed) = middle;
  }
  SmallestSamples found;
  found.dimension = dimension;
  found.seed = seed;
  found.crossing = NAN;
  if (learned < count) found.samples = sizes[learned];
  if (failed >= 0) found.failed = sizes[failed];
  if (found.samples && found.failed) {
    found.crossing =
        crossing_between(*found.failed, loss_at(failed), *found.samples, loss_at(learned), search.threshold);
  }
  return found;
}

SampleSearch reading_alone(SampleSearch search) {
  search.run = [](std::int64_t, std::int64_t, std::uint64_t) { return std::nullopt; };
  return search;
}

std::vector<std::int64_t> checked_sizes(const SampleSearch& search, std::int64_t dimension) {
  const auto sizes = search.sizes(dimension);
  if (sizes.empty() || sizes[0] < 1 ||
      std::adjacent_find(sizes.begin(), sizes.end(), std::greater_equal<>()) != sizes.end()) {
    throw InputError(fmt::format("samples at dimension {}: expected ascending candidates of at least 1", dimension));
  }
  return sizes;
}

}  // namespace

std::string trial_text(const Trial& t, double seconds) {
  return fmt::format("d = {}, n = {}, seed {}: training loss {:.4g}, test loss {:.4g} ({:.2g} s)", t.dimension,
                     t.samples, t.seed, t.losses.train, t.losses.test, seconds);
}

std::string diverged_text(const std::vector<Trial>& trials) {
  const auto count =
      std::count_if(trials.begin(), trials.end(), [](const Trial& t) { return !std::isfinite(t.losses.test); });
  return count == 0 ? "" : fmt::format("{} of {} runs diverged, and count as not learned", count, trials.size());
}

std::vector<Unit> search_units(const SampleSearch& search, const std::filesystem::path& study) {
  const auto shared = std::make_shared<const SampleSearch>(search);
  const auto reading = reading_alone(search);
  auto dimensions = search.dimensions;
  std::stable_sort(dimensions.begin(), dimensions.end(), std::greater<>());
  std::vector<Unit> units;
  for (const auto dimension : dimensions) {
    const auto sizes = checked_sizes(search, dimension);
    for (const auto seed : search.seeds) {
      Unit unit{.name = unit_name(search, dimension, seed), .take = [=](const RunFolder& own) {
                  own.set_status(RunState::running, 0);
                  TrialLog log(*shared, study, dimension, seed, true);
                  RunOutcome outcome;
                  if (!search_one(*shared, dimension, seed, sizes, log)) outcome.state = RunState::interrupted;
                  own.set_status(outcome.state, 0);
                  return outcome;
                }};
      TrialLog log(search, study, dimension, seed, false);
      if (search_one(reading, dimension, seed, sizes, log)) unit.settled = RunOutcome{};
      units.push_back(std::move(unit));
    }
  }
  return units;
}

SampleSearchResult read_searches(const SampleSearch& search, const std::filesystem::path& study) {
  const auto reading = reading_alone(search);
  SampleSearchResult result;
  for (const auto dimension : search.dimensions) {
    const auto sizes = checked_sizes(search, dimension);
    for (const auto seed : search.seeds) {
      TrialLog log(search, study, dimension, seed, false);
      if (const auto found = search_one(reading, dimension, seed, sizes, log)) result.found.push_back(*found);
      result.trials.insert(result.trials.end(), log.trials().begin(), log.trials().end());
    }
  }
  result.finished = result.found.size() == search.dimensions.size() * search.seeds.size();
  return result;
}

std::map<std::int64_t, NeededSamples> needed_samples(const SampleSearchResult& result, bool interpolated) {
  std::map<std::int64_t, NeededSamples> all;
  for (const auto& f : result.found) {
    auto& needed = all[f.dimension];
    if (!f.samples) {
      ++needed.above;
    } else if (!f.failed) {
      ++needed.below;
    } else {
      const auto n = static_cast<double>(*f.samples);
      needed.samples[f.seed] = !interpolated               ? n
                               : std::isfinite(f.crossing) ? f.crossing
                                                           : std::sqrt(n * static_cast<double>(*f.failed));
    }
  }
  return all;
}

std::map<std::int64_t, NeededSamples> complete_dimensions(const std::map<std::int64_t, NeededSamples>& needed,
                                                          std::size_t seeds) {
  auto complete = needed;
  std::erase_if(complete, [&](const auto& entry) { return entry.second.samples.size() < seeds; });
  return complete;
}

ExponentFit sample_exponent(const std::map<std::int64_t, NeededSamples>& needed) {
  std::map<std::uint64_t, SeedPoints> seeds;
  for (const auto& [dimension, at] : needed) {
    for (const auto& [seed, n] : at.samples) {
      seeds[seed].x.push_back(static_cast<double>(dimension));
      seeds[seed].y.push_back(n);
    }
  }
  std::vector<SeedPoints> points;
  for (auto& [seed, own] : seeds) points.push_back(std::move(own));
  return exponent_over_seeds(points);
}

Cell needed_cell(const NeededSamples& needed, const std::vector<std::int64_t>& candidates) {
  std::vector<double> values;
  for (const auto& [seed, n] : needed.samples) values.push_back(n);
  const Uncertain found{mean(values), standard_deviation(values)};
  if (needed.above + needed.below == 0) return found;
  std::string bounds;
  if (needed.below > 0) bounds = fmt::format("≤ {}", candidates.front());
  if (needed.above > 0) bounds += fmt::format("{}> {}", bounds.empty() ? "" : " or ", candidates.back());
  if (values.empty()) return bounds;
  return fmt::format("{} in {} of {} seeds, else {}", format_number(found, 3), values.size(),
                     values.size() + static_cast<std::size_t>(needed.above + needed.below), bounds);
}

std::vector<std::int64_t> geometric_sizes(double first, std::int64_t last, double ratio) {
  if (!(first >= 0.5) || static_cast<double>(last) < first || !(ratio > 1)) {
    throw InputError(
        fmt::format("samples: expected ½ ≤ first ≤ last and a ratio above 1, got {}, {} and {}", first, last, ratio));
  }
  std::vector<std::int64_t> sizes;
  for (double n = first; std::llround(n) < last; n *= ratio) {
    if (sizes.empty() || std::llround(n) > sizes.back()) sizes.push_back(std::llround(n));
  }
  sizes.push_back(last);
  return sizes;
}

}  // namespace entk
