// What a finished run or study shows on the terminal.
#pragma once

#include "entk/program/common_options.h"
#include "entk/program/console.h"
#include "entk/runs/claims.h"
#include "entk/runs/results.h"

namespace entk::app {

/// Its table, claims and files, or `summary` with --json.
void show_results(const CommonOptions& options, const Results& results, const std::vector<Claim>& claims,
                  const std::filesystem::path& folder, const nlohmann::json& summary);

/// Progress and notices on the console; interrupts from signals.
RunHooks hooks_for(Console& console, const CommonOptions& options);

}  // namespace entk::app
