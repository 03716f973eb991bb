#include "entk/base/unsaved_work.h"
#include "entk/studies/reproduce.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "entk/io/json_reader.h"
#include "entk/io/strict_json.h"
#include "entk/report/process.h"

namespace entk {

namespace {

namespace fs = std::filesystem;

/// Stands for the folder of stage figure1 in the words of another.
const std::string figure1_mark = "{figure1}";

std::vector<std::string> stage_names() {
  std::vector<std::string> names;
  for (const auto& stage : reproduce_stages()) names.push_back(stage.name);
  return names;
}

ReproduceConfig standard_config() {
  ReproduceConfig config;
  config.stages = stage_names();
  for (const auto& name : config.stages) config.overrides[name] = nlohmann::json::object();
  return config;
}

}  // namespace

// Where the schema's visitors look for it: in the configuration's own namespace.
template <class V>
static void describe(V& v, ReproduceConfig& c) {
  v.value("preset", c.preset, {}, "sizes of every stage: quick or full");
  v.value("stages", c.stages, {.one_of = stage_names()}, "which to take");
  v.value("device", c.device, {}, "cpu, cuda, cuda:N or auto");
  v.value("threads", c.threads, {.at_least = 0, .at_most = 4096}, "0: all processors");
  for (const auto& stage : reproduce_stages()) {
    v.raw(stage.name.c_str(), c.overrides[stage.name],
          fmt::format("keys of `entk {}` over its preset's", fmt::join(stage.command, " ")).c_str());
  }
}

namespace {

/// Keys of a configuration as the --set options that make it so.
void add_overrides(const nlohmann::json& json, const std::string& prefix, std::vector<std::string>& arguments) {
  for (const auto& [key, value] : json.items()) {
    const auto path = prefix.empty() ? key : prefix + "." + key;
    // What has a name is replaced whole, and a key with a point in it is no path.
    bool whole = !value.is_object() || value.empty() || value.contains("name");
    if (value.is_object()) {
      for (const auto& [inner, unused] : value.items()) whole = whole || inner.find('.') != std::string::npos;
    }
    if (whole) {
      arguments.insert(arguments.end(), {"--set", path + "=" + value.dump()});
    } else {
      add_overrides(value, path, arguments);
    }
  }
}

std::string command_text(const std::vector<std::string>& arguments) {
  std::string text = "entk";
  for (const auto& argument : arguments) text.append(" ").append(shell_word(argument));
  return text;
}

/// The last line that says something.
std::string last_line(const std::string& text) {
  const auto end = text.find_last_not_of(" \n\r\t");
  if (end == std::string::npos) return "";
  const auto begin = text.find_last_of("\n\r", end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1,
                     end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

void write_records(const RunFolder& folder, const std::map<std::string, StageRecord>& records) {
  auto json = nlohmann::json::object();
  for (const auto& [name, r] : records) {
    json[name] = {{"command", r.command},
                  {"ran", r.ran},
                  {"exit_code", r.exit_code},
                  {"seconds", r.seconds},
                  {"message", r.message}};
  }
  folder.write_json("stages.json", json);
}

StageRecord take_stage(const Stage& stage, const ReproduceConfig& config, const fs::path& folder,
                       const fs::path& program, StageRecord record, const ReproduceHooks& hooks) {
  const auto place = folder / stage.name;
  auto arguments = stage_arguments(stage, config, folder);
  if (!record.ran || !fs::exists(place)) record.command = command_text(arguments);
  if (fs::exists(place)) {
    if (fs::exists(place / "config.json")) {
      arguments = stage.command;
      arguments.insert(arguments.end(), {"--resume", place.string()});
    } else {
      fs::remove_all(place);  // there is nothing to go on from
    }
  }
  arguments.insert(arguments.begin(), program.string());

  std::ofstream log(folder / (stage.name + ".log"), std::ios::binary | std::ios::app);
  std::string tail;
  ProcessWatch watch;
  watch.signal = hooks.interrupted;
  watch.output = [&](std::string_view text) {
    log << text << std::flush;
    tail += text;
    if (tail.size() > 8192) tail.erase(0, tail.size() - 4096);
    if (hooks.output) hooks.output(text);
  };
  const auto started = std::chrono::steady_clock::now();
  record.ran = true;
  const UnsavedWork unsaved;  // the stage's own
  try {
    record.exit_code = run_watched(arguments, fs::current_path(), watch);
  } catch (const RunError& e) {
    record.exit_code = static_cast<int>(e.code());
    tail = e.what();
  }
  record.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  record.message = record.exit_code == 0 ? "" : last_line(tail);
  return record;
}

bool reads_figure1(const Stage& stage) {
  return std::any_of(stage.quick.begin(), stage.quick.end(),
                     [](const std::string& word) { return word.find(figure1_mark) != std::string::npos; });
}

bool is_taken(const ReproduceConfig& config, const std::string& stage) {
  return std::find(config.stages.begin(), config.stages.end(), stage) != config.stages.end();
}

/// What a stage's command answers to a question; of its folder where it has begun.
ProcessResult ask(const Stage& stage, const ReproduceConfig& config, const fs::path& folder, const fs::path& program,
                  const std::vector<std::string>& question, std::chrono::milliseconds limit) {
  auto arguments = stage_arguments(stage, config, folder);
  arguments.resize(arguments.size() - 2);  // --out
  if (fs::exists(folder / stage.name / "config.json")) {
    arguments = stage.command;
    arguments.insert(arguments.end(), {"--resume", (folder / stage.name).string()});
  }
  arguments.insert(arguments.begin(), program.string());
  arguments.insert(arguments.end(), question.begin(), question.end());
  return run_program(arguments, fs::current_path(), limit);
}

}  // namespace

ReproduceConfig read_reproduce_config(const nlohmann::json& json, const std::string& source) {
  auto config = read_described<ReproduceConfig>(json, source, built_in_catalogue(), standard_config());
  if (config.stages.empty()) throw InputError(source + ": stages: expected at least one");
  for (const auto& [name, keys] : config.overrides) {
    if (!keys.is_object())
      throw InputError(fmt::format("{}: {}: expected an object of keys, got {}", source, name, keys.dump()));
  }
  return config;
}

nlohmann::json to_json(const ReproduceConfig& config) { return write_described(config); }

std::vector<KeyInfo> reproduce_config_keys() { return list_described(standard_config()); }

std::vector<std::string> stage_arguments(const Stage& stage, const ReproduceConfig& config, const fs::path& folder) {
  auto arguments = stage.command;
  for (auto word : config.preset == ReproducePreset::quick ? stage.quick : stage.published) {
    if (const auto at = word.find(figure1_mark); at != std::string::npos) {
      word.replace(at, figure1_mark.size(), (folder / "figure1").string());
    }
    arguments.push_back(word);
  }
  if (stage.takes_device && config.device != "auto") arguments.insert(arguments.end(), {"--device", config.device});
  if (config.threads != 0) arguments.insert(arguments.end(), {"--threads", std::to_string(config.threads)});
  add_overrides(config.overrides.at(stage.name), "", arguments);
  arguments.insert(arguments.end(), {"--out", (folder / stage.name).string()});
  return arguments;
}

void check_stages(const ReproduceConfig& config, const fs::path& folder, const fs::path& program) {
  for (const auto& stage : reproduce_stages()) {
    if (!is_taken(config, stage.name)) continue;
    const bool reads = reads_figure1(stage);
    if (reads && !is_taken(config, "figure1") && !fs::exists(folder / "figure1")) {
      throw InputError(
          fmt::format("stages: {} reads what figure1 leaves; expected figure1 among them too", stage.name));
    }
    if (config.overrides.at(stage.name).empty() || reads) continue;  // figure1's keys are not there yet
    const auto answer = ask(stage, config, folder, program, {"--print-config"}, std::chrono::minutes(1));
    if (answer.status != 0) throw InputError(fmt::format("{}: {}", stage.name, last_line(answer.output)));
  }
}

std::vector<StageTime> estimate_stages(const ReproduceConfig& config, const fs::path& folder, const fs::path& program) {
  const auto records = read_stage_records(folder);
  std::vector<StageTime> all;
  for (const auto& stage : reproduce_stages()) {
    const auto record = records.find(stage.name);
    if (!is_taken(config, stage.name) || (record != records.end() && record->second.done())) continue;
    if (reads_figure1(stage)) {
      all.push_back({stage.name, 0, -1});
      continue;
    }
    const auto answer = ask(stage, config, folder, program, {"--estimate", "--json"}, std::chrono::hours(1));
    // Notes come before it.
    const auto begin = answer.output.find("{\n");
    if (answer.status != 0 || begin == std::string::npos)
      throw RunError(fmt::format("{}: {}", stage.name, last_line(answer.output)));
    const auto json = parse_json(answer.output.substr(begin), stage.name);
    all.push_back({stage.name, json.at("seconds").get<double>(), json.at("unknown").get<std::int64_t>()});
  }
  return all;
}

std::map<std::string, StageRecord> read_stage_records(const fs::path& folder) {
  std::map<std::string, StageRecord> records;
  const auto path = folder / "stages.json";
  if (!fs::exists(path)) return records;
  const auto json = load_json(path);
  const JsonReader reader(json, path.string());
  for (const auto& [name, unused] : json.items()) {
    const auto r = reader.object(name);
    records[name] = {r.get<std::string>("command"), r.get<bool>("ran"),
                     static_cast<int>(r.get<std::int64_t>("exit_code")), r.get<double>("seconds"),
                     r.get<std::string>("message")};
  }
  reader.finish();
  return records;
}

ExitCode take_stages(const RunFolder& folder, const ReproduceConfig& config, const fs::path& program,
                     const ReproduceHooks& hooks) {
  auto records = read_stage_records(folder.path());
  const auto signal = [&] { return hooks.interrupted ? hooks.interrupted() : 0; };
  const auto say = [&](const std::string& text) {
    if (hooks.line) hooks.line(text);
  };
  int worst = 0;
  std::size_t number = 0;
  for (const auto& stage : reproduce_stages()) {
    if (!is_taken(config, stage.name)) continue;
    const auto place = fmt::format("[{}/{}] {}", ++number, config.stages.size(), stage.name);
    auto& record = records[stage.name];
    if (record.done()) {
      say(place + ": done before");
      continue;
    }
    say(fmt::format("{}: {}", place, command_text(stage_arguments(stage, config, folder.path()))));
    record = take_stage(stage, config, folder.path(), program, record, hooks);
    write_records(folder, records);
    write_reproduce_report(folder.path(), config);
    if (signal() != 0) return static_cast<ExitCode>(128 + signal());
    if (record.done()) continue;
    say(fmt::format("{} failed with exit code {}: {}", place, record.exit_code, record.message));
    // What a signal ended is a failure like others.
    worst = std::max(worst, record.exit_code > 5 ? static_cast<int>(ExitCode::failed) : record.exit_code);
  }
  write_reproduce_report(folder.path(), config);
  return static_cast<ExitCode>(worst);
}

}  // namespace entk
