#include "entk/runs/curves.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "entk/report/statistics.h"

namespace entk {

bool has_runs(const SweepCurves& curves) { return !curves.steps.empty(); }

bool is_complete(const SweepCurves& curves) { return has_runs(curves) && curves.missing == 0; }

std::vector<double> last_values(const SweepCurves& curves, const std::string& column) {
  std::vector<double> values;
  if (!has_runs(curves) || !curves.columns.count(column)) return values;
  for (const auto& run : curves.columns.at(column)) values.push_back(run.back());
  return values;
}

Uncertain summary(const std::vector<double>& values) { return {mean(values), standard_deviation(values)}; }

Uncertain last_summary(const SweepCurves& curves, const std::string& column) {
  return summary(last_values(curves, column));
}

Estimate last_ratio(const SweepCurves& of, const SweepCurves& over, const std::string& column) {
  const auto upper = last_values(of, column), lower = last_values(over, column);
  std::vector<double> a, b;
  for (std::size_t i = 0; i < upper.size(); ++i) {
    const auto found = std::find(over.seeds.begin(), over.seeds.end(), of.seeds.at(i));
    if (found == over.seeds.end()) continue;
    a.push_back(upper[i]);
    b.push_back(lower.at(static_cast<std::size_t>(found - over.seeds.begin())));
  }
  return ratio_over_seeds(a, b);
}

Estimate last_over_first(const SweepCurves& curves, const std::string& column) {
  std::vector<double> first;
  const auto last = last_values(curves, column);
  for (std::size_t i = 0; i < last.size(); ++i) first.push_back(curves.columns.at(column)[i].front());
  return ratio_over_seeds(last, first);
}

std::vector<std::string> own_columns(const std::vector<SweepCurves>& curves) {
  const auto standard = metrics_columns();
  std::set<std::string> names;
  for (const auto& c : curves) {
    for (const auto& [name, runs] : c.columns) {
      if (!std::count(standard.begin(), standard.end(), name)) names.insert(name);
    }
  }
  return {names.begin(), names.end()};
}

namespace {

struct Symbol {
  const char *path, *plain, *markup;
};

const Symbol* symbol_of(const std::string& path) {
  static constexpr Symbol symbols[] = {
      {"model.width", "m", "{/:Italic m}"},        {"data.samples", "n", "{/:Italic n}"},
      {"data.dimension", "d", "{/:Italic d}"},     {"lambda.1", "λ1", "{/:Italic λ}_1"},
      {"lambda.2", "λ2", "{/:Italic λ}_2"},        {"lambda.3", "λ3", "{/:Italic λ}_3"},
      {"lambda.4", "λ4", "{/:Italic λ}_4"},        {"train.noise_variance", "σ²", "{/:Italic σ}^2"},
      {"train.learning_rate", "η", "{/:Italic η}"}};
  for (const auto& symbol : symbols) {
    if (path == symbol.path) return &symbol;
  }
  return nullptr;
}

/// The last word of a path that says what it is about: activation, of model.activation.name.
std::string last_word(std::string path) {
  for (const char* end : {".name", ".weight"}) {
    if (path.ends_with(end)) path.erase(path.rfind('.'));
  }
  path.erase(0, path.rfind('.') + 1);
  std::replace(path.begin(), path.end(), '_', ' ');
  return path;
}

}  // namespace

std::string key_symbol(const std::string& path) {
  const auto* symbol = symbol_of(path);
  return symbol ? symbol->plain : last_word(path);
}

std::string key_markup(const std::string& path) {
  const auto* symbol = symbol_of(path);
  return symbol ? symbol->markup : last_word(path);
}

std::string column_title(std::string column) {
  std::replace(column.begin(), column.end(), '_', ' ');
  return column;
}

std::string value_text(const nlohmann::json& value) {
  if (value.is_number_float()) return format_number(value, 17, NumberFormat::shortest);
  if (value.is_null()) return "default";
  if (value.is_object() && value.contains("name")) {
    std::vector<std::string> parameters;
    for (const auto& [key, of] : value.items()) {
      if (key != "name") parameters.push_back(fmt::format("{} {}", key, value_text(of)));
    }
    const auto name = value_text(value["name"]);
    return parameters.empty() ? name : fmt::format("{} ({})", name, fmt::join(parameters, ", "));
  }
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string spread_text(std::size_t seeds) {
  return seeds > 1 ? fmt::format("mean ± standard deviation over {} seeds", seeds) : "one seed";
}

std::string band_text(std::size_t seeds) {
  return seeds > 1 ? fmt::format("mean over {} seeds, bands one standard deviation", seeds) : "one seed";
}

std::size_t most_seeds(const std::vector<SweepCurves>& curves) {
  std::size_t most = 0;
  for (const auto& c : curves) most = std::max(most, c.seeds.size());
  return most;
}

Series band_series(const std::vector<double>& x, const std::vector<std::vector<double>>& runs, Label label,
                   double from) {
  const auto band = mean_and_band(runs);
  Series series;
  series.label = std::move(label);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!(x[i] >= from)) continue;
    series.x.push_back(x[i]);
    series.y.push_back(band.mean[i]);
    if (band.low.empty()) continue;
    series.low.push_back(band.low[i]);
    series.high.push_back(band.high[i]);
  }
  return series;
}

}  // namespace entk
