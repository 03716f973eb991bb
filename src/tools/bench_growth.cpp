#include "entk/tools/bench_growth.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>

#include "entk/base/error.h"
#include "entk/io/strict_json.h"
#include "entk/report/statistics.h"

namespace entk {

namespace {

struct Curve {
  std::vector<double> size, milliseconds, megabytes;

  /// Of the sizes from Figure 1's upward: below, what does not grow (starting a program) shows.
  double slope(const std::vector<double>& y, double from) const {
    std::vector<double> x, values;
    for (std::size_t i = 0; i < size.size(); ++i) {
      if (size[i] < from) continue;
      x.push_back(size[i]);
      values.push_back(y[i]);
    }
    return x.size() < 2 ? NAN : power_law_fit(x, values).slope;
  }
};

struct Program {
  std::string name;
  std::map<std::string, Curve> curves;  // by axis
};

const std::pair<const char*, double> axes[] = {{"n", 1000}, {"d", 100}, {"m", 10000}};

std::vector<Program> read(const std::filesystem::path& path) {
  std::vector<Program> programs;
  try {
    for (const auto& row : load_json(path.string())) {
      const auto name = row.at("program").get<std::string>();
      auto found = std::find_if(programs.begin(), programs.end(), [&](const Program& p) { return p.name == name; });
      if (found == programs.end()) found = programs.insert(found, {name, {}});
      const auto axis = row.at("axis").get<std::string>();
      auto& curve = found->curves[axis];
      curve.size.push_back(row.at(axis).get<double>());
      curve.milliseconds.push_back(1e3 * row.at("seconds").get<double>());
      curve.megabytes.push_back(1e-6 * row.at("peak_memory_bytes").get<double>());
    }
  } catch (const nlohmann::json::exception&) {
    throw InputError(fmt::format("{}: expected the results of bench/compare.py --growth", path.string()));
  }
  if (programs.empty()) throw InputError(fmt::format("{}: no rows", path.string()));
  return programs;
}

}  // namespace

GrowthResults draw_growth(const std::filesystem::path& numbers) {
  auto programs = read(numbers);
  Figure figure;
  figure.caption = "One step of f_L + f_Q with R3 against n, d and m, one at a time, the others as in Figure 1.";
  figure.columns = 3;
  GrowthResults results;
  results.slopes.title = "Fitted exponents, from Figure 1's size upward";
  results.slopes.columns = {"program",          {"time in n", 2}, {"in d", 2}, {"in m", 2},
                            {"memory in n", 2}, {"in d ", 2},     {"in m ", 2}};
  for (auto& program : programs) {
    std::vector<Cell> row = {program.name};
    for (const auto& [axis, from] : axes)
      row.push_back(program.curves[axis].slope(program.curves[axis].milliseconds, from));
    for (const auto& [axis, from] : axes)
      row.push_back(program.curves[axis].slope(program.curves[axis].megabytes, from));
    results.slopes.rows.push_back(std::move(row));
  }
  for (const bool time : {true, false}) {
    for (const auto& [axis, from] : axes) {
      Panel panel;
      panel.x = {rich_text(fmt::format("{{/:Italic {}}}", axis)), true};
      panel.y = {time ? "ms a step" : "peak memory, MB", true};
      for (auto& program : programs) {
        const auto& curve = program.curves[axis];
        panel.series.push_back({.label = program.name,
                                .x = curve.size,
                                .y = time ? curve.milliseconds : curve.megabytes,
                                .style = SeriesStyle::line_points});
      }
      figure.panels.push_back(std::move(panel));
    }
  }
  const auto folder = numbers.parent_path();
  results.files = write_figure(folder.empty() ? std::filesystem::path(".") : folder, "growth", figure);
  return results;
}

}  // namespace entk
