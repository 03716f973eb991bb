// What every study leaves in its folder for its reader: results.csv and results.md, figures, claims.json, report.html.
#pragma once

#include "entk/runs/results.h"
#include "entk/runs/study.h"

namespace entk {

/// report.html from the top: command, table, figures, claims, further tables, the runs' states, configuration (the keys
/// that are not `standard` first) and environment; and the files beside it, with the numbers in <name>.json. All into
/// `out`, the study's own folder unless it is given. @throws SaveError
Results write_study_page(const std::filesystem::path& folder, const std::string& name, const std::string& title,
                         const Findings& findings, const nlohmann::json& standard = {}, std::filesystem::path out = {});

}  // namespace entk
