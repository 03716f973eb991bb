#include "entk/runs/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/runs/curves.h"
#include "entk/runs/run.h"
#include "entk/io/atomic_file.h"
#include "entk/io/csv.h"
#include "entk/io/strict_json.h"
#include "entk/report/html.h"

namespace entk {

namespace {

/// Scalars of a JSON object as key and value, nested keys with points.
void flatten(const nlohmann::json& json, const std::string& prefix,
             std::vector<std::pair<std::string, std::string>>& out) {
  for (const auto& [key, value] : json.items()) {
    const auto path = prefix.empty() ? key : prefix + "." + key;
    if (value.is_object() && !value.empty()) {
      flatten(value, path, out);
    } else {
      out.emplace_back(path, value.is_string() ? value.get<std::string>() : value.dump());
    }
  }
}

void write_page(const std::filesystem::path& folder, const HtmlPage& page, Results& results) {
  write_file_atomically(folder / "report.html", page.str());
  results.files.push_back(folder / "report.html");
}

Panel metrics_panel(const CsvTable& metrics, const std::string& title,
                    const std::vector<std::pair<std::string, Label>>& columns) {
  Panel panel;
  panel.title = title;
  panel.x = {"step", true};
  panel.y.logarithmic = true;
  const auto steps = metrics.column("step");
  for (const auto& [name, label] : columns) {
    const auto values = metrics.column(name);
    Series series;
    series.label = label;
    bool any = false;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (steps[i] < 1) continue;
      series.x.push_back(steps[i]);
      series.y.push_back(values[i]);
      any = any || (std::isfinite(values[i]) && values[i] != 0);
    }
    if (any) panel.series.push_back(std::move(series));
  }
  return panel;
}

}  // namespace

void add_configuration(HtmlPage& page, const std::filesystem::path& folder, const nlohmann::json& standard) {
  std::vector<std::pair<std::string, std::string>> config, environment, usual, own, common;
  if (std::filesystem::exists(folder / "config.json")) flatten(load_json(folder / "config.json"), "", config);
  if (std::filesystem::exists(folder / "environment.json"))
    flatten(load_json(folder / "environment.json"), "", environment);
  flatten(standard, "", usual);
  for (const auto& pair : config) (std::count(usual.begin(), usual.end(), pair) ? common : own).push_back(pair);
  for (const auto& [heading, pairs] :
       {std::pair{"Configuration", &own}, {"Keys at their defaults", &common}, {"Environment", &environment}}) {
    if (pairs->empty()) continue;
    page.heading(2, heading);
    page.key_values(*pairs);
  }
}

void add_files(const FigureFiles& plot, Results& results) {
  for (const auto& file : {plot.svg, plot.png, plot.pdf}) {
    if (!file.empty()) results.files.push_back(file);
  }
  if (!plot.notice.empty()) results.notices.push_back(plot.notice);
}

Results write_run_results(const std::filesystem::path& folder, const std::filesystem::path& out) {
  Results results;
  const auto metrics = read_records(folder);
  Figure figure;
  figure.panels = {
      metrics_panel(metrics, "Losses",
                    {{"train_loss", "training"}, {"test_loss", "test"}, {"regularized_loss", "regularized"}}),
      metrics_panel(metrics, "Regularizers",
                    {{"R1", rich_text("{/:Italic R}_1")},
                     {"R2", rich_text("{/:Italic R}_2")},
                     {"R3", rich_text("{/:Italic R}_3")},
                     {"R4", rich_text("{/:Italic R}_4")}}),
      metrics_panel(metrics, "Norms", {{"norm_W", "displacement W"}, {"norm_gradient", "gradient"}})};
  // What else this run records: each in a panel of its own.
  const auto standard = metrics_columns();
  for (const auto& name : metrics.columns) {
    if (std::count(standard.begin(), standard.end(), name)) continue;
    const auto values = metrics.column(name);
    figure.panels.push_back(metrics_panel(metrics, column_title(name), {{name, Label()}}));
    auto& panel = figure.panels.back();
    panel.y.logarithmic = std::none_of(values.begin(), values.end(), [](double v) { return v < 0; });
  }
  std::erase_if(figure.panels, [](const Panel& p) { return p.series.empty(); });
  results.table.title = "Final values";
  results.table.columns = {Column("quantity"), Column("value")};
  if (!metrics.rows.empty()) {
    for (std::size_t i = 0; i < metrics.columns.size(); ++i) {
      if (!std::isnan(metrics.rows.back()[i]))
        results.table.rows.push_back({metrics.columns[i], metrics.rows.back()[i]});
    }
  }
  HtmlPage page("Run " + folder.filename().string());
  if (std::filesystem::exists(folder / "command.txt")) page.code(read_file(folder / "command.txt", 1 << 20));
  page.heading(2, "Results");
  page.table(results.table);
  if (!figure.panels.empty() && metrics.rows.size() > 1) {
    const auto plot = write_figure(out, "metrics", figure);
    add_files(plot, results);
    page.figure(plot, "Recorded quantities over steps.");
  }
  add_configuration(page, folder, to_json(RunConfig{}));
  write_page(out, page, results);
  return results;
}

}  // namespace entk
