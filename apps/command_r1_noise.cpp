#include <fmt/format.h>

#include <memory>

#include "entk/base/threads.h"
#include "entk/experiments/noise_study.h"
#include "entk/io/strict_json.h"
#include "run_commands.h"
#include "signals.h"

namespace entk::app {

namespace {

const Presets noise_presets = {{"quick", "r1-noise-quick"}, {"full", "r1-noise"}};

ExitCode r1_noise(const CommonOptions& o, const std::string& command_line) {
  const auto [json, source] = resolve_json(o, noise_presets, to_json(NoiseStudyConfig{}));
  const auto config = read_noise_study_config(json, source, o.catalogue);
  auto plans = plan_noise_study(config, source);
  if (o.print_config) {
    fmt::print("{}", dump_json(to_json(config)));
    return ExitCode::ok;
  }
  set_threads(static_cast<int>(plans.noise[0].config.threads));
  for (auto* plan : {&plans.noise, &plans.ranks}) check_before_work(*plan, o.force);
  const auto folder = open_study(o, "r1-noise", to_json(config), command_line);
  const auto plan = plans.all();
  StudyOutcome outcome;
  {
    Console console(o.quiet, o.verbose, plan.size());
    console.line(fmt::format("{} runs into {}", plan.size(), folder.path().string()));
    outcome = take_study(plan, folder, command_line, hooks_for(console, o));
  }
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const auto& run = outcome.runs[i];
    if (run.code != ExitCode::ok && run.state != RunState::interrupted) say(fmt::format("{}: {}", plan[i].name, run.message));
  }
  if (const int signal = caught_signal()) {
    folder.set_status(RunState::interrupted, 0, "interrupted");
    say_how_to_resume(o, "r1-noise", folder);
    return static_cast<ExitCode>(128 + signal);
  }
  const auto results = write_noise_results(folder.path(), config, plans);
  folder.set_status(outcome.code == ExitCode::ok         ? RunState::done
                    : outcome.code == ExitCode::diverged ? RunState::diverged
                                                         : RunState::failed, 0);
  for (const auto& notice : results.notices) say("note: " + notice);
  const auto claims = read_claims(folder.path());
  if (o.json) {
    fmt::print("{}", dump_json({{"folder", folder.path().string()}, {"claims", load_json(folder.file("claims.json"))["claims"]}}));
  } else if (!o.quiet) {
    fmt::print("{}", to_text(results.table));
    for (const auto& claim : claims) {
      fmt::print("{}: {} [{}] {}\n", claim.source, claim.statement, to_string(claim.verdict), claim.ours);
    }
    fmt::print("\nIn {}\n", folder.path().string());
  }
  return outcome.code;
}

}  // namespace

void add_r1_noise(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("r1-noise", "Does the noise of the descent keep R1 small? and R3's rank d against d + 1");
  const auto options = std::make_shared<CommonOptions>();
  add_study_options(*command, *options, noise_presets, noise_study_keys(), program);
  add_force(*command, *options);
  command->callback([options, &program] {
    program.action = [options, &program] { return r1_noise(*options, program.command_line); };
  });
}

}  // namespace entk::app
