// What a finished run leaves for its reader: plots, tables, report.html.
#pragma once

#include <filesystem>

#include "entk/report/plot.h"
#include "entk/report/table.h"

namespace entk {

/// What the reader is told: a table for the terminal, files, and notices.
struct Results {
  Table table;
  std::vector<std::filesystem::path> files;
  std::vector<std::string> notices;
};

/// The scalars of a JSON file as key and value, nested keys with points; none where there is no file.
std::vector<std::pair<std::string, std::string>> json_pairs(const std::filesystem::path& file);
/// A plot's files, and why one is missing, among the results.
void add_files(const FigureFiles& plot, Results& results);

/// Plots of a run's metrics.csv (losses, R1 to R4, norms) and report.html, into its folder.
Results write_run_results(const std::filesystem::path& folder);

}  // namespace entk
