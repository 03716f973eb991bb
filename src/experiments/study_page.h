// What a study with a configuration of its own leaves for its reader: results.csv, results.md, its
// figures, claims.json and report.html.
#pragma once

#include "entk/experiments/claims.h"
#include "entk/experiments/results.h"
#include "entk/report/plot.h"

namespace entk {

struct NamedFigure {
  std::string name;  ///< of its files
  Figure figure;
  std::string caption;
};

/// Writes all of them into the study's folder.
Results write_study_page(const std::filesystem::path& folder, const std::string& title, const Table& table,
                         const std::vector<NamedFigure>& figures, const std::vector<Claim>& claims);

}  // namespace entk
