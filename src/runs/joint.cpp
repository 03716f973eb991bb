#include "entk/runs/joint.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "entk/config/config_layers.h"
#include "entk/io/run_folder.h"
#include "entk/io/strict_json.h"
#include "entk/io/text.h"
#include "entk/runs/curves.h"

namespace entk {

namespace {

namespace fs = std::filesystem;

/// Whether it has nothing left to do, so that its last record stays what it is.
bool has_ended(const fs::path& folder) {
  if (!fs::exists(folder / "status.json")) return true;  // what status there was nobody kept
  const auto state = read_status(folder).state;
  return state == RunState::done || state == RunState::diverged;
}

FoundRun read_found(const fs::path& folder) {
  const auto written = load_json(folder / "config.json");
  FoundRun run{folder, without_resolved(written), "", read_records(folder), has_ended(folder)};
  if (run.config.contains("seed")) run.seed = run.config["seed"].dump();
  for (const char* key : {"seed", "seeds", "threads", "device"}) run.config.erase(key);
  // What no key says: a script's objective, what a data file held.
  if (const auto found = value_at(written, "resolved.objective"); !found.is_null()) run.config["objective"] = found;
  if (const auto found = value_at(written, "resolved.data"); !found.is_null()) run.config["data"]["checksums"] = found;
  return run;
}

/// The runs of one configuration, each of another seed, in the order of the first: two of one seed are no two draws.
std::vector<std::vector<const FoundRun*>> by_configuration(const std::vector<FoundRun>& runs) {
  std::vector<std::vector<const FoundRun*>> groups;
  for (const auto& run : runs) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) {
      return g[0]->config == run.config &&
             std::none_of(g.begin(), g.end(), [&](const FoundRun* of) { return of->seed == run.seed; });
    });
    if (group == groups.end()) group = groups.insert(group, std::vector<const FoundRun*>{});
    group->push_back(&run);
  }
  return groups;
}

/// A column of every run of a group: one that has ended stays where it was, of others nobody knows more than their
/// records.
std::vector<std::vector<double>> curves_of(const std::vector<const FoundRun*>& group, const std::string& column) {
  std::vector<std::vector<double>> curves;
  std::size_t longest = 0, known = SIZE_MAX;
  for (const auto* run : group) {
    curves.push_back(run->records.column(column));
    longest = std::max(longest, curves.back().size());
    if (!run->ended) known = std::min(known, curves.back().size());
  }
  for (auto& curve : curves) curve.resize(std::min(longest, known), curve.empty() ? NAN : curve.back());
  return curves;
}

/// The steps of those curves, of the run that has most of them.
std::vector<double> steps_of(const std::vector<const FoundRun*>& group) {
  const auto longest = *std::max_element(group.begin(), group.end(), [](const FoundRun* a, const FoundRun* b) {
    return a->records.rows.size() < b->records.rows.size();
  });
  auto steps = longest->records.column("step");
  steps.resize(curves_of(group, "step")[0].size());
  return steps;
}

Cell key_cell(const nlohmann::json& value) {
  return value.is_number() ? Cell(value.get<double>()) : Cell(value_text(value));
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

std::vector<FoundRun> find_runs(const fs::path& folder) {
  std::set<fs::path> folders;
  if (fs::exists(folder / "metrics.csv")) {
    folders.insert(folder);
  } else if (fs::is_directory(folder / "runs")) {
    for (const auto& run : fs::directory_iterator(folder / "runs")) {
      if (fs::exists(run.path() / "metrics.csv") && fs::exists(run.path() / "config.json")) folders.insert(run.path());
    }
  }
  if (folders.empty()) {
    throw InputError(fmt::format("{}: expected the folder of a run, or of a study with runs that have records in runs/",
                                 folder.string()));
  }
  std::vector<FoundRun> runs;
  for (const auto& path : folders) runs.push_back(read_found(path));
  return runs;
}

std::vector<std::string> differing_keys(const std::vector<FoundRun>& runs) {
  std::set<std::string> keys;
  for (const auto& run : runs) {
    for (const auto& path : differing_paths(runs[0].config, run.config)) {
      const auto a = value_at(runs[0].config, path), b = value_at(run.config, path);
      const bool entries = a.is_array() && b.is_array() && a.size() == b.size();
      if (!entries) keys.insert(path);
      for (std::size_t i = 0; entries && i < a.size(); ++i) {
        if (a[i] != b[i]) keys.insert(fmt::format("{}.{}", path, i + 1));
      }
    }
  }
  return {keys.begin(), keys.end()};
}

Findings joint_findings(const std::vector<FoundRun>& runs) {
  const auto keys = differing_keys(runs);
  const auto groups = by_configuration(runs);
  std::size_t seeds = 0;
  for (const auto& group : groups) seeds = std::max(seeds, group.size());
  Findings found;
  auto& table = found.table;
  table.title = "Final values, " + spread_text(seeds);
  table.columns = {Column("runs")};
  for (const auto& key : keys) table.columns.push_back(Column(key_symbol(key)));
  const std::vector<std::pair<std::string, std::string>> quantities = {
      {"train_loss", "training loss"}, {"test_loss", "test loss"}, {"R1", "R1"}, {"R3", "R3"}};
  for (const auto& [column, title] : quantities) table.columns.push_back(Column(title));
  NamedFigure figure{
      "joint", {}, fmt::format("Training loss, test loss, R1 and R3 over the step: {}.", band_text(seeds))};
  figure.figure.caption = figure.caption;
  figure.figure.columns = 2;
  for (const auto& [column, title] : quantities)
    figure.figure.panels.push_back({.title = title, .x = {"step", true}, .y = {.logarithmic = true}});
  std::set<std::string> names;
  for (const auto& group : groups) {
    std::string name;
    for (const auto& key : keys) {
      const auto text = value_text(value_at(group[0]->config, key));
      name += fmt::format("{}{} = {}", name.empty() ? "" : ", ", key_symbol(key), text);
    }
    // Of many keys the folder's name tells more, and is short.
    if (name.empty() || keys.size() > 2) name = group[0]->folder.filename().string();
    while (!names.insert(name).second) name += "′";
    const auto steps = steps_of(group);
    for (const auto* run : group) {
      if (run->ended) continue;
      found.warnings.push_back(
          fmt::format("{} has not ended: its row and its curve have what was recorded up to step {}",
                      run->folder.filename().string(), steps.empty() ? 0 : steps.back()));
    }
    std::vector<Cell> row{fmt::format("{}{}", group[0]->folder.filename().string(),
                                      group.size() > 1 ? fmt::format(" and {} more", group.size() - 1) : "")};
    for (const auto& key : keys) row.push_back(key_cell(value_at(group[0]->config, key)));
    for (std::size_t q = 0; q < quantities.size(); ++q) {
      const auto curves = curves_of(group, quantities[q].first);
      std::vector<double> last;
      for (const auto& curve : curves) last.push_back(curve.empty() ? NAN : curve.back());
      row.push_back(summary(last));
      figure.figure.panels[q].series.push_back(band_series(steps, curves, name, 1));
    }
    table.rows.push_back(std::move(row));
  }
  std::erase_if(figure.figure.panels, [](const Panel& panel) {
    return std::none_of(panel.series.begin(), panel.series.end(), [](const Series& s) {
      return std::any_of(s.y.begin(), s.y.end(), [](double y) { return y > 0; });
    });
  });
  found.figures = {std::move(figure)};
  return found;
}

std::string tidy_csv(const std::vector<FoundRun>& runs) {
  const auto keys = differing_keys(runs);
  std::string out = "run,";
  for (const auto& key : keys) out += csv_field(key) + ",";
  out += "seed,step,column,value\n";
  for (const auto& run : runs) {
    std::string begin = csv_field(run.folder.filename().string()) + ",";
    for (const auto& key : keys) {
      const auto value = value_at(run.config, key);
      begin += csv_field(value.is_null() ? "" : value.is_string() ? value.get<std::string>() : value.dump()) + ",";
    }
    begin += run.seed + ",";
    for (const auto& row : run.records.rows) {  // the first column counts: steps, or epochs
      for (std::size_t i = 1; i < row.size(); ++i) {
        if (!std::isnan(row[i]))
          out +=
              fmt::format("{}{},{},{}\n", begin, shortest(row[0]), csv_field(run.records.columns[i]), shortest(row[i]));
      }
    }
  }
  return out;
}

}  // namespace entk
