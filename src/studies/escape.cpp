#include "entk/studies/escape.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "entk/report/statistics.h"
#include "entk/runs/curves.h"

namespace entk {

namespace {

/// Share of the first training loss at or below which a run has settled.
constexpr double settled_loss = 1e-3;
constexpr double lazy = -0.5, constructed = -0.25;

/// One of the sizes of ‖w_r‖ over the neurons, from what a run records and its width.
struct NeuronSize {
  const char* name;   ///< in tables
  const char* title;  ///< of its panel
  const char* column;
  std::function<double(double recorded, double width)> value;
};

const std::vector<NeuronSize>& neuron_sizes() {
  static const std::vector<NeuronSize> all = {
      {"median", "Median of ‖{/:Bold w}_{/:Italic r}‖", "movement_median",
       [](double x, double m) { return x / std::sqrt(m); }},
      {"99th percentile", "99th percentile", "movement_p99", [](double x, double m) { return x / std::sqrt(m); }},
      {"‖W‖_F m^(-1/2)", "‖{/:Bold W}‖_F{/:Italic m}\u200a^{−1/2}", "norm_W",
       [](double x, double m) { return x / std::sqrt(m); }},
      {"‖W‖_{2,4} m^(-1/4)", "‖{/:Bold W}‖_{2,4}{/:Italic m}\u200a^{−1/4}", "R4",
       [](double x, double m) { return std::pow(x, 0.125) / std::pow(m, 0.25); }}};
  return all;
}

/// A model's runs, width by width.
struct WidthCurves {
  std::string name, title;
  std::vector<std::pair<double, const SweepCurves*>> widths;  ///< those with finished runs

  std::vector<double> sizes(const NeuronSize& size, std::size_t at) const {
    auto values = last_values(*widths[at].second, size.column);
    for (auto& v : values) v = size.value(v, widths[at].first);
    return values;
  }
};

std::vector<WidthCurves> curves_by_model(const EscapeConfig& config, const std::vector<SweepCurves>& curves) {
  std::vector<WidthCurves> all;
  for (const auto& model : config.models) {
    all.push_back({model.name, shown_title(model, config.base), {}});
    for (const auto& c : curves) {
      if (c.swept.at(0) == model.name && has_runs(c)) all.back().widths.emplace_back(c.swept.at(1).get<double>(), &c);
    }
    std::sort(all.back().widths.begin(), all.back().widths.end());
  }
  return all;
}

ExponentFit width_exponent(const WidthCurves& c, const NeuronSize& size) {
  std::map<std::uint64_t, SeedPoints> seeds;
  for (std::size_t i = 0; i < c.widths.size(); ++i) {
    const auto values = c.sizes(size, i);
    for (std::size_t s = 0; s < values.size(); ++s) {
      if (!(values[s] > 0) || !std::isfinite(values[s])) continue;
      auto& points = seeds[c.widths[i].second->seeds[s]];
      points.x.push_back(c.widths[i].first);
      points.y.push_back(values[s]);
    }
  }
  std::vector<SeedPoints> all;
  for (auto& [seed, points] : seeds) all.push_back(std::move(points));
  return exponent_over_seeds(all);
}

/// The largest share of its first training loss that a run has at its end.
double unsettled_share(const SweepCurves& c) {
  double largest = 0;
  for (const auto& loss : c.columns.at("train_loss")) largest = std::max(largest, loss.back() / loss.front());
  return largest;
}

std::vector<std::string> unsettled_runs(const WidthCurves& c) {
  std::vector<std::string> all;
  for (const auto& [width, curves] : c.widths) {
    if (const double share = unsettled_share(*curves); !(share <= settled_loss)) {
      all.push_back(
          fmt::format("{} at m = {:g} ends at {} of its first training loss", c.title, width, format_number(share, 2)));
    }
  }
  return all;
}

/// A dashed guide of this slope through a model's first point, where the panel shows it.
void add_slope(Panel& panel, const std::vector<WidthCurves>& models, const std::string& name, double slope,
               const std::string& label) {
  for (const auto& c : models) {
    if (c.name != name) continue;
    for (const auto& s : panel.series) {
      if (s.label.text != c.title || s.x.size() < 2) continue;
      auto guide = guide_line(slope, s.x.front(), s.y.front(), s.x.front(), s.x.back(), rich_text(label));
      guide.color = s.color;
      panel.series.push_back(std::move(guide));
      return;
    }
  }
}

Figure movement_figure(const std::vector<WidthCurves>& models, std::size_t seeds) {
  Figure figure;
  figure.caption =
      "How far neurons have moved at the end of training, over the width; dashed: the slopes of lazy neurons and of "
      "W*; " +
      band_text(seeds);
  for (const auto& size : neuron_sizes()) {
    Panel panel;
    panel.title = rich_text(size.title);
    panel.x = {rich_text("width {/:Italic m}"), true};
    panel.y.logarithmic = true;
    int color = 0;
    for (const auto& c : models) {
      const int own = color++;
      if (c.widths.empty()) continue;
      Series series{.label = c.title, .style = SeriesStyle::line_points, .color = own};
      for (std::size_t i = 0; i < c.widths.size(); ++i) {
        const auto of = summary(c.sizes(size, i));
        series.x.push_back(c.widths[i].first);
        series.y.push_back(of.value);
        if (!std::isfinite(of.deviation)) continue;
        series.low.push_back(of.value - of.deviation);
        series.high.push_back(of.value + of.deviation);
      }
      if (series.low.size() != series.x.size()) series.low = series.high = {};
      panel.series.push_back(std::move(series));
    }
    add_slope(panel, models, "ntk", lazy, "{/:Italic m}\u200a^{−1/2}");
    add_slope(panel, models, "joint_regularized", constructed, "{/:Italic m}\u200a^{−1/4}");
    if (!panel.series.empty()) figure.panels.push_back(std::move(panel));
  }
  figure.columns = 2;
  return figure;
}

/// What is drawn along training and shown at its end: shares and alignments, in the order of metrics.csv's own.
std::vector<std::string> place_columns(const SweepCurves& c) {
  std::vector<std::string> names;
  for (const auto& [name, runs] : c.columns) {
    if (name.starts_with("share_") || name.starts_with("alignment")) names.push_back(name);
  }
  // share_V1, share_V2, share_rest and then the others, whatever the alphabet says.
  const auto place = [](const std::string& name) {
    const std::vector<std::string> first = {"share_V1", "share_V2", "share_rest"};
    return std::find(first.begin(), first.end(), name) - first.begin();
  };
  std::stable_sort(names.begin(), names.end(), [&](const auto& a, const auto& b) { return place(a) < place(b); });
  return names;
}

/// share_V1 as V_1, alignment_2 as alignment 2.
Label place_label(std::string name) {
  if (name == "share_rest") return "null space";
  const bool share = name.starts_with("share_");
  if (share) return rich_text(fmt::format("{{/:Italic {}}}_{}", name.substr(6, 1), name.substr(7)));
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

Figure shares_figure(const std::vector<WidthCurves>& models, std::size_t seeds) {
  Figure figure;
  for (const auto& c : models) {
    if (c.widths.empty()) continue;
    const auto& [width, curves] = c.widths.back();
    Panel panel;
    panel.title = c.title;
    panel.x = {"step", true};
    for (const auto& name : place_columns(*curves)) {
      panel.series.push_back(band_series(curves->steps, curves->columns.at(name), place_label(name), 1));
    }
    figure.panels.push_back(std::move(panel));
    figure.caption = fmt::format(
        "Shares of ‖W‖_F² in V1, in V2 and in the null space of the features, along training at m = {:g}; {}", width,
        band_text(seeds));
  }
  figure.columns = 2;
  return figure;
}

Table exponent_table(const std::vector<WidthCurves>& models) {
  Table table;
  table.title = "Exponents in m of how far neurons move, with their 95% intervals: -0.5 lazy, -0.25 for W*";
  table.columns = {Column("model")};
  for (const auto& size : neuron_sizes()) table.columns.push_back(Column(size.name, 3));
  for (const auto& c : models) {
    std::vector<Cell> row{c.title};
    for (const auto& size : neuron_sizes()) {
      row.push_back(c.widths.empty() ? Cell("not run") : Cell(width_exponent(c, size).exponent));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table end_table(const std::vector<WidthCurves>& models, std::size_t seeds) {
  Table table;
  table.title = "At the end of training, " + spread_text(seeds);
  table.keys = 2;
  std::vector<std::string> places;
  for (const auto& c : models) {
    for (const auto& [width, curves] : c.widths) {
      if (auto own = place_columns(*curves); own.size() > places.size()) places = std::move(own);
    }
  }
  table.columns = {Column("model"),     Column("m"),    Column("seeds"), Column("training loss", 2),
                   Column("test loss"), Column("‖W‖_F")};
  for (const auto& size : neuron_sizes()) table.columns.push_back(Column(size.name));
  for (const auto& name : places) table.columns.push_back(Column(name, 3));
  for (const auto& c : models) {
    for (std::size_t i = 0; i < c.widths.size(); ++i) {
      const auto& [width, curves] = c.widths[i];
      std::vector<Cell> row{c.title, width, curves->seeds.size()};
      for (const char* name : {"train_loss", "test_loss", "norm_W"}) row.push_back(last_summary(*curves, name));
      for (const auto& size : neuron_sizes()) row.push_back(summary(c.sizes(size, i)));
      for (const auto& name : places) row.push_back(last_summary(*curves, name));
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

std::vector<Claim> escape_claims(const EscapeConfig& config, const std::vector<WidthCurves>& models) {
  std::vector<Claim> claims;
  const auto [low, high] = std::minmax_element(config.widths.begin(), config.widths.end());
  const bool wide = config.widths.size() >= 4 && *high >= 16 * *low;
  const auto find = [&](const std::string& name) -> const WidthCurves* {
    for (const auto& c : models) {
      if (c.name == name) return &c;
    }
    return nullptr;
  };
  const auto add = [&](Claim claim, const std::vector<const WidthCurves*>& of) {
    bool finished = true;
    std::string small = wide ? "" : "needs four widths over a factor of 16";
    for (const auto* c : of) {
      finished = finished && c->widths.size() == config.widths.size() &&
                 std::all_of(c->widths.begin(), c->widths.end(), [](const auto& w) { return is_complete(*w.second); });
      for (const auto& run : unsettled_runs(*c)) small += fmt::format("{}{}", small.empty() ? "" : "; ", run);
    }
    claim.figure = "escape";
    claims.push_back(judged(std::move(claim), finished, small));
  };
  /// The exponents of some of the sizes, all within the same bounds.
  const auto exponents = [](const WidthCurves& c, const std::vector<std::size_t>& sizes, double at_least,
                            double at_most) {
    std::vector<Evidence> evidence;
    for (const auto i : sizes) {
      const auto& size = neuron_sizes()[i];
      evidence.push_back(
          {fmt::format("exponent of {}", size.name), width_exponent(c, size).exponent, at_least, at_most});
    }
    return evidence;
  };
  const auto share = [](const WidthCurves& c, const char* column, bool first = false) {
    if (c.widths.empty()) return Estimate{};
    return mean_over_seeds(last_values(*(first ? c.widths.front() : c.widths.back()).second, column));
  };
  const auto quotient = [](const SweepCurves& of, const SweepCurves& over) { return last_ratio(of, over, "share_V2"); };
  const auto *ntk = find("ntk"), *joint = find("joint"), *best = find("joint_regularized");
  if (ntk) {
    add({.source = "Section 1",
         .statement = "The NTK alone is lazy: every neuron moves as m^(-1/2), however wide the network.",
         .paper = "‖w_r‖ ≃ m^(-1/2)",
         .reason = "exponents of the median and of the root mean square of ‖w_r‖ within 0.05 of -1/2",
         .evidence = exponents(*ntk, {0, 2}, lazy - 0.05, lazy + 0.05)},
        {ntk});
  }
  if (best) {
    add({.source = "Section 1, the title",
         .statement = "f_L + f_Q with R3 escapes the NTK regime: its neurons move ≫ m^(-1/2).",
         .paper = "‖w_r‖ ≫ m^(-1/2)",
         .reason = "exponents of the median, the 99th percentile and the root mean square of ‖w_r‖ above -0.45",
         .evidence = exponents(*best, {0, 1, 2}, lazy + 0.05, INFINITY)},
        {best});
    add({.source = "Theorem 2",
         .statement = "It moves as far as W* does: ‖w_r‖ as m^(-1/4), so that ‖W‖_{2,4} does not grow with m.",
         .paper = "‖W*‖_{2,4}⁴ ≲ d^(k-1), ‖w_r‖ ≃ m^(-1/4)",
         .reason = "exponent of ‖W‖_{2,4} m^(-1/4) within 0.1 of -1/4",
         .evidence = exponents(*best, {3}, constructed - 0.1, constructed + 0.1)},
        {best});
    add({.source = "Section 1.1",
         .statement = "It moves in the null space of Φ, which f_L does not see on the training data.",
         .paper = "W should move in the null space of Φ",
         .reason = "at the largest width at least half of ‖W‖_F² there",
         .evidence = {{"share of the null space", share(*best, "share_rest"), 0.5, INFINITY}}},
        {best});
  }
  if (joint && best) {
    Estimate kept;
    if (!joint->widths.empty() && !best->widths.empty()) {
      kept = quotient(*best->widths.back().second, *joint->widths.back().second);
    }
    add({.source = "Section 1.1, Goal #1",
         .statement = "R3 keeps the movement out of V2, the directions with which f_L overfits.",
         .ours = fmt::format("share of V2 {} with R3, {} without", to_sentence(share(*best, "share_V2")),
                             to_sentence(share(*joint, "share_V2"))),
         .reason = "V2's share of ‖W‖_F² at the largest width at most a tenth of that without R3",
         .evidence = {{"V2's share with R3 over that without", kept, 0, 0.1}}},
        {best, joint});
    Estimate grown;
    if (joint->widths.size() > 1) grown = quotient(*joint->widths.back().second, *joint->widths.front().second);
    add({.source = "Section 1.1",
         .statement = "Without R3 f_L takes over as the network gets wider, and moves in V2 to interpolate.",
         .ours = fmt::format("share of V2 {} at the smallest width, {} at the largest",
                             to_sentence(share(*joint, "share_V2", true)), to_sentence(share(*joint, "share_V2"))),
         .reason = "V2's share of ‖W‖_F² larger at the largest width than at the smallest",
         .evidence = {{"V2's share at the largest over that at the smallest width", grown, 1, INFINITY}}},
        {joint});
  }
  return claims;
}

}  // namespace

EscapeConfig read_escape_config(const nlohmann::json& json, const std::string& source, const Catalogue& catalogue) {
  auto c = read_runs_config<EscapeConfig>(json, source, catalogue);
  check_models(c.models, {"data", "loss", "seed", "dtype", "device", "threads", "observables"}, source);
  if (c.widths.empty()) throw InputError(source + ": widths: expected at least one value, got nothing");
  for (const auto& model : c.models) {
    if (model.set.contains("/model/width"_json_pointer)) {
      throw InputError(
          fmt::format("{}: models: {}: set: model.width: the widths are those of the list widths", source, model.name));
    }
  }
  auto& observables = c.base["observables"];
  if (observables.is_null()) observables = nlohmann::json::array();
  if (!observables.is_array()) throw InputError(source + ": observables: expected a list of names or objects");
  for (const char* name : {"movement", "shares"}) {
    const bool there = std::any_of(observables.begin(), observables.end(), [&](const nlohmann::json& o) {
      return o == name || (o.is_object() && o.value("name", nlohmann::json()) == name);
    });
    if (!there) observables.push_back(name);
  }
  return c;
}

std::vector<PlannedRun> plan_escape(const EscapeConfig& config, const std::string& source) {
  std::vector<PlannedRun> plan;
  const SweepAxis widths{"model.width", {config.widths.begin(), config.widths.end()}};
  for (const auto& model : config.models) {
    auto base = config.base;
    merge_over(base, model.set);
    const auto of = fmt::format("{}: model {}", source, model.name);
    for (auto& run : plan_runs({base, config.seeds, {widths}, config.catalogue}, of)) {
      const auto& projector = run.config.projector;
      if (!projector.sampled()) {
        throw InputError(
            fmt::format("{}: projector.source: expected features or unlabeled, at whose points shares of V1 and V2 are "
                        "taken, got {}",
                        of, word_of(projector.source)));
      }
      run.name = checked_name(fmt::format("{},{}", model.name, run.name));
      run.swept.insert(run.swept.begin(), model.name);
      plan.push_back(std::move(run));
    }
  }
  return plan;
}

Findings escape_findings(const EscapeConfig& config, const std::vector<SweepCurves>& curves) {
  const auto models = curves_by_model(config, curves);
  const auto seeds = most_seeds(curves);
  const auto movement = movement_figure(models, seeds), shares = shares_figure(models, seeds);
  Findings found{.table = exponent_table(models),
                 .figures = {{"escape", movement, movement.caption + "."}, {"shares", shares, shares.caption + "."}},
                 .claims = escape_claims(config, models)};
  found.tables = {{"Every width", end_table(models, seeds)}};
  for (const auto& c : models) {
    for (const auto& run : unsettled_runs(c)) found.warnings.push_back(run + ": not settled, more steps tell");
  }
  return found;
}

namespace {

class EscapeTask : public RunsTask {
 public:
  EscapeTask(EscapeConfig config, const std::string& source)
      : RunsTask(plan_escape(config, source)), config_(std::move(config)) {}
  nlohmann::json config() const override { return write_described(config_); }
  Findings findings(const std::filesystem::path& folder) const override {
    return escape_findings(config_, read_curves(plan(), folder));
  }

 private:
  EscapeConfig config_;
};

}  // namespace

Study escape_study() {
  return {
      .name = "escape",
      .summary = "How far neurons move as m grows, for NTK, f_L + f_Q with and without R3 and the network, and where",
      .title = "Escaping the NTK regime",
      .presets = {{"quick", "escape-quick"}, {"full", "escape"}},
      .standard = runs_defaults<EscapeConfig>(),
      .keys = list_described(EscapeConfig{}),
      .read = [](const nlohmann::json& json, const std::string& source,
                 const Catalogue& catalogue) -> std::unique_ptr<Task> {
        return std::make_unique<EscapeTask>(read_escape_config(json, source, catalogue), source);
      },
      .stages = {{.name = "escape",
                  .title = "Escaping the NTK regime",
                  .source = "Section 1, the title",
                  .claim = "A neuron of the NTK moves as m^(-1/2); regularizers let each move ≫ m^(-1/2), in good "
                           "directions.",
                  .command = {"escape"},
                  .quick = {"--preset", "quick"},
                  .published = {"--preset", "full"}}}};
}

}  // namespace entk
