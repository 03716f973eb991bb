#include "entk/studies/depth.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "entk/models/mlp.h"
#include "entk/report/statistics.h"
#include "entk/runs/curves.h"

namespace entk {

namespace {

const nlohmann::json::json_pointer kind_path("/model/kind");
/// A test loss that changed by more than this part since half of a run's steps has not settled.
constexpr double settled_change = 0.1;

/// The kind with its name, of an object or a name alone; an mlp where the base has none.
nlohmann::json kind_of(const nlohmann::json& run) {
  if (!run.contains(kind_path)) return {{"name", "mlp"}};
  const auto& kind = run[kind_path];
  return kind.is_string() ? nlohmann::json{{"name", kind}} : kind;
}

std::string layers(std::int64_t depth) { return fmt::format("{} hidden layer{}", depth, depth == 1 ? "" : "s"); }

/// The curves of the plan by what they are of.
class DepthCurves {
 public:
  DepthCurves(const DepthConfig& config, const std::vector<SweepCurves>& curves) : config_(config), curves_(curves) {}

  /// nullptr where no run of it is done.
  const SweepCurves* find(const std::string& target, std::int64_t depth, const std::string& model,
                          std::int64_t samples) const {
    for (const auto& c : curves_) {
      if (c.swept.at(0) == target && c.swept.at(1) == depth && c.swept.at(2) == model && c.swept.at(3) == samples)
        return has_runs(c) ? &c : nullptr;
    }
    return nullptr;
  }
  bool complete(const std::string& target, const std::vector<std::int64_t>& depths,
                const std::vector<CompareModel>& models) const {
    for (const auto depth : depths) {
      for (const auto& model : models) {
        const auto* c = find(target, depth, model.name, most_samples());
        if (!c || !is_complete(*c)) return false;
      }
    }
    return true;
  }
  /// Which of these runs still change at the largest n: their losses say more of the steps than of the model.
  std::string unsettled(const std::string& target, const std::vector<std::int64_t>& depths,
                        const std::vector<CompareModel>& models) const {
    std::string text;
    for (const auto depth : depths) {
      for (const auto& model : models) {
        const auto* c = find(target, depth, model.name, most_samples());
        if (!c) continue;
        const double half = c->steps.back() / 2;
        const auto at = std::lower_bound(c->steps.begin(), c->steps.end(), half) - c->steps.begin();
        double largest = 0;
        for (const auto& loss : c->columns.at("test_loss"))
          largest = std::max(largest, std::abs(loss[static_cast<std::size_t>(at)] / loss.back() - 1));
        if (largest <= settled_change) continue;
        text += fmt::format("{}{} with {}: test loss {} apart at half of the steps", text.empty() ? "" : "; ",
                            model.title, layers(depth), format_number(largest, 2));
      }
    }
    return text;
  }
  /// Test loss at the largest n, pairs of one seed.
  Estimate ratio(const std::string& target, std::int64_t depth, const std::string& model, std::int64_t over_depth,
                 const std::string& over_model) const {
    const auto *of = find(target, depth, model, most_samples()),
               *over = find(target, over_depth, over_model, most_samples());
    return of && over ? last_ratio(*of, *over, "test_loss") : Estimate{};
  }
  std::int64_t most_samples() const { return *std::max_element(config_.samples.begin(), config_.samples.end()); }

 private:
  const DepthConfig& config_;
  const std::vector<SweepCurves>& curves_;
};

Figure depth_figure(const DepthConfig& config, const DepthCurves& curves, std::size_t seeds) {
  Figure figure;
  figure.caption = fmt::format("Test loss over n, networks of L hidden layers and {} parameters; {}", config.parameters,
                               band_text(seeds));
  for (const auto& target : config.targets) {
    for (const auto depth : config.depths) {
      Panel panel;
      panel.title = rich_text(fmt::format("{}, {{/:Italic L}} = {}", target.title, depth));
      panel.x = {rich_text("samples {/:Italic n}"), true};
      panel.y = {"test loss", true};
      int color = 0;
      for (const auto& model : config.models) {
        Series series{.label = model.title, .style = SeriesStyle::line_points, .color = color++};
        for (const auto n : config.samples) {
          const auto* c = curves.find(target.name, depth, model.name, n);
          if (!c) continue;
          const auto of = last_summary(*c, "test_loss");
          series.x.push_back(static_cast<double>(n));
          series.y.push_back(of.value);
          if (!std::isfinite(of.deviation)) continue;
          series.low.push_back(of.value - of.deviation);
          series.high.push_back(of.value + of.deviation);
        }
        if (series.low.size() != series.x.size()) series.low = series.high = {};
        if (!series.x.empty()) panel.series.push_back(std::move(series));
      }
      if (!panel.series.empty()) figure.panels.push_back(std::move(panel));
    }
  }
  figure.columns = static_cast<int>(std::min<std::size_t>(config.depths.size(), 3));
  return figure;
}

Table depth_table(const DepthConfig& config, const DepthCurves& curves, std::size_t seeds) {
  Table table;
  table.title = "Test loss at the end of training, " + spread_text(seeds);
  table.keys = 3;
  table.columns = {Column("target"), Column("hidden layers"), Column("model")};
  for (const auto n : config.samples) table.columns.push_back(Column(fmt::format("n = {}", n)));
  table.columns.push_back(Column("training loss, largest n", 2));
  for (const auto& target : config.targets) {
    for (const auto depth : config.depths) {
      for (const auto& model : config.models) {
        std::vector<Cell> row{target.title, depth, shown_title(model, config.base)};
        for (const auto n : config.samples) {
          const auto* c = curves.find(target.name, depth, model.name, n);
          row.push_back(c ? Cell(last_summary(*c, "test_loss")) : Cell("not run"));
        }
        const auto* c = curves.find(target.name, depth, model.name, curves.most_samples());
        row.push_back(c ? Cell(last_summary(*c, "train_loss")) : Cell("not run"));
        table.rows.push_back(std::move(row));
      }
    }
  }
  return table;
}

std::vector<Claim> depth_claims(const DepthConfig& config, const DepthCurves& curves) {
  std::vector<Claim> claims;
  const auto [low, high] = std::minmax_element(config.depths.begin(), config.depths.end());
  std::vector<CompareModel> pair;  // whose losses are set against each other at each depth
  for (const auto& model : config.models) {
    if (model.name == "ntk" || model.name == "joint_regularized") pair.push_back(model);
  }
  for (const auto& target : config.targets) {
    for (const auto& model : config.models) {
      if (*low == *high) break;
      claims.push_back(judged({.source = "Section 6",
                               .statement = fmt::format("Does depth help {} with {}?", model.title, target.title),
                               .paper = "left open",
                               .reason = fmt::format("test loss with {} below that with {} at n = {}", layers(*high),
                                                     layers(*low), curves.most_samples()),
                               .figure = "depth",
                               .evidence = {{fmt::format("{} over {}", *high, layers(*low)),
                                             curves.ratio(target.name, *high, model.name, *low, model.name), 0, 1}}},
                              curves.complete(target.name, {*low, *high}, {model}),
                              curves.unsettled(target.name, {*low, *high}, {model})));
    }
    if (pair.size() < 2) continue;
    std::vector<Evidence> evidence;
    for (const auto depth : config.depths) {
      evidence.push_back({layers(depth), curves.ratio(target.name, depth, "joint_regularized", depth, "ntk"), 0, 1});
    }
    claims.push_back(
        judged({.source = "Section 6",
                .statement =
                    fmt::format("Does f_L + f_Q with R3 leave f_L alone behind at every depth, with {}?", target.title),
                .paper = "left open",
                .reason = fmt::format("test loss below that of f_L alone at n = {}", curves.most_samples()),
                .figure = "depth",
                .evidence = std::move(evidence)},
               curves.complete(target.name, config.depths, pair), curves.unsettled(target.name, config.depths, pair)));
  }
  return claims;
}

}  // namespace

std::vector<std::int64_t> matched_widths(std::int64_t dimension, std::int64_t depth, std::int64_t parameters,
                                         bool biases) {
  const auto count = [&](std::int64_t width) {
    return MlpImpl::parameter_count(dimension, std::vector<std::int64_t>(static_cast<std::size_t>(depth), width),
                                    biases);
  };
  std::int64_t below = 1, above = parameters;  // count(below) ≤ parameters < count(above), but for count(1)
  while (above - below > 1) {
    const auto middle = below + (above - below) / 2;
    (count(middle) <= parameters ? below : above) = middle;
  }
  const auto distance = [&](std::int64_t width) { return std::abs(count(width) - parameters); };
  const auto width = distance(above) < distance(below) ? above : below;
  if (50 * distance(width) > parameters) {
    throw InputError(
        fmt::format("parameters: expected a number that {} of equal widths in d = {} come within 2% of, "
                    "as {}, got {}",
                    layers(depth), dimension, count(width), parameters));
  }
  return std::vector<std::int64_t>(static_cast<std::size_t>(depth), width);
}

DepthConfig read_depth_config(const nlohmann::json& json, const std::string& source, const Catalogue& catalogue) {
  auto c = read_runs_config<DepthConfig>(json, source, catalogue);
  check_models(c.models, {"data", "loss", "seed", "dtype", "device", "threads"}, source);
  check_names(c.targets, "target", source);
  for (const auto& [key, values] : {std::pair("depths", &c.depths), std::pair("samples", &c.samples)}) {
    if (values->empty()) throw InputError(fmt::format("{}: {}: expected at least one value, got nothing", source, key));
  }
  for (const auto& model : c.models) {
    if (model.set.contains(kind_path) || model.set.contains("/model/width"_json_pointer)) {
      throw InputError(
          fmt::format("{}: models: {}: set: model.{}: depth and widths are those of the lists depths and parameters",
                      source, model.name, model.set.contains(kind_path) ? "kind" : "width"));
    }
  }
  const auto kind = kind_of(c.base);
  if (kind.value("name", nlohmann::json()) != "mlp")
    throw InputError(source + ": model.kind: expected an mlp, whose depth this study varies");
  for (const char* key : {"depth", "widths"}) {
    if (!kind.value(key, nlohmann::json()).is_null())
      throw InputError(fmt::format("{}: model.kind.{}: expected none, it follows depths and parameters", source, key));
  }
  return c;
}

std::vector<PlannedRun> plan_depth(const DepthConfig& config, const std::string& source) {
  std::vector<PlannedRun> plan;
  const auto dimension = read_run_config(config.base, source, config.catalogue).data.dimension;
  const SweepAxis samples{"data.samples", {config.samples.begin(), config.samples.end()}};
  for (const auto& target : config.targets) {
    for (const auto depth : config.depths) {
      for (const auto& model : config.models) {
        auto base = config.base;
        auto kind = kind_of(base);
        const auto biases = kind.value("biases", nlohmann::json(false));
        kind["depth"] = depth;
        try {
          kind["widths"] = matched_widths(dimension, depth, config.parameters, biases == true);
        } catch (const InputError& e) {
          throw InputError(fmt::format("{}: {}", source, e.what()));
        }
        base[kind_path] = kind;
        base["/data/target"_json_pointer] = target.target;
        merge_over(base, model.set);
        const auto of = fmt::format("{}: target {}, {}, model {}", source, target.name, layers(depth), model.name);
        for (auto& run : plan_runs({base, config.seeds, {samples}, config.catalogue}, of)) {
          run.name = checked_name(fmt::format("{},depth={},{},{}", target.name, depth, model.name, run.name));
          run.swept.insert(run.swept.begin(), {target.name, depth, model.name});
          plan.push_back(std::move(run));
        }
      }
    }
  }
  return plan;
}

Findings depth_findings(const DepthConfig& config, const std::vector<SweepCurves>& all) {
  const DepthCurves curves(config, all);
  const auto seeds = most_seeds(all);
  const auto figure = depth_figure(config, curves, seeds);
  return {.table = depth_table(config, curves, seeds),
          .figures = {{"depth", figure, figure.caption + "."}},
          .claims = depth_claims(config, curves)};
}

namespace {

class DepthTask : public RunsTask {
 public:
  DepthTask(DepthConfig config, const std::string& source)
      : RunsTask(plan_depth(config, source)), config_(std::move(config)) {}
  nlohmann::json config() const override { return write_described(config_); }
  Findings findings(const std::filesystem::path& folder) const override {
    return depth_findings(config_, read_curves(plan(), folder));
  }

 private:
  DepthConfig config_;
};

}  // namespace

Study depth_study() {
  return {.name = "depth",
          .summary = "NTK, f_L + f_Q with and without R3 and the network, for networks of several depths",
          .title = "Depth",
          .presets = {{"quick", "depth-quick"}, {"full", "depth"}},
          .standard = runs_defaults<DepthConfig>(),
          .keys = list_described(DepthConfig{}),
          .read = [](const nlohmann::json& json, const std::string& source,
                     const Catalogue& catalogue) -> std::unique_ptr<Task> {
            return std::make_unique<DepthTask>(read_depth_config(json, source, catalogue), source);
          },
          .stages = {{.name = "depth",
                      .title = "What depth adds",
                      .source = "Section 6",
                      .claim = "Increasing the depth can allow NTK and QuadNTK to jointly learn a hierarchical "
                               "representation: left open.",
                      .command = {"depth"},
                      .quick = {"--preset", "quick"},
                      .published = {"--preset", "full"}}}};
}

}  // namespace entk
