// The runs of several folders together: which configurations they have, where these differ, and their curves.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "entk/io/csv.h"
#include "entk/runs/study.h"

namespace entk {

/// A run as its folder has it.
struct FoundRun {
  std::filesystem::path folder;
  nlohmann::json config;  ///< without what no result depends on (threads, device) and without the seed
  std::string seed;       ///< empty where config.json has none
  CsvTable records;
  bool ended = true;  ///< done or diverged
};

/// The runs in a folder: itself, or those in its runs/, by name. @throws InputError where there are none.
std::vector<FoundRun> find_runs(const std::filesystem::path& folder);

/// The keys in which the configurations of these runs differ.
std::vector<std::string> differing_keys(const std::vector<FoundRun>& runs);

/// One curve for each configuration, its seeds together, named by the keys in which it differs from the others; a table
/// of the final values with these keys first. Runs of one configuration and one seed are a row each.
Findings joint_findings(const std::vector<FoundRun>& runs);

/// The runs as one tidy CSV: run, the keys in which they differ, seed, step, column, value.
std::string tidy_csv(const std::vector<FoundRun>& runs);

}  // namespace entk
