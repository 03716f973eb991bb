#include <fmt/format.h>

#include <memory>

#include "commands.h"
#include "common_options.h"
#include "console.h"
#include "entk/base/threads.h"
#include "entk/experiments/expressivity.h"
#include "entk/io/strict_json.h"
#include "signals.h"

namespace entk::app {

namespace {

const Presets presets = {{"quick", "expressivity-quick"}, {"full", "expressivity"}};

ExitCode expressivity_command(const CommonOptions& o, const std::string& command_line) {
  if (!o.dtype.empty() || !o.device.empty()) throw InputError("expressivity: it computes in float64 on the CPU; --dtype and --device do not go with it");
  const auto [json, source] = resolve_json(o, presets, to_json(ExpressivityConfig{}));
  const auto config = read_expressivity_config(json, source, o.catalogue);
  if (o.print_config) {
    fmt::print("{}", dump_json(to_json(config)));
    return ExitCode::ok;
  }
  set_threads(static_cast<int>(config.threads));
  auto folder = open_study(o, "expressivity", to_json(config), command_line);
  const bool finished = take_expressivity(config, folder.path(), [] { return caught_signal() != 0; },
                                          [&](const std::string& part) { if (!o.quiet) say(part); });
  if (!finished) {
    folder.set_status(RunState::interrupted, 0, "interrupted");
    say_how_to_resume(o, "expressivity", folder);
    return static_cast<ExitCode>(128 + caught_signal());
  }
  const auto results = write_expressivity_results(folder.path(), config);
  folder.set_status(RunState::done, 0);
  for (const auto& notice : results.notices) say("note: " + notice);
  if (o.json) {
    fmt::print("{}", dump_json({{"folder", folder.path().string()}, {"claims", load_json(folder.file("claims.json"))["claims"]}}));
  } else if (!o.quiet) {
    fmt::print("{}", to_text(results.table));
    for (const auto& claim : read_claims(folder.path())) {
      fmt::print("{}: {} [{}] {}\n", claim.source, claim.statement, to_string(claim.verdict), claim.ours);
    }
    fmt::print("\nIn {}\n", folder.path().string());
  }
  return ExitCode::ok;
}

}  // namespace

void add_expressivity(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("expressivity", "The solution W* of Theorem 2, built and measured over the width");
  const auto options = std::make_shared<CommonOptions>();
  add_study_options(*command, *options, presets, expressivity_config_keys(), program);
  command->callback([options, &program] {
    program.action = [options, &program] { return expressivity_command(*options, program.command_line); };
  });
}

}  // namespace entk::app
