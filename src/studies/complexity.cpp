#include "entk/studies/complexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "entk/base/threads.h"
#include "entk/runs/curves.h"
#include "entk/runs/kernel_fit.h"
#include "entk/runs/problem.h"
#include "entk/runs/memory.h"
#include "entk/report/statistics.h"

namespace entk {

namespace {

std::vector<std::int64_t> candidates(const ComplexityConfig& c, std::int64_t d) {
  const double size = static_cast<double>(d);
  const double first = std::max(1.0, c.first_samples * size);
  const auto last = static_cast<std::int64_t>(c.last_samples * size * size);
  return geometric_sizes(first, std::max(last, static_cast<std::int64_t>(std::ceil(first))), c.ratio);
}

/// No value where it was interrupted.
std::optional<FinalLosses> final_losses(const RunConfig& config, const std::function<int()>& interrupted) {
  const auto device = pick_device(config.device);
  const auto problem = make_problem(config, device);
  if (config.model.kernel != ModelKernel::none) {
    const auto fit = fit_kernel(problem);
    return FinalLosses{fit.train_loss, fit.test_loss};
  }
  const auto model = make_model(problem);
  Trainer trainer(model, make_objective(problem, model), descent_options(problem.config), {.interrupted = interrupted},
                  kernel_options(problem.config));
  const auto result = trainer.fit(problem.data, device);
  if (result.outcome == TrainOutcome::interrupted) return std::nullopt;
  if (result.outcome == TrainOutcome::diverged) return FinalLosses{NAN, NAN};
  return FinalLosses{result.last.train_loss, result.last.test_loss};
}

/// What one model's searches found, and the exponent over the dimensions that every seed has its n of.
struct ModelSamples {
  std::map<std::int64_t, NeededSamples> needed;
  ExponentFit fit;
  bool complete;         ///< in every dimension
  std::string diverged;  ///< how many of its runs did
};

std::vector<ModelSamples> samples_of(const ComplexityConfig& config, const std::vector<SampleSearchResult>& models) {
  std::vector<ModelSamples> all;
  for (const auto& model : models) {
    auto needed = needed_samples(model, true);
    const auto complete = complete_dimensions(needed, config.seeds.size());
    all.push_back({std::move(needed), sample_exponent(complete), complete.size() == config.dimensions.size(),
                   diverged_text(model.trials)});
  }
  return all;
}

Figure plot_of(const ComplexityConfig& config, const std::vector<ModelSamples>& models) {
  Panel panel;
  panel.x = {rich_text("dimension {/:Italic d}"), true};
  panel.y = {rich_text("smallest number of samples {/:Italic n}"), true};
  const auto [low, high] = std::minmax_element(config.dimensions.begin(), config.dimensions.end());
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    Series points;
    const auto& fit = models[i].fit;
    const bool fitted = std::isfinite(fit.line.slope);
    points.label = shown_title(config.models[i], config.base) +
                   (fitted ? fmt::format(": exponent {}", format_number(fit.exponent.value, 3)) : "");
    points.style = SeriesStyle::points;
    points.color = static_cast<int>(i);
    for (const auto& [d, at] : models[i].needed) {
      for (const auto& [seed, n] : at.samples) {
        points.x.push_back(static_cast<double>(d));
        points.y.push_back(n);
      }
    }
    if (!points.x.empty()) panel.series.push_back(points);
    if (fitted) {
      auto line = power_law_line(fit.line, static_cast<double>(*low), static_cast<double>(*high));
      line.color = static_cast<int>(i);
      panel.series.push_back(line);
    }
  }
  Figure figure;
  figure.caption = fmt::format("Smallest number of samples for a test loss below {:g}", config.threshold);
  figure.panels = {panel};
  return figure;
}

Table table_of(const ComplexityConfig& config, const std::vector<ModelSamples>& models) {
  Table table;
  table.title =
      fmt::format("Smallest number of samples for a test loss below {:g}, {}; exponents with their 95% intervals",
                  config.threshold, spread_text(config.seeds.size()));
  table.columns = {Column("model")};
  for (const auto d : config.dimensions) table.columns.push_back(Column(fmt::format("d = {}", d)));
  table.columns.push_back(Column("exponent of d", 3));
  for (std::size_t i = 0; i < config.models.size(); ++i) {
    std::vector<Cell> row{shown_title(config.models[i], config.base)};
    for (const auto d : config.dimensions) {
      const auto found = models[i].needed.find(d);
      row.push_back(found == models[i].needed.end() ? Cell("not run")
                                                    : needed_cell(found->second, candidates(config, d)));
    }
    row.push_back(Cell(models[i].fit.exponent));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::vector<Claim> claims_of(const ComplexityConfig& config, const std::vector<ModelSamples>& models, bool finished) {
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
  const bool large = config.dimensions.size() >= 4 && *high >= 3 * *low;
  const auto small = [&](const std::vector<const ModelSamples*>& of) -> std::string {
    if (!large) return "needs four dimensions over a factor of three";
    for (const auto* m : of) {
      if (!m->complete) return "needs an n, not a bound, of every seed at every dimension";
      if (!m->diverged.empty()) return m->diverged;
    }
    return "";
  };
  const auto& ours = models[*joint];
  claims.push_back(
      judged({.source = "Theorem 1",
              .statement = "f_L + f_Q with the regularizers learns a dense degree k plus a sparse degree k + 1 from "
                           "about d^k samples.",
              .paper = "exponent k = 1, up to logarithms",
              .reason = "exponent within 0.3 of k",
              .figure = "complexity",
              .evidence = {{"exponent", ours.fit.exponent, 0.7, 1.3}}},
             finished, small({&ours})));
  for (const auto& [name, what] :
       {std::pair{"ntk", "the NTK"}, {"ntk_infinite", "the infinitely wide NTK"}, {"quadntk", "the quadratic NTK"}}) {
    const auto other = index_of(name);
    if (!other) continue;
    const auto& theirs = models[*other];
    // Of n's quotient, seed by seed: the two share each seed's data. Where the other has bounds alone there is none.
    auto quotient = complete_dimensions(theirs.needed, config.seeds.size());
    std::erase_if(quotient, [&](const auto& entry) { return !ours.needed.count(entry.first); });
    for (auto& [d, at] : quotient) {
      const auto& own = ours.needed.at(d).samples;
      std::erase_if(at.samples, [&](const auto& entry) { return !own.count(entry.first); });
      for (auto& [seed, n] : at.samples) n /= own.at(seed);
    }
    claims.push_back(judged(
        {.source = "Remark 1",
         .statement = fmt::format("The number of samples that f_L + f_Q with the regularizers needs grows more "
                                  "slowly with d than that of {} alone.",
                                  what),
         .paper = name != std::string("quadntk") ? "exponents k = 1 and k + 1 = 2"
                                                 : "exponent k = 1 against K²d^k, K the rank of the target",
         .ours = fmt::format("exponents {} and {}", to_sentence(ours.fit.exponent), to_sentence(theirs.fit.exponent)),
         .reason = "exponent of the quotient of the two numbers of samples, seed by seed, above 0",
         .figure = "complexity",
         .evidence = {{"exponent of the quotient", sample_exponent(quotient).exponent, 0, INFINITY}}},
        finished, small({&ours, &theirs})));
  }
  return claims;
}

}  // namespace

ComplexityConfig read_complexity_config(const nlohmann::json& json, const std::string& source,
                                        const Catalogue& catalogue) {
  auto c = read_runs_config<ComplexityConfig>(json, source, catalogue);
  check_models(c.models, {"data", "loss", "seed", "dtype", "device", "threads"}, source);
  if (c.dimensions.empty()) throw InputError(source + ": dimensions: expected at least one value, got nothing");
  for (const auto& model : c.models) {
    for (const auto d : c.dimensions) complexity_run(c, model, d, candidates(c, d)[0], c.seeds[0], source);
  }
  return c;
}

RunConfig complexity_run(const ComplexityConfig& config, const CompareModel& model, std::int64_t dimension,
                         std::int64_t samples, std::uint64_t seed, const std::string& source) {
  auto json = config.base;
  merge_over(json, model.set);
  json["data"]["dimension"] = dimension;
  json["data"]["samples"] = samples;
  json["seed"] = seed;
  return read_run_config(json, fmt::format("{}: model {}, d = {}, n = {}", source, model.name, dimension, samples),
                         config.catalogue);
}

namespace {

SampleSearch search_of(const ComplexityConfig& config, const CompareModel& model) {
  SampleSearch search;
  search.name = model.name;
  search.dimensions = config.dimensions;
  search.seeds = config.seeds;
  search.threshold = config.threshold;
  search.sizes = [config](std::int64_t d) { return candidates(config, d); };
  return search;
}

class ComplexityTask : public Task {
 public:
  ComplexityTask(ComplexityConfig config, std::string source)
      : config_(std::move(config)), source_(std::move(source)) {}

  nlohmann::json config() const override { return write_described(config_); }
  std::string device() const override { return config_.base.value("device", RunConfig{}.device); }
  std::int64_t threads() const override { return config_.base.value("threads", RunConfig{}.threads); }
  /// Finished runs are kept by dimension, samples and seed: a search may become another one over them.
  std::vector<std::string> may_change() const override {
    return {"seeds", "dimensions", "threshold", "first_samples", "last_samples", "ratio"};
  }
  /// The largest runs that the searches may come to.
  void check_memory() const override {
    const auto d = *std::max_element(config_.dimensions.begin(), config_.dimensions.end());
    for (const auto& model : config_.models) {
      entk::check_memory(complexity_run(config_, model, d, candidates(config_, d).back(), config_.seeds[0], source_),
                         pick_device(device()));
    }
  }
  std::vector<Unit> units(const TakeContext& context) override {
    std::vector<Unit> all;
    for (const auto& model : config_.models) {
      auto search = search_of(config_, model);
      search.run = [this, &model, &context](std::int64_t d, std::int64_t n, std::uint64_t seed) {
        return final_losses(complexity_run(config_, model, d, n, seed, source_), context.hooks.interrupted);
      };
      if (context.line) {
        search.on_trial = [&model, &context](const Trial& t, double seconds) {
          context.line(model.name + ": " + trial_text(t, seconds));
        };
      }
      for (auto& unit : search_units(search, context.folder.path())) all.push_back(std::move(unit));
    }
    return all;
  }
  TakeOptions take_options() override { return {.jobs = pick_device(device()).is_cpu() ? 0 : 1}; }
  Findings findings(const std::filesystem::path& folder) const override {
    std::vector<SampleSearchResult> models;
    for (const auto& model : config_.models) models.push_back(read_searches(search_of(config_, model), folder));
    return complexity_findings(config_, models);
  }

 private:
  ComplexityConfig config_;
  std::string source_;
};

}  // namespace

Findings complexity_findings(const ComplexityConfig& config, const std::vector<SampleSearchResult>& models) {
  const auto samples = samples_of(config, models);
  const bool finished =
      std::all_of(models.begin(), models.end(), [](const SampleSearchResult& m) { return m.finished; });
  std::vector<std::string> warnings;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    if (!samples[i].diverged.empty())
      warnings.push_back(fmt::format("{}: {}", shown_title(config.models[i], config.base), samples[i].diverged));
  }
  return {.table = table_of(config, samples),
          .figures = {{"complexity", plot_of(config, samples),
                       fmt::format("Smallest number of samples for a test loss below {:g}, one point per seed; lines: "
                                   "the mean of the seeds' "
                                   "fits.",
                                   config.threshold)}},
          .claims = claims_of(config, samples, finished),
          .warnings = std::move(warnings)};
}

Study complexity_study() {
  return {
      .name = "complexity",
      .summary = "Theorem 1 measured: the smallest n for a given test loss as d grows, with its exponents",
      .title = "Samples needed as d grows",
      .presets = {{"quick", "complexity-quick"}, {"full", "complexity"}},
      .standard = runs_defaults<ComplexityConfig>(),
      .keys = list_described(ComplexityConfig{}),
      .read = [](const nlohmann::json& json, const std::string& source,
                 const Catalogue& catalogue) -> std::unique_ptr<Task> {
        return std::make_unique<ComplexityTask>(read_complexity_config(json, source, catalogue), source);
      },
      .stages = {
          {.name = "complexity",
           .title = "Samples needed as d grows",
           .source = "Theorem 1, Remark 1",
           .claim = "The joint model with regularizers needs of the order of d^k samples where the NTK needs d^(k+1).",
           .command = {"complexity"},
           .quick = {"--preset", "quick"},
           .published = {"--preset", "full"}}}};
}

}  // namespace entk
