#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/studies/expressivity.h"
#include "entk/io/atomic_file.h"
#include "entk/io/strict_json.h"
#include "entk/report/html.h"
#include "entk/report/statistics.h"

namespace entk {

namespace {

/// Values of one k: at each width, those of the seeds that are there (of a finished study: all, in order).
struct Curve {
  std::int64_t k;
  std::vector<double> widths;
  std::map<std::string, std::vector<std::vector<double>>> values;  // by name, width, seed

  std::vector<double> means(const std::string& name) const {
    std::vector<double> out;
    for (const auto& at : values.at(name)) out.push_back(mean(at));
    return out;
  }
  /// Of a power of m, with the seeds as groups.
  Estimate slope(const std::string& name) const {
    std::vector<SeedPoints> points(seeds());
    for (std::size_t i = 0; i < widths.size(); ++i) {
      for (std::size_t s = 0; s < std::min(points.size(), values.at(name)[i].size()); ++s) {
        points[s].x.push_back(widths[i]);
        points[s].y.push_back(values.at(name)[i][s]);
      }
    }
    return exponent_over_seeds(points).exponent;
  }
  /// The mean at the largest width.
  Estimate last(const std::string& name) const { return mean_over_seeds(values.at(name).back()); }
  std::size_t seeds() const { return values.empty() ? 0 : values.begin()->second.front().size(); }
};

std::vector<Curve> read_parts(const std::filesystem::path& folder, const ExpressivityConfig& c) {
  std::vector<Curve> curves;
  for (const auto k : c.degrees) {
    Curve curve{k, {}, {}};
    for (const auto width : c.widths) {
      std::map<std::string, std::vector<double>> here;
      for (const auto seed : c.seeds) {
        const auto file = expressivity_part(folder, k, width, seed);
        if (!std::filesystem::exists(file)) continue;
        const auto numbers = load_json(file);
        const JsonReader reader(numbers, file.string());
        for (const auto& [name, unused] : numbers.items()) here[name].push_back(reader.get<double>(name));
      }
      if (here.empty()) continue;
      curve.widths.push_back(static_cast<double>(width));
      for (auto& [name, values] : here) curve.values[name].push_back(std::move(values));
    }
    if (!curve.widths.empty()) curves.push_back(std::move(curve));
  }
  return curves;
}

Series series_of(const Curve& c, const std::string& name, const std::string& label, std::size_t color, int dash = 0) {
  return {.label = rich_text(label),
          .x = c.widths,
          .y = c.means(name),
          .style = SeriesStyle::line_points,
          .color = static_cast<int>(color),
          .dash = dash};
}

/// A dashed guide of this slope through the first point.
void add_guide(Panel& panel, const Curve& c, const std::string& name, double slope, const std::string& label) {
  if (c.widths.size() < 2) return;
  panel.series.push_back(guide_line(slope, c.widths.front(), c.means(name).front(), c.widths.front(), c.widths.back(),
                                    label.empty() ? Label() : rich_text(label)));
}

Panel panel_of(const std::string& title) {
  Panel p;
  p.title = rich_text(title);
  p.x = {rich_text("width {/:Italic m}"), true};
  p.y.logarithmic = true;
  return p;
}

Figure solution_figure(const std::vector<Curve>& curves) {
  auto error = panel_of("Error of {/:Italic f_Q}"), norm = panel_of("‖{/:Bold W}_{/:Italic Q}‖_{2,4}^4"),
       linear = panel_of("rms of {/:Italic f_L}");
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const auto& c = curves[i];
    const auto k = fmt::format("{{/:Italic k}} = {}", c.k);
    error.series.push_back(series_of(c, "fq_error", k, i));
    norm.series.push_back(series_of(c, "wq_norm4", k, i));
    linear.series.push_back(series_of(c, "fl_plain", k, i));
    linear.series.push_back(series_of(c, "fl_signed", k + ", signs", i, 1));
  }
  for (std::size_t i = 0; i < curves.size(); ++i) {
    add_guide(error, curves[i], "fq_error", -0.5, i == 0 ? "{/:Italic m}^{−1/2}" : "");
    add_guide(linear, curves[i], "fl_plain", 0.25, i == 0 ? "{/:Italic m}^{1/4}" : "");
    add_guide(linear, curves[i], "fl_signed", -0.25, i == 0 ? "{/:Italic m}^{−1/4}" : "");
    norm.series.push_back({.label = i == 0 ? Label("limit") : Label(),
                           .x = curves[i].widths,
                           .y = curves[i].means("wq_norm4_limit"),
                           .style = SeriesStyle::reference});
  }
  Figure figure;
  figure.caption = fmt::format(
      "Theorem 2's solution: relative error of f_Q(W_Q), its norm, and f_L(S W_Q) with and without random "
      "signs S; {}",
      curves.front().seeds() > 1 ? fmt::format("means over {} seeds", curves.front().seeds()) : "one seed");
  figure.panels = {error, norm, linear};
  return figure;
}

Figure regularizer_figure(const std::vector<Curve>& curves) {
  Figure figure;
  figure.caption = "Regularizers at W* over the width, with the slopes of (30)";
  const std::pair<const char*, double> bounds[] = {{"R1", -0.5}, {"R2", 0.0}, {"R3", -0.5}, {"R4", 0.0}};
  for (const auto& [name, slope] : bounds) {
    auto p = panel_of(fmt::format("{{/:Italic R}}_{}({{/:Bold W}}^*)", name + 1));
    for (std::size_t i = 0; i < curves.size(); ++i) {
      p.series.push_back(series_of(curves[i], name, fmt::format("{{/:Italic k}} = {}", curves[i].k), i));
    }
    for (std::size_t i = 0; i < curves.size(); ++i) add_guide(p, curves[i], name, slope, i == 0 ? "slope of (30)" : "");
    figure.panels.push_back(std::move(p));
  }
  figure.columns = 2;
  return figure;
}

Table results_table(const std::vector<Curve>& curves, const ExpressivityConfig& config) {
  Table t;
  const auto seeds = config.seeds.size();
  t.title = fmt::format("Theorem 2's solution, {}", seeds > 1 ? fmt::format("means over {} seeds", seeds) : "one seed");
  t.keys = 2;
  t.columns = {Column("k"),
               Column("m"),
               Column("error of f_Q", 3),
               Column("max error", 3),
               Column("d^k/√m", 3),
               Column("‖W_Q‖⁴", 4),
               Column("its limit", 4),
               Column("E_n(f_L−f_k)²", 2),
               Column("‖W_L‖²", 3),
               Column("L^Q(W*)", 3),
               Column("R1", 3),
               Column("R1·√m/d^((k−1)/2)", 3),
               Column("R2", 3),
               Column("R3", 3),
               Column("R4", 3),
               Column("rms f_L(W_Q)", 3),
               Column("rms f_L(SW_Q)", 3)};
  for (const auto& c : curves) {
    for (std::size_t i = 0; i < c.widths.size(); ++i) {
      const auto at = [&](const char* name) { return mean(c.values.at(name)[i]); };
      const double d = static_cast<double>(config.dimension), m = c.widths[i];
      t.rows.push_back({c.k, m, at("fq_error"), at("fq_max_error"), std::pow(d, c.k) / std::sqrt(m), at("wq_norm4"),
                        at("wq_norm4_limit"), at("wl_error"), at("wl_square"), at("loss"), at("R1"),
                        at("R1") * std::sqrt(m) / std::pow(d, 0.5 * (c.k - 1)), at("R2"), at("R3"), at("R4"),
                        at("fl_plain"), at("fl_signed")});
    }
  }
  return t;
}

std::vector<Claim> claims_of(const std::vector<Curve>& curves, const ExpressivityConfig& config) {
  std::vector<Claim> claims;
  const auto text = [](double v) { return format_number(v, 3); };
  for (const auto& c : curves) {
    const bool all = c.widths.size() == config.widths.size();
    const double range = c.widths.empty() ? 1 : c.widths.back() / c.widths.front();
    const auto add = [&](const char* source, const std::string& statement, const std::string& paper,
                         const std::string& ours, std::vector<Evidence> evidence, const std::string& reason,
                         const char* figure) {
      claims.push_back(judged({.source = source,
                               .statement = fmt::format("k = {}: {}", c.k, statement),
                               .paper = paper,
                               .ours = ours,
                               .reason = reason,
                               .figure = figure,
                               .evidence = std::move(evidence)}));
    };
    if (!all || range < 10) {
      claims.push_back(judged({.source = "Theorem 2",
                               .statement = fmt::format("k = {}: W* fits the target and keeps R1 to R4 small.", c.k),
                               .paper = "(29), (30)"},
                              all, "needs widths that differ by a factor of 10"));
      continue;
    }
    const auto slope = [&](const char* of, const char* name, double at_most) {
      return Evidence{fmt::format("{} as m to the power", of), c.slope(name), -INFINITY, at_most};
    };
    const double d = static_cast<double>(config.dimension), n = static_cast<double>(config.samples);
    const double norm = std::pow(d, c.k - 1);
    add("Lemma 1", "f_Q(W_Q) approaches the sparse part as m^(−1/2).", "max error ≲ d^k m^(−1/2)",
        fmt::format("max error {} at m = {}", text(c.means("fq_max_error").back()), text(c.widths.back())),
        {slope("max error", "fq_max_error", -0.35)}, "exponent of the largest error at most −0.35", "expressivity");
    add("Lemma 1", "‖W_Q‖_{2,4}^4 does not grow with m.", fmt::format("≲ d^(k−1) = {}", text(norm)),
        fmt::format("{} at the largest m, {} in the limit", text(c.means("wq_norm4").back()),
                    text(c.means("wq_norm4_limit").back())),
        {slope("‖W_Q‖⁴", "wq_norm4", 0.05)}, "exponent at most 0.05: the constant, 8R Σα²/μ², is not 1",
        "expressivity");
    add("Lemma 2", "f_L(W_L) fits the low-degree part, W_L in the span of Π_{≤k}, with ‖W_L‖_F² ≲ d^(k−1).",
        fmt::format("E_n ≲ d^k/n = {}, ‖W_L‖² ≲ {}", text(std::pow(d, c.k) / n), text(norm)),
        fmt::format("‖W_L‖² = {} at the largest m", text(c.means("wl_square").back())),
        {{"E_n at the largest m", c.last("wl_error"), -INFINITY, std::pow(d, c.k) / n},
         slope("‖W_L‖²", "wl_square", 0.05)},
        "error at most d^k/n, norm not growing with m: exponent at most 0.05", "");
    add("Theorem 2", "W* = W_L + S W_Q reaches a small loss (29).", "L^Q(W*) ≤ ε_min for m ≳ ε_min^(−4)",
        fmt::format("{} → {} from m = {} to {}", text(c.means("loss").front()), text(c.means("loss").back()),
                    text(c.widths.front()), text(c.widths.back())),
        {slope("loss", "loss", -0.25)}, "loss (square) falls at least as m^(−1/4)", "");
    add("Theorem 2", "R1(W*) and R3(W*) are at most of the order m^(−1/2) d^((k−1)/2) (30).", "exponent −1/2",
        fmt::format("at the largest m R1 = {}, {} times the bound's order", text(c.means("R1").back()),
                    text(c.means("R1").back() * std::sqrt(c.widths.back()) / std::pow(d, 0.5 * (c.k - 1)))),
        {slope("R1", "R1", -0.4), slope("R3", "R3", -0.4)}, "exponents at most −0.4", "regularizers");
    add("Theorem 2", "R2(W*) is bounded and R4(W*) at most of the order d^(2(k−1)) (30).",
        fmt::format("1 and {}", text(norm * norm)),
        fmt::format("R2 = {}, R4 = {} at the largest m", text(c.means("R2").back()), text(c.means("R4").back())),
        {slope("R2", "R2", 0.05), slope("R4", "R4", 0.05)},
        "neither grows with m: exponents at most 0.05; R4's constant is (8R Σα²/μ²)²", "regularizers");
    add("Section 4.1", "Random signs make f_L(W_Q) small in population and leave f_Q.", "",
        fmt::format("rms of f_L without signs as m to the power {}", to_sentence(c.slope("fl_plain"))),
        {slope("with signs", "fl_signed", -0.2)}, "with signs, exponent at most −0.2 (theory: −1/4)", "expressivity");
  }
  return claims;
}

}  // namespace

Findings expressivity_findings(const std::filesystem::path& folder, const ExpressivityConfig& config) {
  const auto curves = read_parts(folder, config);
  Findings found{.table = results_table(curves, config)};
  if (curves.empty()) return found;
  const auto solution = solution_figure(curves), regularizers = regularizer_figure(curves);
  found.figures = {{"expressivity", solution, solution.caption}, {"regularizers", regularizers, regularizers.caption}};
  found.claims = claims_of(curves, config);
  // Exponents over some of the widths, or seeds, are not those that the study is for.
  bool finished = true;
  for (const auto k : config.degrees) {
    for (const auto width : config.widths) {
      for (const auto seed : config.seeds)
        finished = finished && std::filesystem::exists(expressivity_part(folder, k, width, seed));
    }
  }
  for (auto& claim : found.claims) {
    if (!finished) claim.verdict = Verdict::not_run;
  }
  return found;
}

}  // namespace entk
