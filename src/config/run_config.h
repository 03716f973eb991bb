// The configuration of one run, as `entk train` reads it and config.json holds it.
#pragma once

#include <nlohmann/json.hpp>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "entk/config/catalogue.h"
#include "entk/config/schema.h"
#include "entk/models/network.h"
#include "entk/train/trainer.h"

namespace entk {

struct ModelConfig {
  nlohmann::json kind = nullptr;  ///< NAME or {"name": NAME, parameters}; null: two_layer
  std::int64_t order = 2;
  bool linear_term = true;
  bool whole_network = false;
  std::int64_t width = 10000;
  std::string initialisation = "symmetric";
  nlohmann::json activation = {{"name", "sigmoid"}, {"shift", 1.0}};
  double start_deviation = 0.0;
  std::string kernel = "none";
  double ridge = 0.0;
};

struct DataConfig {
  std::string source = "sphere";
  std::int64_t dimension = 100, samples = 1000, test_samples = 10000, unlabeled_samples = 0;
  std::string file;
  nlohmann::json target = {{"name", "figure1"}};
};

struct ProjectorConfig {
  std::string source = "features";
  std::int64_t rank = 0;
  std::int64_t population_degree = -1;
};

struct R1Config {
  std::string points = "projector";
  std::int64_t samples = 100;
};

struct PerturbationConfig {
  double radius = 0.0, threshold = 1e-3;
  std::int64_t interval = 100;
};

struct TrainConfig {
  std::optional<double> learning_rate = 1.0;  ///< none: auto
  std::int64_t steps = 20000;
  SettledCriterion stop_when_settled;
  double noise_variance = 0.0;
  PerturbationConfig perturbation;
  bool random_signs = false;
  nlohmann::json schedule = {{"name", "constant"}, {"horizon", 20000}};
  nlohmann::json update = nlohmann::json::object();  ///< empty: descent
  bool keep_best = false;
  std::string kernel = "automatic";
  bool tf32 = false;
  double memory_limit_gb = static_cast<double>(PrimitiveOptions{}.memory_limit) / 1e9;
  double checkpoint_seconds = 60.0;
};

struct RunConfig {
  ModelConfig model;
  DataConfig data;
  ProjectorConfig projector;
  R1Config r1;
  std::vector<double> lambda = {0, 0, 0, 0};
  nlohmann::json regularizers = nlohmann::json::object();
  nlohmann::json loss = "square";
  nlohmann::json observables = nlohmann::json::array();
  TrainConfig train;
  std::uint64_t seed = 1;
  std::string dtype = "float32";
  std::string device = "auto";
  std::int64_t threads = 0;
  /// What its names stand for; no key.
  Catalogue catalogue = built_in_catalogue();
};

template <class V>
void describe(V& v, ModelConfig& c) {
  v.raw_where_given("kind", c.kind, "of the network: NAME or {\"name\": NAME, parameters}; none given: two_layer");
  v.value("order", c.order, {.at_least = 1, .at_most = 4}, "terms of the Taylor expansion");
  v.value("linear_term", c.linear_term, {}, "false: the quadratic NTK alone");
  v.value("whole_network", c.whole_network, {}, "true: the network f(x;W) itself in place of its expansion");
  v.value("width", c.width, {.at_least = 1, .at_most = 1e9}, "m, the number of neurons");
  v.value("initialisation", c.initialisation, {.one_of = {"symmetric", "plain"}}, "symmetric or plain");
  v.raw("activation", c.activation, "{\"name\": NAME, parameters}");
  v.value("start_deviation", c.start_deviation, {.at_least = 0, .at_most = 1e6},
          "W(0) has entries N(0, start_deviation^2/(m d))");
  v.value_where_given("kernel", c.kernel, std::string("none"),
                      {.one_of = {"none", "ntk", "ntk_infinite", "quadratic_ntk"}},
                      "ntk, ntk_infinite or quadratic_ntk: regression on that kernel, in closed form, in place of "
                      "training; none");
  v.value_where_given("ridge", c.ridge, 0.0, {.at_least = 0, .at_most = 1e12},
                      "of that regression, times the squared norm of its parameters; 0: the limit of descent");
}

template <class V>
void describe(V& v, DataConfig& c) {
  v.value("source", c.source, {.one_of = {"sphere", "gaussian", "file"}},
          "sphere of radius sqrt(d), gaussian, or file");
  v.value("dimension", c.dimension, {.at_least = 1, .at_most = 1e7}, "d");
  v.value("samples", c.samples, {.at_least = 1, .at_most = 1e9}, "n, training inputs");
  v.value("test_samples", c.test_samples, {.at_least = 0, .at_most = 1e9}, "test inputs");
  v.value("unlabeled_samples", c.unlabeled_samples, {.at_least = 0, .at_most = 1e9}, "N, unlabeled inputs");
  v.value("file", c.file, {}, "a .pt file with X, y and, if it likes, X_test, y_test, X_unlabeled");
  v.raw("target", c.target, "{\"name\": NAME, parameters}");
}

template <class V>
void describe(V& v, ProjectorConfig& c) {
  v.value("source", c.source, {.one_of = {"none", "features", "unlabeled", "harmonic"}},
          "none, features, unlabeled, or harmonic: degrees <= k in closed form, rank n_k, k = 0, 1, 2");
  v.value("rank", c.rank, {.at_least = 0, .at_most = 1e7}, "r; 0 stands for n_1 = d + 1");
  v.value("population_degree", c.population_degree, {.at_least = -1, .at_most = 2},
          "k: record R1 and R2 in population too, by the harmonic projector of degree k; -1: no");
}

template <class V>
void describe(V& v, R1Config& c) {
  v.value("points", c.points, {.one_of = {"projector", "unlabeled", "fresh"}},
          "where R1 is measured: the projector's own points, the unlabeled sample, or fresh inputs every step");
  v.value("samples", c.samples, {.at_least = 1, .at_most = 1e7}, "fresh inputs a step");
}

template <class V>
void describe(V& v, PerturbationConfig& c) {
  v.value("radius", c.radius, {.at_least = 0, .at_most = 1e12},
          "of the ball W jumps in where the gradient is small; 0: never");
  v.value("threshold", c.threshold, {.at_least = 0, .at_most = 1e12}, "a gradient of at most this norm is small");
  v.value("interval", c.interval, {.at_least = 1, .at_most = 4294967295.0}, "steps between looks at the gradient");
}

template <class V>
void describe(V& v, SettledCriterion& c) {
  v.value("training_loss", c.training_loss, {.at_least = 0, .below = 1},
          "1e-4: end at a record with this part of the first training loss and a settled test loss; 0: never");
  v.value("test_change", c.test_change, {.above = 0, .at_most = 1},
          "a test loss is settled that changed by no more than this part since half of the steps");
}

template <class V>
void describe(V& v, TrainConfig& c) {
  v.number_or("auto", "learning_rate", c.learning_rate, {.above = 0, .at_most = 1e12},
              "eta of (21), or auto: 3/4 of what descent stands at W = 0");
  v.value("steps", c.steps, {.at_least = 0, .at_most = 4294967295.0}, "steps to take in all");
  v.object("stop_when_settled", c.stop_when_settled);
  v.value("noise_variance", c.noise_variance, {.at_least = 0, .at_most = 1e12}, "sigma^2 of (21)");
  v.object("perturbation", c.perturbation);
  v.value("random_signs", c.random_signs, {}, "true: fresh random signs of the neurons each step (Bai and Lee)");
  v.raw("schedule", c.schedule, "of eta: {\"name\": NAME, parameters}");
  v.raw_where_given("update", c.update, "NAME or {\"name\": NAME, parameters}; none given: descent");
  v.value("keep_best", c.keep_best, {}, "true: best.pt holds W at the record with the least test loss");
  v.value("kernel", c.kernel, {.one_of = {"automatic", "keep", "recompute", "reference"}},
          "keep tables, recompute them, or the plain form");
  v.value("tf32", c.tf32, {}, "on CUDA: products of numbers rounded to TF32, faster; the run says what it costs");
  v.value("memory_limit_gb", c.memory_limit_gb, {.at_least = 0, .at_most = 1e6}, "tables above this are recomputed");
  v.value("checkpoint_seconds", c.checkpoint_seconds, {.at_least = 0, .at_most = 1e9}, "between checkpoints");
}

template <class V>
void describe(V& v, RunConfig& c) {
  v.object("model", c.model);
  v.object("data", c.data);
  v.object("projector", c.projector);
  v.object("r1", c.r1);
  v.value("lambda", c.lambda, {}, "weights of R1, R2, R3, R4, at least 0; lambda.3 is R3's");
  v.raw_where_given("regularizers", c.regularizers,
                    "{NAME: weight, or NAME: {\"weight\": weight, parameters}}, added to those of lambda");
  v.raw("loss", c.loss, "NAME or {\"name\": NAME, parameters}");
  v.raw_where_given("observables", c.observables,
                    "[NAME or {\"name\": NAME, parameters}, ...], columns of metrics.csv; a regularizer's name too");
  v.object("train", c.train);
  v.value("seed", c.seed, {}, "of inputs, W0, target and noise, each with numbers of its own");
  v.value("dtype", c.dtype, {.one_of = {"float32", "float64"}}, "float32 or float64");
  v.value("device", c.device, {}, "cpu, cuda, cuda:N or auto");
  v.value("threads", c.threads, {.at_least = 0, .at_most = 4096}, "0: all processors");
}

/// Reads a whole configuration strictly and checks it as far as that goes without data: unknown keys,
/// types, ranges, values that exclude each other. `source` names it in messages; names are those of the
/// catalogue, which the configuration keeps. Rank 0 becomes d + 1.
/// @throws InputError naming source, key, value and what was expected.
RunConfig read_run_config(const nlohmann::json& json, const std::string& source,
                          const Catalogue& catalogue = built_in_catalogue());
nlohmann::json to_json(const RunConfig& config);
/// Every key with its default, for --help.
std::vector<KeyInfo> run_config_keys();

/// What the names stand for. All throw InputError for a name or parameter that is none.
Activation make_activation(const RunConfig& config);
Target make_target(const RunConfig& config);
Loss read_loss(const nlohmann::json& value, const std::string& source, const Catalogue& catalogue);
/// An activation that is no run's, its keys checked; none where a tolerant catalogue has no such name.
std::optional<Activation> read_activation(const nlohmann::json& value, const std::string& source,
                                          const std::string& path, const Catalogue& catalogue);
/// The regularizers with their weights and, with weight 0, those that observables asks for; then what else it
/// asks for. Columns have the names. @throws InputError as their makers do.
std::vector<Term> make_named_terms(const RunConfig& config, const Setting& setting);
std::vector<Observable> make_observables(const RunConfig& config, const Setting& setting);
std::array<double, 4> read_lambda(const std::vector<double>& lambda, const std::string& source);
at::ScalarType read_dtype(const std::string& name);
KernelMode read_kernel_mode(const std::string& name);
InputLaw input_law(const DataConfig& data);

/// As Trainer and Network want them.
DescentOptions descent_options(const RunConfig& config);
KernelOptions kernel_options(const RunConfig& config);
NetworkOptions network_options(const RunConfig& config);
/// What model.kind names, at its start. @throws InputError as its maker does.
torch::nn::AnyModule make_module(const RunConfig& config);

}  // namespace entk
