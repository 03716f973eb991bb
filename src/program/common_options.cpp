#include "entk/program/common_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "entk/program/console.h"
#include "entk/base/group.h"
#include "entk/base/threads.h"
#include "entk/config/config_layers.h"
#include "entk/io/strict_json.h"
#include "entk/spectrum/legendre.h"
#include "entk/theory/theorem_weights.h"

namespace entk::app {

namespace {

/// The names of a kind with their parameters: "sigmoid (shift), erf".
std::string names_of(const KindInfo& kind) {
  std::string text;
  for (const auto& e : kind.entries) {
    std::vector<std::string> parameters;
    for (const auto& p : e.parameters) parameters.push_back(p.name);
    text += fmt::format("{}{}", text.empty() ? "" : ", ", e.name);
    if (!parameters.empty()) text += fmt::format(" ({})", fmt::join(parameters, ", "));
  }
  return text;
}

std::string keys_footer(const std::vector<KeyInfo>& keys, const Catalogue& catalogue) {
  std::string text = "Keys for --config and --set, with their defaults:\n";
  for (const auto& key : keys) {
    text += fmt::format("  {} = {}\n      {}\n", key.path, key.standard, key.meaning);
    const auto kind = key.kind.empty() ? key.path.substr(key.path.rfind('.') + 1) : key.kind;
    for (const auto& info : catalogue.list()) {
      if (info.kind == kind) text += fmt::format("      {}\n", names_of(info));
    }
  }
  return text;
}

/// @throws InputError unless the file holds an object
nlohmann::json load_config(const std::string& file) {
  auto json = load_json(file);
  const JsonReader object(json, file);
  return json;
}

/// @throws InputError for a key given on the command line that means nothing beside another one.
void check_without_effect(const CommonOptions& o, const nlohmann::json& json) {
  const auto refuse = [&](const std::string& inert, const std::string& why) {
    for (const auto& [option, texts] : {std::pair{"--set", &o.set}, {"--sweep", &o.sweep}}) {
      for (const auto& text : *texts) {
        const auto path = text.substr(0, text.find('='));
        if (path != inert && !path.starts_with(inert + ".")) continue;
        throw InputError(fmt::format("{} {}: {}; leave it out", option, text, why));
      }
    }
  };
  for (const std::string run : {"", "run."}) {
    const auto name_at = [&](const std::string& path) {
      const auto thing = value_at(json, run + path);
      return thing.is_object() && thing.contains("name") ? thing["name"] : thing;
    };
    if (const auto source = name_at("data.source"); source == "file" || source == "images") {
      for (const char* key : {"dimension", "samples", "test_samples", "unlabeled_samples", "target"}) {
        refuse(run + "data." + key,
               fmt::format("the data file decides it (data.source is {})", source.get<std::string>()));
      }
    }
    if (name_at("model.kind") == "convolutional") {
      for (const char* key : {"model.width", "model.activation"}) {
        refuse(run + key, "a convolutional network has model.kind.channels and ReLU (model.kind is convolutional)");
      }
    }
    if (!value_at(json, run + "model.kind.widths").is_null()) {
      refuse(run + "model.width", "model.kind.widths has each layer's");
    }
    // What a study has a list of in its place.
    for (const auto& [list, key] : {std::pair{"seeds", "seed"},
                                    {"widths", "model.width"},
                                    {"parameters", "model.width"},
                                    {"samples", "data.samples"},
                                    {"targets", "data.target"},
                                    {"dimensions", "data.dimension"},
                                    {"dimensions", "data.samples"}}) {
      if (const auto values = value_at(json, list); values.is_array() ? !values.empty() : values.is_number_integer())
        refuse(run + key, fmt::format("what {} says stands in its place", list));
    }
  }
  const auto sweep = value_at(json, "sweep");
  if (!sweep.is_object()) return;
  for (const auto& text : o.set) {
    const auto path = text.substr(0, text.find('='));
    if (path.starts_with("data.")) continue;  // by sizes the keys beside the sweep are checked, before it is made
    for (const auto& [swept, values] : sweep.items()) {
      if (path != swept && !path.starts_with(swept + ".")) continue;
      throw InputError(
          fmt::format("--set {}: the sweep has the values of {}: leave it out, or give --sweep {}", text, swept, text));
    }
  }
}

}  // namespace

void set_theory_weights(const CommonOptions& o, nlohmann::json& json, const std::string& source) {
  if (!(*o.theory_weights > 0) || !std::isfinite(*o.theory_weights)) {
    throw InputError(fmt::format("--theory-weights: expected a finite number above 0, got {}", *o.theory_weights));
  }
  for (const auto& text : o.sweep) {
    const auto path = parse_sweep(text).path;
    if (path.rfind("lambda", 0) == 0 || path == "model.width" || path == "data.dimension" || path == "data.target") {
      throw InputError(
          fmt::format("--theory-weights sets lambda for one m, d and k; --sweep {} does not go with it", path));
    }
  }
  if (json.contains("sweep")) {
    auto& sweep = json["sweep"];
    for (auto it = sweep.begin(); it != sweep.end();)
      it = it.key().rfind("lambda", 0) == 0 ? sweep.erase(it) : std::next(it);
    if (sweep.empty()) json.erase("sweep");
  }
  auto base = json;
  for (const char* key : {"seeds", "sweep"}) base.erase(key);
  const auto config = read_run_config(base, source, o.catalogue);
  if (config.data.loaded()) throw InputError("--theory-weights: the degree k of a data file's target is not known");
  if (const auto& kind = config.model.kind.name(); kind != "two_layer") {
    throw InputError(fmt::format("--theory-weights: Theorem 4 is of model.kind two_layer, got {}", kind));
  }
  const auto sparse = make_target(config).sparse;
  if (!sparse) throw InputError("--theory-weights: expected a target with a sparse part of degree k + 1");
  const int k = sparse->degree - 1;
  json["lambda"] = theorem4_weights(config.model.width, config.data.dimension, k, *o.theory_weights);
  for (const auto& text : o.set) {
    const auto [path, value] = parse_override(text);
    if (path == "lambda") throw InputError("--theory-weights sets lambda; --set lambda does not go with it");
    if (path.starts_with("lambda.")) set_at(json, path, value);
  }
  const auto rank = cumulative_multiplicity(static_cast<int>(config.data.dimension), k);
  if (config.projector.source != ProjectorSource::none && static_cast<double>(config.projector.rank) != rank) {
    say(fmt::format("note: Theorem 4 has r = n_k = {}, this configuration has projector.rank = {}", rank,
                    config.projector.rank));
  }
}

void add_study_options(CLI::App& command, CommonOptions& o, const Presets& presets, const std::vector<KeyInfo>& keys,
                       const Program& program) {
  o.catalogue = program.catalogue;
  o.program = program.name;
  if (!presets.empty()) {
    std::vector<std::string> names;
    for (const auto& [name, file] : presets) names.push_back(name);
    command.add_option("--preset", o.preset, fmt::format("{} [{}]", fmt::join(names, ", "), names[0]))
        ->type_name("NAME");
  }
  command.add_option("--config", o.config, "JSON file over the preset (or the defaults)")->type_name("FILE");
  command.add_option("--set", o.set, "one key, as train.steps=10; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  // Options that stand for a key are there where the key is, of the study or of its runs.
  const auto has = [&](const std::string& name) {
    return std::any_of(keys.begin(), keys.end(),
                       [&](const KeyInfo& k) { return k.path == name || k.path == "run." + name; });
  };
  if (has("seeds")) {
    const auto seed = [](const std::string& text) {
      return text.starts_with("-") ? fmt::format("expected whole numbers of at least 0, got {}", text) : std::string();
    };
    command.add_option("--seeds", o.seeds, "one run per seed, as 1,11")
        ->type_name("N,N")
        ->delimiter(',')
        ->check(CLI::Validator(seed, ""));
  }
  const auto with_default = [&](const std::string& text, const std::string& name) {
    for (const auto& k : keys) {
      if (k.path == name || k.path == "run." + name)
        return fmt::format("{} [{}]", text, nlohmann::json::parse(k.standard).get<std::string>());
    }
    return text;
  };
  if (has("device")) {
    command.add_option("--device", o.device, with_default("cpu, cuda, cuda:N or auto", "device"))->type_name("NAME");
  }
  if (has("threads")) command.add_option("--threads", o.threads, "0: all processors [0]")->type_name("N");
  if (has("dtype")) {
    command.add_option("--dtype", o.dtype, with_default("float32 or float64", "dtype"))->type_name("TYPE");
  }
  command.add_option("--out", o.out, "new folder [runs/<command>-<UTC time>]")->type_name("DIR");
  command.add_option("--resume", o.resume, "go on in a folder; what is finished is skipped")->type_name("DIR");
  command
      .add_option("--at", o.at,
                  "new folder, or one begun with this configuration, which goes on: for a job that may start again")
      ->type_name("DIR");
  command.add_flag("--print-config", o.print_config, "print the configuration and stop");
  command.add_flag("--json", o.json, "results as JSON on stdout");
  command.add_flag("--quiet", o.quiet, "no progress");
  command.add_flag("--verbose", o.verbose, "every record; whole error messages");
  command.footer(keys_footer(keys, o.catalogue));
}

void add_plan_options(CLI::App& command, CommonOptions& o) {
  auto* plan =
      command.add_flag("--plan", o.plan, "make the folder, number its runs, write a script for Slurm; run nothing");
  auto* run = command.add_option("--run", o.run, "of --resume DIR, the run of this number alone")
                  ->type_name("K")
                  ->check(CLI::NonNegativeNumber);
  command.add_option("--runs", o.runs, "how many from K on [1]")
      ->type_name("N")
      ->check(CLI::PositiveNumber)
      ->needs(run);
  auto* pending =
      command.add_flag("--pending", o.pending, "of --resume DIR, print the numbers of the runs that are left");
  auto* estimate = command.add_flag("--estimate", o.estimate,
                                    "print how long it would take, by the first steps of its runs, and stop");
  plan->excludes(run)->excludes(pending)->excludes(estimate);
  run->excludes(pending)->excludes(estimate);
  pending->excludes(estimate);
}

void add_force(CLI::App& command, CommonOptions& o) {
  command.add_flag("--force", o.force, "run although the memory estimate says no");
}

void add_common_options(CLI::App& command, CommonOptions& o, const Presets& presets, const Program& program) {
  auto keys = run_config_keys();
  keys.push_back({"seeds", "[]", "as the option of this name: [1, 11]"});
  keys.push_back({"sweep", "{}", "as the option of this name: {\"lambda.3\": [0, 10]}"});
  add_study_options(command, o, presets, keys, program);
  add_force(command, o);
  add_plan_options(command, o);
  add_sweep_options(command, o);
}

void add_sweep_options(CLI::App& command, CommonOptions& o) {
  command.add_option("--sweep", o.sweep, "one run a value, as lambda.3=0,0.1,1; repeatable, for more keys or values")
      ->type_name("KEY=V,V")
      ->allow_extra_args(false);
  command.add_option("--theory-weights", o.theory_weights, "lambda as in Theorem 4, for this epsilon")
      ->type_name("EPS");
  command.add_flag("--allow-other-device", o.other_device, "resume on another device than before");
}

ResolvedJson resolve_json(const CommonOptions& o, const Presets& presets, const nlohmann::json& standard) {
  if (!o.out.empty() + !o.resume.empty() + !o.at.empty() > 1)
    throw InputError("--out, --resume and --at exclude each other");
  ResolvedJson resolved{nlohmann::json::object(), "command line"};
  auto& json = resolved.json;
  if (!o.resume.empty()) {
    if (!o.preset.empty() || !o.config.empty()) {
      throw InputError("--resume takes its configuration from the folder; --preset and --config do not go with it");
    }
    resolved.source = (std::filesystem::path(o.resume) / "config.json").string();
    if (std::filesystem::is_directory(o.resume) && !std::filesystem::exists(resolved.source)) {
      throw InputError(
          fmt::format("--resume {}: there is no config.json, so nothing has begun there; begin with --out", o.resume));
    }
    json = without_resolved(load_config(resolved.source));
  } else {
    if (!presets.empty() && (o.config.empty() || !o.preset.empty())) {
      nlohmann::json found;
      std::vector<std::string> names;
      const auto wanted = o.preset.empty() ? presets[0].first : o.preset;
      for (const auto& [name, of] : presets) {
        names.push_back(name);
        if (name == wanted) found = of;
      }
      if (found.is_null()) {
        const auto near = nearest_name(wanted, names);
        throw InputError(fmt::format("--preset: expected {}, got '{}'{}", fmt::join(names, ", "), wanted,
                                     near ? fmt::format(" (did you mean '{}'?)", *near) : ""));
      }
      json = found.is_string() ? preset(found.get<std::string>()) : found;
      resolved.source = "preset " + wanted;
    }
    if (!o.config.empty()) {
      resolved.source = o.config;
      merge_over(json, load_config(o.config));
    }
  }
  for (const auto& text : o.set) {
    const auto [path, value] = parse_override(text);
    // Entries of a list that only the defaults have.
    const auto top = path.substr(0, path.find('.'));
    if (top != path && !json.contains(top) && standard.contains(top) && standard[top].is_array()) {
      json[top] = standard[top];
    }
    set_at(json, path, value);
    resolved.source += fmt::format(", --set {}", text);
  }
  if (!o.seeds.empty()) json["seeds"] = o.seeds;
  if (!o.sweep.empty()) {
    auto sweep = nlohmann::json::object();
    for (const auto& text : o.sweep) {
      const auto axis = parse_sweep(text);
      for (const auto& value : axis.values) sweep[axis.path].push_back(value);
    }
    json["sweep"] = std::move(sweep);
  }
  if (!o.device.empty()) json["device"] = o.device;
  if (!o.dtype.empty()) json["dtype"] = o.dtype;
  if (o.threads) json["threads"] = *o.threads;
  check_without_effect(o, json);
  return resolved;
}

std::vector<std::string> changed_paths(const CommonOptions& o, const nlohmann::json& before,
                                       const nlohmann::json& now) {
  auto paths = differing_paths(with_absolute_file(before), with_absolute_file(now));
  std::erase_if(paths, [&](const std::string& path) {
    const auto sets = [&](const std::string& text) {
      return text.starts_with(path + "=") || text.starts_with(path + ".");
    };
    return value_at(before, path).is_null() && std::none_of(o.set.begin(), o.set.end(), sets);
  });
  return paths;
}

void check_new_file(const std::string& out, std::optional<bool> force, const char* option) {
  if (force.value_or(false) || !std::filesystem::exists(out)) return;
  throw InputError(
      fmt::format("{}: '{}' exists: another name{}", option, out, force ? ", or --force to write over it" : ""));
}

void say_how_to_resume(const CommonOptions& o, const std::string& command, const RunFolder& folder) {
  say(fmt::format("resume with: {} {} --resume {}", o.program, command, folder.path().string()));
}

bool CommonOptions::goes_on() const {
  return !resume.empty() || (!at.empty() && std::filesystem::exists(std::filesystem::path(at) / "config.json"));
}

RunFolder open_folder(const CommonOptions& o, const std::string& command) {
  if (o.goes_on()) return RunFolder::open(o.earlier());
  if (!o.at.empty()) return RunFolder::create(o.at);
  if (!o.out.empty()) return RunFolder::create(o.out);
  return RunFolder::create_default(command);
}

RunFolder open_together(const std::function<RunFolder()>& open) {
  if (group().size() == 1) return open();
  std::optional<RunFolder> folder;
  std::string path;
  std::exception_ptr refused;
  if (leads()) {
    try {
      folder = open();
      path = folder->path().string();
    } catch (...) {
      refused = std::current_exception();
    }
  }
  path = agreed(path);
  if (refused) std::rethrow_exception(refused);
  if (path.empty()) throw InputError("the first process was refused its folder");
  return leads() ? std::move(*folder) : RunFolder::shared(path);
}

void check_begun_by(const std::filesystem::path& folder, const std::string& command) {
  if (std::filesystem::exists(folder / "metrics.csv")) {
    throw InputError(
        fmt::format("{0}: a single run, not a study; go on with: entk train --resume {0}", folder.string()));
  }
  const auto config = folder / "config.json";
  if (std::filesystem::exists(config) && without_resolved(load_config(config)).empty()) {
    throw InputError(
        fmt::format("{}: it has no keys, so it is not the configuration that this was begun with", config.string()));
  }
  std::string program, typed;
  std::ifstream(folder / "command.txt") >> program >> typed;
  if (typed.empty() || typed == command || typed.find('\'') != std::string::npos) return;
  throw InputError(fmt::format("{0}: begun by {1} {2}, not by {3}; go on with: {1} {2} --resume {0}", folder.string(),
                               program, typed, command));
}

void check_study(const CommonOptions& o, const std::filesystem::path& folder, const nlohmann::json& config,
                 std::vector<std::string> may_change) {
  const auto path = folder / "config.json";
  // Results have the same bits for every number of threads.
  may_change.insert(may_change.begin(), "threads");
  auto paths = changed_paths(o, without_resolved(load_json(path)), config);
  std::erase_if(paths, [&](const std::string& changed) {
    return changed.ends_with(".threads") ||
           std::any_of(may_change.begin(), may_change.end(),
                       [&](const std::string& key) { return changed == key || changed.starts_with(key + "."); });
  });
  if (paths.empty()) return;
  throw InputError(fmt::format("{}: a resumed study may change {}{}; this one changes {}", path.string(),
                               fmt::join(may_change, ", "), may_change.size() == 1 ? " alone" : "",
                               fmt::join(paths, ", ")));
}

RunFolder open_study(const CommonOptions& o, const std::string& command, const nlohmann::json& config,
                     std::vector<std::string> may_change, c10::Device device, const std::string& command_line) {
  const bool goes_on = o.goes_on();
  auto folder = open_folder(o, command);
  if (goes_on) {
    check_study(o, folder.path(), config, may_change);
    if (!may_change.empty()) folder.write_json("config.json", config);
  } else {
    folder.write_json("config.json", config);
    folder.write_text("command.txt", command_line + "\n");
    folder.write_json("environment.json", environment(device));
  }
  folder.set_status(RunState::running, 0);
  return folder;
}

}  // namespace entk::app
