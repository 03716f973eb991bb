#include "entk/studies/figure1.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "entk/runs/curves.h"
#include "entk/report/statistics.h"

namespace entk {

namespace {

std::string swept_text(const StudyConfig& study, const SweepCurves& curves) {
  std::string text;
  for (std::size_t i = 0; i < curves.swept.size(); ++i) {
    const auto& value = curves.swept[i];
    text += fmt::format("{}{} = {}", i ? ", " : "", study.sweep[i].path,
                        value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

/// "λ_3 = 10" where R3's weight is swept, else the key as it is.
Label swept_label(const StudyConfig& study, const SweepCurves& curves) {
  if (study.sweep.size() == 1 && study.sweep[0].path == "lambda.3") {
    return rich_text(fmt::format("{{/:Italic λ}}_3 = {}", curves.swept[0].dump()));
  }
  return swept_text(study, curves);
}

Panel panel(const std::string& title, const std::string& column, bool logarithmic, const StudyConfig& study,
            const std::vector<SweepCurves>& curves, std::int64_t dimension) {
  Panel p;
  p.title = rich_text(title);
  p.x.label = rich_text("log_{/:Italic d}(step)");
  p.y.logarithmic = logarithmic;
  for (const auto& c : curves) {
    if (!c.columns.count(column)) continue;
    std::vector<double> x;
    for (const double step : c.steps) x.push_back(std::log(step) / std::log(static_cast<double>(dimension)));
    p.series.push_back(band_series(x, c.columns.at(column), swept_label(study, c), 0.0));
  }
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

Figure figure1_plot(const StudyConfig& study, const std::vector<SweepCurves>& curves, std::int64_t dimension) {
  Figure figure;
  figure.palette = Palette::sequential;
  figure.caption = "Training f_L + f_Q with R3, its weight swept: " + band_text(most_seeds(curves));
  figure.panels = {panel("{/:Italic R}_3({/:Bold W})", "R3", true, study, curves, dimension),
                   panel("Training loss", "train_loss", true, study, curves, dimension),
                   panel("Test loss", "test_loss", false, study, curves, dimension)};
  for (const auto& name : own_columns(curves)) {
    auto own = panel("", name, false, study, curves, dimension);  // some are shares, some have zeros
    own.title = name;                                             // as it is: no markup
    figure.panels.push_back(std::move(own));
  }
  return figure;
}

Table figure1_table(const StudyConfig& study, const std::vector<SweepCurves>& curves, bool published) {
  Table table;
  table.title = "Final values, " + spread_text(most_seeds(curves));
  const bool lambda3 = study.sweep.size() == 1 && study.sweep[0].path == "lambda.3";
  table.columns = {Column(lambda3 ? "λ3" : "run"), Column("seeds"), Column("training loss"), Column("R3"),
                   Column("test loss")};
  const auto own = own_columns(curves);
  for (const auto& name : own) table.columns.push_back(Column(name));
  if (published) table.columns.push_back(Column("paper's test loss", 2, NumberFormat::fixed));
  for (const auto& c : curves) {
    std::vector<Cell> row;
    row.push_back(lambda3 ? Cell(c.swept[0].get<double>()) : Cell(c.swept.empty() ? "all" : swept_text(study, c)));
    row.push_back(c.seeds.size());
    std::vector<std::string> columns = {"train_loss", "R3", "test_loss"};
    columns.insert(columns.end(), own.begin(), own.end());
    for (const auto& column : columns) row.push_back(has_runs(c) ? Cell(last_summary(c, column)) : Cell("not run"));
    if (published) {
      const auto& paper = figure1_paper_values();
      const auto found = lambda3 ? paper.find(c.swept[0].get<double>()) : paper.end();
      row.push_back(found == paper.end() ? Cell("–") : Cell(found->second));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

bool asks_figure1(const StudyConfig& study) {
  if (study.sweep.size() != 1 || study.sweep[0].path != "lambda.3") return false;
  const auto& values = study.sweep[0].values;
  const auto has = [&](double wanted) {
    return std::any_of(values.begin(), values.end(),
                       [&](const auto& v) { return v.is_number() && v.template get<double>() == wanted; });
  };
  const auto config = read_run_config(study.base, "configuration", study.catalogue);
  const auto target = config.data.target.value("name", "");
  return has(0) && has(10) && config.model.order == 2 && config.model.linear_term && config.loss == "square" &&
         config.data.source != "file" && (target == "figure1" || target == "figure1_text");
}

std::vector<Claim> figure1_claims(const RunConfig& config, const std::vector<SweepCurves>& curves, bool published) {
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
                             .figure = "figure1",
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
