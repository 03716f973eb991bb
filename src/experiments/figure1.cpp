#include "entk/experiments/figure1.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

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
    const auto band = mean_and_band(c.columns.at(column));
    Series series;
    series.label = swept_label(study, c);
    for (std::size_t i = 0; i < c.steps.size(); ++i) {
      if (c.steps[i] < 1) continue;
      series.x.push_back(std::log(c.steps[i]) / std::log(static_cast<double>(dimension)));
      series.y.push_back(band.mean[i]);
      if (!band.low.empty()) {
        series.low.push_back(band.low[i]);
        series.high.push_back(band.high[i]);
      }
    }
    p.series.push_back(std::move(series));
  }
  return p;
}

/// Final mean of a column, of each swept λ3 with a finished run.
std::map<double, double> final_means(const std::vector<SweepCurves>& curves, const std::string& column) {
  std::map<double, double> means;
  for (const auto& c : curves) {
    if (c.steps.empty()) continue;
    std::vector<double> values;
    for (const auto& run : c.columns.at(column)) values.push_back(run.back());
    means[c.swept[0].get<double>()] = mean(values);
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

Verdict verdict_of(bool held) { return held ? Verdict::held : Verdict::did_not_hold; }

/// Why sizes cannot tell; empty where they can. The bounds are the quick preset's sizes.
std::string too_small(const RunConfig& c) {
  constexpr std::int64_t dimension = 50, samples = 354, width = 2000, steps = 4000;
  if (c.data.dimension >= dimension && c.data.samples >= samples && c.model.width >= width && c.train.steps >= steps) return "";
  return fmt::format("needs d ≥ {}, n ≥ {}, m ≥ {} and {} steps; this run has {}, {}, {} and {}", dimension, samples, width,
                     steps, c.data.dimension, c.data.samples, c.model.width, c.train.steps);
}

bool has_paper_sizes(const RunConfig& c) {
  return c.data.dimension >= 100 && c.data.samples >= 1000 && c.model.width >= 10000 && c.train.steps >= 20000;
}

Uncertain last(const SweepCurves& curves, const std::string& column) {
  std::vector<double> values;
  for (const auto& run : curves.columns.at(column)) values.push_back(run.back());
  return {mean(values), standard_deviation(values)};
}

}  // namespace

const std::map<double, double>& figure1_paper_values() {
  static const std::map<double, double> values = {{0, 0.50}, {0.01, 0.48}, {0.1, 0.34}, {1, 0.17}, {10, 0.14}, {100, 0.22}};
  return values;
}

Figure figure1_plot(const StudyConfig& study, const std::vector<SweepCurves>& curves, std::int64_t dimension) {
  Figure figure;
  figure.palette = Palette::sequential;
  figure.caption = "Training f_L + f_Q with R3, its weight swept: mean and one standard deviation over seeds";
  figure.panels = {panel("{/:Italic R}_3({/:Bold W})", "R3", true, study, curves, dimension),
                   panel("Training loss", "train_loss", true, study, curves, dimension),
                   panel("Test loss", "test_loss", false, study, curves, dimension)};
  return figure;
}

Table figure1_table(const StudyConfig& study, const std::vector<SweepCurves>& curves, bool published) {
  Table table;
  table.title = "Final values, mean ± standard deviation over seeds";
  const bool lambda3 = study.sweep.size() == 1 && study.sweep[0].path == "lambda.3";
  table.columns = {Column(lambda3 ? "λ3" : "run"), Column("seeds"), Column("training loss"), Column("R3"),
                   Column("test loss")};
  if (published) table.columns.push_back(Column("paper's test loss", 2, NumberFormat::fixed));
  for (const auto& c : curves) {
    std::vector<Cell> row;
    row.push_back(lambda3 ? Cell(c.swept[0].get<double>()) : Cell(c.swept.empty() ? "all" : swept_text(study, c)));
    const bool any = !c.steps.empty();
    row.push_back(any ? Cell(c.columns.at("step").size()) : Cell(0));
    for (const char* column : {"train_loss", "R3", "test_loss"}) row.push_back(any ? Cell(last(c, column)) : Cell("not run"));
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
    return std::any_of(values.begin(), values.end(), [&](const auto& v) { return v.is_number() && v.template get<double>() == wanted; });
  };
  const auto config = read_run_config(study.base, "configuration");
  const auto target = config.data.target.value("name", "");
  return has(0) && has(10) && config.model.order == 2 && config.model.linear_term && config.loss == "square" &&
         config.data.source != "file" && (target == "figure1" || target == "figure1_text");
}

std::vector<Claim> figure1_claims(const RunConfig& config, const std::vector<SweepCurves>& curves, bool published) {
  const auto& paper = figure1_paper_values();
  const auto train = final_means(curves, "train_loss"), test = final_means(curves, "test_loss"), r3 = final_means(curves, "R3");
  std::vector<Claim> claims;
  const auto add = [&](const char* statement, const std::string& paper_value, const std::string& ours, bool held,
                       const std::string& criterion) {
    claims.push_back({"Figure 1", statement, paper_value, ours, verdict_of(held), criterion, "figure1"});
  };

  double worst = 0;
  for (const auto& c : curves) {
    if (c.steps.empty()) continue;
    for (const auto& run : c.columns.at("train_loss")) worst = std::max(worst, run.back() / run.front());
  }
  add("The training loss comes near zero for every λ3.", "near zero", listed(train), worst <= 0.05,
      fmt::format("final training loss at most 5% of that at W = 0, in every run; the largest is {}%", format_number(100 * worst, 2)));

  const bool compared = test.count(0) && test.count(10);
  const double ratio = compared ? test.at(10) / test.at(0) : NAN;
  add("R3 makes the model learn the whole signal: the test loss at λ3 = 10 is far below that at λ3 = 0.", "0.50 at 0, 0.14 at 10",
      listed(test), ratio < 0.5, fmt::format("test loss at λ3 = 10 below half of that at 0; the ratio is {}", format_number(ratio, 2)));

  bool falls = true;
  for (auto it = r3.begin(); it != r3.end() && std::next(it) != r3.end(); ++it) falls = falls && std::next(it)->second < it->second;
  add("R3 grows large for small λ3 and stays small for large λ3.", "", listed(r3), falls && r3.size() > 1,
      "final R3 lower at each larger λ3");

  const bool around = test.count(1) && test.count(10) && test.count(100);
  const auto least = std::min_element(test.begin(), test.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  add("The test loss is least at λ3 = 10.", "0.14 at 10; 0.17 at 1 and 0.22 at 100 beside it", listed(test),
      least != test.end() && least->first == 10, "least final test loss among the weights swept is that at λ3 = 10");
  if (!around || !has_paper_sizes(config)) {
    claims.back().verdict = Verdict::too_small_to_tell;
    claims.back().reason += "; needs λ3 = 1, 10 and 100 at the paper's sizes (d = 100, n = 1000, m = 10000, 20000 steps)";
  }

  double apart = 0;
  for (const auto& [lambda, value] : test) {
    if (const auto found = paper.find(lambda); found != paper.end()) apart = std::max(apart, std::abs(value - found->second));
  }
  add("The final test losses.", listed(paper), listed(test), published && apart <= 0.05,
      fmt::format("each within 0.05 of the figure's, which is read by eye; the farthest is {} away", format_number(apart, 2)));
  if (!published) {
    claims.back().verdict = Verdict::too_small_to_tell;
    claims.back().reason = "each within 0.05 of the figure's; to be compared for the published configuration alone";
  }

  const auto why = too_small(config);
  const bool all = std::all_of(curves.begin(), curves.end(), [](const auto& c) { return c.missing == 0 && !c.steps.empty(); });
  for (auto& claim : claims) {
    if (!all) {
      claim.verdict = Verdict::not_run;
      claim.reason += "; not every run is done";
    } else if (!why.empty()) {
      claim.verdict = Verdict::too_small_to_tell;
      claim.reason += "; " + why;
    }
  }
  return claims;
}

}  // namespace entk
