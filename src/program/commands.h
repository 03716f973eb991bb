// The subcommands. Each adds itself to the program; its work runs after parsing, and what it returns is
// the exit code.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>

#include "entk/base/error.h"
#include "entk/runs/study.h"

namespace entk::app {

/// What the program was asked to do, how it was typed, and what names mean to it.
struct Program {
  std::string name = "entk";
  Catalogue catalogue = built_in_catalogue();
  std::vector<Study> studies{};
  std::function<ExitCode()> action;
  std::string command_line;
};

void add_studies(CLI::App& app, Program& program);
void add_train(CLI::App& app, Program& program);
void add_evaluate(CLI::App& app, Program& program);
void add_kernel(CLI::App& app, Program& program);
void add_compare_devices(CLI::App& app, Program& program);
void add_bench(CLI::App& app, Program& program);
void add_list(CLI::App& app, Program& program);
void add_report(CLI::App& app, Program& program);
void add_export(CLI::App& app, Program& program);
void add_watch(CLI::App& app, Program& program);
void add_reproduce(CLI::App& app, Program& program);

}  // namespace entk::app
