#include <fmt/format.h>

#include <memory>

#include "commands.h"
#include "common_options.h"
#include "console.h"
#include "entk/base/threads.h"
#include "entk/experiments/figure2.h"
#include "entk/experiments/study_page.h"
#include "entk/io/strict_json.h"
#include "signals.h"

namespace entk::app {

namespace {

const Presets presets = {{"quick", "figure2-quick"}, {"published", "figure2"}};

ExitCode run_figure2(const CommonOptions& o, const std::string& command_line) {
  const auto [json, source] = resolve_json(o, presets, to_json(Figure2Config{}));
  const auto config = read_figure2_config(json, source);
  if (o.print_config) {
    fmt::print("{}", dump_json(to_json(config)));
    return ExitCode::ok;
  }
  pick_device(config.device);
  set_threads(static_cast<int>(config.threads));
  if (!o.force) check_figure2_memory(config);
  const auto folder = open_study(o, "figure2", to_json(config), command_line);
  Console console(o.quiet, o.verbose, 1);
  Figure2Hooks hooks;
  hooks.interrupted = caught_signal;
  hooks.on_trial = [&](const Trial& t, double seconds) {
    console.line(fmt::format("d {}  seed {}  n {}  train {:.4g}  test {:.4g}  {}", t.dimension, t.seed, t.samples, t.losses.train,
                             t.losses.test, duration(seconds)));
  };
  SampleSearchResult searches;
  try {
    searches = take_figure2(config, folder, hooks);
  } catch (const std::exception& e) {
    folder.set_status(RunState::failed, 0, e.what());
    throw;
  }
  if (searches.interrupted) {
    folder.set_status(RunState::interrupted, 0);
    say_how_to_resume(o, "figure2", folder);
    return static_cast<ExitCode>(128 + caught_signal());
  }
  const auto result = figure2_result(config, searches);
  const auto claims = figure2_claims(config, result);
  const auto results = write_study_page(folder.path(), "entk figure2", figure2_table(config, result),
                                        {{"figure2", figure2_plot(config, result),
                                          "The smallest n whose final test loss is below the threshold, beside 6d² and d³."}},
                                        claims);
  folder.set_status(RunState::done, 0);
  for (const auto& notice : results.notices) say("note: " + notice);
  const auto number = [](double v) { return std::isfinite(v) ? nlohmann::json(v) : nlohmann::json(); };
  if (o.json) {
    const auto& exponent = result.fit.exponent;
    nlohmann::json summary = {{"folder", folder.path().string()}, {"runs", searches.trials.size()},
                              {"exponent", number(exponent.value)}, {"exponent_low", number(exponent.low)},
                              {"exponent_high", number(exponent.high)}, {"exponent_from", exponent.from}};
    for (const auto& [d, at] : result.needed) {
      for (const auto& [seed, n] : at.samples) summary["samples"][std::to_string(d)].push_back(n);
    }
    fmt::print("{}", dump_json(summary));
  } else if (!o.quiet) {
    fmt::print("{}{}\n\nIn {}\n", to_text(results.table), claims[0].ours, folder.path().string());
  }
  return ExitCode::ok;
}

}  // namespace

void add_figure2(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("figure2", "The paper's Figure 2: samples that a standard ReLU network needs, against d");
  const auto options = std::make_shared<CommonOptions>();
  add_study_options(*command, *options, presets, figure2_keys(), program);
  add_force(*command, *options);
  command->callback([options, &program] {
    program.action = [options, &program] { return run_figure2(*options, program.command_line); };
  });
}

}  // namespace entk::app
