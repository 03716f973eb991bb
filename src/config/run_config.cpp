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

std::string there_are(const std::vector<std::string>& names) {
  return names.empty() ? "there is none" : fmt::format("there are {}", fmt::join(names, ", "));
}

void read_regularizers(RunConfig& c, const std::string& source) {
  const auto& shelf = c.catalogue.shelf<RegularizerEntry>();
  const auto& written = c.regularizers.written;
  if (!written.is_object()) {
    throw InputError(
        fmt::format("{}: regularizers: expected an object of names and weights, got {}", source, written.dump()));
  }
  std::vector<WeightedTerm> terms;
  for (const auto& [name, value] : written.items()) {
    const auto path = "regularizers." + name;
    const auto* entry = shelf.find(name);
    if (!entry && !c.catalogue.is_tolerant()) {
      const auto near = nearest_name(name, shelf.names());
      throw InputError(fmt::format("{}: {}: there is no regularizer of this name{}; {}", source, path,
                                   near ? fmt::format(" (did you mean {}?)", *near) : "", there_are(shelf.names())));
    }
    const Range range{.at_least = 0};
    if (!value.is_object()) {
      const double weight = JsonReader({{name, value}}, source, "regularizers").get<double>(name, range);
      if (entry) terms.push_back({weight, {shelf.entries(), name, source, path}});
      continue;
    }
    const double weight = JsonReader(value, source, path).get<double>("weight", range);
    auto thing = value;
    thing.erase("weight");
    thing["name"] = name;
    if (entry) terms.push_back({weight, {shelf.entries(), std::move(thing), source, path}});
  }
  c.regularizers.terms = std::move(terms);
}

void read_observables(RunConfig& c, const std::string& source) {
  const auto& written = c.observables.written;
  if (!written.is_array()) {
    throw InputError(fmt::format("{}: observables: expected a list of names, got {}", source, written.dump()));
  }
  const auto& observables = c.catalogue.shelf<ObservableEntry>();
  const auto& terms = c.catalogue.shelf<RegularizerEntry>();
  auto names = observables.names();
  for (const auto& name : terms.names()) names.push_back(name);
  std::set<std::string> seen;
  ObservablesConfig read{written};
  for (std::size_t i = 0; i < written.size(); ++i) {
    const auto path = fmt::format("observables.{}", i + 1);
    const auto thing = written[i].is_string() ? nlohmann::json{{"name", written[i]}} : written[i];
    const auto name = JsonReader(thing, source, path)
                          .get<std::string>("name", c.catalogue.is_tolerant() ? Range{} : Range{.one_of = names});
    if (!seen.insert(name).second) throw InputError(fmt::format("{}: observables: {} is there twice", source, name));
    if (observables.find(name)) {
      read.observables.push_back({observables.entries(), thing, source, path});
    } else if (terms.find(name)) {
      if (c.regularizers.written.contains(name)) {
        throw InputError(fmt::format("{}: observables: {} is a column already, among regularizers", source, name));
      }
      read.terms.push_back({0.0, {terms.entries(), thing, source, path}});
    }
  }
  c.observables = std::move(read);
}

TargetSetting target_setting(const RunConfig& c) {
  return {c.data.dimension, c.data.source ? c.data.source->nearest_law() : InputLaw::gaussian, c.seed};
}

/// What a run of drawn data cannot be, as the trainer would say it.
void check_descent_options(const RunConfig& c, const std::string& source) {
  if (!c.train.update || !c.train.schedule) return;  // a tolerant reading
  const auto options = descent_options(c);
  try {
    check_descent(options);
  } catch (const InputError& e) {
    throw InputError(fmt::format("{}: train.{}", source, e.what()));
  }
  if (c.data.loaded()) return;
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

/// Regression in closed form: the square loss, and nothing that a descent has.
void check_kernel(const RunConfig& c, const std::function<void(const std::string&)>& fail) {
  const auto kernel = word_of(c.model.kernel);
  if (c.loss.name() != square_loss().name) {
    fail(fmt::format("loss: model.kernel {} is fitted to the square loss, got {}", kernel, c.loss.json().dump()));
  }
  if (std::any_of(c.lambda.begin(), c.lambda.end(), [](double weight) { return weight != 0; })) {
    fail(fmt::format("lambda: model.kernel {} has no regularizer but model.ridge, got {}", kernel,
                     nlohmann::json(c.lambda).dump()));
  }
  for (const auto& [key, value] :
       {std::pair{"regularizers", c.regularizers.written}, {"observables", c.observables.written}}) {
    if (!value.empty()) fail(fmt::format("{}: model.kernel {} takes no steps to add them to", key, kernel));
  }
  if (c.model.whole_network) fail(fmt::format("model.whole_network: it does not go with model.kernel {}", kernel));
  if (c.model.start_deviation != 0) {
    fail(fmt::format("model.start_deviation: model.kernel {} starts nowhere, got {}", kernel, c.model.start_deviation));
  }
  const bool infinite = c.model.kernel == ModelKernel::ntk_infinite;
  if (infinite && c.model.initialisation != Initialisation::symmetric) {
    fail("model.initialisation: of an infinitely wide network only the symmetric start is known, f(.;0) = 0");
  }
  if (infinite && c.data.dimension < 2) {
    fail(fmt::format("data.dimension: ntk_infinite expands in harmonics, expected at least 2, got {}",
                     c.data.dimension));
  }
}

/// Whether the model is a two-layer network, of the maker's own kinds too: one is made where the dimension is known.
bool has_neurons(const RunConfig& c) {
  if (!c.model.kind || c.model.kind.name() == "two_layer") return true;
  if (c.data.loaded() || !c.model.activation)
    return c.model.kind.name() != "mlp" && c.model.kind.name() != "convolutional";
  return std::dynamic_pointer_cast<NetworkImpl>(c.model.kind.make(network_options(c, c10::kMeta)).ptr()) != nullptr;
}

/// What reads neurons, which a module has not.
void check_without_neurons(const RunConfig& c, const std::function<void(const std::string&)>& fail) {
  const auto refuse = [&](const std::string& key, const std::string& got) {
    fail(fmt::format("{}: {} needs a two-layer network's neurons, which model.kind {} has not", key, got,
                     c.model.kind.name()));
  };
  if (c.lambda[3] != 0) refuse("lambda.4", "R4");
  if (c.projector.source == ProjectorSource::harmonic) refuse("projector.source", "harmonic");
  if (c.projector.population_degree >= 0) {
    refuse("projector.population_degree", fmt::format("{}", c.projector.population_degree));
  }
  if (c.train.random_signs) refuse("train.random_signs", "true");
  if (c.model.kernel == ModelKernel::ntk_infinite || c.model.kernel == ModelKernel::quadratic_ntk) {
    refuse("model.kernel", word_of(c.model.kernel));
  }
  for (const auto& o : c.observables.observables) {
    for (const char* name : {"movement", "harmonic_shares", "alignment", "kernel_drift"}) {
      if (o.name() == name) refuse("observables", name);
    }
  }
}

void check_combinations(const RunConfig& c, const std::string& source) {
  const auto fail = [&](const std::string& message) { throw InputError(source + ": " + message); };
  const bool neurons = has_neurons(c);
  if (!neurons) check_without_neurons(c, fail);
  if (neurons && c.model.initialisation == Initialisation::symmetric && c.model.width % 2 != 0) {
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
  if (c.model.kernel != ModelKernel::none) {
    check_kernel(c, fail);
  } else if (c.model.ridge != 0) {
    fail(fmt::format("model.ridge: it is that of a regression on model.kernel, which is none; got {}", c.model.ridge));
  }
  const auto& projector = c.projector;
  if (c.data.source.name() == "file" && c.data.file.empty()) {
    fail("data.file: expected the name of a .pt file, got none");
  }
  if (!c.data.loaded() && !c.data.file.empty()) {
    fail(fmt::format("data.file: given ('{}'), but data.source is {}", c.data.file, c.data.source.name()));
  }
  if (c.r1.points != R1Points::projector && !projector.sampled()) {
    fail(fmt::format("r1.points: {} needs a projector from features or unlabeled, got {}", word_of(c.r1.points),
                     word_of(projector.source)));
  }
  if (projector.source == ProjectorSource::none && (c.lambda[0] != 0 || c.lambda[1] != 0 || c.lambda[2] != 0)) {
    fail("projector.source: R1, R2 and R3 need a projector, got none");
  }
  if (c.data.loaded()) {
    if (c.r1.points == R1Points::fresh)
      fail("r1.points: fresh inputs need a law to draw from, and data.source is " + c.data.source.name());
    return;  // the rest depends on the file's sizes
  }
  if (projector.source == ProjectorSource::harmonic) {
    try {
      harmonic_degree(c.data.dimension, projector.rank);
    } catch (const InputError& e) {
      fail(e.what());
    }
  }
  const bool unlabeled = projector.source == ProjectorSource::unlabeled;
  if (unlabeled && c.data.unlabeled_samples == 0) {
    fail("data.unlabeled_samples: expected at least projector.rank for an unlabeled projector, got 0");
  }
  if (c.r1.points == R1Points::unlabeled && c.data.unlabeled_samples == 0) {
    fail("data.unlabeled_samples: expected at least 1 for R1 on the unlabeled sample, got 0");
  }
  const auto points = unlabeled ? c.data.unlabeled_samples : c.data.samples;
  if (projector.sampled() && projector.rank > points) {
    fail(fmt::format("projector.rank: expected at most {}, the number of its points, got {}", points, projector.rank));
  }
}

}  // namespace

Target make_target(const RunConfig& c) { return c.data.target.make(target_setting(c)); }

std::vector<Term> make_named_terms(const RunConfig& c, const Setting& setting) {
  std::vector<Term> terms;
  for (const auto* list : {&c.regularizers.terms, &c.observables.terms}) {
    for (const auto& [weight, named] : *list) {
      terms.push_back(weight * named.make(setting));
      terms.back().name = named.name();
    }
  }
  return terms;
}

std::vector<Observable> make_observables(const RunConfig& c, const Setting& setting) {
  std::vector<Observable> all;
  for (const auto& named : c.observables.observables) {
    all.push_back(named.make(setting));
    if (all.back().columns.size() <= 1) all.back().columns = {named.name()};
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

RunConfig read_run_config(const nlohmann::json& json, const std::string& source, const Catalogue& catalogue) {
  RunConfig config;
  config.catalogue = catalogue;
  const JsonReader reader(with_absolute_file(without_resolved(json)), source);
  SchemaReader schema(reader, catalogue);
  describe(schema, config);
  reader.finish();
  read_lambda(config.lambda, source);
  // Made once to have what it refuses said now; it is cheap.
  if (!config.data.loaded()) config.data.target.check(target_setting(config));
  config.train.schedule.write_defaults();
  if (config.model.kind.name() != ModelConfig{}.kind.name()) config.model.kind.write_defaults();
  // Descent, which is no entry of configurations of before, is none of a new one either.
  if (const TrainConfig plain; config.train.update.name() == plain.update.name()) config.train.update = plain.update;
  read_regularizers(config, source);
  read_observables(config, source);
  if (config.projector.rank == 0 && config.projector.source != ProjectorSource::none && !config.data.loaded()) {
    config.projector.rank = config.data.dimension + 1;
  }
  check_combinations(config, source);
  check_descent_options(config, source);
  check_precision(to_json(config), config.dtype, source);
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
  o.schedule = *c.train.schedule;
  o.update = *c.train.update;
  o.stop_when_settled = c.train.stop_when_settled;
  o.seed = c.seed;
  return o;
}

KernelOptions kernel_options(const RunConfig& c) {
  KernelOptions o;
  o.mode = c.train.kernel;
  o.tf32 = c.train.tf32;
  o.memory_limit = static_cast<std::int64_t>(c.train.memory_limit_gb * 1e9);
  return o;
}

NetworkOptions network_options(const RunConfig& c, c10::Device device) {
  return {.dimension = c.data.dimension,
          .width = c.model.width,
          .activation = *c.model.activation,
          .initialisation = c.model.initialisation,
          .seed = c.seed,
          .dtype = c.dtype,
          .device = device};
}

}  // namespace entk
