#include "entk/studies/figure1.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>

#include "entk/runs/curves.h"
#include "entk/report/statistics.h"

namespace entk {

namespace {

/// Whether R3's weight alone is swept.
bool sweeps_r3(const StudyConfig& study) {
  const std::string weight = "lambda.3";
  return study.sweep.size() == 1 && study.sweep[0].path == weight;
}

/// "λ3 = 10, m = 100" in markup, of these axes.
Label swept_label(const StudyConfig& study, const SweepCurves& curves, const std::vector<std::size_t>& axes) {
  std::string text;
  for (const auto i : axes) {
    auto value = value_text(curves.swept[i]);
    for (char& c : value) c = std::string_view("\\{}_^@&~").find(c) == std::string_view::npos ? c : ' ';
    text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", key_markup(study.sweep[i].path), value);
  }
  return rich_text(text);
}

/// Which axis the colour tells, and which ones the dashes: none where one has to tell all.
struct Looks {
  std::vector<std::size_t> color, dash;
};

Looks looks_of(const StudyConfig& study) {
  Looks looks;
  if (study.sweep.empty()) return looks;
  std::size_t longest = 0, others = 1;
  for (std::size_t i = 0; i < study.sweep.size(); ++i) {
    if (study.sweep[i].values.size() > study.sweep[longest].values.size()) longest = i;
  }
  for (std::size_t i = 0; i < study.sweep.size(); ++i) others *= i == longest ? 1 : study.sweep[i].values.size();
  for (std::size_t i = 0; i < study.sweep.size(); ++i)
    (i == longest || others == 1 || others > 4 ? looks.color : looks.dash).push_back(i);
  return looks;
}

Panel panel(const Label& title, const std::string& column, bool logarithmic, const StudyConfig& study,
            const std::vector<SweepCurves>& curves, const Axis& x, const std::function<double(double)>& x_of) {
  Panel p{.title = title, .x = x, .y = {.logarithmic = logarithmic}};
  const auto [color, dash] = looks_of(study);
  std::vector<std::string> colors, dashes;
  std::vector<Series> names;
  const auto index = [&](std::vector<std::string>& seen, const Label& label, bool is_dash) {
    const auto found = std::find(seen.begin(), seen.end(), label.text) - seen.begin();
    if (found < static_cast<std::ptrdiff_t>(seen.size()) || label.text.empty()) return static_cast<int>(found);
    seen.push_back(label.text);
    names.push_back({.label = label});
    (is_dash ? names.back().dash : names.back().color.emplace()) = static_cast<int>(found);
    return static_cast<int>(found);
  };
  for (const auto& c : curves) {
    const auto by_color = swept_label(study, c, color);
    const int own_color = index(colors, by_color, false), own_dash = index(dashes, swept_label(study, c, dash), true);
    if (!c.columns.count(column)) continue;
    std::vector<double> xs;
    for (const double step : c.steps) xs.push_back(x_of(step));
    p.series.push_back(band_series(xs, c.columns.at(column), dash.empty() ? by_color : Label(), x.logarithmic ? 1 : 0));
    p.series.back().color = own_color;
    p.series.back().dash = own_dash;
  }
  if (dash.empty()) return p;
  std::stable_sort(names.begin(), names.end(),
                   [](const Series& a, const Series& b) { return a.color.has_value() > b.color.has_value(); });
  p.series.insert(p.series.end(), names.begin(), names.end());
  return p;
}

/// Final mean of a column, of each swept λ3 with a finished run.
std::map<double, double> final_means(const std::vector<SweepCurves>& curves, const std::string& column) {
  std::map<double, double> means;
  for (const auto& c : curves) {
    if (has_runs(c)) means[c.swept[0].get<double>()] = mean(last_values(c, column));
  }
  return means;
}

std::string listed(const std::map<double, double>& values) {
  std::string text;
  for (const auto& [lambda, value] : values) {
    text += fmt::format("{}{} at {}", text.empty() ? "" : ", ", format_number(value, 2), lambda);
  }
  return text;
}

/// Why sizes cannot tell; empty where they can. The bounds are the quick preset's sizes.
std::string too_small(const RunConfig& c) {
  constexpr std::int64_t dimension = 50, samples = 354, width = 2000, steps = 4000;
  if (c.data.dimension >= dimension && c.data.samples >= samples && c.model.width >= width && c.train.steps >= steps)
    return "";
  return fmt::format("needs d ≥ {}, n ≥ {}, m ≥ {} and {} steps; this run has {}, {}, {} and {}", dimension, samples,
                     width, steps, c.data.dimension, c.data.samples, c.model.width, c.train.steps);
}

bool has_paper_sizes(const RunConfig& c) {
  return c.data.dimension >= 100 && c.data.samples >= 1000 && c.model.width >= 10000 && c.train.steps >= 20000;
}

}  // namespace

const std::map<double, double>& figure1_paper_values() {
  static const std::map<double, double> values = {{0, 0.50}, {0.01, 0.48}, {0.1, 0.34},
                                                  {1, 0.17}, {10, 0.14},   {100, 0.22}};
  return values;
}

Figure figure1_plot(const StudyConfig& study, const std::vector<SweepCurves>& curves,
                    std::optional<std::int64_t> dimension) {
  const Axis x = dimension ? Axis{rich_text("log_{/:Italic d}(step)")} : Axis{"step", true};
  const auto x_of = [&](double step) {
    return dimension ? std::log(step) / std::log(static_cast<double>(*dimension)) : step;
  };
  Figure figure;
  figure.palette = Palette::sequential;
  figure.caption = (dimension ? "Training f_L + f_Q with R3, its weight swept: " : "R3, training and test loss: ") +
                   band_text(most_seeds(curves));
  const auto add = [&](const Label& title, const std::string& column, bool logarithmic) {
    figure.panels.push_back(panel(title, column, logarithmic, study, curves, x, x_of));
  };
  add(rich_text("{/:Italic R}_3({/:Bold W})"), "R3", true);
  add("Training loss", "train_loss", true);
  add("Test loss", "test_loss", false);
  for (const auto& name : own_columns(curves))
    add(column_title(name), name, false);  // some are shares, some have zeros
  return figure;
}

Table figure1_table(const StudyConfig& study, const std::vector<SweepCurves>& curves, bool published) {
  Table table;
  table.title = "Final values, " + spread_text(most_seeds(curves));
  for (const auto& axis : study.sweep) table.columns.push_back(Column(key_symbol(axis.path)));
  if (study.sweep.empty()) table.columns.push_back(Column("run"));
  table.keys = table.columns.size();
  for (const char* name : {"seeds", "training loss", "test loss", "R3"}) table.columns.push_back(Column(name));
  if (published) table.columns.push_back(Column("paper's test loss", 2, NumberFormat::fixed));
  const auto own = own_columns(curves);
  for (const auto& name : own) table.columns.push_back(Column(name));
  for (const auto& c : curves) {
    std::vector<Cell> row;
    for (const auto& value : c.swept) row.push_back(value.is_number() ? Cell(value.get<double>()) : value_text(value));
    if (c.swept.empty()) row.push_back("all");
    row.push_back(c.seeds.size());
    const auto last = [&](const std::string& column) {
      return has_runs(c) ? Cell(last_summary(c, column)) : Cell("not run");
    };
    for (const char* column : {"train_loss", "test_loss", "R3"}) row.push_back(last(column));
    if (published) {
      const auto& paper = figure1_paper_values();
      const auto found =
          sweeps_r3(study) && c.swept[0].is_number() ? paper.find(c.swept[0].get<double>()) : paper.end();
      row.push_back(found == paper.end() ? Cell("–") : Cell(found->second));
    }
    for (const auto& column : own) row.push_back(last(column));
    table.rows.push_back(std::move(row));
  }
  return table;
}

bool asks_figure1(const StudyConfig& study) {
  if (!sweeps_r3(study)) return false;
  const auto& values = study.sweep[0].values;
  const auto has = [&](double wanted) {
    return std::any_of(values.begin(), values.end(),
                       [&](const auto& v) { return v.is_number() && v.template get<double>() == wanted; });
  };
  const auto config = read_run_config(study.base, "configuration", study.catalogue);
  const auto like = [&](const char* published) {
    const auto own = read_run_config(read_study_config(preset(published), published).base, published);
    return config.data.target.name() == own.data.target.name() && config.loss.name() == own.loss.name();
  };
  return has(0) && has(10) && config.model.order == 2 && config.model.linear_term && !config.data.loaded() &&
         (like("figure1") || like("figure1-text"));
}

std::vector<Claim> figure1_claims(const RunConfig& config, const std::vector<SweepCurves>& curves, bool published,
                                  const std::string& figure) {
  const auto& paper = figure1_paper_values();
  const auto train = final_means(curves, "train_loss"), test = final_means(curves, "test_loss"),
             r3 = final_means(curves, "R3");
  std::map<double, const SweepCurves*> at;  // by λ3, those with runs
  for (const auto& c : curves) {
    if (has_runs(c)) at[c.swept[0].get<double>()] = &c;
  }
  const bool finished = std::all_of(curves.begin(), curves.end(), is_complete);
  const auto small = too_small(config);
  std::vector<Claim> claims;
  const auto add = [&](const char* statement, const std::string& paper_value, const std::string& ours,
                       const std::string& criterion, std::vector<Evidence> evidence,
                       const std::string& not_enough = "") {
    claims.push_back(judged({.source = "Figure 1",
                             .statement = statement,
                             .paper = paper_value,
                             .ours = ours,
                             .reason = criterion,
                             .figure = figure,
                             .evidence = std::move(evidence)},
                            finished, small.empty() ? not_enough : small));
  };
  const auto ratio = [&](double of, double over, const char* column, const char* what, double at_least,
                         double at_most) {
    return Evidence{fmt::format("{} at {} over that at {}", what, of, over),
                    last_ratio(*at.at(of), *at.at(over), column), at_least, at_most};
  };

  std::vector<Evidence> near_zero;
  for (const auto& [lambda, c] : at) {
    near_zero.push_back({fmt::format("last over first at {}", lambda), last_over_first(*c, "train_loss"), 0, 0.05});
  }
  add("The training loss comes near zero for every λ3.", "near zero", listed(train),
      "final training loss at most 5% of that at W = 0, at every λ3", near_zero);

  std::vector<Evidence> learns;
  if (at.count(0) && at.count(10)) learns.push_back(ratio(10, 0, "test_loss", "test loss", 0, 0.5));
  add("R3 makes the model learn the whole signal: the test loss at λ3 = 10 is far below that at λ3 = 0.",
      "0.50 at 0, 0.14 at 10", listed(test), "test loss at λ3 = 10 at most half of that at 0", learns);

  std::vector<Evidence> falls;
  for (auto it = at.begin(); it != at.end() && std::next(it) != at.end(); ++it) {
    falls.push_back(ratio(std::next(it)->first, it->first, "R3", "R3", 0, 1));
  }
  add("R3 grows large for small λ3 and stays small for large λ3.", "", listed(r3), "final R3 lower at each larger λ3",
      falls);

  std::vector<Evidence> least;
  for (const auto& [lambda, c] : at) {
    if (at.count(10) && lambda != 10) least.push_back(ratio(lambda, 10, "test_loss", "test loss", 1, INFINITY));
  }
  const bool around = at.count(1) && at.count(10) && at.count(100);
  add("The test loss is least at λ3 = 10.", "0.14 at 10; 0.17 at 1 and 0.22 at 100 beside it", listed(test),
      "final test loss at every other λ3 at least that at λ3 = 10", least,
      around && has_paper_sizes(config)
          ? ""
          : "needs λ3 = 1, 10 and 100 at the paper's sizes (d = 100, n = 1000, m = 10000, 20000 steps)");

  std::vector<Evidence> same;
  for (const auto& [lambda, c] : at) {
    const auto found = paper.find(lambda);
    if (published && found != paper.end()) {
      same.push_back({fmt::format("mean at {}", lambda), mean_over_seeds(last_values(*c, "test_loss")),
                      found->second - 0.05, found->second + 0.05});
    }
  }
  add("The final test losses.", listed(paper), listed(test),
      "each mean within 0.05 of the figure's, which is read by eye", same,
      published ? "" : "to be compared for the published configuration alone");
  return claims;
}

}  // namespace entk
