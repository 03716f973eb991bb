#include "entk/studies/taylor_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "entk/config/config_layers.h"
#include "entk/report/statistics.h"
#include "entk/runs/curves.h"

namespace entk {

namespace {

/// A row of the table: a network or an expansion, with the columns below.
struct TaylorModelCurves {
  std::string label;
  SweepCurves curves;
};
constexpr const char* taylor_columns[] = {"train_loss", "test_loss", "train_error", "test_error", "distance"};

/// Root mean square of the difference over the test points that both record, step by step; NaN for a seed that the
/// network has not finished.
std::vector<std::vector<double>> distances(const SweepCurves& of, const SweepCurves& network) {
  std::vector<std::vector<double>> all;
  for (std::size_t i = 0; i < of.seeds.size(); ++i) {
    std::vector<double> squares(of.steps.size(), NAN);
    const auto found = std::find(network.seeds.begin(), network.seeds.end(), of.seeds[i]);
    if (found != network.seeds.end() && network.steps == of.steps) {
      const auto j = static_cast<std::size_t>(found - network.seeds.begin());
      std::fill(squares.begin(), squares.end(), 0.0);
      double points = 0;
      for (const auto& [name, runs] : of.columns) {
        if (!name.starts_with("test_output") || !network.columns.contains(name)) continue;
        ++points;
        for (std::size_t step = 0; step < squares.size(); ++step) {
          squares[step] += std::pow(runs[i][step] - network.columns.at(name)[j][step], 2);
        }
      }
      for (double& s : squares) s = std::sqrt(s / points);
    }
    all.push_back(std::move(squares));
  }
  return all;
}

std::string trained_label(std::int64_t order) { return fmt::format("order {}, trained", order); }
std::string at_network_label(std::int64_t order) { return fmt::format("order {} at the network's weights", order); }

/// The network, the trained expansions, and the expansions at the network's weights.
std::vector<TaylorModelCurves> models_of(const std::filesystem::path& folder, const TaylorStudyConfig& config,
                                         const TaylorPlans& plans) {
  const auto network = read_curves(plans.network, folder).at(0);
  std::vector<TaylorModelCurves> models{{"network", network}};
  auto trained = read_curves(plans.expansions, folder);
  for (std::size_t i = 0; i < trained.size(); ++i) {
    trained[i].columns["distance"] = distances(trained[i], network);
    models.push_back({trained_label(config.orders[i]), std::move(trained[i])});
  }
  for (const auto order : config.orders) {
    auto there = network;
    if (has_runs(network)) {
      const auto take = [&](const char* to, const char* from) {
        there.columns[to] = network.columns.at(fmt::format("expansion_{}_{}", order, from));
      };
      take("train_loss", "train_square");
      take("test_loss", "test_square");
      take("train_error", "train_error");
      take("test_error", "test_error");
      take("distance", "test_distance");
    }
    models.push_back({at_network_label(order), std::move(there)});
  }
  return models;
}

std::size_t seeds_of(const std::vector<TaylorModelCurves>& models) {
  std::size_t most = 0;
  for (const auto& m : models) most = std::max(most, m.curves.seeds.size());
  return most;
}

Table table_of(const std::vector<TaylorModelCurves>& models) {
  Table table;
  table.title = "After the last step, " + spread_text(seeds_of(models));
  table.columns = {Column("model"),          Column("training loss"), Column("test loss"),
                   Column("training error"), Column("test error"),    Column("distance to the network")};
  for (const auto& [label, curves] : models) {
    std::vector<Cell> row{Cell(label)};
    for (const char* column : taylor_columns) {
      row.push_back(!has_runs(curves)                 ? Cell("not run")
                    : curves.columns.contains(column) ? Cell(last_summary(curves, column))
                                                      : Cell("–"));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Figure figure_of(const std::vector<TaylorModelCurves>& models) {
  Figure figure;
  figure.caption = "A convolutional network and its Taylor expansions, " + band_text(seeds_of(models));
  figure.columns = 2;
  for (const auto& [title, column, logarithmic] : {std::tuple{"Training loss", "train_loss", true},
                                                   {"Test loss", "test_loss", true},
                                                   {"Training error", "train_error", false},
                                                   {"Test error", "test_error", false},
                                                   {"Distance to the network", "distance", true}}) {
    Panel panel;
    panel.title = title;
    panel.x.label = "step";
    panel.y.logarithmic = logarithmic;
    for (std::size_t i = 0; i < models.size(); ++i) {
      const auto& curves = models[i].curves;
      if (!has_runs(curves) || !curves.columns.contains(column)) continue;
      panel.series.push_back(band_series(curves.steps, curves.columns.at(column), models[i].label));
      panel.series.back().color = static_cast<int>(i);
    }
    if (!panel.series.empty()) figure.panels.push_back(std::move(panel));
  }
  return figure;
}

/// What the images are, for a claim.
std::string data_text(const RunConfig& run) {
  const auto& source = run.data.source;
  if (source.name() != "images") return source.name();
  const auto value = [&](const char* key, const nlohmann::json& otherwise) {
    return source.json().is_object() ? source.json().value(key, otherwise) : otherwise;
  };
  const auto classes = value("classes", {3, 8});
  return fmt::format("{}, classes {} and {}", value("format", "digits").get<std::string>(), classes[0].dump(),
                     classes[1].dump());
}

std::vector<Claim> claims_of(const std::vector<TaylorModelCurves>& models, const PlannedRun& run) {
  const auto where = fmt::format("{}, {} steps", data_text(run.config), run.config.train.steps);
  const auto find = [&](const std::string& label) {
    const auto found = std::find_if(models.begin(), models.end(), [&](const auto& m) { return m.label == label; });
    return found == models.end() ? nullptr : &found->curves;
  };
  std::vector<Claim> claims;
  const auto add = [&](const char* statement, const char* column, std::string (*label)(std::int64_t),
                       const char* criterion) {
    const auto *first = find(label(1)), *second = find(label(2));
    if (!first || !second) return;
    claims.push_back(judged(
        {.source = "Appendix G",
         .statement = statement,
         .ours = fmt::format("{} for order 1, {} for order 2 ({})", format_number(last_summary(*first, column), 3),
                             format_number(last_summary(*second, column), 3), where),
         .reason = criterion,
         .figure = "appendix-g-taylor",
         .evidence = {{"order 2 over order 1", last_ratio(*second, *first, column), 0, 1}}},
        is_complete(*first) && is_complete(*second) && is_complete(models[0].curves)));
  };
  add("The expansion of order 2 at the network's own weights is nearer to the network than that of order 1.",
      "distance", at_network_label, "root mean square distance over test images smaller for order 2");
  add("Trained by itself, the expansion of order 2 stays nearer to the network than that of order 1.", "distance",
      trained_label, "root mean square distance over test images smaller for order 2");
  add("Trained by itself, the expansion of order 2 reaches a lower test loss than that of order 1.", "test_loss",
      trained_label, "final test loss lower for order 2");
  return claims;
}

}  // namespace

nlohmann::json standard_taylor_run() {
  return {{"model", {{"kind", "convolutional"}, {"initialisation", "plain"}}},
          {"data", {{"source", "images"}}},
          {"projector", {{"source", "none"}}},
          {"train", {{"learning_rate", 0.02}, {"steps", 100}, {"update", "minibatches"}}}};
}

TaylorStudyConfig read_taylor_study_config(const nlohmann::json& json, const std::string& source,
                                           const Catalogue& catalogue) {
  TaylorStudyConfig c;
  const JsonReader reader(json, source);
  if (reader.has("run")) {
    const auto& run = reader.any("run");
    if (!run.is_object()) reader.fail("run", "the configuration of a run");
    merge_over(c.run, run);
    c.run = with_absolute_file(c.run);
  }
  c.seeds = reader.get_or<std::vector<std::uint64_t>>("seeds", c.seeds);
  c.orders = reader.get_or<std::vector<std::int64_t>>("orders", c.orders, {.at_least = 1, .at_most = 4});
  for (const char* key : {"device", "dtype", "threads"}) {
    if (reader.has(key)) c.run[key] = reader.any(key);
  }
  reader.finish();
  const auto distinct = [&](const char* key, const auto& values) {
    if (values.empty() || std::set(values.begin(), values.end()).size() != values.size()) {
      reader.fail(key, "at least one, each once");
    }
  };
  distinct("seeds", c.seeds);
  distinct("orders", c.orders);
  c.catalogue = catalogue;
  read_run_config(c.run, source, catalogue);
  plan_taylor_study(c, source);  // for what it refuses
  return c;
}

nlohmann::json to_json(const TaylorStudyConfig& c) {
  return {{"run", c.run}, {"seeds", c.seeds}, {"orders", c.orders}};
}

std::vector<KeyInfo> taylor_study_keys() {
  std::vector<KeyInfo> keys = {{"seeds", "[1]", "one network and its expansions per seed"},
                               {"orders", "[1, 2]", "of the expansions"}};
  for (auto key : run_config_keys()) {
    key.path = "run." + key.path;
    keys.push_back(std::move(key));
  }
  return keys;
}

std::vector<PlannedRun> TaylorPlans::all() const {
  auto both = network;
  both.insert(both.end(), expansions.begin(), expansions.end());
  return both;
}

TaylorPlans plan_taylor_study(const TaylorStudyConfig& c, const std::string& source) {
  auto expansion = c.run;
  auto& observables = expansion["observables"];
  if (observables.is_null()) observables = nlohmann::json::array();
  for (const char* name : {"error_rate", "test_output"}) {
    const bool there = std::any_of(observables.begin(), observables.end(), [&](const nlohmann::json& o) {
      return o == name || (o.is_object() && o.value("name", "") == name);
    });
    if (!there) observables.push_back(name);
  }
  auto network = expansion;
  network["observables"].push_back({{"name", "expansions"}, {"orders", c.orders}});
  return {.network = plan_runs({network, c.seeds, {{"model.whole_network", {true}}}, c.catalogue}, source),
          .expansions = plan_runs({expansion,
                                   c.seeds,
                                   {{"model.order", std::vector<nlohmann::json>(c.orders.begin(), c.orders.end())}},
                                   c.catalogue},
                                  source)};
}

Findings taylor_findings(const std::filesystem::path& folder, const TaylorStudyConfig& config,
                         const TaylorPlans& plans) {
  const auto models = models_of(folder, config, plans);
  return {.table = table_of(models),
          .figures = {{"appendix-g-taylor", figure_of(models),
                       "The network and its expansions, each trained from one initialisation, over steps; distances "
                       "are root mean squares over test images."}},
          .claims = claims_of(models, plans.network.at(0))};
}

namespace {

class TaylorTask : public RunsTask {
 public:
  TaylorTask(const TaylorStudyConfig& config, const std::string& source)
      : TaylorTask(config, plan_taylor_study(config, source)) {}
  nlohmann::json config() const override { return to_json(config_); }
  Findings findings(const std::filesystem::path& folder) const override {
    return taylor_findings(folder, config_, plans_);
  }

 private:
  TaylorTask(const TaylorStudyConfig& config, TaylorPlans plans)
      : RunsTask(plans.all()), config_(config), plans_(std::move(plans)) {}

  TaylorStudyConfig config_;
  TaylorPlans plans_;
};

Shortcut data_shortcut(const std::string& format, const std::string& value_name, const std::string& meaning) {
  return {"--" + format, value_name, meaning,
          [format](nlohmann::json& config, const std::string& path) {
            auto& run = config["run"];
            auto& source = run["data"]["source"];
            if (!source.is_object() || source.value("name", "") != "images") source = {{"name", "images"}};
            source["format"] = format;
            run["data"]["file"] = path;
            auto& kind = run["model"]["kind"];
            if (kind.is_null()) kind = "convolutional";
            if (kind.is_string()) kind = {{"name", kind}};
            if (kind["name"] != "convolutional") return;
            kind.erase("shape");
            if (format == "cifar10") kind["shape"] = {3, 32, 32};
          },
          /*alone=*/true};
}

}  // namespace

Study taylor_study() {
  return {.name = "appendix-g",
          .variant = "taylor",
          .summary = "a convolutional network beside its expansions",
          .title = "Appendix G: expansions of a convolutional network",
          .presets = {{"quick", "appendix-g-taylor-quick"}, {"published", "appendix-g-taylor"}},
          .standard = to_json(TaylorStudyConfig{}),
          .keys = taylor_study_keys(),
          .read = [](const nlohmann::json& json, const std::string& source,
                     const Catalogue& catalogue) -> std::unique_ptr<Task> {
            return std::make_unique<TaylorTask>(read_taylor_study_config(json, source, catalogue), source);
          },
          .shortcuts = {data_shortcut("digits", "FILE",
                                      "digits.csv or digits.csv.gz as scikit-learn ships it [where setup.sh put it]"),
                        data_shortcut("mnist", "DIR", "folder with MNIST's four idx files, instead of the digits"),
                        data_shortcut("cifar10", "DIR", "folder with CIFAR-10's binary files, instead of the digits")},
          .stages = {{.name = "appendix-g-taylor",
                      .title = "Appendix G: expansions of a convolutional network",
                      .source = "Appendix G",
                      .claim = "The second order expansion follows the network more closely than the first.",
                      .command = {"appendix-g", "--study", "taylor"},
                      .quick = {"--preset", "quick"},
                      .published = {"--preset", "published"}}}};
}

}  // namespace entk
