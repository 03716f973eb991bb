// What figure1 and train share: a study or a single run, from options to results.
#pragma once

#include "commands.h"
#include "common_options.h"
#include "console.h"
#include "entk/experiments/results.h"

namespace entk::app {

/// Runs stop at a signal and talk through the console.
RunHooks hooks_for(Console& console, const CommonOptions& options);

/// What can be known of data files and memory before a folder is made: their sizes are filled in. @throws InputError
void check_before_work(std::vector<PlannedRun>& plan, bool ignore_memory);

/// Takes the configured runs and shows their results. A configuration without seeds and sweep is one run
/// in the folder itself, unless `always_study`.
ExitCode run_study(const std::string& command, const CommonOptions& options, const Presets& presets,
                   const std::string& command_line, bool always_study);

/// Shows a finished study: its table and files, or `summary` with --json.
void show_results(const CommonOptions& options, const Results& results, const std::filesystem::path& folder,
                  const nlohmann::json& summary);

/// Takes the planned runs in a study's folder, leaves its status and shows what `results` writes.
ExitCode take_and_show(const std::string& command, const CommonOptions& options, const std::string& command_line,
                       const RunFolder& folder, const std::vector<PlannedRun>& plan,
                       const std::function<Results()>& results);

}  // namespace entk::app
