// What a finished run or study leaves for its reader: plots, tables, report.html.
#pragma once

#include "entk/experiments/study.h"
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

/// figure1.{svg,png,pdf,dat,gp}, results.csv, results.md and report.html, into the study's folder; for a
/// study that asks Figure 1's question claims.json as well.
Results write_study_results(const std::filesystem::path& folder, const StudyConfig& study,
                            const std::vector<PlannedRun>& plan);

/// Whether a configuration is Figure 1 as published, whatever its seeds.
bool is_published_figure1(const StudyConfig& study);

}  // namespace entk
