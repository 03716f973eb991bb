// A single run in a folder of its own; with seeds or a sweep a study (command_study.cpp).
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "entk/program/commands.h"
#include "entk/program/common_options.h"
#include "entk/program/console.h"
#include "entk/program/processes.h"
#include "entk/base/device.h"
#include "entk/base/group.h"
#include "entk/base/threads.h"
#include "entk/kernels/shard.h"
#include "entk/runs/memory.h"
#include "entk/runs/results.h"
#include "entk/io/strict_json.h"
#include "entk/program/results_text.h"
#include "entk/program/signals.h"

namespace entk::app {

namespace {

/// False in a process that has nothing to do: blocks of neurons are not divided.
bool takes_part(const CommonOptions& o, std::int64_t width) {
  const auto blocks = shard_of(width, 0, 1).blocks();
  if (blocks < group().size() && !o.quiet) {
    say(fmt::format("{} neurons are {} blocks: so many of the {} processes work, the others wait", width, blocks,
                    group().size()));
  }
  return go_on_with(static_cast<int>(std::min<std::int64_t>(blocks, group().size())));
}

ExitCode single_run(const CommonOptions& o, RunConfig config, const std::string& command_line) {
  if (group().size() > 1) {
    check_can_be_shared(config);
    if (!takes_part(o, config.model.width)) return ExitCode::ok;
  }
  const auto device = pick_device(config.device);
  set_threads(static_cast<int>(config.threads));
  if (config.data.loaded()) config = with_file_sizes(config);
  if (!o.force) check_memory(config, device);
  ProblemCache cache;
  if (group().size() > 1 && !(config.regularizers.terms.empty() && config.observables.written.empty())) {
    const auto problem = cache.problem(config, device);
    const auto model = make_model(*problem);
    check_can_be_shared(make_objective(*problem, model));
    check_can_be_shared(make_observables(config, make_setting(*problem, model)));
  }
  const bool goes_on = agreed(std::int64_t{o.goes_on()}) != 0;
  const auto folder = open_together([&] { return open_folder(o, "train"); });
  if (!goes_on) {
    if (leads()) folder.write_json("config.json", to_json(config));
  } else {
    check_resumable(folder, config, o.other_device);
    if (config.data.loaded()) {
      check_same_data(folder.path(), config.data.file, data_checksums(config.data.source->load(config.data.file)));
    }
  }
  RunOutcome outcome;
  // --resume reads the checkpoint again, and says if it is damaged.
  if (const auto settled = goes_on && !o.at.empty() ? settled_run(folder.path(), config) : std::nullopt) {
    outcome = *settled;
  } else {
    Console console(o.quiet, o.verbose, 1);
    outcome = take_run(config, folder, folder.path().filename().string(), command_line, cache, hooks_for(console, o));
  }
  if (!outcome.message.empty()) say(outcome.message);
  if (outcome.state == RunState::interrupted) say_how_to_resume(o, "train", folder);
  if (outcome.state == RunState::done && leads()) {
    auto summary = load_json(folder.file("summary.json"));
    summary["folder"] = folder.path().string();
    show_results(o, write_run_results(folder.path(), folder.path()), {}, folder.path(), summary);
  }
  return outcome.code;
}

ExitCode train(const CommonOptions& o, const Program& program) {
  auto [json, source] = resolve_json(o, {}, to_json(RunConfig{}));
  if (o.theory_weights) set_theory_weights(o, json, source);
  const auto study = read_study_config(json, source, o.catalogue);
  if (!study.sweep.empty() || study.seeds.size() > 1 || o.estimate) return take_study_command("train", o, program);
  if (o.plan || o.pending || o.run) {
    throw InputError(fmt::format("{}: --plan, --run and --pending are of a study: give --seeds or --sweep", source));
  }
  const auto config = plan_runs(study, source)[0].config;
  if (o.print_config) {
    auto full = to_json(config);
    if (!study.seeds.empty()) full["seeds"] = study.seeds;
    fmt::print("{}", dump_json(full));
    return ExitCode::ok;
  }
  return single_run(o, config, program.command_line);
}

}  // namespace

void add_train(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("train", "Train any configuration; with seeds or a sweep, a study");
  const auto options = std::make_shared<CommonOptions>();
  add_common_options(*command, *options, {}, program);
  command->callback([options, &program] { program.action = [options, &program] { return train(*options, program); }; });
}

}  // namespace entk::app
