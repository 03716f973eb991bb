#include "entk/runs/run.h"

#include <ATen/ATen.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include "entk/base/failure.h"
#include "entk/base/threads.h"
#include "entk/base/unsaved_work.h"
#include "entk/config/config_layers.h"
#include "entk/runs/kernel_fit.h"
#include "entk/runs/memory.h"
#include "entk/runs/results.h"
#include "entk/io/checkpoint_file.h"
#include "entk/io/csv.h"
#include "entk/io/strict_json.h"
#include "entk/kernels/cpu/tile_kernels.h"
#include "entk/kernels/shard.h"
#include "entk/train/schedule.h"

namespace entk {

namespace {

at::Tensor as_bytes(const std::string& text) {
  auto bytes = at::empty({static_cast<std::int64_t>(text.size())}, at::kByte);
  std::copy(text.begin(), text.end(), bytes.mutable_data_ptr<std::uint8_t>());
  return bytes;
}

/// The part of a configuration that decides a run's bits.
nlohmann::json deciding(const RunConfig& config) {
  auto json = to_json(config);
  json.erase("threads");
  for (const char* key : {"steps", "stop_when_settled", "keep_best", "checkpoint_seconds", "memory_limit_gb"})
    json["train"].erase(key);
  return json;
}

/// What of environment.json decides a run's bits on a CPU.
nlohmann::json arithmetic(const nlohmann::json& environment) {
  nlohmann::json of;
  for (const char* key : {"torch", "cpu", "instruction_set", "aten_instruction_set", "library_variables"}) {
    of[key] = environment.value(key, nlohmann::json());
  }
  return of;
}

/// What a run records in addition to R1 to R4, which are the first `paper` terms or, in an objective of one's own, any.
std::vector<std::string> names_of(const Objective& objective, std::optional<std::size_t> paper,
                                  const std::vector<Observable>& observables) {
  const auto standard = metrics_columns();
  std::vector<std::string> names;
  for (std::size_t i = paper.value_or(0); i < objective.terms.size(); ++i) {
    const auto& name = objective.terms[i].name;
    if (paper || !std::count(standard.begin(), standard.end(), name)) names.push_back(name);
  }
  for (const auto& o : observables) names.insert(names.end(), o.columns.begin(), o.columns.end());
  return names;
}

/// A record by the names of its quantities.
std::map<std::string, double> by_name(const Record& r, const Objective& objective,
                                      const std::vector<Observable>& observables) {
  std::map<std::string, double> values = {
      {"step", static_cast<double>(r.step)},    {"train_loss", r.train_loss}, {"test_loss", r.test_loss},
      {"regularized_loss", r.regularized_loss}, {"norm_W", r.norm_w},         {"norm_gradient", r.norm_gradient}};
  // A diverged run's last record has no terms and no observables.
  for (std::size_t i = 0; i < r.terms.size(); ++i) values[objective.terms[i].name] = r.terms[i];
  std::size_t next = 0;
  for (const auto& o : observables) {
    for (const auto& column : o.columns) {
      if (next < r.observables.size()) values[column] = r.observables[next++];
    }
  }
  return values;
}

std::vector<double> metrics_row(const std::vector<std::string>& columns, const std::map<std::string, double>& values) {
  std::vector<double> row;
  for (const auto& column : columns) row.push_back(values.count(column) ? values.at(column) : NAN);
  return row;
}

nlohmann::json number(double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(); }

nlohmann::json summary_json(const TrainResult& result, const Problem& p, const std::vector<std::string>& columns,
                            const std::vector<double>& row) {
  nlohmann::json json = {{"kernel", result.kernel}};
  // What the population values leave out, of tr Σ.
  for (const auto* sigma : {&p.harmonic, &p.population}) {
    if (*sigma) json["population_truncation"] = (*sigma)->form().truncation.trace;
  }
  for (std::size_t i = 1; i < columns.size(); ++i) json[columns[i]] = number(row[i]);
  json["step"] = result.last.step;
  json["learning_rate"] = result.learning_rate;
  if (result.best.step >= 0) {
    json["best_step"] = result.best.step;
    json["best_test_loss"] = result.best.test_loss;
  }
  return json;
}

bool has_checkpoint(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / "checkpoint.pt") ||
         std::filesystem::exists(folder / "checkpoint.previous.pt");
}

/// What a run's config.json holds under resolved: checksums of a data file, what a script trains; or null.
nlohmann::json recorded(const std::filesystem::path& config, const std::string& key) {
  const JsonReader reader(load_json(config), config.string());
  if (!reader.has("resolved")) return nullptr;
  const auto resolved = reader.object("resolved");
  return resolved.has(key) ? resolved.any(key) : nullptr;
}

/// The record step after one.
std::int64_t next_record_step(std::int64_t step) {
  do ++step;
  while (!is_record_step(step));
  return step;
}

/// What a folder says of itself, where it can be read.
std::optional<RunStatus> status_of(const RunFolder& folder) {
  try {
    return read_status(folder.path());
  } catch (const InputError&) {
    return std::nullopt;
  }
}

class FolderRun {
 public:
  FolderRun(const RunConfig& config, const RunFolder& folder, const std::string& name, ProblemCache& cache,
            const RunHooks& hooks, const std::optional<OwnObjective>& own)
      : config_(config),
        folder_(folder),
        name_(name),
        cache_(cache),
        hooks_(hooks),
        own_(own),
        device_(pick_device(config.device)) {}

  RunOutcome take(const std::string& command) {
    // First of all, so that from here on the folder can be resumed.
    if (leads()) {
      if (!std::filesystem::exists(folder_.file("config.json"))) {
        auto json = to_json(config_);
        if (own_) json["resolved"]["objective"] = own_->description;
        folder_.write_json("config.json", json);
      }
      if (!std::filesystem::exists(folder_.file("command.txt"))) folder_.write_text("command.txt", command + "\n");
    }
    const bool resumed = agreed(std::int64_t{has_checkpoint(folder_.path())}) != 0;
    auto where = environment(device_);
    where["dtype"] = word_of(config_.dtype);
    where["seed"] = config_.seed;
    if (group().size() > 1) where["processes"] = group().size();
    if (leads() && resumed) compare_arithmetic(where);
    where["estimated_peak_bytes"] = estimate_peak_bytes(config_, device_);
    write_json("environment.json", where);
    if (!hooks_.ignore_memory) check_memory(config_, device_);
    set_status(RunState::running, 0);
    problem_ = cache_.problem(config_, device_);
    release_free_memory();  // of drawing and of the projector
    for (const auto& notice : problem_->notices) tell(notice);
    if (config_.model.kernel != ModelKernel::none) return take_kernel();
    auto model = make_model(*problem_);
    const auto descent = descent_options(problem_->config);
    auto kernels = kernel_options(problem_->config);
    TrainerHooks hooks{.checkpoint_seconds = config_.train.checkpoint_seconds, .keep_best = config_.train.keep_best};
    TrainState from;
    if (resumed) {
      from = restore();
    } else {
      begin_again("it was stopped before its first checkpoint");
    }
    const std::string key = ProblemCache::key(config_);
    // Runs of a study share tables; the whole network has none.
    if (!config_.model.whole_network) {
      kernels.primitives = [&](const TaylorModelImpl& of, const at::Tensor& x, const PrimitiveOptions& o) {
        return cache_.primitive(key, of, x, o);
      };
    }
    // Asked after every step: from the first on there is something to save, for which a stop waits unless steps are
    // long; processes that work together always wait for each other.
    hooks.interrupted = [&, asked = std::chrono::steady_clock::now()]() mutable {
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - asked;
      asked += std::chrono::duration_cast<std::chrono::steady_clock::duration>(took);
      if (took.count() > long_step_seconds && group().size() == 1) {
        unsaved_.reset();
      } else if (!unsaved_) {
        unsaved_.emplace();
      }
      // All stop after the same step.
      return static_cast<int>(largest_of_all(hooks_.interrupted ? hooks_.interrupted() : 0));
    };
    const auto objective = own_ ? own_->make(*problem_, model) : make_objective(*problem_, model);
    const auto paper = own_ ? std::nullopt : std::optional<std::size_t>(problem_->has_projector() ? 4 : 1);
    hooks.observables = make_observables(config_, make_setting(*problem_, model));
    const auto columns = metrics_columns(names_of(objective, paper, hooks.observables));
    const auto row_of = [&](const Record& r) { return metrics_row(columns, by_name(r, objective, hooks.observables)); };
    std::optional<CsvWriter> metrics, timing;
    if (leads()) {
      metrics.emplace(folder_.file("metrics.csv"), columns);
      timing.emplace(folder_.file("timing.csv"),
                     std::vector<std::string>{"step", "seconds", "seconds_per_step", "record_seconds"});
    }
    double told = 0;
    hooks.on_record = [&](const Record& r, const Timing& t) {
      if (!leads()) return true;
      metrics->row(row_of(r));
      timing->row({static_cast<double>(r.step), t.seconds, t.seconds_per_step, t.record_seconds});
      // Whoever looks on is told where the run is; not every record is worth a file.
      if (t.seconds - told >= 1) folder_.set_status(RunState::running, r.step), told = t.seconds;
      if (hooks_.progress) {
        const double left = t.seconds_per_step * static_cast<double>(descent.steps - r.step);
        hooks_.progress(name_, r, descent.steps, left);
      }
      return true;
    };
    std::int64_t best_saved = -1;
    hooks.on_checkpoint = [&](const TrainState& state) {
      if (leads()) metrics->sync();
      const auto saved = checkpoint(state);
      write_checkpoint(folder_.path(), saved.dict, saved.blocks);
      if (state.best.step < 0 || state.best.step == best_saved) return;
      best_saved = state.best.step;
      const auto best = tensors_at(state.best.step, {{"W", state.best.w}});
      write_tensors(folder_.file("best.pt"), best.dict, best.blocks);
    };
    if (leads()) write_config();
    Trainer trainer(model, objective, descent, hooks, kernels);
    release_free_memory();  // of the terms' tables
    const auto result = trainer.fit(problem_->data, device_, from);
    for (const auto& notice : result.notices) tell(notice);
    write_json("summary.json", summary_json(result, *problem_, columns, row_of(result.last)));
    return conclude(result);
  }

 private:
  // Of several processes the first one writes.
  void write_json(const std::string& name, const nlohmann::json& value) const {
    if (leads()) folder_.write_json(name, value);
  }
  void set_status(RunState state, std::int64_t step, const std::string& message = "") const {
    if (leads()) folder_.set_status(state, step, message);
  }

  void tell(const std::string& notice) {
    if (hooks_.notice) hooks_.notice(name_, notice);
  }

  /// Regression on a kernel: nothing to go on with, so a folder left unfinished begins again. The zero model stands at
  /// step 0; the fit, which is where descent would end, from step 1 on.
  RunOutcome take_kernel() {
    for (const char* name : {"metrics.csv", "timing.csv"}) std::filesystem::remove(folder_.file(name));
    const auto started = std::chrono::steady_clock::now();
    const auto fit = fit_kernel(*problem_);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    for (const auto& notice : fit.notices) tell(notice);
    write_config();
    const auto columns = metrics_columns();
    CsvWriter metrics(folder_.file("metrics.csv"), columns);
    CsvWriter timing(folder_.file("timing.csv"), {"step", "seconds", "seconds_per_step", "record_seconds"});
    Record record;
    std::vector<double> row;
    for (const auto step :
         std::set<std::int64_t>{0, std::min<std::int64_t>(1, config_.train.steps), config_.train.steps}) {
      record = kernel_record(fit, step);
      row = metrics_row(columns, by_name(record, Objective(square_loss()), {}));
      metrics.row(row);
      timing.row({static_cast<double>(step), seconds, 0, 0});
      if (hooks_.progress) hooks_.progress(name_, record, config_.train.steps, 0);
    }
    metrics.sync();
    write_checkpoint(folder_.path(), kernel_checkpoint(fit));
    TrainResult result;
    result.step = config_.train.steps;
    result.last = record;
    result.kernel = word_of(config_.model.kernel);
    auto summary = summary_json(result, *problem_, columns, row);
    summary.erase("learning_rate");
    folder_.write_json("summary.json", summary);
    return conclude(result);
  }

  TensorDict kernel_checkpoint(const KernelFit& fit) const {
    const auto& p = *problem_;
    TensorDict dict{{"X", p.data.train.x},
                    {"y", p.data.train.y},
                    {"coefficients", fit.regression.coefficients},
                    {"step", at::scalar_tensor(config_.train.steps, at::kLong)},
                    {"config", as_bytes(deciding(p.config).dump())}};
    for (const auto& [name, tensor] : p.start_tensors()) dict[name] = tensor;
    if (fit.w.defined()) dict["W"] = fit.w;
    return dict;
  }

  /// A run at step 0 makes its first record itself.
  void begin_again(const std::string& why) {
    if (!leads()) return;
    if (std::filesystem::exists(folder_.file("metrics.csv")))
      tell(fmt::format("{}: {}; it begins at step 0", name_, why));
    for (const char* name : {"metrics.csv", "timing.csv"}) std::filesystem::remove(folder_.file(name));
  }

  /// A run goes on with other arithmetic than before: said, and kept in environment.json.
  void compare_arithmetic(nlohmann::json& now) {
    const auto file = folder_.file("environment.json");
    if (!std::filesystem::exists(file)) return;
    const auto before = load_json(file);
    if (!before.is_object()) throw InputError(fmt::format("{}: expected an object", file.string()));
    now["before"] = before.value("before", nlohmann::json());
    if (!now["before"].is_array()) now["before"] = nlohmann::json::array();
    const auto was = arithmetic(before), is = arithmetic(now);
    std::vector<std::string> differences;
    for (const auto& [key, value] : was.items()) {
      if (value.is_null() || value == is[key]) continue;
      differences.push_back(fmt::format("{} {}, before {}", key, is[key].dump(), value.dump()));
    }
    if (differences.empty()) return;
    now["before"].push_back(was);
    tell(fmt::format("it goes on with other arithmetic: {}; the bits are not those of a run never stopped",
                     fmt::join(differences, "; ")));
  }

  void write_config() {
    const auto& module = problem_->module;
    const bool symmetric = module ? module->kind() == ModuleStartKind::pair : has_twins(problem_->w0, problem_->a);
    auto json = to_json(problem_->config);
    const auto& c = problem_->config;
    const PrimitiveSizes sizes{c.data.samples,
                               c.data.dimension,
                               c.model.width,
                               symmetric,
                               static_cast<int>(c.model.order),
                               static_cast<int>(c10::elementSize(c.dtype))};
    const auto limit = static_cast<std::int64_t>(c.train.memory_limit_gb * 1e9);
    const auto mode = module ? "module" : mode_name(resolved_mode(sizes, c.train.kernel, limit));
    json["resolved"] = {{"device", device_.str()},
                        {"threads", threads()},
                        {"kernel", c.model.kernel != ModelKernel::none ? word_of(c.model.kernel) : mode},
                        {"instruction_set", device_.is_cpu() ? kernels::isa_name(kernels::selected_isa()) : "cuda"},
                        {"symmetric_start", symmetric}};
    if (own_) json["resolved"]["objective"] = own_->description;
    if (!problem_->file_checksums.is_null()) json["resolved"]["data"] = problem_->file_checksums;
    folder_.write_json("config.json", json);
  }

  /// What a file holds, and its rows where they are in blocks.
  struct Tensors {
    TensorDict dict;
    RowBlocks blocks;
  };

  /// What stands for the run at a step, and is read by `entk evaluate`; W, and whatever else has its rows, is given.
  Tensors tensors_at(std::int64_t step, TensorDict rows) const {
    const auto& p = *problem_;
    Tensors made;
    made.dict = {{"X", p.data.train.x},
                 {"y", p.data.train.y},
                 {"step", at::scalar_tensor(step, at::kLong)},
                 {"config", as_bytes(deciding(p.config).dump())}};
    if (p.data.unlabeled.defined()) made.dict["X_unlabeled"] = p.data.unlabeled;
    if (p.sigma) {
      made.dict["projector_basis"] = p.sigma->basis();
      made.dict["projector_eigenvalues"] = p.sigma->eigenvalues();
    }
    for (const auto& [name, tensor] : p.start_tensors()) rows[name] = tensor;
    if (in_blocks()) {
      const auto shard = own_shard(p.config.model.width);
      made.blocks = {shard.blocks(), shard.own_blocks(), [rows, shard](std::int64_t i) {
                       TensorDict block;
                       for (const auto& [name, tensor] : rows) block[name] = rows_of_block(tensor, shard, i);
                       return block;
                     }};
    } else {
      for (const auto& [name, tensor] : rows) made.dict[name] = p.module ? tensor : gather_rows(tensor);
    }
    return made;
  }
  bool in_blocks() const { return !problem_->module && problem_->config.model.width > one_file_width; }

  Tensors checkpoint(const TrainState& state) const {
    TensorDict rows{{"W", state.w}};
    if (state.best.step >= 0) rows["best_W"] = state.best.w;
    for (std::size_t i = 0; i < state.optimizer_rows.size(); ++i)
      rows[fmt::format("optimizer_{}", i)] = state.optimizer_rows[i];
    auto made = tensors_at(state.step, rows);
    auto& dict = made.dict;
    if (!config_.train.learning_rate) dict["learning_rate"] = at::scalar_tensor(state.learning_rate, at::kDouble);
    if (state.optimizer.defined()) dict["optimizer"] = state.optimizer;
    if (state.best.step >= 0) {
      dict["best_step"] = at::scalar_tensor(state.best.step, at::kLong);
      dict["best_test_loss"] = at::scalar_tensor(state.best.test_loss, at::kDouble);
    }
    return made;
  }

  /// Where the run stood.
  TrainState restore() {
    auto [tensors, notice] = read_checkpoint(folder_.path(), own_share);
    if (!notice.empty()) tell(notice);
    const auto fail = [&](const std::string& what) {
      throw InputError(fmt::format("{}: {}", folder_.file("checkpoint.pt").string(), what));
    };
    const auto start = problem_->start_tensors();
    std::vector<std::string> names{"W", "X", "y", "step", "config"};
    for (const auto& [name, tensor] : start) names.push_back(name);
    for (const auto& name : names) {
      if (!tensors.count(name)) fail(fmt::format("it has no entry '{}'", name));
    }
    const auto& bytes = tensors.at("config");
    if (bytes.scalar_type() != at::kByte) fail("its entry 'config' is no text");
    if (tensors.at("step").scalar_type() != at::kLong || tensors.at("step").numel() != 1)
      fail("its entry 'step' is no integer");
    const std::string text(reinterpret_cast<const char*>(bytes.const_data_ptr<std::uint8_t>()), bytes.numel());
    const auto source = folder_.file("checkpoint.pt").string();
    const auto before = read_run_config(parse_json(text, source), source, config_.catalogue);
    auto refused = differing_paths(deciding(before), deciding(problem_->config));
    std::erase_if(refused, [](const std::string& path) { return path == "device" || path == "data.file"; });
    if (!refused.empty()) fail(fmt::format("it was made with another {}", fmt::join(refused, ", ")));
    // What is this process's own of a matrix of all rows.
    const auto own = [&](const std::string& name) {
      const auto& whole = tensors.at(name);
      return in_blocks() || whole.dim() < 1 || whole.size(0) != config_.model.width ? whole : own_rows(whole);
    };
    const auto same = [](const at::Tensor& a, const at::Tensor& b) {
      return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && at::equal(a, b.cpu());
    };
    if (!same(tensors.at("X"), problem_->data.train.x) || !same(tensors.at("y"), problem_->data.train.y)) {
      fail("its X or y is not what this configuration gives now: has the data file changed?");
    }
    for (const auto& [name, tensor] : start) {
      if (!same(own(name), tensor)) fail(fmt::format("its {} is not what this configuration gives now", name));
    }
    const auto& w = tensors.at("W");
    const auto like = problem_->module ? problem_->module->displacement() : tensors.at("W0");
    if (w.sizes() != like.sizes() || w.scalar_type() != like.scalar_type()) {
      fail(problem_->module ? "its W has not the module's number of parameters" : "its W is not like its W0");
    }
    TrainState from{.step = tensors.at("step").item<std::int64_t>(), .w = own("W")};
    if (from.step > config_.train.steps) {
      fail(fmt::format("it has taken {} steps, more than train.steps = {}", from.step, config_.train.steps));
    }
    if (from.step == 0) {
      begin_again("its checkpoint is that of the start");
    } else {
      for (const char* name : {"metrics.csv", "timing.csv"})
        if (leads()) cut_csv_after(folder_.file(name), "step", static_cast<double>(from.step));
      group().barrier();
      check_records(from.step);
      from.records = earlier_records();
    }
    const auto entry = [&](const char* name, at::ScalarType type, const char* of) {
      const auto found = tensors.find(name);
      if (found == tensors.end()) fail(fmt::format("it has no entry '{}', of {}", name, of));
      if (found->second.scalar_type() != type) fail(fmt::format("its entry '{}' has a wrong type", name));
      return found->second;
    };
    const auto number = [&](const char* name, at::ScalarType type, const char* of) {
      const auto found = entry(name, type, of);
      if (found.numel() != 1) fail(fmt::format("its entry '{}' is no number", name));
      return found;
    };
    if (!config_.train.learning_rate) {
      from.learning_rate = number("learning_rate", at::kDouble, "train.learning_rate auto").item<double>();
    }
    if (from.step > 0 && descent_options(problem_->config).update.optimizer) {
      from.optimizer = entry("optimizer", at::kByte, "train.update");
      for (int i = 0; tensors.count(fmt::format("optimizer_{}", i)); ++i)
        from.optimizer_rows.push_back(own(fmt::format("optimizer_{}", i)));
    }
    if (from.step > 0 && config_.train.keep_best) {
      const char* of = "train.keep_best, which a run has from its start or not at all";
      entry("best_W", from.w.scalar_type(), of);
      from.best = {number("best_step", at::kLong, of).item<std::int64_t>(),
                   number("best_test_loss", at::kDouble, of).item<double>(), own("best_W").to(device_)};
      if (from.best.w.sizes() != from.w.sizes()) fail("its best_W is not like its W");
    }
    return from;
  }

  std::vector<Record> earlier_records() const {
    const auto table = read_csv(folder_.file("metrics.csv"));
    const auto step = table.column("step"), train = table.column("train_loss"), test = table.column("test_loss");
    std::vector<Record> records;
    for (std::size_t i = 0; i < step.size(); ++i) {
      records.push_back(
          {.step = static_cast<std::int64_t>(step[i]), .train_loss = train[i], .test_loss = test[i], .terms = {}});
    }
    return records;
  }

  /// @throws InputError where a record before the checkpoint's step has been lost: it cannot be made again.
  void check_records(std::int64_t last) const {
    const auto file = folder_.file("metrics.csv");
    const auto steps = read_csv(file).column("step");
    std::size_t found = 0;
    for (std::int64_t step = 0; step <= last; step = next_record_step(step)) {
      if (found < steps.size() && steps[found] == static_cast<double>(step)) {
        ++found;
        continue;
      }
      throw InputError(fmt::format(
          "{}: expected the record of step {}, got {}; a run that goes on at step {} cannot make it "
          "again (without its checkpoints it would begin at step 0)",
          file.string(), step, found < steps.size() ? fmt::format("that of step {}", steps[found]) : "none", last));
    }
  }

  RunOutcome conclude(const TrainResult& result) {
    RunOutcome outcome;
    outcome.last = result.last;
    switch (result.outcome) {
      case TrainOutcome::diverged:
        outcome = {ExitCode::diverged, RunState::diverged, result.message, result.last};
        break;
      case TrainOutcome::interrupted:
        outcome = {static_cast<ExitCode>(128 + result.signal), RunState::interrupted,
                   fmt::format("interrupted at step {}; resume with --resume", result.step), result.last};
        break;
      case TrainOutcome::settled:
        outcome.message = fmt::format("settled at step {} of {}", result.step, config_.train.steps);
        break;
      default:
        break;
    }
    set_status(outcome.state, result.step, outcome.message);
    return outcome;
  }

  const RunConfig& config_;
  const RunFolder& folder_;
  std::string name_;
  ProblemCache& cache_;
  const RunHooks& hooks_;
  const std::optional<OwnObjective>& own_;
  c10::Device device_;
  std::shared_ptr<const Problem> problem_;
  std::optional<UnsavedWork> unsaved_;
};

}  // namespace

CsvTable read_records(const std::filesystem::path& folder) {
  auto table = read_csv(folder / "metrics.csv");
  if (!std::filesystem::exists(folder / "summary.json")) return table;
  const auto summary = load_json(folder / "summary.json");
  const JsonReader reader(summary, (folder / "summary.json").string());
  if (!table.rows.empty() && reader.get<double>("step") <= table.rows.back()[0]) return table;
  std::vector<double> row;
  for (const auto& name : table.columns) {
    row.push_back(summary.contains(name) && summary[name].is_number() ? summary[name].get<double>() : NAN);
  }
  table.rows.push_back(std::move(row));
  return table;
}

std::vector<std::string> metrics_columns(const std::vector<std::string>& more) {
  std::vector<std::string> columns = {"step", "train_loss", "test_loss",        "R1",     "R2",
                                      "R3",   "R4",         "regularized_loss", "norm_W", "norm_gradient"};
  for (const auto& name : more) {
    if (std::count(columns.begin(), columns.end(), name)) {
      throw InputError(fmt::format("{}: two quantities of this name would be columns of metrics.csv", name));
    }
    columns.push_back(name);
  }
  return columns;
}

RunOutcome take_run(const RunConfig& config, const RunFolder& folder, const std::string& name,
                    const std::string& command, ProblemCache& cache, const RunHooks& hooks,
                    const std::optional<OwnObjective>& own) {
  RunOutcome outcome;
  const auto before = status_of(folder);
  try {
    return FolderRun(config, folder, name, cache, hooks, own).take(command);
  } catch (...) {
    const auto [code, what] = current_failure();
    outcome = {code, RunState::failed, what, std::nullopt};
  }
  // What a finished run is refused leaves it finished.
  const bool stays = before && before->state == RunState::done && outcome.code == ExitCode::bad_input;
  try {
    if (leads() && stays) folder.set_status(before->state, before->step, before->message);
    if (leads() && !stays) folder.set_status(RunState::failed, 0, outcome.message);
  } catch (const SaveError&) {
    // The disk that the run failed on is full: what is said in the outcome must do.
  }
  return outcome;
}

RunOutcome take_run(const RunConfig& config, const std::filesystem::path& place, const std::optional<OwnObjective>& own,
                    const RunHooks& hooks) {
  const auto sized = with_file_sizes(config);
  const bool exists = std::filesystem::exists(place / "config.json");
  const auto folder = exists ? RunFolder::open(place) : RunFolder::create(place);
  if (exists) check_resumable(folder, sized, false, own);
  ProblemCache cache;
  auto outcome = take_run(sized, folder, place.filename().string(), "a script", cache, hooks, own);
  if (outcome.state == RunState::done) write_run_results(place, place);
  return outcome;
}

RunConfig read_written_config(const std::filesystem::path& file, const Catalogue& catalogue) {
  auto json = load_json(file);
  const JsonReader reader(json, file.string());
  for (const char* part : {"model", "data", "train"}) reader.object(part);
  for (const char* key : {"seeds", "sweep"}) json.erase(key);
  return read_run_config(json, file.string(), catalogue);
}

void check_resumable(const RunFolder& folder, const RunConfig& config, bool other_device,
                     const std::optional<OwnObjective>& own) {
  const auto path = folder.file("config.json");
  const auto objective = recorded(path, "objective");
  if (const auto wanted = own ? nlohmann::json(own->description) : nlohmann::json(); objective != wanted) {
    const auto text = [](const nlohmann::json& of) { return of.is_null() ? "what its keys say" : of.dump(); };
    throw InputError(fmt::format("{}: it was made for the objective {}, and is not gone on with for {}", path.string(),
                                 text(objective), text(wanted)));
  }
  const auto before = read_written_config(path, config.catalogue);
  auto refused = differing_paths(deciding(before), deciding(config));
  // best.pt is that of all records, or there is none.
  if (before.train.keep_best != config.train.keep_best) refused.push_back("train.keep_best");
  if (other_device) std::erase(refused, "device");
  if (!recorded(path, "data").is_null()) std::erase(refused, "data.file");  // what is in it is compared
  if (!refused.empty()) {
    throw InputError(fmt::format(
        "{}: a resumed run may change train.steps, train.stop_when_settled and threads alone; this one changes {}{}",
        path.string(), fmt::join(refused, ", "),
        refused == std::vector<std::string>{"device"} ? " (--allow-other-device permits it)" : ""));
  }
  if (!has_checkpoint(folder.path()) && std::filesystem::exists(folder.file("status.json")) &&
      read_status(folder.path()).state == RunState::done) {
    throw InputError(
        fmt::format("{}: the run is finished and its checkpoint is gone: it cannot go on, and is not taken again; "
                    "choose another --out",
                    folder.path().string()));
  }
}

void check_same_data(const std::filesystem::path& folder, const std::string& file, const nlohmann::json& checksums) {
  const auto path = folder / "config.json";
  if (!std::filesystem::exists(path)) return;
  const auto before = recorded(path, "data");
  if (before.is_null()) return;
  if (const auto names = differing_paths(before, checksums); !names.empty()) {
    throw InputError(fmt::format("{}: it was made with another {} than {} holds now: has the data file changed?",
                                 folder.string(), fmt::join(names, ", "), file));
  }
}

nlohmann::json environment(c10::Device device) {
  const auto build = build_info();
  nlohmann::json variables = nlohmann::json::object();
  for (const char* name : {"ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA"}) {
    if (const char* value = std::getenv(name)) variables[name] = value;
  }
  return {{"entk", build.version},
          {"git_revision", build.git_revision},
          {"git_dirty", build.git_dirty},
          {"torch", build.torch},
          {"cuda_kernels", build.cuda_kernels},
          {"device", device.str()},
          {"cpu", build.cpu_model},
          {"instruction_set", kernels::isa_name(kernels::selected_isa())},
          {"aten_instruction_set", at::get_cpu_capability()},
          {"library_variables", variables},
          {"threads", threads()}};
}

}  // namespace entk
