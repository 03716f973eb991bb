// The subcommands. Each adds itself to the program; its work runs after parsing, and what it returns is
// the exit code.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>

#include "entk/base/error.h"

namespace entk::app {

/// What the program was asked to do, and how it was typed.
struct Program {
  std::function<ExitCode()> action;
  std::string command_line;
};

void add_figure1(CLI::App& app, Program& program);
void add_train(CLI::App& app, Program& program);
void add_evaluate(CLI::App& app, Program& program);
void add_compare_devices(CLI::App& app, Program& program);
void add_bench(CLI::App& app, Program& program);
void add_report(CLI::App& app, Program& program);
void add_spectrum(CLI::App& app, Program& program);

}  // namespace entk::app
