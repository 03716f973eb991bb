// One command for every study: options, configuration, folder, units, page.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <numeric>
#include <set>

#include "entk/program/commands.h"
#include "entk/program/common_options.h"
#include "entk/program/console.h"
#include "entk/base/device.h"
#include "entk/base/group.h"
#include "entk/base/threads.h"
#include "entk/config/config_layers.h"
#include "entk/studies/studies.h"
#include "entk/report/process.h"
#include "entk/runs/estimate.h"
#include "entk/runs/memory.h"
#include "entk/runs/plan.h"
#include "entk/runs/study_page.h"
#include "entk/io/atomic_file.h"
#include "entk/io/scratch_folder.h"
#include "entk/io/strict_json.h"
#include "entk/program/results_text.h"
#include "entk/program/signals.h"

namespace entk::app {

namespace {

/// What was typed after one command's name.
struct StudyOptions : CommonOptions {
  std::string variant;
  std::map<std::string, std::string> shortcuts;  ///< value by option
};

std::unique_ptr<Task> read_task(const Study& study, const StudyOptions& o) {
  auto [json, source] = resolve_json(o, study.presets, study.standard);
  for (const auto& shortcut : study.shortcuts) {
    const auto& value = o.shortcuts.at(shortcut.option);
    if (!value.empty()) shortcut.set(json, value);
  }
  if (o.theory_weights) set_theory_weights(o, json, source);
  return study.read(json, source, o.catalogue);
}

/// A study's runs as summary.json has them, by name, with their states.
nlohmann::json summary_of(const RunFolder& folder, const std::vector<Unit>& units, const StudyOutcome& outcome,
                          const Findings& findings) {
  auto json = findings.numbers;
  json["folder"] = folder.path().string();
  if (std::filesystem::exists(folder.file("claims.json")))
    json["claims"] = load_json(folder.file("claims.json"))["claims"];
  for (std::size_t i = 0; i < units.size(); ++i) {
    auto& run = json["runs"][units[i].name];
    const auto file = folder.path() / "runs" / units[i].name / "summary.json";
    if (std::filesystem::exists(file)) run = load_json(file);
    if (!run.is_object() && !run.is_null()) throw InputError(fmt::format("{}: expected an object", file.string()));
    run["state"] = to_string(outcome.units[i].state);
    if (!outcome.units[i].message.empty()) run["message"] = outcome.units[i].message;
  }
  return json;
}

RunState state_of(const StudyOutcome& outcome) {
  if (outcome.interrupted || outcome.code == ExitCode::held) return RunState::interrupted;
  // A check that failed is a result.
  if (outcome.code == ExitCode::ok || outcome.code == ExitCode::check_failed) return RunState::done;
  return outcome.code == ExitCode::diverged ? RunState::diverged : RunState::failed;
}

/// The numbers alone, in a file: what the units leave goes with a temporary folder.
ExitCode write_numbers(Task& task, const StudyOptions& o, const std::string& command_line) {
  const ScratchFolder scratch;
  const auto& place = scratch.path();
  const auto folder = RunFolder::create(place);
  const auto outcome =
      take_units(task.units({folder, command_line, {.interrupted = caught_signal}}), place, task.take_options());
  if (outcome.interrupted) return static_cast<ExitCode>(128 + caught_signal());
  for (const auto& unit : outcome.units) {
    if (unit.code != ExitCode::ok) say(unit.message);
  }
  if (outcome.code != ExitCode::ok) return outcome.code;
  const auto findings = task.findings(place);
  for (const auto& warning : findings.warnings) {
    if (!o.quiet) say("note: " + warning);
  }
  write_file_atomically(o.out, dump_json(findings.numbers));
  if (o.json) fmt::print("{}", dump_json(findings.numbers));
  return ExitCode::ok;
}

std::string command_of(const Study& study) {
  return study.name + (study.variant.empty() ? "" : " --study " + study.variant);
}

/// What became of the units; the message of the worst of them.
std::string say_failures(const std::vector<Unit>& units, const StudyOutcome& outcome) {
  std::string worst;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const auto& unit = outcome.units[i];
    if (unit.code == ExitCode::ok || unit.state == RunState::interrupted) continue;
    say(fmt::format("{}: {}", units[i].name, unit.message));
    if (unit.code == outcome.code) worst = unit.message;
  }
  return worst;
}

/// --plan: the folder with its numbered units and a script, for others to take.
ExitCode plan_study(const Study& study, Task& task, const StudyOptions& o, const RunFolder& folder,
                    const std::string& command_line) {
  const auto units = task.units({folder, command_line});
  write_plan(folder, units);
  const auto path = std::filesystem::absolute(folder.path()).lexically_normal();
  const auto script = path / "array.sbatch";
  const auto program = std::filesystem::read_symlink("/proc/self/exe");
  const auto command = fmt::format("{} {} --resume {}{}", shell_word(program.string()), command_of(study),
                                   shell_word(path.string()), o.force ? " --force" : "");
  if (!std::filesystem::exists(script)) {
    std::int64_t largest = 0;
    for (const auto& unit : units) largest = std::max(largest, unit.bytes);
    folder.write_text("array.sbatch", array_script({.command = command,
                                                    .name = "entk-" + study.name,
                                                    .folder = path.string(),
                                                    .bytes = largest > 0 ? largest + resident_bytes_now() : 0}));
  }
  folder.set_status(RunState::interrupted, 0, "planned");
  std::vector<std::int64_t> all(read_plan(path).size());
  std::iota(all.begin(), all.end(), 0);
  const auto array = array_expression(all);
  const auto sbatch = fmt::format("sbatch --array={} {}", array, shell_word(script.string()));
  if (o.json) {
    fmt::print("{}",
               dump_json({{"folder", path.string()}, {"runs", all.size()}, {"array", array}, {"sbatch", sbatch}}));
  } else {
    fmt::print("{} {} into {}\nSlurm:    {}\nparallel: seq 0 {} | parallel {} --run {{}}\nthen:     {}\n", all.size(),
               all.size() == 1 ? "run" : "runs", path.string(), sbatch, all.size() - 1, command, command);
  }
  return ExitCode::ok;
}

/// --estimate, of what an earlier folder leaves to do where there is one.
ExitCode print_estimate(Task& task, const StudyOptions& o) {
  std::set<std::string> settled;
  if (o.goes_on()) {
    const auto earlier = RunFolder::shared(o.earlier());
    for (const auto& unit : task.units({.folder = earlier, .command = "", .take = false})) {
      if (unit.settled) settled.insert(unit.name);
    }
  }
  const ScratchFolder scratch;
  const auto found = estimate_time(task, RunFolder::create(scratch.path()), settled, caught_signal);
  if (found.stopped) return static_cast<ExitCode>(128 + caught_signal());
  if (o.json) {
    fmt::print("{}", dump_json({{"seconds", found.seconds},
                                {"runs", found.units},
                                {"side_by_side", found.jobs},
                                {"unknown", found.unknown}}));
    return ExitCode::ok;
  }
  std::string text = found.units == 0 && found.unknown > 0
                         ? ""
                         : fmt::format("about {}: {} {}, {} side by side", duration(found.seconds), found.units,
                                       found.units == 1 ? "run" : "runs", found.jobs);
  if (found.unknown > 0) {
    text += fmt::format("{}{} {} whose time no first steps tell", text.empty() ? "" : "; besides ", found.unknown,
                        found.unknown == 1 ? "part" : "parts");
  }
  fmt::print("{}\n", text);
  return ExitCode::ok;
}

/// --pending: the numbers of the units that are neither settled nor in another process's hands.
ExitCode print_pending(Task& task, const RunFolder& folder) {
  std::map<std::string, bool> settled;
  for (const auto& unit : task.units({.folder = folder, .command = "", .take = false}))
    settled[unit.name] = unit.settled.has_value();
  std::vector<std::int64_t> left;
  int held = 0;
  const auto names = read_plan(folder.path());
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!settled.count(names[i]) || settled.at(names[i])) continue;
    if (held_now(unit_path(folder.path(), names[i]))) {
      ++held;
    } else {
      left.push_back(static_cast<std::int64_t>(i));
    }
  }
  fmt::print("{}\n", array_expression(left));
  if (held > 0) say(fmt::format("left out, as other processes are taking them now: {}", held));
  return ExitCode::ok;
}

/// --run: units of the plan, each held alone, the study's folder by nobody.
ExitCode take_part(const Study& study, Task& task, const StudyOptions& o, const RunFolder& folder,
                   const std::string& command_line) {
  const auto names = read_plan(folder.path());
  const auto first = static_cast<std::size_t>(*o.run), count = static_cast<std::size_t>(o.runs);
  if (first >= names.size()) {
    throw InputError(fmt::format("--run: expected a number from 0 to {} of {}, got {}", names.size() - 1,
                                 folder.file("plan.csv").string(), *o.run));
  }
  StudyOutcome outcome;
  std::vector<Unit> units;
  {
    Console console(o.quiet, o.verbose, 2);
    const TakeContext context{folder, command_line, hooks_for(console, o),
                              [&](const std::string& text) { console.line(text); }};
    auto all = task.units(context);
    for (auto i = first; i < std::min(names.size(), first + count); ++i) {
      const auto unit = std::find_if(all.begin(), all.end(), [&](const Unit& u) { return u.name == names[i]; });
      if (unit == all.end()) {
        throw InputError(fmt::format("--run: {} is {}, which this study no longer has", i, names[i]));
      }
      console.line(fmt::format("{} {}{}", i, unit->name, unit->settled ? ": done before" : ""));
      units.push_back(std::move(*unit));
    }
    auto options = task.take_options();
    options.locking = Locking::where_supported;
    options.no_lock = [&](const std::string& path) {
      console.notice(path, "this file system has no locks: nothing but the plan keeps two processes off one run");
    };
    outcome = take_units(units, folder.path(), options);
  }
  say_failures(units, outcome);
  if (outcome.interrupted) {
    say(fmt::format("go on with: {} {} --resume {} --run {} --runs {}", o.program, command_of(study),
                    folder.path().string(), *o.run, o.runs));
    return static_cast<ExitCode>(128 + caught_signal());
  }
  return outcome.code;
}

/// What another process than the first does: the same units, of which it writes nothing and says nothing.
ExitCode take_as_another(Task& task, const RunFolder& folder, const std::string& command_line) {
  const TakeContext context{folder, command_line, {.interrupted = caught_signal}};  // which the units refer to
  for (const auto& unit : task.units(context)) {
    if (!unit.settled && unit.take(folder).state == RunState::interrupted) break;
  }
  return ExitCode::ok;
}

ExitCode take(const Study& study, const StudyOptions& o, const std::string& command_line) {
  if (group().size() > 1 && (!study.shared_out || o.plan || o.pending || o.run || o.estimate)) {
    throw InputError(
        fmt::format("{} processes were started for one run, and this is a study: --plan, then --run for "
                    "each process, shares out its runs",
                    group().size()));
  }
  if ((o.pending || o.run) && o.resume.empty()) {
    throw InputError(
        fmt::format("--{} is of a study that was planned: it needs --resume DIR", o.run ? "run" : "pending"));
  }
  if (o.goes_on()) check_begun_by(o.earlier(), study.name);
  const auto task = read_task(study, o);
  if (o.print_config) {
    fmt::print("{}", dump_json(task->config()));
    return ExitCode::ok;
  }
  const auto device = pick_device(task->device());
  set_threads(static_cast<int>(task->threads()));
  if (o.pending || o.run) {
    const auto folder = RunFolder::shared(o.resume);
    check_study(o, folder.path(), task->config(), {});
    if (o.pending) return print_pending(*task, folder);
    task->prepare();
    return take_part(study, *task, o, folder, command_line);
  }
  if (o.estimate) {
    task->prepare();
    if (!o.force) task->check_memory();
    return print_estimate(*task, o);
  }
  const bool numbers = study.numbers_alone && std::filesystem::path(o.out).extension() == ".json";
  if (numbers && o.plan) throw InputError("--plan makes a folder: give --out one, not a file");
  if (numbers) check_new_file(o.out, o.force);
  task->prepare();
  if (!o.force) task->check_memory();
  if (numbers) return write_numbers(*task, o, command_line);

  // What is there may refuse this configuration: said before the folder has it.
  if (o.goes_on() && leads()) task->units({.folder = RunFolder::shared(o.earlier()), .command = "", .take = false});
  const auto folder = open_together(
      [&] { return open_study(o, study.name, task->config(), task->may_change(), device, command_line); });
  if (!leads()) return take_as_another(*task, folder, command_line);
  if (o.plan) return plan_study(study, *task, o, folder, command_line);
  const auto started = std::chrono::steady_clock::now();
  std::vector<Unit> units;
  StudyOutcome outcome;
  {
    Console console(o.quiet, o.verbose, 2);
    const TakeContext context{folder, command_line, hooks_for(console, o),
                              [&](const std::string& text) { console.line(text); }};
    units = task->units(context);
    console.line(
        fmt::format("{} {} into {}", units.size(), units.size() == 1 ? "part" : "parts", folder.path().string()));
    if (std::filesystem::exists(folder.file("plan.csv"))) write_plan(folder, units);
    outcome = take_units(units, folder.path(), task->take_options());
  }
  const auto worst = say_failures(units, outcome);
  if (outcome.interrupted) {
    folder.set_status(RunState::interrupted, 0, "interrupted");
    say_how_to_resume(o, command_of(study), folder);
    return static_cast<ExitCode>(128 + caught_signal());
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  const auto findings = task->findings(folder.path());
  const auto results = write_study_page(folder.path(), study.name, study.title, findings, study.standard);
  folder.set_status(state_of(outcome), 0, worst);
  if (!o.quiet) say(fmt::format("taken in {}", duration(seconds)));
  show_results(o, results, findings.claims, folder.path(), summary_of(folder, units, outcome, findings));
  return outcome.code;
}

/// One subcommand for all studies of one name.
void add_command(CLI::App& app, Program& program, const std::vector<const Study*>& variants) {
  const auto& first = *variants[0];
  const bool several = variants.size() > 1;
  auto* command = app.add_subcommand(
      first.name,
      several ? "The paper's Appendix G: expansions of a convolutional network; R1 beside R3" : first.summary);
  const auto options = std::make_shared<StudyOptions>();
  auto& o = *options;
  std::vector<KeyInfo> keys;
  std::vector<std::string> names, meanings;
  for (const auto* study : variants) {
    names.push_back(study->variant);
    meanings.push_back(fmt::format("{} ({})", study->variant, study->summary));
    for (auto key : study->keys) {
      if (several) key.meaning += fmt::format(" [--study {}]", study->variant);
      keys.push_back(std::move(key));
    }
  }
  o.variant = first.variant;
  if (several) {
    command->add_option("--study", o.variant, fmt::format("{} [{}]", fmt::join(meanings, ", "), names[0]))
        ->type_name("NAME")
        ->check(CLI::IsMember(names));
  }
  add_study_options(*command, o, first.presets, keys, program);
  if (std::any_of(variants.begin(), variants.end(), [](const Study* s) { return s->estimates_memory; }))
    add_force(*command, o);
  add_plan_options(*command, o);
  if (first.sweeps) add_sweep_options(*command, o);
  if (first.numbers_alone) {
    command->get_option("--out")->description(
        "new folder, or a file OUT.json for the numbers alone [runs/spectrum-<UTC time>]");
    command->add_flag("--force", o.force, "write over a file OUT.json that exists");
  }
  for (const auto* study : variants) {
    for (const auto& shortcut : study->shortcuts) {
      command->add_option(shortcut.option, o.shortcuts[shortcut.option], shortcut.meaning)
          ->type_name(shortcut.value_name);
    }
  }
  command->callback([options, variants, &program] {
    program.action = [options, variants, &program] {
      const Study* chosen = nullptr;
      for (const auto* study : variants) {
        if (study->variant == options->variant) chosen = study;
      }
      std::string given;
      for (const auto& [option, value] : options->shortcuts) {
        if (value.empty()) continue;
        const auto& own = chosen->shortcuts;
        if (std::none_of(own.begin(), own.end(), [&](const Shortcut& s) { return s.option == option; })) {
          throw InputError(fmt::format("{} does not go with --study {}", option, chosen->variant));
        }
        if (!std::any_of(own.begin(), own.end(), [&](const Shortcut& s) { return s.option == option && s.alone; }))
          continue;
        if (!given.empty()) throw InputError(fmt::format("{} and {} exclude each other", given, option));
        given = option;
      }
      return take(*chosen, *options, program.command_line);
    };
  });
}

}  // namespace

ExitCode take_study_command(const std::string& name, const CommonOptions& common, const Program& program) {
  for (const auto& study : program.studies) {
    if (study.name == name) {
      StudyOptions options;
      static_cast<CommonOptions&>(options) = common;
      return take(study, options, program.command_line);
    }
  }
  throw RunError("no study named " + name);
}

void add_studies(CLI::App& app, Program& program) {
  std::vector<std::vector<const Study*>> commands;
  for (const auto& study : program.studies) {
    if (study.name == "train") continue;  // a single run too: command_train.cpp
    if (commands.empty() || commands.back()[0]->name != study.name) commands.emplace_back();
    commands.back().push_back(&study);
  }
  for (const auto& variants : commands) add_command(app, program, variants);
}

}  // namespace entk::app
