#include "entk/runs/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "entk/runs/memory.h"
#include "entk/io/csv.h"
#include "entk/io/strict_json.h"

namespace entk {

namespace {

std::string value_name(const nlohmann::json& value, const std::string& path) {
  if (value.is_structured()) {
    throw InputError(fmt::format("sweep of {}: expected numbers, words, true or false, got {}", path, value.dump()));
  }
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// Every combination of the axes' values, the first axis slowest.
std::vector<std::vector<nlohmann::json>> combinations(const std::vector<SweepAxis>& axes) {
  std::vector<std::vector<nlohmann::json>> all{{}};
  for (const auto& axis : axes) {
    std::vector<std::vector<nlohmann::json>> longer;
    for (const auto& part : all) {
      for (const auto& value : axis.values) {
        longer.push_back(part);
        longer.back().push_back(value);
      }
    }
    all = std::move(longer);
  }
  return all;
}

/// Whether a run has nothing left to do: it diverged, took all its steps, or ended before by what it was told then and
/// is told now.
bool is_settled(const std::filesystem::path& folder, const RunConfig& config) {
  if (!std::filesystem::exists(folder / "status.json")) return false;
  const auto status = read_status(folder);
  if (status.state == RunState::diverged) return true;
  if (status.state != RunState::done) return false;
  if (status.step >= config.train.steps) return true;
  if (!std::filesystem::exists(folder / "config.json")) return false;
  const auto before = to_json(read_written_config(folder / "config.json", config.catalogue)), now = to_json(config);
  return before["train"]["steps"] == now["train"]["steps"] &&
         before["train"]["stop_when_settled"] == now["train"]["stop_when_settled"];
}

}  // namespace

std::optional<RunOutcome> settled_run(const std::filesystem::path& folder, const RunConfig& config) {
  if (!is_settled(folder, config)) return std::nullopt;
  const auto status = read_status(folder);
  if (status.state == RunState::done && status.step > config.train.steps) {
    throw InputError(fmt::format("{}: it has taken {} steps, more than train.steps = {}", folder.string(), status.step,
                                 config.train.steps));
  }
  RunOutcome outcome;
  outcome.state = status.state;
  outcome.message = status.message;
  outcome.code = status.state == RunState::diverged ? ExitCode::diverged : ExitCode::ok;
  return outcome;
}

void check_base(const StudyConfig& config, const std::string& source) {
  const JsonReader reader(config.base, source);
  for (const char* part : {"model", "data", "projector", "r1", "train"}) {
    if (reader.has(part)) reader.object(part);
  }
  if (reader.has("sweep")) throw InputError(source + ": sweep: keys of this study say which runs it has, not a sweep");
}

StudyConfig read_study_config(const nlohmann::json& json, const std::string& source, const Catalogue& catalogue) {
  StudyConfig study;
  study.catalogue = catalogue;
  SchemaReader schema(JsonReader(with_absolute_file(json), source), catalogue);
  describe_runs(schema, study);
  const auto sweep = study.base.value("sweep", nlohmann::json::object());
  study.base.erase("sweep");
  check_base(study, source);
  if (!sweep.is_object()) throw InputError(source + ": sweep: expected an object of lists");
  for (const auto& [path, values] : sweep.items()) {
    if (!values.is_array() || values.empty()) {
      throw InputError(fmt::format("{}: sweep of {}: expected a list of values", source, path));
    }
    if (path == "seed") throw InputError(source + ": sweep of seed: give seeds, as --seeds 1,11");
    if (std::set<nlohmann::json>(values.begin(), values.end()).size() != values.size()) {
      throw InputError(fmt::format("{}: sweep of {}: expected each value once, got {}", source, path, values.dump()));
    }
    study.sweep.push_back({path, {values.begin(), values.end()}});
  }
  return study;
}

nlohmann::json to_json(const StudyConfig& study) {
  auto json = study.base;
  if (!study.seeds.empty()) json["seeds"] = study.seeds;
  for (const auto& axis : study.sweep) json["sweep"][axis.path] = axis.values;
  return json;
}

std::vector<PlannedRun> plan_runs(const StudyConfig& study, const std::string& source) {
  const auto standard = to_json(read_run_config(study.base, source, study.catalogue));
  std::vector<std::uint64_t> seeds = study.seeds;
  if (seeds.empty()) seeds = {standard["seed"].get<std::uint64_t>()};
  std::vector<PlannedRun> plan;
  for (const auto& values : combinations(study.sweep)) {
    for (const auto seed : seeds) {
      auto config = study.base;
      std::string name;
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto& path = study.sweep[i].path;
        // A path into a list or a default needs what the defaults put there.
        auto full = standard;
        set_at(full, path, values[i]);
        const auto top = path.substr(0, path.find('.'));
        if (full[top].is_array() && !config.contains(top)) config[top] = standard[top];
        set_at(config, path, values[i]);
        name += fmt::format("{}={},", path, value_name(values[i], path));
      }
      config["seed"] = seed;
      name += fmt::format("seed={}", seed);
      plan.push_back({checked_name(name), read_run_config(config, source, study.catalogue), values, seed});
    }
  }
  return plan;
}

std::filesystem::path run_path(const std::filesystem::path& study, const PlannedRun& run) {
  return unit_path(study, run.name);
}

namespace {

/// What decides how long a run takes: not its seed, nor how large a weight, rate or noise is.
std::string cost_of(const RunConfig& config) {
  auto json = to_json(config);
  json.erase("seed");
  json["data"].erase("target");
  for (auto& weight : json["lambda"]) weight = weight != 0;
  json["train"]["noise_variance"] = json["train"]["noise_variance"] != 0;
  json["train"]["learning_rate"] = json["train"]["learning_rate"].is_number();  // auto takes products with the Hessian
  return json.dump();
}

}  // namespace

std::vector<Unit> run_units(const std::vector<PlannedRun>& plan, const TakeContext& context, ProblemCache& cache) {
  std::map<std::string, nlohmann::json> checksums;
  for (const auto& run : plan) {
    if (!run.config.data.loaded() || !context.take) continue;
    const auto& data = run.config.data;
    const auto key = data.source.json().dump() + data.file;
    if (!checksums.count(key)) checksums[key] = data_checksums(data.source->load(data.file));
    check_same_data(run_path(context.folder.path(), run), data.file, checksums[key]);
  }
  std::vector<Unit> units;
  for (const auto& run : plan) {
    const auto path = run_path(context.folder.path(), run);
    Unit unit{.name = run.name,
              .take =
                  [&](const RunFolder& own) {
                    if (std::filesystem::exists(own.file("config.json"))) check_resumable(own, run.config, false);
                    return take_run(run.config, own, run.name, context.command, cache, context.hooks);
                  },
              .shared = ProblemCache::key(run.config),
              .cost = cost_of(run.config)};
    unit.settled = settled_run(path, run.config);
    if (!unit.settled && context.take) {
      unit.bytes = estimate_peak_bytes(run.config, pick_device(run.config.device)) - resident_bytes_now();
    }
    units.push_back(std::move(unit));
  }
  return units;
}

std::vector<SweepCurves> read_curves(const std::vector<PlannedRun>& plan, const std::filesystem::path& study) {
  std::vector<SweepCurves> all;
  for (const auto& run : plan) {
    auto found = std::find_if(all.begin(), all.end(), [&](const SweepCurves& c) { return c.swept == run.swept; });
    if (found == all.end()) {
      all.push_back({run.swept, {}, {}, 0, {}});
      found = all.end() - 1;
    }
    const auto folder = run_path(study, run);
    // One that ended under fewer steps has no last values yet.
    if (!is_settled(folder, run.config) || read_status(folder).state != RunState::done) {
      ++found->missing;
      continue;
    }
    const auto table = read_records(folder);
    auto steps = table.column("step");
    if (steps.size() > found->steps.size()) found->steps = steps;
    for (const auto& name : table.columns) found->columns[name].push_back(table.column(name));
    found->seeds.push_back(run.seed);
  }
  for (auto& curves : all) {
    for (auto& [name, runs] : curves.columns) {
      // One that settled earlier than others stays where it was.
      for (auto& run : runs) run.resize(curves.steps.size(), run.empty() ? NAN : run.back());
    }
  }
  return all;
}

}  // namespace entk
