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

template <>
struct WordsOf<Initialisation> {
  static constexpr std::pair<const char*, Initialisation> all[] = {{"symmetric", Initialisation::symmetric},
                                                                   {"plain", Initialisation::plain}};
};
template <>
struct WordsOf<KernelMode> {
  static constexpr std::pair<const char*, KernelMode> all[] = {{"automatic", KernelMode::automatic},
                                                               {"keep", KernelMode::keep},
                                                               {"recompute", KernelMode::recompute},
                                                               {"reference", KernelMode::reference}};
};
enum class ProjectorSource { none, features, unlabeled, harmonic };
template <>
struct WordsOf<ProjectorSource> {
  static constexpr std::pair<const char*, ProjectorSource> all[] = {{"none", ProjectorSource::none},
                                                                    {"features", ProjectorSource::features},
                                                                    {"unlabeled", ProjectorSource::unlabeled},
                                                                    {"harmonic", ProjectorSource::harmonic}};
};
enum class R1Points { projector, unlabeled, fresh };
template <>
struct WordsOf<R1Points> {
  static constexpr std::pair<const char*, R1Points> all[] = {
      {"projector", R1Points::projector}, {"unlabeled", R1Points::unlabeled}, {"fresh", R1Points::fresh}};
};

/// Of a regression in closed form, in place of training.
enum class ModelKernel { none, ntk, ntk_infinite, quadratic_ntk };
template <>
struct WordsOf<ModelKernel> {
  static constexpr std::pair<const char*, ModelKernel> all[] = {{"none", ModelKernel::none},
                                                                {"ntk", ModelKernel::ntk},
                                                                {"ntk_infinite", ModelKernel::ntk_infinite},
                                                                {"quadratic_ntk", ModelKernel::quadratic_ntk}};
};

struct ModelConfig {
  Named<torch::nn::AnyModule, ModelSetting> kind =
      Named<torch::nn::AnyModule, ModelSetting>(built_in_models(), "two_layer").unwritten();
  std::int64_t order = 2;
  bool linear_term = true;
  bool whole_network = false;
  std::int64_t width = 10000;
  Initialisation initialisation = Initialisation::symmetric;
  Named<Activation> activation{built_in_activations(), {{"name", "sigmoid"}, {"shift", 1.0}}};
  double start_deviation = 0.0;
  ModelKernel kernel = ModelKernel::none;
  double ridge = 0.0;
  bool initial_output = true;
};

struct DataConfig {
  Named<DataSource> source{built_in_data_sources(), "sphere"};
  std::int64_t dimension = 100, samples = 1000, test_samples = 10000, unlabeled_samples = 0;
  std::string file;
  Named<Target, TargetSetting> target{built_in_targets(), {{"name", "figure1"}}};

  /// Whether a file decides data and sizes.
  bool loaded() const { return source && source->load; }
};

struct ProjectorConfig {
  ProjectorSource source = ProjectorSource::features;
  std::int64_t rank = 0;
  std::int64_t population_degree = -1;

  /// Whether it is made at points.
  bool sampled() const { return source == ProjectorSource::features || source == ProjectorSource::unlabeled; }
};

struct R1Config {
  R1Points points = R1Points::projector;
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
  Named<Schedule> schedule{built_in_schedules(), {{"name", "constant"}, {"horizon", 20000}}};
  Named<UpdateRule> update = Named<UpdateRule>(built_in_updates(), "descent").unwritten();
  bool keep_best = false;
  KernelMode kernel = KernelMode::automatic;
  bool tf32 = false;
  double memory_limit_gb = static_cast<double>(PrimitiveOptions{}.memory_limit) / 1e9;
  double checkpoint_seconds = 60.0;
};

/// One of the keys of `regularizers`, or a regularizer among `observables`: weight 0.
struct WeightedTerm {
  double weight;
  Named<Term, Setting> term;
};

/// `written` is the configuration's own form; reading makes the rest of it, and nothing else looks at it.
struct RegularizersConfig {
  nlohmann::json written = nlohmann::json::object();
  std::vector<WeightedTerm> terms{};
};
struct ObservablesConfig {
  nlohmann::json written = nlohmann::json::array();
  std::vector<WeightedTerm> terms{};  ///< the regularizers among them
  std::vector<Named<Observable, Setting>> observables{};
};

struct RunConfig {
  ModelConfig model;
  DataConfig data;
  ProjectorConfig projector;
  R1Config r1;
  std::vector<double> lambda = {0, 0, 0, 0};
  RegularizersConfig regularizers;
  Named<Loss> loss{built_in_losses(), "square"};
  ObservablesConfig observables;
  TrainConfig train;
  std::uint64_t seed = 1;
  at::ScalarType dtype = at::kFloat;
  std::string device = "auto";
  std::int64_t threads = 0;

  /// What its names stand for; no key.
  Catalogue catalogue = built_in_catalogue();
};

template <class V>
void describe(V& v, ModelConfig& c) {
  v.named("kind", c.kind, "of the network: NAME or {\"name\": NAME, parameters}");
  v.value("order", c.order, {.at_least = 1, .at_most = 4}, "terms of the Taylor expansion");
  v.value("linear_term", c.linear_term, {}, "false: the quadratic NTK alone");
  v.value("whole_network", c.whole_network, {}, "true: the network f(x;W) itself in place of its expansion");
  v.value("width", c.width, {.at_least = 1, .at_most = 1e9}, "m, the number of neurons");
  v.value("initialisation", c.initialisation, {},
          "symmetric: f(.;0) = 0, of another module than two_layer a pair of copies; or plain");
  v.named("activation", c.activation, "{\"name\": NAME, parameters}");
  v.value("start_deviation", c.start_deviation, {.at_least = 0, .at_most = 1e6},
          "W(0) has entries N(0, start_deviation^2/(m d)), m d being the number of parameters");
  v.value_where_given("kernel", c.kernel, ModelKernel::none, {},
                      "ntk, ntk_infinite or quadratic_ntk: regression on that kernel, in closed form, in place of "
                      "training; none");
  v.value_where_given("ridge", c.ridge, 0.0, {.at_least = 0, .at_most = 1e12},
                      "of that regression, times the squared norm of its parameters; 0: the limit of descent");
  v.value_where_given("initial_output", c.initial_output, true, {},
                      "false: without f(x;0), where the start is not symmetric");
}

template <class V>
void describe(V& v, DataConfig& c) {
  v.named("source", c.source, "of the inputs: NAME or {\"name\": NAME, parameters}");
  v.value("dimension", c.dimension, {.at_least = 1, .at_most = 1e7}, "d");
  v.value("samples", c.samples, {.at_least = 1, .at_most = 1e9}, "n, training inputs");
  v.value("test_samples", c.test_samples, {.at_least = 0, .at_most = 1e9}, "test inputs");
  v.value("unlabeled_samples", c.unlabeled_samples, {.at_least = 0, .at_most = 1e9}, "N, unlabeled inputs");
  v.value("file", c.file, {}, "a .pt file with X, y and, if it likes, X_test, y_test, X_unlabeled");
  v.named("target", c.target, "{\"name\": NAME, parameters}");
}

template <class V>
void describe(V& v, ProjectorConfig& c) {
  v.value("source", c.source, {},
          "none, features, unlabeled, or harmonic: degrees <= k in closed form, rank n_k, k = 0, 1, 2");
  v.value("rank", c.rank, {.at_least = 0, .at_most = 1e7}, "r; 0 stands for n_1 = d + 1");
  v.value("population_degree", c.population_degree, {.at_least = -1, .at_most = 2},
          "k: record R1 and R2 in population too, by the harmonic projector of degree k; -1: no");
}

template <class V>
void describe(V& v, R1Config& c) {
  v.value("points", c.points, {},
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
  v.named("schedule", c.schedule, "of eta: {\"name\": NAME, parameters}", "constant");
  v.named("update", c.update, "NAME or {\"name\": NAME, parameters}");
  v.value("keep_best", c.keep_best, {}, "true: best.pt holds W at the record with the least test loss");
  v.value("kernel", c.kernel, {}, "keep tables, recompute them, or the plain form");
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
  v.raw_where_given("regularizers", c.regularizers.written,
                    "{NAME: weight, or NAME: {\"weight\": weight, parameters}}, added to those of lambda");
  v.named("loss", c.loss, "NAME or {\"name\": NAME, parameters}");
  v.raw_where_given("observables", c.observables.written,
                    "[NAME or {\"name\": NAME, parameters}, ...], columns of metrics.csv; a regularizer's name too");
  v.object("train", c.train);
  v.value("seed", c.seed, {}, "of inputs, W0, target and noise, each with numbers of its own");
  v.value("dtype", c.dtype, {}, "float32 or float64");
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

/// f* for the configuration's dimension, law and seed.
Target make_target(const RunConfig& config);
/// The regularizers with their weights and, with weight 0, those that observables asks for; then what else it
/// asks for. Columns have the names. @throws InputError as their makers do.
std::vector<Term> make_named_terms(const RunConfig& config, const Setting& setting);
std::vector<Observable> make_observables(const RunConfig& config, const Setting& setting);
std::array<double, 4> read_lambda(const std::vector<double>& lambda, const std::string& source);

/// As Trainer and Network want them.
DescentOptions descent_options(const RunConfig& config);
KernelOptions kernel_options(const RunConfig& config);
/// kMeta: to know a module's shapes without its weights, which may not fit.
NetworkOptions network_options(const RunConfig& config, c10::Device device = c10::kCPU);

}  // namespace entk
