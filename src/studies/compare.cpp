#include "entk/studies/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "entk/runs/curves.h"
#include "entk/report/statistics.h"

namespace entk {

namespace {

/// One model and its runs.
struct ModelRuns {
  const CompareModel* model;
  const SweepCurves* curves;
};

std::vector<ModelRuns> runs_by_model(const CompareConfig& config, const std::vector<SweepCurves>& curves) {
  std::vector<ModelRuns> all;
  for (const auto& model : config.models) {
    const auto found =
        std::find_if(curves.begin(), curves.end(), [&](const SweepCurves& c) { return c.swept.at(0) == model.name; });
    all.push_back({&model, &*found});
  }
  return all;
}

/// E f*² as each seed's test points give it: the test loss of a model that starts at zero, at step 0.
std::map<std::uint64_t, double> zero_losses(const std::vector<SweepCurves>& curves,
                                            const std::vector<PlannedRun>& plan) {
  std::map<std::uint64_t, double> losses;
  for (const auto& c : curves) {
    const auto run = std::find_if(plan.begin(), plan.end(), [&](const PlannedRun& r) { return r.swept == c.swept; });
    if (!has_runs(c) || c.steps[0] != 0 || run == plan.end()) continue;
    const auto& start = run->config.model;
    const bool has_output = start.initialisation == Initialisation::plain && start.initial_output;
    if (has_output || start.start_deviation > 0) continue;
    for (std::size_t i = 0; i < c.seeds.size(); ++i) losses.emplace(c.seeds[i], c.columns.at("test_loss")[i][0]);
  }
  return losses;
}

/// A model's final test loss over the zero model's, pairs of one seed.
Estimate share(const SweepCurves& c, const std::map<std::uint64_t, double>& zero) {
  std::vector<double> test, of_zero;
  const auto last = last_values(c, "test_loss");
  for (std::size_t i = 0; i < last.size(); ++i) {
    const auto found = zero.find(c.seeds[i]);
    if (found == zero.end()) continue;
    test.push_back(last[i]);
    of_zero.push_back(found->second);
  }
  return ratio_over_seeds(test, of_zero);
}

Panel panel(const std::string& title, const std::string& column, const CompareConfig& config,
            const std::vector<ModelRuns>& models) {
  Panel p;
  p.title = title;
  p.x = {"step", true};
  p.y.logarithmic = true;
  int color = 0;
  for (const auto& [model, curves] : models) {
    const int own = color++;
    if (!has_runs(*curves)) continue;
    p.series.push_back(band_series(curves->steps, curves->columns.at(column), shown_title(*model, config.base), 1));
    p.series.back().color = own;
  }
  return p;
}

Table table_of(const CompareConfig& config, const std::vector<ModelRuns>& models,
               const std::map<std::uint64_t, double>& zero, std::size_t seeds) {
  Table table;
  table.title = "Final losses, " + spread_text(seeds);
  table.columns = {Column("model"), Column("seeds"), Column("training loss"), Column("test loss"),
                   Column("share of the zero model's", 2)};
  for (const auto& [model, curves] : models) {
    if (!has_runs(*curves)) {
      table.rows.push_back({shown_title(*model, config.base), 0, "not run", "not run", "–"});
    } else {
      table.rows.push_back({shown_title(*model, config.base), curves->seeds.size(), last_summary(*curves, "train_loss"),
                            last_summary(*curves, "test_loss"), share(*curves, zero).value});
    }
  }
  return table;
}

std::vector<Claim> claims_of(const CompareConfig& config, const std::vector<ModelRuns>& models,
                             const std::map<std::uint64_t, double>& zero) {
  std::vector<Claim> claims;
  const auto find = [&](const std::string& name) -> const ModelRuns* {
    for (const auto& m : models) {
      if (m.model->name == name) return &m;
    }
    return nullptr;
  };
  const auto add = [&](const char* source, const std::string& statement, const char* paper,
                       const std::string& criterion, const std::vector<const ModelRuns*>& of,
                       std::vector<Evidence> evidence) {
    std::string losses;
    bool finished = true;
    for (const auto* m : of) {
      losses += fmt::format("{}{} {}", losses.empty() ? "final test loss, mean ± standard deviation: " : ", ",
                            m->model->title, format_number(last_summary(*m->curves, "test_loss"), 3));
      finished = finished && is_complete(*m->curves);
    }
    claims.push_back(judged({.source = source,
                             .statement = statement,
                             .paper = paper,
                             .ours = losses,
                             .reason = criterion,
                             .figure = "compare",
                             .evidence = std::move(evidence)},
                            finished));
  };
  if (const auto *two = find("order2"), *three = find("order3"); two && three) {
    add("Section 6",
        "Higher-order terms of the expansion can be used too: with order 3 a sparse cubic part is learned from "
        "samples with which order 2 does not learn it.",
        "left open", "test loss of order 3 at most half of that of order 2", {two, three},
        {{"order 3 over order 2", last_ratio(*three->curves, *two->curves, "test_loss"), 0, 0.5}});
  }
  const auto* best = find("joint_regularized");
  if (!best) return claims;
  std::vector<const ModelRuns*> all;
  std::vector<Evidence> shares;
  const auto add_share = [&](const ModelRuns* m, double at_least, double at_most) {
    all.push_back(m);
    shares.push_back({m->model->title + " over the zero model", share(*m->curves, zero), at_least, at_most});
  };
  for (const char* name : {"ntk", "ntk_limit", "ntk_infinite", "quadntk", "quadntk_signs", "quadntk_kernel"}) {
    if (const auto* m = find(name)) add_share(m, config.low_loss, INFINITY);
  }
  if (!all.empty()) {
    add_share(best, 0, config.low_loss);
    add("Theorem 1, Section 3",
        "Neither the NTK nor the quadratic NTK alone learns a dense low-degree plus a sparse target from "
        "this many samples; f_L + f_Q with the regularizers learns both parts.",
        "",
        fmt::format(
            "f_L + f_Q with regularizers at most {:g} of the zero model's test loss, each of the others at least that",
            config.low_loss),
        all, shares);
  }
  if (const auto* joint = find("joint")) {
    add("Section 5, Figure 1",
        "Without regularizers the NTK part of f_L + f_Q overfits, and the test loss stays higher than with "
        "them.",
        "", "test loss without regularizers at least that with them", {joint, best},
        {{"without over with", last_ratio(*joint->curves, *best->curves, "test_loss"), 1, INFINITY}});
  }
  return claims;
}

}  // namespace

std::string shown_title(const CompareModel& model, const nlohmann::json& base) {
  static const nlohmann::json::json_pointer path("/train/learning_rate");
  if (!model.set.contains(path) || (base.contains(path) && base[path] == model.set[path])) return model.title;
  const auto& rate = model.set[path];
  return fmt::format("{} (η = {})", model.title, rate.is_number() ? format_number(rate, 3) : rate.dump());
}

void check_models(std::vector<CompareModel>& models, const std::vector<std::string>& shared,
                  const std::string& source) {
  check_names(models, "model", source);
  for (const auto& m : models) {
    const auto refuse = [&](const std::string& expected) {
      throw InputError(fmt::format("{}: models: {}: set: expected {}, got {}", source, m.name, expected, m.set.dump()));
    };
    if (!m.set.is_object()) refuse("an object of a run's keys");
    for (const auto& key : shared) {
      if (m.set.contains(key)) refuse(fmt::format("keys other than {}, which all models share", key));
    }
  }
}

CompareConfig read_compare_config(const nlohmann::json& json, const std::string& source, const Catalogue& catalogue) {
  auto config = read_runs_config<CompareConfig>(json, source, catalogue);
  check_models(config.models, {"data", "loss", "seed", "dtype", "device", "threads"}, source);
  return config;
}

std::vector<PlannedRun> plan_compare(const CompareConfig& config, const std::string& source) {
  std::vector<PlannedRun> plan;
  for (const auto& model : config.models) {
    auto base = config.base;
    merge_over(base, model.set);
    for (auto& run :
         plan_runs({base, config.seeds, {}, config.catalogue}, fmt::format("{}: model {}", source, model.name))) {
      run.name = checked_name(fmt::format("{},{}", model.name, run.name));
      run.swept = {model.name};
      plan.push_back(std::move(run));
    }
  }
  return plan;
}

Findings compare_findings(const std::filesystem::path& folder, const CompareConfig& config,
                          const std::vector<PlannedRun>& plan) {
  const auto curves = read_curves(plan, folder);
  const auto models = runs_by_model(config, curves);
  const auto zero = zero_losses(curves, plan);
  const auto seeds = most_seeds(curves);
  Figure figure;
  figure.caption = "Models trained on one data set: " + band_text(seeds);
  figure.panels = {panel("Training loss", "train_loss", config, models),
                   panel("Test loss", "test_loss", config, models)};
  if (figure.panels[0].series.empty()) figure.panels.clear();
  return {.table = table_of(config, models, zero, seeds),
          .figures = {{"compare", figure, fmt::format("Training and test loss: {}.", band_text(seeds))}},
          .claims = claims_of(config, models, zero)};
}

namespace {

class CompareTask : public RunsTask {
 public:
  CompareTask(CompareConfig config, const std::string& source)
      : RunsTask(plan_compare(config, source)), config_(std::move(config)) {}
  nlohmann::json config() const override { return write_described(config_); }
  Findings findings(const std::filesystem::path& folder) const override {
    return compare_findings(folder, config_, plan());
  }

 private:
  CompareConfig config_;
};

}  // namespace

Study compare_study() {
  return {
      .name = "compare",
      .summary = "NTK, quadratic NTK, f_L + f_Q with and without regularizers and the network, on one data set",
      .title = "Models compared",
      .presets = {{"quick", "compare-quick"},
                  {"full", "compare"},
                  {"cubic", "compare-cubic"},
                  {"orders-quick", "orders-quick"},
                  {"orders", "orders"}},
      .standard = runs_defaults<CompareConfig>(),
      .keys = list_described(CompareConfig{}),
      .read = [](const nlohmann::json& json, const std::string& source,
                 const Catalogue& catalogue) -> std::unique_ptr<Task> {
        return std::make_unique<CompareTask>(read_compare_config(json, source, catalogue), source);
      },
      .stages = {
          {.name = "compare",
           .title = "Which model learns dense linear + sparse quadratic",
           .source = "Section 3, Theorem 1",
           .claim =
               "Neither the NTK nor the quadratic NTK alone learns a low degree + sparse target; the regularized joint "
               "model does.",
           .command = {"compare"},
           .quick = {"--preset", "quick"},
           .published = {"--preset", "full"}},
          {.name = "compare-cubic",
           .title = "A target of degree 2 + sparse cubic",
           .source = "Theorem 1",
           .claim = "The same with k = 2.",
           .command = {"compare"},
           .quick = {"--preset", "cubic", "--set", "seeds=[1]", "--set", "train.steps=200"},
           .published = {"--preset", "cubic"}},
          {.name = "orders",
           .title = "Orders above two",
           .source = "Section 6",
           .claim = "Whether higher orders of the expansion can be leveraged is left open.",
           .command = {"compare"},
           .quick = {"--preset", "orders-quick"},
           .published = {"--preset", "orders"}}}};
}

}  // namespace entk
