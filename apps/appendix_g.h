// The studies of `entk appendix-g`: one file each, apps/command_appendix_g_<study>.cpp.
#pragma once

#include "commands.h"
#include "common_options.h"

namespace entk::app {

/// What the command line says beyond the common options.
struct AppendixOptions {
  CommonOptions common;
  std::string digits, mnist, cifar10;  ///< --study taylor
};

struct AppendixStudy {
  std::string name;           ///< as --study names it
  std::string meaning;        ///< one line for --help
  std::vector<KeyInfo> keys;  ///< of its configuration, for --help
  ExitCode (*run)(const AppendixOptions& options, const std::string& command_line);
};

AppendixStudy taylor_appendix_study();
AppendixStudy r1_appendix_study();

}  // namespace entk::app
