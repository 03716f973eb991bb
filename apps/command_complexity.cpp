#include <fmt/format.h>

#include <memory>

#include "console.h"
#include "entk/base/threads.h"
#include "entk/experiments/complexity.h"
#include "entk/experiments/memory.h"
#include "entk/io/strict_json.h"
#include "run_commands.h"
#include "signals.h"

namespace entk::app {

namespace {

const Presets& presets() {
  static const Presets all = {{"quick", "complexity-quick"}, {"full", "complexity"}};
  return all;
}

ExitCode complexity(const CommonOptions& o, const std::string& command_line) {
  auto standard = to_json(RunConfig{});
  standard["models"] = standard["dimensions"] = nlohmann::json::array();
  const auto [json, source] = resolve_json(o, presets(), standard);
  const auto config = read_complexity_config(json, source, o.catalogue);
  if (o.print_config) {
    fmt::print("{}", dump_json(to_json(config)));
    return ExitCode::ok;
  }
  // The largest run that the search may come to.
  const auto d = *std::max_element(config.dimensions.begin(), config.dimensions.end());
  const auto largest = complexity_run(config, config.models[0], d, static_cast<std::int64_t>(config.last_samples * d * d),
                                      config.seeds[0], source);
  set_threads(static_cast<int>(largest.threads));
  if (!o.force) check_memory(largest, pick_device(largest.device));
  const auto folder = open_study(o, "complexity", to_json(config), command_line);
  ComplexityHooks hooks;
  hooks.interrupted = caught_signal;
  if (!o.quiet) {
    hooks.on_trial = [](const CompareModel& model, const Trial& t, double seconds) {
      say(fmt::format("{}: d = {}, n = {}, seed {}: training loss {:.4g}, test loss {:.4g}  {}", model.name, t.dimension, t.samples,
                      t.seed, t.losses.train, t.losses.test, duration(seconds)));
    };
  }
  const auto result = measure_complexity(config, folder.path(), hooks);
  if (result.interrupted) {
    folder.set_status(RunState::interrupted, 0);
    say_how_to_resume(o, "complexity", folder);
    return static_cast<ExitCode>(128 + caught_signal());
  }
  const auto results = write_complexity_results(folder.path(), config, result);
  folder.set_status(RunState::done, 0);
  show_results(o, results, folder.path(), {{"folder", folder.path().string()}, {"claims", load_json(folder.file("claims.json"))["claims"]}});
  return ExitCode::ok;
}

}  // namespace

void add_complexity(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand(
      "complexity", "Theorem 1 measured: the smallest n for a given test loss as d grows, with its exponents");
  const auto options = std::make_shared<CommonOptions>();
  add_study_options(*command, *options, presets(), complexity_config_keys(), program);
  add_force(*command, *options);
  command->callback([options, &program] {
    program.action = [options, &program] { return complexity(*options, program.command_line); };
  });
}

}  // namespace entk::app
