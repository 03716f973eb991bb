#include "entk/config/run_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "entk/base/error.h"
#include "entk/base/device.h"
#include "entk/config/config_layers.h"
#include "entk/config/precision.h"
#include "entk/spectrum/harmonic_projector.h"

namespace entk {

namespace {

/// {"name": …} for "…" alone.
nlohmann::json as_named(const nlohmann::json& value) {
  return value.is_string() ? nlohmann::json{{"name", value}} : value;
}

nlohmann::json model_kind(const RunConfig& c) {
  return as_named(c.model.kind.is_null() ? nlohmann::json("two_layer") : c.model.kind);
}

/// Calls make() and refuses keys that it did not ask for. A tolerant catalogue passes over names that it has not.
template <class E, class F>
void check_named(const Shelf<E>& shelf, const JsonReader& reader, const Catalogue& catalogue, F&& make) {
  if (catalogue.is_tolerant() && !shelf.find(reader.get<std::string>("name"))) return;
  make();
  reader.finish();
}

/// Checks the schedule and puts in what it leaves to defaults.
void read_schedule(RunConfig& c, const std::string& source) {
  auto& schedule = c.train.schedule;
  if (schedule.is_object() && !schedule.contains("name")) schedule["name"] = "constant";
  const auto& shelf = c.catalogue.schedules();
  const JsonReader reader(schedule, source, "train.schedule");
  check_named(shelf, reader, c.catalogue, [&] { shelf.make(reader); });
  const auto* entry = shelf.find(schedule["name"].get<std::string>());
  if (!entry) return;
  for (const auto& p : entry->parameters) {
    if (!schedule.contains(p.name) && !p.standard.is_null()) schedule[p.name] = p.standard;
  }
}

/// Descent, which is no entry of configurations of before, is none of a new one either.
void read_update(RunConfig& c, const std::string& source) {
  auto& update = c.train.update;
  if (update.empty()) return;
  update = as_named(update);
  const JsonReader reader(update, source, "train.update");
  const auto& shelf = c.catalogue.updates();
  check_named(shelf, reader, c.catalogue, [&] { shelf.make(reader); });
  if (update["name"] == "descent") update = nlohmann::json::object();
}

/// What a run of drawn data cannot be, as the trainer would say it.
void check_descent_options(const RunConfig& c, const std::string& source) {
  const auto& name = c.train.update.empty() ? "descent" : c.train.update["name"].get<std::string>();
  const auto& schedule = c.train.schedule["name"].get<std::string>();
  if (c.catalogue.is_tolerant() && (!c.catalogue.updates().find(name) || !c.catalogue.schedules().find(schedule))) {
    return;
  }
  const auto options = descent_options(c);
  try {
    check_descent(options);
  } catch (const InputError& e) {
    throw InputError(fmt::format("{}: train.{}", source, e.what()));
  }
  if (c.data.source == "file") return;
  if (options.update.batch > c.data.samples) {
    throw InputError(fmt::format("{}: train.update: expected a batch of at most {} points, data.samples, got {}",
                                 source, c.data.samples, options.update.batch));
  }
  if (c.data.test_samples > 0) return;
  for (const auto& [key, asked] : {std::pair{"stop_when_settled", options.stop_when_settled.training_loss > 0},
                                   {"keep_best", c.train.keep_best}}) {
    if (!asked) continue;
    throw InputError(fmt::format(
        "{}: train.{}: it looks at the test loss; expected data.test_samples of at least 1, got 0", source, key));
  }
}

std::string there_are(const std::vector<std::string>& names) {
  return names.empty() ? "there is none" : fmt::format("there are {}", fmt::join(names, ", "));
}

void check_regularizers(const RunConfig& c, const std::string& source) {
  const auto& shelf = c.catalogue.regularizers();
  if (!c.regularizers.is_object()) {
    throw InputError(fmt::format("{}: regularizers: expected an object of names and weights, got {}", source,
                                 c.regularizers.dump()));
  }
  for (const auto& [name, value] : c.regularizers.items()) {
    const auto path = "regularizers." + name;
    const auto* entry = shelf.find(name);
    if (!entry && !c.catalogue.is_tolerant()) {
      const auto near = nearest_name(name, shelf.names());
      throw InputError(fmt::format("{}: {}: there is no regularizer of this name{}; {}", source, path,
                                   near ? fmt::format(" (did you mean {}?)", *near) : "", there_are(shelf.names())));
    }
    const JsonReader reader(value.is_object() ? value : nlohmann::json{{"weight", value}}, source,
                            value.is_object() ? path : "regularizers");
    const Range range{.at_least = 0};
    if (!value.is_object()) {
      JsonReader(nlohmann::json{{name, value}}, source, "regularizers").get<double>(name, range);
    } else if (reader.get<double>("weight", range); entry) {
      Parameters(reader, entry->parameters);
      reader.finish();
    }
  }
}

void check_observables(const RunConfig& c, const std::string& source) {
  if (!c.observables.is_array()) {
    throw InputError(fmt::format("{}: observables: expected a list of names, got {}", source, c.observables.dump()));
  }
  auto names = c.catalogue.observables().names();
  const auto terms = c.catalogue.regularizers().names();
  names.insert(names.end(), terms.begin(), terms.end());
  std::set<std::string> seen;
  for (std::size_t i = 0; i < c.observables.size(); ++i) {
    const JsonReader reader(as_named(c.observables[i]), source, fmt::format("observables.{}", i + 1));
    const auto name = reader.get<std::string>("name", c.catalogue.is_tolerant() ? Range{} : Range{.one_of = names});
    if (!seen.insert(name).second) throw InputError(fmt::format("{}: observables: {} is there twice", source, name));
    const auto* observable = c.catalogue.observables().find(name);
    const auto* term = c.catalogue.regularizers().find(name);
    if (!observable && !term) continue;
    if (!observable && c.regularizers.contains(name)) {
      throw InputError(fmt::format("{}: observables: {} is a column already, among regularizers", source, name));
    }
    Parameters(reader, observable ? observable->parameters : term->parameters);
    reader.finish();
  }
}

/// Regression in closed form: the square loss, and nothing that a descent has.
void check_kernel(const RunConfig& c, const std::function<void(const std::string&)>& fail) {
  const auto& kernel = c.model.kernel;
  if (as_named(c.loss)["name"] != "square") {
    fail(fmt::format("loss: model.kernel {} is fitted to the square loss, got {}", kernel, c.loss.dump()));
  }
  if (std::any_of(c.lambda.begin(), c.lambda.end(), [](double weight) { return weight != 0; })) {
    fail(fmt::format("lambda: model.kernel {} has no regularizer but model.ridge, got {}", kernel,
                     nlohmann::json(c.lambda).dump()));
  }
  for (const auto& [key, value] : {std::pair{"regularizers", c.regularizers}, {"observables", c.observables}}) {
    if (!value.empty()) fail(fmt::format("{}: model.kernel {} takes no steps to add them to", key, kernel));
  }
  if (c.model.whole_network) fail(fmt::format("model.whole_network: it does not go with model.kernel {}", kernel));
  if (c.model.start_deviation != 0) {
    fail(fmt::format("model.start_deviation: model.kernel {} starts nowhere, got {}", kernel, c.model.start_deviation));
  }
  if (kernel == "ntk_infinite" && c.model.initialisation != "symmetric") {
    fail("model.initialisation: of an infinitely wide network only the symmetric start is known, f(.;0) = 0");
  }
  if (kernel == "ntk_infinite" && c.data.dimension < 2) {
    fail(fmt::format("data.dimension: ntk_infinite expands in harmonics, expected at least 2, got {}",
                     c.data.dimension));
  }
}

void check_combinations(const RunConfig& c, const std::string& source) {
  const auto fail = [&](const std::string& message) { throw InputError(source + ": " + message); };
  if (c.model.initialisation == "symmetric" && c.model.width % 2 != 0) {
    fail(fmt::format("model.width: expected an even number for the symmetric start, got {}", c.model.width));
  }
  if (!c.model.linear_term && c.model.order < 2) {
    fail(fmt::format("model.order: expected at least 2 without the linear term, got {}", c.model.order));
  }
  if (c.model.whole_network && (c.model.order != 2 || !c.model.linear_term)) {
    fail(
        "model.whole_network: it has no order and no linear term to leave out; expected model.order 2 and "
        "model.linear_term true");
  }
  if (c.model.kernel != "none") {
    check_kernel(c, fail);
  } else if (c.model.ridge != 0) {
    fail(fmt::format("model.ridge: it is that of a regression on model.kernel, which is none; got {}", c.model.ridge));
  }
  if (c.data.source == "file" && c.data.file.empty()) fail("data.file: expected the name of a .pt file, got none");
  if (c.data.source != "file" && !c.data.file.empty()) {
    fail(fmt::format("data.file: given ('{}'), but data.source is {}", c.data.file, c.data.source));
  }
  const bool drawn = c.data.source != "file";
  if (drawn && c.projector.source == "harmonic") {
    try {
      harmonic_degree(c.data.dimension, c.projector.rank);
    } catch (const InputError& e) {
      fail(e.what());
    }
  }
  if (drawn && c.projector.source == "unlabeled" && c.data.unlabeled_samples == 0) {
    fail("data.unlabeled_samples: expected at least projector.rank for an unlabeled projector, got 0");
  }
  const bool sampled = c.projector.source == "features" || c.projector.source == "unlabeled";
  if (c.r1.points != "projector" && !sampled) {
    fail(fmt::format("r1.points: {} needs a projector from features or unlabeled, got {}", c.r1.points,
                     c.projector.source));
  }
  if (c.r1.points == "fresh" && !drawn)
    fail("r1.points: fresh inputs need a law to draw from, and data.source is file");
  if (drawn && c.r1.points == "unlabeled" && c.data.unlabeled_samples == 0) {
    fail("data.unlabeled_samples: expected at least 1 for R1 on the unlabeled sample, got 0");
  }
  if (c.projector.source == "none" && (c.lambda[0] != 0 || c.lambda[1] != 0 || c.lambda[2] != 0)) {
    fail("projector.source: R1, R2 and R3 need a projector, got none");
  }
  if (drawn && (c.projector.source == "features" || c.projector.source == "unlabeled")) {
    const auto points = c.projector.source == "features" ? c.data.samples : c.data.unlabeled_samples;
    if (c.projector.rank > points) {
      fail(fmt::format("projector.rank: expected at most {}, the number of its points, got {}", points,
                       c.projector.rank));
    }
  }
}

}  // namespace

std::optional<Activation> read_activation(const nlohmann::json& value, const std::string& source,
                                          const std::string& path, const Catalogue& catalogue) {
  const JsonReader reader(value, source, path);
  std::optional<Activation> made;
  check_named(catalogue.activations(), reader, catalogue, [&] { made = catalogue.activations().make(reader); });
  return made;
}

Activation make_activation(const RunConfig& c) {
  return c.catalogue.activations().make(JsonReader(c.model.activation, "config", "model.activation"));
}

Target make_target(const RunConfig& c) {
  return c.catalogue.targets().make(JsonReader(c.data.target, "config", "data.target"),
                                    TargetSetting{c.data.dimension, input_law(c.data), c.seed});
}

Loss read_loss(const nlohmann::json& value, const std::string& source, const Catalogue& catalogue) {
  const JsonReader reader(as_named(value), source, "loss");
  Loss loss = catalogue.losses().make(reader);
  reader.finish();
  return loss;
}

std::vector<Term> make_named_terms(const RunConfig& c, const Setting& setting) {
  std::vector<Term> terms;
  const auto add = [&](double weight, const std::string& name, const nlohmann::json& thing, const std::string& path) {
    auto term = weight * c.catalogue.regularizers().make(JsonReader(thing, "config", path), setting);
    term.name = name;
    terms.push_back(std::move(term));
  };
  for (const auto& [name, value] : c.regularizers.items()) {
    auto thing = value.is_object() ? value : nlohmann::json{{"weight", value}};
    const double weight = thing["weight"].get<double>();
    thing["name"] = name;
    add(weight, name, thing, "regularizers." + name);
  }
  for (std::size_t i = 0; i < c.observables.size(); ++i) {
    const auto thing = as_named(c.observables[i]);
    const auto name = thing["name"].get<std::string>();
    if (c.catalogue.observables().find(name)) continue;
    add(0.0, name, thing, fmt::format("observables.{}", i + 1));
  }
  return terms;
}

std::vector<Observable> make_observables(const RunConfig& c, const Setting& setting) {
  std::vector<Observable> all;
  for (std::size_t i = 0; i < c.observables.size(); ++i) {
    const auto thing = as_named(c.observables[i]);
    const auto name = thing["name"].get<std::string>();
    if (!c.catalogue.observables().find(name)) continue;
    auto made =
        c.catalogue.observables().make(JsonReader(thing, "config", fmt::format("observables.{}", i + 1)), setting);
    if (made.columns.size() <= 1) made.columns = {name};
    all.push_back(std::move(made));
  }
  return all;
}

std::array<double, 4> read_lambda(const std::vector<double>& lambda, const std::string& source) {
  if (lambda.size() != 4) {
    throw InputError(fmt::format("{}: lambda: expected 4 weights, those of R1 to R4, got {}", source, lambda.size()));
  }
  for (std::size_t i = 0; i < 4; ++i) {
    if (!(lambda[i] >= 0) || !std::isfinite(lambda[i])) {
      throw InputError(
          fmt::format("{}: lambda.{}: expected a finite number of at least 0, got {}", source, i + 1, lambda[i]));
    }
  }
  return {lambda[0], lambda[1], lambda[2], lambda[3]};
}

at::ScalarType read_dtype(const std::string& name) {
  if (name == "float32") return at::kFloat;
  if (name == "float64") return at::kDouble;
  throw InputError(fmt::format("dtype: expected float32 or float64, got '{}'", name));
}

KernelMode read_kernel_mode(const std::string& name) {
  if (name == "keep") return KernelMode::keep;
  if (name == "recompute") return KernelMode::recompute;
  if (name == "reference") return KernelMode::reference;
  return KernelMode::automatic;
}

InputLaw input_law(const DataConfig& data) { return data.source == "gaussian" ? InputLaw::gaussian : InputLaw::sphere; }

RunConfig read_run_config(const nlohmann::json& json, const std::string& source, const Catalogue& catalogue) {
  RunConfig config;
  config.catalogue = catalogue;
  const JsonReader reader(with_absolute_file(without_resolved(json)), source);
  SchemaReader schema(reader);
  describe(schema, config);
  reader.finish();
  read_lambda(config.lambda, source);
  // Made once to have keys and values checked; it is cheap.
  read_activation(config.model.activation, source, "model.activation", catalogue);
  if (config.data.source != "file") {
    const JsonReader target(config.data.target, source, "data.target");
    check_named(catalogue.targets(), target, catalogue, [&] {
      catalogue.targets().make(target, TargetSetting{config.data.dimension, input_law(config.data), config.seed});
    });
  }
  const JsonReader kind(model_kind(config), source, "model.kind");
  check_named(catalogue.models(), kind, catalogue, [&] {
    Parameters(
        kind,
        catalogue.models().find(kind.get<std::string>("name", {.one_of = catalogue.models().names()}))->parameters);
  });
  const JsonReader loss(as_named(config.loss), source, "loss");
  check_named(catalogue.losses(), loss, catalogue, [&] { catalogue.losses().make(loss); });
  read_schedule(config, source);
  read_update(config, source);
  check_regularizers(config, source);
  check_observables(config, source);
  if (config.projector.rank == 0 && config.projector.source != "none" && config.data.source != "file") {
    config.projector.rank = config.data.dimension + 1;
  }
  check_combinations(config, source);
  check_descent_options(config, source);
  check_precision(to_json(config), read_dtype(config.dtype), source);
  return config;
}

nlohmann::json to_json(const RunConfig& config) { return write_described(config); }

std::vector<KeyInfo> run_config_keys() { return list_described(RunConfig{}); }

DescentOptions descent_options(const RunConfig& c) {
  DescentOptions o;
  o.learning_rate = c.train.learning_rate;
  o.steps = c.train.steps;
  o.noise_variance = c.train.noise_variance;
  o.perturbation = {c.train.perturbation.radius, c.train.perturbation.threshold, c.train.perturbation.interval};
  o.random_signs = c.train.random_signs;
  o.schedule = c.catalogue.schedules().make(JsonReader(c.train.schedule, "config", "train.schedule"));
  if (!c.train.update.empty()) {
    o.update = c.catalogue.updates().make(JsonReader(c.train.update, "config", "train.update"));
  }
  o.stop_when_settled = c.train.stop_when_settled;
  o.seed = c.seed;
  return o;
}

KernelOptions kernel_options(const RunConfig& c) {
  KernelOptions o;
  o.mode = read_kernel_mode(c.train.kernel);
  o.tf32 = c.train.tf32;
  o.memory_limit = static_cast<std::int64_t>(c.train.memory_limit_gb * 1e9);
  return o;
}

NetworkOptions network_options(const RunConfig& c) {
  return {.dimension = c.data.dimension,
          .width = c.model.width,
          .activation = make_activation(c),
          .initialisation = c.model.initialisation == "symmetric" ? Initialisation::symmetric : Initialisation::plain,
          .seed = c.seed,
          .dtype = read_dtype(c.dtype)};
}

torch::nn::AnyModule make_module(const RunConfig& c) {
  return c.catalogue.models().make(JsonReader(model_kind(c), "config", "model.kind"), network_options(c));
}

}  // namespace entk
