#include "run_commands.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <memory>

#include "entk/experiments/memory.h"
#include "entk/io/atomic_file.h"
#include "entk/io/strict_json.h"
#include "signals.h"

namespace entk::app {

namespace {

/// A resumed study may go further and have more seeds and values; what all its runs share stays.
void check_study_resumable(const RunFolder& folder, const RunConfig& config) {
  const auto shared = [](const RunConfig& run) {
    auto json = to_json(run);
    for (const char* key : {"seed", "threads"}) json.erase(key);
    for (const char* key : {"steps", "checkpoint_seconds", "memory_limit_gb"}) json["train"].erase(key);
    json["data"].erase("file");  // what is in it is compared
    return json;
  };
  const auto path = folder.file("config.json");
  if (const auto paths = differing_paths(shared(read_written_config(path, config.catalogue)), shared(config));
      !paths.empty()) {
    throw InputError(fmt::format("{}: a resumed study may change train.steps, threads, seeds and sweep; this one changes {}",
                                 path.string(), fmt::join(paths, ", ")));
  }
}

ExitCode single_run(const CommonOptions& o, const RunConfig& config, const std::string& command,
                    const std::string& command_line) {
  const auto folder = open_folder(o, command);
  if (o.resume.empty()) {
    folder.write_json("config.json", to_json(config));
  } else {
    check_resumable(folder, config, o.other_device);
    if (config.data.source == "file") {
      check_same_data(folder.path(), config.data.file, data_checksums(load_data(config.data.file)));
    }
  }
  ProblemCache cache;
  RunOutcome outcome;
  {
    Console console(o.quiet, o.verbose, 1);
    outcome = take_run(config, folder, folder.path().filename().string(), command_line, cache, hooks_for(console, o));
  }
  if (!outcome.message.empty()) say(outcome.message);
  if (outcome.state == RunState::interrupted) say_how_to_resume(o, command, folder);
  if (outcome.state == RunState::done) {
    auto summary = load_json(folder.file("summary.json"));
    summary["folder"] = folder.path().string();
    show_results(o, write_run_results(folder.path()), folder.path(), summary);
  }
  return outcome.code;
}

nlohmann::json study_summary(const RunFolder& folder, const std::vector<PlannedRun>& plan, const StudyOutcome& outcome) {
  nlohmann::json runs = nlohmann::json::object();
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const auto path = run_path(folder.path(), plan[i]) / "summary.json";
    auto& run = runs[plan[i].name];
    if (std::filesystem::exists(path)) run = load_json(path);
    if (!run.is_object() && !run.is_null()) throw InputError(fmt::format("{}: expected an object", path.string()));
    run["state"] = to_string(outcome.runs[i].state);
    if (!outcome.runs[i].message.empty()) run["message"] = outcome.runs[i].message;
  }
  return {{"folder", folder.path().string()}, {"runs", runs}};
}

}  // namespace

RunHooks hooks_for(Console& console, const CommonOptions& o) {
  RunHooks hooks;
  hooks.ignore_memory = o.force;
  hooks.interrupted = caught_signal;
  hooks.progress = [&console](const std::string& run, const Record& r, std::int64_t steps, double left) {
    console.progress(run, r, steps, left);
  };
  hooks.notice = [&console](const std::string& run, const std::string& text) { console.notice(run, text); };
  return hooks;
}

void check_before_work(std::vector<PlannedRun>& plan, bool ignore_memory) {
  std::map<std::string, RunConfig> seen;
  for (auto& run : plan) {
    const auto key = ProblemCache::key(run.config);
    if (run.config.data.source == "file" && !seen.count(key)) seen.emplace(key, with_file_sizes(run.config));
    if (const auto found = seen.find(key); found != seen.end()) {
      run.config.data = found->second.data;
      run.config.projector = found->second.projector;
    }
    if (!ignore_memory) check_memory(run.config, pick_device(run.config.device));
  }
}

void show_results(const CommonOptions& o, const Results& results, const std::filesystem::path& folder,
                  const nlohmann::json& summary) {
  for (const auto& notice : results.notices) say("note: " + notice);
  if (o.json) {
    fmt::print("{}", dump_json(summary));
    return;
  }
  if (o.quiet) return;
  fmt::print("{}", to_text(results.table));
  fmt::print("\nIn {}:\n", folder.string());
  for (const auto& file : results.files) fmt::print("  {}\n", file.filename().string());
}

ExitCode run_study(const std::string& command, const CommonOptions& o, const Presets& presets,
                   const std::string& command_line, bool always_study) {
  const auto resolved = resolve(o, presets);
  auto plan = plan_runs(resolved.study, resolved.source);
  if (o.print_config) {
    auto json = to_json(resolved.study);
    auto full = to_json(plan[0].config);
    if (!resolved.study.seeds.empty()) full["seeds"] = json["seeds"];
    if (!resolved.study.sweep.empty()) full["sweep"] = json["sweep"];
    fmt::print("{}", dump_json(full));
    return ExitCode::ok;
  }
  const bool study = always_study || !resolved.study.sweep.empty() || resolved.study.seeds.size() > 1;
  check_before_work(plan, o.force);
  if (!study) return single_run(o, plan[0].config, command, command_line);
  const auto folder = open_folder(o, command);
  auto config = to_json(plan[0].config);
  const auto json = to_json(resolved.study);
  for (const char* key : {"seeds", "sweep"}) {
    if (json.contains(key)) config[key] = json[key];
  }
  if (!o.resume.empty()) {
    if (std::filesystem::exists(folder.file("metrics.csv"))) {
      throw InputError(fmt::format("{}: a single run, not a study; go on with: entk train --resume {}", o.resume, o.resume));
    }
    check_study_resumable(folder, plan[0].config);
  }
  folder.write_json("config.json", config);
  if (!std::filesystem::exists(folder.file("command.txt"))) folder.write_text("command.txt", command_line + "\n");
  return take_and_show(command, o, command_line, folder, plan,
                       [&] { return write_study_results(folder.path(), resolved.study, plan); });
}

ExitCode take_and_show(const std::string& command, const CommonOptions& o, const std::string& command_line,
                       const RunFolder& folder, const std::vector<PlannedRun>& plan,
                       const std::function<Results()>& write_results) {
  folder.set_status(RunState::running, 0);
  const auto started = std::chrono::steady_clock::now();
  StudyOutcome outcome;
  {
    Console console(o.quiet, o.verbose, plan.size());
    console.line(fmt::format("{} runs into {}", plan.size(), folder.path().string()));
    outcome = take_study(plan, folder, command_line, hooks_for(console, o));
  }
  std::string worst;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    const auto& run = outcome.runs[i];
    if (run.code == ExitCode::ok || run.state == RunState::interrupted) continue;
    say(fmt::format("{}: {}", plan[i].name, run.message));
    if (run.code == outcome.code) worst = run.message;
  }
  const bool interrupted = caught_signal() != 0;
  const auto state = interrupted                        ? RunState::interrupted
                     : outcome.code == ExitCode::ok       ? RunState::done
                     : outcome.code == ExitCode::diverged ? RunState::diverged
                                                          : RunState::failed;
  folder.set_status(state, 0, worst);
  if (interrupted) {
    say_how_to_resume(o, command, folder);
    return static_cast<ExitCode>(128 + caught_signal());
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  const auto results = write_results();
  if (!o.quiet) say(fmt::format("trained in {}", duration(seconds)));
  show_results(o, results, folder.path(), study_summary(folder, plan, outcome));
  return outcome.code;
}

void add_train(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("train", "Train any configuration; with seeds or a sweep, a study");
  const auto options = std::make_shared<CommonOptions>();
  add_common_options(*command, *options, {}, program);
  command->callback([options, &program] {
    program.action = [options, &program] { return run_study("train", *options, {}, program.command_line, false); };
  });
}

}  // namespace entk::app
