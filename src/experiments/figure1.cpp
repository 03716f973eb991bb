#include "entk/experiments/figure1.h"

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

}  // namespace entk
