#include "entk/studies/r1_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "entk/runs/curves.h"
#include "entk/report/statistics.h"

namespace entk {

namespace {

std::string title_of(R1Estimate estimate) {
  switch (estimate) {
    case R1Estimate::fresh:
      return "fresh inputs every step";
    case R1Estimate::unlabeled:
      return "a fixed unlabeled sample";
    default:
      return "population, closed form";
  }
}

Panel panel(const std::string& title, const std::string& column, const R1StudyConfig& config,
            const std::vector<SweepCurves>& curves) {
  // Weight 0 has no place on a logarithmic axis: a dashed line.
  double least = INFINITY, largest = 0;
  for (const double w : config.weights) {
    if (w > 0) least = std::min(least, w), largest = std::max(largest, w);
  }
  Panel p;
  p.title = rich_text(title);
  p.x = {rich_text("weight {/:Italic λ}_1"), true};
  p.y.logarithmic = true;
  int color = 0;
  for (const auto& estimate : config.estimates) {
    Series series, without;
    series.label = title_of(estimate);
    series.style = SeriesStyle::line_points;
    series.color = without.color = color++;
    without.style = SeriesStyle::reference;
    for (const auto& c : curves) {
      if (c.swept.at(0) != word_of(estimate) || c.steps.empty()) continue;
      const auto value = last_summary(c, column);
      const double weight = c.swept.at(1).get<double>();
      if (weight == 0) {
        without.x = {least, largest};
        without.y = {value.value, value.value};
        continue;
      }
      series.x.push_back(weight);
      series.y.push_back(value.value);
      if (std::isnan(value.deviation)) continue;
      series.low.push_back(value.value - value.deviation);
      series.high.push_back(value.value + value.deviation);
    }
    if (series.low.size() != series.x.size()) series.low.clear(), series.high.clear();
    if (!series.x.empty()) p.series.push_back(std::move(series));
    if (!without.x.empty() && largest > least) p.series.push_back(std::move(without));
  }
  return p;
}

Table table_of(const std::vector<SweepCurves>& curves) {
  Table table;
  table.title = "Final values, " + spread_text(most_seeds(curves));
  table.keys = 2;
  table.columns = {Column("R1 estimated by"),  Column("λ1"), Column("seeds"),    Column("training loss"),
                   Column("R1 in population"), Column("R3"), Column("test loss")};
  for (const auto& c : curves) {
    std::vector<Cell> row{title_of(from_word<R1Estimate>(c.swept[0].get<std::string>(), "estimates")),
                          c.swept[1].get<double>()};
    row.push_back(c.seeds.size());
    for (const char* column : {"train_loss", "population_R1", "R3", "test_loss"}) {
      row.push_back(has_runs(c) ? Cell(last_summary(c, column)) : Cell("not run"));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Claim claim_of(const R1StudyConfig& config, const std::vector<SweepCurves>& curves) {
  Claim claim{.source = "Appendix G, R1 beside R3",
              .statement = "R3 alone reaches a low test error: regularizing R1 explicitly is not needed.",
              .reason = "for each estimate of R1 and each weight, test loss at least 0.9 of that at weight 0",
              .figure = "r1"};
  for (const auto& estimate : config.estimates) {
    const auto without = std::find_if(curves.begin(), curves.end(), [&](const SweepCurves& c) {
      return c.swept[0] == word_of(estimate) && c.swept[1].get<double>() == 0;
    });
    for (const auto& c : curves) {
      if (c.swept[0] != word_of(estimate) || c.swept[1].get<double>() == 0) continue;
      claim.evidence.push_back(
          {fmt::format("{}, test loss at λ1 = {} over that at 0", title_of(estimate), c.swept[1].dump()),
           last_ratio(c, *without, "test_loss"), 0.9, INFINITY});
    }
  }
  return judged(std::move(claim), std::all_of(curves.begin(), curves.end(), is_complete));
}

}  // namespace

R1StudyConfig read_r1_study_config(const nlohmann::json& json, const std::string& source, const Catalogue& catalogue) {
  auto config = read_runs_config<R1StudyConfig>(json, source, catalogue);
  if (std::count(config.weights.begin(), config.weights.end(), 0.0) != 1 || config.weights.size() < 2) {
    throw InputError(fmt::format("{}: weights: expected λ1 = 0 once, and at least one other, got {}", source,
                                 nlohmann::json(config.weights).dump()));
  }
  return config;
}

std::vector<PlannedRun> plan_r1_study(const R1StudyConfig& config, const std::string& source) {
  std::vector<PlannedRun> plan;
  for (const auto& estimate : config.estimates) {
    auto base = config.base;
    base["projector"]["population_degree"] = 1;
    if (estimate == R1Estimate::population) {
      base["projector"]["source"] = "harmonic";
      base["projector"]["rank"] = 0;
    } else {
      base["r1"]["points"] = word_of(estimate);
    }
    if (!base.contains("lambda")) base["lambda"] = {0, 0, 0, 0};
    StudyConfig study{base,
                      config.seeds,
                      {{"lambda.1", std::vector<nlohmann::json>(config.weights.begin(), config.weights.end())}},
                      config.catalogue};
    for (auto& run : plan_runs(study, source)) {
      run.name = checked_name(fmt::format("{},{}", word_of(estimate), run.name));
      run.swept.insert(run.swept.begin(), word_of(estimate));
      plan.push_back(std::move(run));
    }
  }
  return plan;
}

Findings r1_findings(const std::filesystem::path& folder, const R1StudyConfig& config,
                     const std::vector<PlannedRun>& plan) {
  const auto curves = read_curves(plan, folder);
  Figure figure;
  figure.caption = "Final values over R1's weight; dashed: weight 0";
  figure.panels = {panel("Test loss", "test_loss", config, curves),
                   panel("{/:Italic R}_1 in population", "population_R1", config, curves)};
  if (figure.panels[0].series.empty()) figure.panels.clear();
  return {.table = table_of(curves),
          .figures = {{"r1", figure,
                       fmt::format("Final test loss and R1 in population over R1's weight: {}; dashed: weight 0.",
                                   band_text(most_seeds(curves)))}},
          .claims = {claim_of(config, curves)}};
}

namespace {

class R1Task : public RunsTask {
 public:
  R1Task(R1StudyConfig config, const std::string& source)
      : RunsTask(plan_r1_study(config, source)), config_(std::move(config)) {}
  nlohmann::json config() const override { return write_described(config_); }
  Findings findings(const std::filesystem::path& folder) const override { return r1_findings(folder, config_, plan()); }

 private:
  R1StudyConfig config_;
};

}  // namespace

Study r1_study() {
  return {.name = "appendix-g",
          .variant = "r1",
          .summary = "R1 beside R3, R1's weight swept",
          .title = "Appendix G: R1 beside R3",
          .presets = {{"quick", "r1-quick"}, {"published", "r1"}},
          .standard = runs_defaults<R1StudyConfig>(),
          .keys = list_described(R1StudyConfig{}),
          .read = [](const nlohmann::json& json, const std::string& source,
                     const Catalogue& catalogue) -> std::unique_ptr<Task> {
            return std::make_unique<R1Task>(read_r1_study_config(json, source, catalogue), source);
          },
          .stages = {{.name = "appendix-g-r1",
                      .title = "Appendix G: R1 beside R3",
                      .source = "Appendix G",
                      .claim = "R1 need not be regularized explicitly for a low test error.",
                      .command = {"appendix-g", "--study", "r1"},
                      .quick = {"--preset", "quick"},
                      .published = {"--preset", "published"}}}};
}

}  // namespace entk
