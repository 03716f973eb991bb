#include "entk/experiments/config.h"

#include <fmt/format.h>

#include <cmath>

#include "entk/base/error.h"
#include "entk/base/device.h"
#include "entk/experiments/config_layers.h"
#include "entk/experiments/precision.h"
#include "entk/spectrum/harmonic_projector.h"

namespace entk {

namespace {

Polynomial read_polynomial(const JsonReader& reader, std::int64_t dimension) {
  Polynomial p;
  p.constant = reader.get_or<double>("constant", 0.0);
  p.linear = reader.get_or<std::vector<double>>("linear", {});
  if (reader.has("monomials")) {
    for (const auto& m : reader.objects("monomials")) {
      p.monomials.push_back({m.get_or<double>("coefficient", 1.0), m.get<std::vector<std::int64_t>>("variables")});
    }
  }
  p.check(dimension);
  return p;
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
    fail("model.whole_network: it has no order and no linear term to leave out; expected model.order 2 and "
         "model.linear_term true");
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
    fail(fmt::format("r1.points: {} needs a projector from features or unlabeled, got {}", c.r1.points, c.projector.source));
  }
  if (c.r1.points == "fresh" && !drawn) fail("r1.points: fresh inputs need a law to draw from, and data.source is file");
  if (drawn && c.r1.points == "unlabeled" && c.data.unlabeled_samples == 0) {
    fail("data.unlabeled_samples: expected at least 1 for R1 on the unlabeled sample, got 0");
  }
  if (c.projector.source == "none" && (c.lambda[0] != 0 || c.lambda[1] != 0 || c.lambda[2] != 0)) {
    fail("projector.source: R1, R2 and R3 need a projector, got none");
  }
  if (drawn && (c.projector.source == "features" || c.projector.source == "unlabeled")) {
    const auto points = c.projector.source == "features" ? c.data.samples : c.data.unlabeled_samples;
    if (c.projector.rank > points) {
      fail(fmt::format("projector.rank: expected at most {}, the number of its points, got {}", points, c.projector.rank));
    }
  }
}

}  // namespace

Activation read_activation(const JsonReader& reader) {
  const auto name = reader.get<std::string>(
      "name", {.one_of = {"sigmoid", "tanh", "erf", "softplus", "gelu", "silu", "relu", "polynomial"}});
  if (name == "sigmoid") return sigmoid(reader.get_or<double>("shift", 0.0));
  if (name == "tanh") return tanh(reader.get_or<double>("shift", 0.0));
  if (name == "erf") return erf();
  if (name == "softplus") return softplus();
  if (name == "gelu") return gelu();
  if (name == "silu") return silu();
  if (name == "relu") return relu();
  return polynomial(reader.get<std::vector<double>>("coefficients"));
}

Target read_target(const JsonReader& reader, std::int64_t dimension, InputLaw law, std::uint64_t seed) {
  const auto name = reader.get<std::string>(
      "name", {.one_of = {"figure1", "figure1_text", "figure2", "low_degree_plus_sparse"}});
  if (name == "figure1") return figure1_target(dimension, law, seed);
  if (name == "figure1_text") return figure1_text_target(dimension, law, seed);
  if (name == "figure2") return figure2_target(dimension, reader.get_or<bool>("exact_scale", false), seed);
  LowDegreePlusSparse options;
  options.dimension = dimension;
  options.law = law;
  options.seed = seed;
  options.degree = static_cast<int>(reader.get_or<std::int64_t>("degree", 1, {.at_least = 1, .at_most = 8}));
  options.alphas = reader.get_or<std::vector<double>>("alphas", {1.0});
  if (reader.has("betas")) {
    for (const auto& row : reader.any("betas")) {
      if (!row.is_array()) reader.fail("betas", "a list of lists of numbers");
      std::vector<double> beta;
      for (const auto& entry : row) {
        if (!entry.is_number()) reader.fail("betas", "a list of lists of numbers");
        beta.push_back(entry.get<double>());
      }
      options.betas.push_back(std::move(beta));
    }
  }
  if (reader.has("low_degree")) options.low_degree = read_polynomial(reader.object("low_degree"), dimension);
  return low_degree_plus_sparse(options);
}

Loss read_loss(const nlohmann::json& value, const std::string& source) {
  const nlohmann::json object = value.is_string() ? nlohmann::json{{"name", value}} : value;
  const JsonReader reader(object, source, "loss");
  const auto name = reader.get<std::string>("name", {.one_of = {"square", "pseudo_huber", "logistic"}});
  Loss loss = name == "square"     ? square_loss()
              : name == "logistic" ? logistic_loss()
                                   : pseudo_huber_loss(reader.get_or<double>("delta", 1.0, {.above = 0, .at_most = 1e12}));
  reader.finish();
  return loss;
}

std::array<double, 4> read_lambda(const std::vector<double>& lambda, const std::string& source) {
  if (lambda.size() != 4) {
    throw InputError(fmt::format("{}: lambda: expected 4 weights, those of R1 to R4, got {}", source, lambda.size()));
  }
  for (std::size_t i = 0; i < 4; ++i) {
    if (!(lambda[i] >= 0) || !std::isfinite(lambda[i])) {
      throw InputError(fmt::format("{}: lambda.{}: expected a finite number of at least 0, got {}", source, i + 1, lambda[i]));
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

InputLaw input_law(const DataConfig& data) {
  return data.source == "gaussian" ? InputLaw::gaussian : InputLaw::sphere;
}

RunConfig read_run_config(const nlohmann::json& json, const std::string& source) {
  RunConfig config;
  const JsonReader reader(with_absolute_file(without_resolved(json)), source);
  SchemaReader schema(reader);
  describe(schema, config);
  reader.finish();
  read_lambda(config.lambda, source);
  const JsonReader activation(config.model.activation, source, "model.activation");
  read_activation(activation);
  activation.finish();
  if (config.data.source != "file") {
    const JsonReader target(config.data.target, source, "data.target");
    // Made once to have its keys and values checked; it is cheap.
    read_target(target, config.data.dimension, input_law(config.data), config.seed);
    target.finish();
  }
  read_loss(config.loss, source);
  if (config.projector.rank == 0 && config.projector.source != "none" && config.data.source != "file") {
    config.projector.rank = config.data.dimension + 1;
  }
  check_combinations(config, source);
  check_precision(to_json(config), read_dtype(config.dtype), source);
  return config;
}

nlohmann::json to_json(const RunConfig& config) { return write_described(config); }

std::vector<KeyInfo> run_config_keys() { return list_described(RunConfig{}); }

TrainerOptions trainer_options(const RunConfig& c) {
  TrainerOptions o;
  o.learning_rate = c.train.learning_rate;
  o.steps = c.train.steps;
  o.noise_variance = c.train.noise_variance;
  o.perturbation = {c.train.perturbation.radius, c.train.perturbation.threshold, c.train.perturbation.interval};
  o.random_signs = c.train.random_signs;
  o.schedule.kind = c.train.schedule.name == "cosine"  ? ScheduleKind::cosine
                    : c.train.schedule.name == "decay" ? ScheduleKind::decay
                                                       : ScheduleKind::constant;
  o.schedule.horizon = c.train.schedule.horizon;
  o.seed = c.seed;
  o.kernel = read_kernel_mode(c.train.kernel);
  o.tf32 = c.train.tf32;
  o.memory_limit = static_cast<std::int64_t>(c.train.memory_limit_gb * 1e9);
  o.checkpoint_seconds = c.train.checkpoint_seconds;
  return o;
}

NetworkOptions network_options(const RunConfig& c) {
  return {.dimension = c.data.dimension,
          .width = c.model.width,
          .activation = read_activation(JsonReader(c.model.activation, "config", "model.activation")),
          .initialisation =
              c.model.initialisation == "symmetric" ? Initialisation::symmetric : Initialisation::plain,
          .seed = c.seed,
          .dtype = read_dtype(c.dtype)};
}

}  // namespace entk
