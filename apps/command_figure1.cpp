#include <memory>

#include "run_commands.h"

namespace entk::app {

void add_figure1(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("figure1", "The paper's Figure 1: f_L + f_Q trained with R3, its weight swept");
  const auto options = std::make_shared<CommonOptions>();
  const Presets presets = {{"quick", "figure1-quick"}, {"published", "figure1"}, {"text", "figure1-text"}};
  add_common_options(*command, *options, presets, program);
  command->callback([options, presets, &program] {
    program.action = [options, presets, &program] {
      return run_study("figure1", *options, presets, program.command_line, true);
    };
  });
}

}  // namespace entk::app
