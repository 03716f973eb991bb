#include <fmt/format.h>

#include <functional>
#include <memory>

#include "entk/program/commands.h"
#include "entk/program/common_options.h"
#include "entk/program/console.h"
#include "entk/base/failure.h"
#include "entk/base/threads.h"
#include "entk/studies/landscape_study.h"
#include "entk/runs/run.h"
#include "entk/io/strict_json.h"
#include "entk/program/signals.h"

namespace entk::app {

namespace {

struct LandscapeOptions {
  LandscapeStudyOptions study;
  std::string input, out;
  int threads = 0;
  bool json = false, quiet = false;
};

ExitCode landscape_command(LandscapeOptions o, const std::string& command_line) {
  set_threads(o.threads);
  o.study.input = o.input;
  if (!std::filesystem::exists(o.study.input)) {
    throw InputError(fmt::format("'{}' is neither a run's folder nor a checkpoint", o.study.input.string()));
  }
  const auto point = read_landscape_point(o.study);
  CommonOptions common;
  common.out = o.out;
  const auto folder = open_folder(common, "landscape");
  folder.write_text("command.txt", command_line + "\n");
  folder.write_json("environment.json", environment(pick_device(o.study.device)));
  folder.set_status(RunState::running, 0);
  o.study.landscape.interrupted = [&](const LanczosProgress& p) {
    if (!o.quiet && p.iterations % 25 == 0) {
      say(fmt::format("Lanczos step {}: least Ritz value {:.4g}, residual {:.1e}", p.iterations, p.smallest,
                      p.residual));
    }
    return caught_signal() != 0;
  };
  LandscapeStudy study;
  try {
    study = study_landscape(point, o.study);
  } catch (...) {
    folder.set_status(RunState::failed, 0, current_failure().message);
    throw;
  }
  folder.write_json("config.json", study.config);
  if (const int signal = caught_signal()) {
    folder.set_status(RunState::interrupted, study.landscape.lanczos.iterations, "interrupted");
    return static_cast<ExitCode>(128 + signal);
  }
  write_landscape(folder.path(), study);
  folder.set_status(RunState::done, study.landscape.lanczos.iterations);
  for (const auto& notice : study.notices) say("note: " + notice);
  if (o.json) {
    auto json = study.json;
    json["folder"] = folder.path().string();
    fmt::print("{}", dump_json(json));
  } else if (!o.quiet) {
    fmt::print("{}\n{}\n\nThe direction is in {}\n", to_text(study.table), study.landscape.statement,
               folder.file("direction.pt").string());
  }
  const auto verdict = study.landscape.verdict;
  return verdict == StationaryVerdict::not_sosp || verdict == StationaryVerdict::undecided ? ExitCode::check_failed
                                                                                           : ExitCode::ok;
}

}  // namespace

void add_landscape(CLI::App& app, Program& program) {
  const auto number = [](const std::string& what, const std::function<bool(double)>& good) {
    return CLI::Validator(
        [=](std::string& text) {
          double value = 0;
          return CLI::detail::lexical_cast(text, value) && good(value) ? ""
                                                                       : fmt::format("expected {}, got {}", what, text);
        },
        "");
  };
  const auto above_zero = number("a number above 0", [](double v) { return v > 0; });
  const auto not_negative = number("a number of at least 0", [](double v) { return v >= 0; });
  const auto probability = number("a probability above 0 and below 1", [](double v) { return v > 0 && v < 1; });
  auto* command = app.add_subcommand(
      "landscape",
      "Is a W a second-order stationary point of its regularized loss? exit 1: a direction below -gamma, or undecided");
  const auto options = std::make_shared<LandscapeOptions>();
  auto& o = *options;
  o.study.catalogue = program.catalogue;
  command->add_option("input", o.input, "a run's folder or a checkpoint.pt")->required()->type_name("RUN");
  command->add_option("--set", o.study.set, "one key of its configuration, as lambda.3=1; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--nu", o.study.landscape.nu, "largest gradient norm of a stationary point [m^(-1/2)]")
      ->type_name("X")
      ->check(above_zero);
  command->add_option("--gamma", o.study.landscape.gamma, "curvature below -gamma refutes it [m^(-3/4)]")
      ->type_name("X")
      ->check(above_zero);
  command
      ->add_option("--iterations", o.study.landscape.max_iterations,
                   "Lanczos steps at most; each keeps m*d numbers [300]")
      ->type_name("N")
      ->check(above_zero);
  command
      ->add_option("--failure-probability", o.study.landscape.failure_probability,
                   "stop once a direction below -gamma is missed with at most this probability [1e-6]")
      ->type_name("P")
      ->check(probability);
  command->add_option("--draws", o.study.draws, "random signs for Lemma 3's left side; 0: leave it out [20]")
      ->type_name("N")
      ->check(not_negative);
  command->add_option("--seed", o.study.landscape.seed, "of the start and the signs [1]")
      ->type_name("N")
      ->check(not_negative);
  command->add_option("--dtype", o.study.dtype, "float32 or float64 [float64]")->type_name("TYPE");
  command->add_option("--device", o.study.device, "cpu, cuda, cuda:N or auto [cpu]")->type_name("NAME");
  command->add_option("--threads", o.threads, "0: all processors [0]")->type_name("N");
  command->add_option("--out", o.out, "new folder [runs/landscape-<UTC time>]")->type_name("DIR");
  command->add_flag("--json", o.json, "results as JSON on stdout");
  command->add_flag("--quiet", o.quiet, "no progress");
  command->callback([options, &program] {
    program.action = [options, &program] { return landscape_command(*options, program.command_line); };
  });
}

}  // namespace entk::app
