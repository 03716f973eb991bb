// What figure1 and train share: a study or a single run, from options to results.
#pragma once

#include "commands.h"
#include "common_options.h"

namespace entk::app {



/// Takes the configured runs and shows their results. A configuration without seeds and sweep is one run
/// in the folder itself, unless `always_study`.
ExitCode run_study(const std::string& command, const CommonOptions& options, const Presets& presets,
                   const std::string& command_line, bool always_study);

}  // namespace entk::app
