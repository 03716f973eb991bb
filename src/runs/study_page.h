// What every study leaves in its folder for its reader: results.csv and results.md, figures, claims.json, report.html.
#pragma once

#include "entk/runs/results.h"
#include "entk/runs/study.h"

namespace entk {

/// report.html from the top: command, table, figures, claims, further tables, configuration and environment; and the
/// files beside it, with the numbers in <name>.json. @throws SaveError
Results write_study_page(const std::filesystem::path& folder, const std::string& name, const std::string& title,
                         const Findings& findings);

}  // namespace entk
