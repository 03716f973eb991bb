// The command line as a library: link entk::program.
#pragma once

#include "entk/runs/study.h"

namespace entk {

/// Everything that the program `entk` does, with a user's own names and studies next to the built-in ones: in
/// configurations, sweeps, resumed runs, --help and `list`. `own` may be a Catalogue. The name of the program in what
/// it says is that of argv[0]. Returns the exit code (base/error.h); catches SIGINT and SIGTERM.
int run_program(int argc, char** argv, const Own& own = {});

}  // namespace entk
