// What a finished run leaves for its reader: plots, tables, report.html.
#pragma once

#include <filesystem>

#include <nlohmann/json.hpp>

#include "entk/report/html.h"
#include "entk/report/plot.h"
#include "entk/report/table.h"

namespace entk {

/// What the reader is told: a table for the terminal, files, and notices.
struct Results {
  Table table;
  std::vector<std::filesystem::path> files;
  std::vector<std::string> notices;
};

/// config.json, the keys that differ from `standard` before those that do not, and environment.json, where they are.
void add_configuration(HtmlPage& page, const std::filesystem::path& folder, const nlohmann::json& standard);
/// A plot's files, and why one is missing, among the results.
void add_files(const FigureFiles& plot, Results& results);

/// Plots of a run's metrics.csv (losses, R1 to R4, norms) and report.html, into a folder, the run's own or another.
Results write_run_results(const std::filesystem::path& folder, const std::filesystem::path& out);

}  // namespace entk
