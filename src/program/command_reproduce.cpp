#include <fmt/format.h>

#include <memory>

#include "entk/program/commands.h"
#include "entk/program/common_options.h"
#include "entk/program/console.h"
#include "entk/base/device.h"
#include "entk/studies/reproduce.h"
#include "entk/io/strict_json.h"
#include "entk/program/signals.h"

namespace entk::app {

namespace {

const Presets& presets() {
  static const Presets all = {{"quick", "reproduce-quick"}, {"full", "reproduce"}};
  return all;
}

ReproduceConfig resolve_reproduce(const CommonOptions& o) {
  const auto standard = read_reproduce_config(nlohmann::json::object(), "defaults");
  const auto [json, source] = resolve_json(o, presets(), to_json(standard));
  auto config = read_reproduce_config(json, source);
  pick_device(config.device);
  return config;
}

/// A line for each stage that is left, and their sum.
void print_times(const std::vector<StageTime>& times, bool json) {
  double seconds = 0;
  std::int64_t unknown = 0;
  auto stages = nlohmann::json::object();
  for (const auto& t : times) {
    seconds += t.seconds;
    unknown += t.unknown != 0;
    stages[t.stage] = {{"seconds", t.seconds}, {"unknown", t.unknown}};
    if (json) continue;
    const auto known = t.seconds > 0 ? "about " + duration(t.seconds) : std::string();
    const auto rest = t.unknown < 0   ? "as its run of figure1"
                      : t.unknown > 0 ? fmt::format("{} {} whose time no first steps tell", t.unknown,
                                                    t.unknown == 1 ? "part" : "parts")
                                      : "";
    fmt::print("{:<18} {}{}{}\n", t.stage, known, known.empty() || rest.empty() ? "" : ", besides ", rest);
  }
  if (json) {
    fmt::print("{}", dump_json({{"seconds", seconds}, {"stages", stages}}));
  } else {
    fmt::print("{:<18} about {}{}\n", "together", duration(seconds), unknown > 0 ? ", and what is not known" : "");
  }
}

ExitCode reproduce(const CommonOptions& o, const std::vector<std::string>& stages, const std::string& command_line) {
  auto config = resolve_reproduce(o);
  if (!stages.empty()) {
    auto json = to_json(config);
    json["stages"] = stages;
    config = read_reproduce_config(json, "--stages");
  }
  if (o.print_config) {
    fmt::print("{}", dump_json(to_json(config)));
    return ExitCode::ok;
  }
  const auto program = std::filesystem::read_symlink("/proc/self/exe");
  check_stages(config, o.earlier(), program);
  if (o.estimate) {
    print_times(estimate_stages(config, o.earlier(), program), o.json);
    return ExitCode::ok;
  }
  const auto folder = open_study(o, "reproduce", to_json(config), {}, pick_device(config.device), command_line);
  ReproduceHooks hooks;
  hooks.interrupted = caught_signal;
  if (!o.quiet) {
    hooks.line = say;
    hooks.output = [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); };
  }
  if (config.preset == ReproducePreset::full && !o.quiet && !o.json) {
    say("how long it will take, by the first steps of every study's runs:");
    print_times(estimate_stages(config, folder.path(), program), false);
  }
  const auto code = take_stages(folder, config, program, hooks);
  if (caught_signal() != 0) {
    folder.set_status(RunState::interrupted, 0);
    say_how_to_resume(o, "reproduce", folder);
    return code;
  }
  folder.set_status(code == ExitCode::ok ? RunState::done : RunState::failed, 0,
                    code == ExitCode::ok ? "" : "a stage failed");
  say(fmt::format("{}the claims and what became of them: {}",
                  code == ExitCode::ok ? "" : "not every stage ran (--resume tries those again); ",
                  (folder.path() / "report.html").string()));
  return code;
}

}  // namespace

void add_reproduce(CLI::App& app, Program& program) {
  auto* command =
      app.add_subcommand("reproduce", "All studies one after the other, and one page with the paper's claims");
  const auto options = std::make_shared<CommonOptions>();
  const auto stages = std::make_shared<std::vector<std::string>>();
  add_study_options(*command, *options, presets(), reproduce_config_keys(), program);
  command->add_option("--stages", *stages, "take these alone, as figure1,spectrum [all]")
      ->type_name("NAME,NAME")
      ->delimiter(',');
  command->add_flag("--estimate", options->estimate,
                    "print how long it would take, by the first steps of every study's runs, and stop");
  command->callback([options, stages, &program] {
    program.action = [options, stages, &program] { return reproduce(*options, *stages, program.command_line); };
  });
}

}  // namespace entk::app
