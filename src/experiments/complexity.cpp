#include "entk/experiments/complexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "entk/base/threads.h"
#include "entk/experiments/problem.h"
#include "entk/experiments/study_page.h"
#include "entk/report/statistics.h"

namespace entk {

namespace {

std::vector<std::int64_t> candidates(const ComplexityConfig& c, std::int64_t d) {
  const double size = static_cast<double>(d);
  const auto first = static_cast<std::int64_t>(std::ceil(c.first_samples * size));
  return geometric_sizes(first, std::max(first, static_cast<std::int64_t>(c.last_samples * size * size)), c.ratio);
}

/// No value where it was interrupted.
std::optional<FinalLosses> final_losses(const RunConfig& config, const std::function<int()>& interrupted) {
  const auto device = pick_device(config.device);
  const auto problem = make_problem(config, device);
  const auto model = make_model(problem);
  auto options = trainer_options(problem.config);
  options.interrupted = interrupted;
  Trainer trainer(model, make_objective(problem, model, config.lambda, config.loss), options);
  const auto result = trainer.fit(problem.data, device);
  if (result.outcome == Outcome::interrupted) return std::nullopt;
  if (result.outcome == Outcome::diverged) return FinalLosses{NAN, NAN};
  return FinalLosses{result.last.train_loss, result.last.test_loss};
}

/// The finite crossings, or the smallest candidate where the first one learned already.
std::map<std::int64_t, std::vector<double>> needed(const SampleSearchResult& result) {
  std::map<std::int64_t, std::vector<double>> by_dimension;
  for (const auto& f : result.found) {
    if (!f.samples) continue;
    by_dimension[f.dimension].push_back(std::isfinite(f.crossing) ? f.crossing : static_cast<double>(*f.samples));
  }
  return by_dimension;
}

std::optional<PowerLaw> fit_of(const SampleSearchResult& result, std::optional<std::uint64_t> seed) {
  std::vector<double> d, n;
  for (const auto& f : result.found) {
    if (!f.samples || (seed && f.seed != *seed)) continue;
    d.push_back(static_cast<double>(f.dimension));
    n.push_back(std::isfinite(f.crossing) ? f.crossing : static_cast<double>(*f.samples));
  }
  if (d.empty() || *std::min_element(d.begin(), d.end()) == *std::max_element(d.begin(), d.end())) return std::nullopt;
  return power_law_fit(d, n);
}

bool complete(const ComplexityConfig& config, const SampleSearchResult& result) {
  const auto learned = std::count_if(result.found.begin(), result.found.end(), [](const auto& f) { return f.samples.has_value(); });
  return static_cast<std::size_t>(learned) == config.dimensions.size() * config.seeds.size();
}

Figure plot_of(const ComplexityConfig& config, const ComplexityResult& result) {
  Panel panel;
  panel.x = {rich_text("dimension {/:Italic d}"), true};
  panel.y = {rich_text("smallest number of samples {/:Italic n}"), true};
  const auto [low, high] = std::minmax_element(config.dimensions.begin(), config.dimensions.end());
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    Series points;
    points.label = config.models[i].title;
    points.style = SeriesStyle::points;
    points.color = static_cast<int>(i);
    for (const auto& [d, values] : needed(result.models[i])) {
      for (const double n : values) {
        points.x.push_back(static_cast<double>(d));
        points.y.push_back(n);
      }
    }
    panel.series.push_back(points);
    if (const auto law = fit_of(result.models[i], std::nullopt)) {
      const auto exponent = sample_exponent(result.models[i]);
      auto line = power_law_line(*law, static_cast<double>(*low), static_cast<double>(*high),
                                 rich_text(fmt::format("{{/:Italic d}}\u200a^{{{}}}", format_number(exponent, 2))));
      line.color = static_cast<int>(i);
      panel.series.push_back(line);
    }
  }
  Figure figure;
  figure.caption = fmt::format("Smallest number of samples for a test loss below {:g}", config.threshold);
  figure.width = 5.5;
  figure.panels = {panel};
  return figure;
}

Table table_of(const ComplexityConfig& config, const ComplexityResult& result) {
  Table table;
  table.title = fmt::format("Smallest number of samples for a test loss below {:g}, mean ± standard deviation over seeds",
                            config.threshold);
  table.columns = {Column("model")};
  for (const auto d : config.dimensions) table.columns.push_back(Column(fmt::format("d = {}", d)));
  table.columns.push_back(Column("exponent of d", 3));
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    std::vector<Cell> row{config.models[i].title};
    const auto by_dimension = needed(result.models[i]);
    for (const auto d : config.dimensions) {
      const auto found = by_dimension.find(d);
      if (found == by_dimension.end()) {
        row.push_back(fmt::format("> {}", candidates(config, d).back()));
      } else if (found->second.size() < config.seeds.size()) {
        row.push_back(fmt::format("{} ({} of {} seeds)", format_number(mean(found->second), 3), found->second.size(),
                                  config.seeds.size()));
      } else {
        row.push_back(Cell(Uncertain{mean(found->second), standard_deviation(found->second)}));
      }
    }
    row.push_back(Cell(sample_exponent(result.models[i])));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<Claim> claims_of(const ComplexityConfig& config, const ComplexityResult& result) {
  const auto index_of = [&](const std::string& name) -> std::optional<std::size_t> {
    for (std::size_t i = 0; i < config.models.size(); ++i) {
      if (config.models[i].name == name) return i;
    }
    return std::nullopt;
  };
  std::vector<Claim> claims;
  const auto joint = index_of("joint_regularized");
  if (!joint) return claims;
  const auto [low, high] = std::minmax_element(config.dimensions.begin(), config.dimensions.end());
  const bool large = config.dimensions.size() >= 4 && *high >= 3 * *low && config.seeds.size() >= 2;
  const std::string size = "four dimensions over a factor of three and two seeds, all learned";
  const auto text = [&](std::size_t i) { return format_number(sample_exponent(result.models[i]), 3); };
  const auto ours = sample_exponent(result.models[*joint]);
  const bool joint_complete = complete(config, result.models[*joint]);
  {
    Claim c;
    c.source = "Theorem 1";
    c.statement = "f_L + f_Q with the regularizers learns a dense degree k plus a sparse degree k + 1 from about d^k samples.";
    c.paper = "exponent k = 1, up to logarithms";
    c.ours = "exponent " + text(*joint);
    c.reason = "exponent within 0.3 and two standard errors of k; needs " + size;
    c.figure = "complexity";
    c.verdict = result.interrupted        ? Verdict::not_run
                : !large || !joint_complete ? Verdict::too_small_to_tell
                : std::fabs(ours.value - 1) < 0.3 + 2 * ours.deviation ? Verdict::held
                                                                       : Verdict::did_not_hold;
    claims.push_back(c);
  }
  for (const auto& [name, what] : {std::pair{"ntk", "the NTK"}, {"quadntk", "the quadratic NTK"}}) {
    const auto other = index_of(name);
    if (!other) continue;
    const auto theirs = sample_exponent(result.models[*other]);
    const bool ntk = std::string(name) == "ntk";
    Claim c;
    c.source = "Remark 1";
    c.statement = fmt::format("The number of samples that f_L + f_Q with the regularizers needs grows more slowly with d than that of {} alone.", what);
    c.paper = ntk ? "exponents k = 1 and k + 1 = 2" : "exponent k = 1 against K²d^k, K the rank of the target";
    c.ours = fmt::format("exponents {} and {}", text(*joint), text(*other));
    c.reason = "exponents further apart than two standard errors of each; needs " + size;
    c.figure = "complexity";
    // Where the other never learned within the candidates there is no exponent to compare.
    const bool both = joint_complete && complete(config, result.models[*other]);
    c.verdict = result.interrupted  ? Verdict::not_run
                : !large || !both   ? Verdict::too_small_to_tell
                : theirs.value - ours.value > 2 * (ours.deviation + theirs.deviation) ? Verdict::held
                                                                                      : Verdict::did_not_hold;
    claims.push_back(c);
  }
  return claims;
}

}  // namespace

ComplexityConfig read_complexity_config(const nlohmann::json& json, const std::string& source) {
  const auto [study, own] = split_study_config(
      json, {"models", "dimensions", "threshold", "first_samples", "last_samples", "ratio"}, "this study has models and dimensions", source);
  ComplexityConfig c;
  c.base = study.base;
  if (!study.seeds.empty()) c.seeds = study.seeds;
  const JsonReader reader(own, source);
  c.models = read_models(reader, {"data", "seed", "dtype", "device", "threads"});
  c.dimensions = reader.get<std::vector<std::int64_t>>("dimensions", {.at_least = 2, .at_most = 1e6});
  c.threshold = reader.get_or<double>("threshold", c.threshold, {.above = 0});
  c.first_samples = reader.get_or<double>("first_samples", c.first_samples, {.above = 0, .at_most = 1e6});
  c.last_samples = reader.get_or<double>("last_samples", c.last_samples, {.above = 0, .at_most = 1e6});
  c.ratio = reader.get_or<double>("ratio", c.ratio, {.above = 1, .at_most = 100});
  reader.finish();
  if (c.dimensions.empty()) throw InputError(source + ": dimensions: expected at least one");
  for (const auto& model : c.models) {
    for (const auto d : c.dimensions) complexity_run(c, model, d, candidates(c, d)[0], c.seeds[0], source);
  }
  return c;
}

nlohmann::json to_json(const ComplexityConfig& c) {
  auto json = to_json(StudyConfig{c.base, c.seeds, {}});
  json["models"] = to_json(c.models);
  json["dimensions"] = c.dimensions;
  json["threshold"] = c.threshold;
  json["first_samples"] = c.first_samples;
  json["last_samples"] = c.last_samples;
  json["ratio"] = c.ratio;
  return json;
}

std::vector<KeyInfo> complexity_config_keys() {
  auto keys = run_config_keys();
  keys.push_back({"seeds", "[1]", "as the option of this name: [1, 11]"});
  keys.push_back({"models", "[]", "what is searched: objects of name, title and set, a run's keys over the common ones"});
  keys.push_back({"dimensions", "[]", "d; data.dimension and data.samples follow the search"});
  keys.push_back({"threshold", "0.2", "final test loss below which a run has learned"});
  keys.push_back({"first_samples", "2", "the smallest n tried, in multiples of d"});
  keys.push_back({"last_samples", "2", "the largest n tried, in multiples of d squared"});
  keys.push_back({"ratio", "1.25", "between neighbouring candidates n"});
  return keys;
}

RunConfig complexity_run(const ComplexityConfig& config, const CompareModel& model, std::int64_t dimension,
                         std::int64_t samples, std::uint64_t seed, const std::string& source) {
  auto json = config.base;
  merge_over(json, model.set);
  json["data"]["dimension"] = dimension;
  json["data"]["samples"] = samples;
  json["seed"] = seed;
  return read_run_config(json, fmt::format("{}: model {}, d = {}, n = {}", source, model.name, dimension, samples));
}

ComplexityResult measure_complexity(const ComplexityConfig& config, const std::filesystem::path& folder,
                                    const ComplexityHooks& hooks) {
  const auto device = pick_device(config.base.value("device", RunConfig{}.device));
  ComplexityResult all;
  for (const auto& model : config.models) {
    SampleSearch search;
    search.dimensions = config.dimensions;
    search.seeds = config.seeds;
    search.threshold = config.threshold;
    search.sizes = [&](std::int64_t d) { return candidates(config, d); };
    search.run = [&](std::int64_t d, std::int64_t n, std::uint64_t seed) {
      return final_losses(complexity_run(config, model, d, n, seed, "complexity"), hooks.interrupted);
    };
    search.jobs = device.is_cpu() ? 0 : 1;
    if (hooks.on_trial) search.on_trial = [&](const Trial& t, double seconds) { hooks.on_trial(model, t, seconds); };
    const bool interrupted = hooks.interrupted && hooks.interrupted() != 0;
    all.models.push_back(interrupted ? SampleSearchResult{} : search_samples(search, folder / ("trials-" + model.name + ".csv")));
    all.interrupted = all.interrupted || interrupted || all.models.back().interrupted;
  }
  return all;
}

Uncertain sample_exponent(const SampleSearchResult& result) {
  std::vector<std::uint64_t> seeds;
  for (const auto& f : result.found) {
    if (std::find(seeds.begin(), seeds.end(), f.seed) == seeds.end()) seeds.push_back(f.seed);
  }
  std::vector<double> slopes;
  double own_error = NAN;
  for (const auto seed : seeds) {
    if (const auto law = fit_of(result, seed)) {
      slopes.push_back(law->slope);
      own_error = law->slope_error;
    }
  }
  if (slopes.size() < 2) return {mean(slopes), own_error};
  return {mean(slopes), standard_deviation(slopes) / std::sqrt(static_cast<double>(slopes.size()))};
}

Results write_complexity_results(const std::filesystem::path& folder, const ComplexityConfig& config,
                                 const ComplexityResult& result) {
  StudyPage page(folder, "entk complexity " + folder.filename().string());
  page.results(table_of(config, result));
  page.figure("complexity", plot_of(config, result),
              fmt::format("Smallest number of samples for a test loss below {:g}, a point a seed; lines: fits over all seeds.",
                          config.threshold));
  page.claims(claims_of(config, result));
  return page.finish();
}

}  // namespace entk
