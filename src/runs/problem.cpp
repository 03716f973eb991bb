#include "entk/runs/problem.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/device.h"
#include "entk/base/group.h"
#include "entk/base/sphere.h"
#include "entk/runs/memory.h"
#include "entk/spectrum/legendre.h"

namespace entk {

namespace {

/// x → ±1.
Target signs_of(const Target& target) {
  Target signs;
  signs.value = [value = target.value](const at::Tensor& x) {
    const auto f = value(x);
    return at::where(f >= 0, at::ones_like(f), -at::ones_like(f));
  };
  signs.description = "the sign of " + target.description;
  signs.second_moment = 1;
  return signs;
}

/// Sizes that a data file decides. @throws InputError for a projector that its points do not allow.
void fill_sizes(RunConfig& c, const DataSet& data) {
  c.data.dimension = data.train.x.size(1);
  c.data.samples = data.train.x.size(0);
  c.data.test_samples = data.test.x.defined() ? data.test.x.size(0) : 0;
  c.data.unlabeled_samples = data.unlabeled.defined() ? data.unlabeled.size(0) : 0;
  if (c.projector.source == ProjectorSource::none) return;
  if (c.projector.rank == 0) c.projector.rank = c.data.dimension + 1;
  if (c.projector.source == ProjectorSource::harmonic) {  // its rank is bounded by no points
    harmonic_degree(c.data.dimension, c.projector.rank);
    return;
  }
  const bool unlabeled = c.projector.source == ProjectorSource::unlabeled;
  for (const auto& [key, wants] :
       {std::pair{"projector.source", unlabeled}, {"r1.points", c.r1.points == R1Points::unlabeled}}) {
    if (wants && !data.unlabeled.defined()) {
      throw InputError(fmt::format("{}: unlabeled needs X_unlabeled in the data file", key));
    }
  }
  if (const auto points = unlabeled ? c.data.unlabeled_samples : c.data.samples; c.projector.rank > points) {
    throw InputError(fmt::format("projector.rank: expected at most {}, the number of its points in {}, got {}", points,
                                 c.data.file, c.projector.rank));
  }
}

}  // namespace

nlohmann::json data_checksums(const DataSet& data) {
  auto checksums = nlohmann::json::object();
  for (const auto& [name, tensor] : {std::pair{"X", data.train.x},
                                     {"y", data.train.y},
                                     {"X_test", data.test.x},
                                     {"y_test", data.test.y},
                                     {"X_unlabeled", data.unlabeled}}) {
    if (!tensor.defined()) continue;
    const auto sum = checksum({{name, tensor.contiguous()}});
    const auto* half = sum.const_data_ptr<std::int64_t>();
    checksums[name] =
        fmt::format("{:016x}{:016x}", static_cast<std::uint64_t>(half[1]), static_cast<std::uint64_t>(half[0]));
  }
  return checksums;
}

RunConfig with_file_sizes(const RunConfig& config) {
  auto filled = config;
  if (!config.data.loaded()) return filled;
  const auto data = config.data.source->load(config.data.file);
  fill_sizes(filled, data);
  if (config.model.kernel != ModelKernel::none) return filled;
  const auto& of = config.data.file.empty() ? data.target : config.data.file;
  for (const auto& [name, y] : {std::pair{"y", data.train.y}, {"y_test", data.test.y}}) {
    if (y.defined()) check_targets(fmt::format("{}: {}", of, name), *config.loss, y.to(config.dtype));
  }
  return filled;
}

Problem make_problem(const RunConfig& config, c10::Device device) {
  Problem p;
  p.config = config;
  if (config.data.loaded()) {
    p.data = config.data.source->load(config.data.file);
    p.file_checksums = data_checksums(p.data);
    fill_sizes(p.config, p.data);
    const auto& c = p.config.data;
    p.notices.push_back(fmt::format(
        "{}: d = {}, {} inputs, {} test inputs, {} unlabeled; the keys data.dimension, data.samples, "
        "data.test_samples, data.unlabeled_samples and data.target have no effect",
        c.file.empty() ? p.data.target : c.file, c.dimension, c.samples, c.test_samples, c.unlabeled_samples));
  } else {
    const auto target = make_target(config);
    const auto& c = config.data;
    p.data = draw_data(*c.source,
                       {.dimension = c.dimension,
                        .samples = c.samples,
                        .test_samples = c.test_samples,
                        .unlabeled_samples = c.unlabeled_samples,
                        .seed = config.seed},
                       config.loss->classification ? signs_of(target) : target);
    if (p.data.given) {
      p.notices.push_back(fmt::format("data source {}: y is its own; data.target has no effect", c.source.name()));
    } else {
      p.directions = target.directions;
      if (p.directions.empty() && target.sparse) p.directions = target.sparse->betas;
      if (config.loss->classification) {
        p.notices.push_back(
            fmt::format("the {} loss needs labels ±1: they are the signs of the target", config.loss->name));
      }
    }
  }
  p.data = p.data.to(device, config.dtype);
  auto model = p.config.model.kind.make(network_options(p.config));
  if (model.is_empty()) throw InputError("model.kind: expected a maker of a module, got one of nothing");
  if (const auto network = std::dynamic_pointer_cast<NetworkImpl>(model.ptr())) {
    network->to(device);
    p.w0 = network->w0;
    p.a = network->a;
    p.activation = network->activation();
    const auto [lowest, highest] = argument_range(p.data.train.x, p.w0);
    if (auto report = assumption_two(*p.activation, lowest, highest); !report.holds) {
      p.notices.push_back(std::move(report.warning));
    }
    if (!config.model.whole_network && config.model.kernel == ModelKernel::none) {
      if (auto notice = vanishing_terms(*p.activation, static_cast<int>(config.model.order), p.data.train.x, p.w0);
          !notice.empty()) {
        p.notices.push_back(std::move(notice));
      }
    }
  } else {
    const bool pair = config.model.initialisation == Initialisation::symmetric;
    const auto module = std::make_shared<ExpandedModuleImpl>(point_module(model),
                                                             pair ? ModuleStartKind::pair : ModuleStartKind::plain);
    module->to(device, config.dtype);
    p.module = module;
  }
  if (config.model.start_deviation > 0) {
    const auto sizes = p.module ? std::vector<std::int64_t>{1, p.module->displacement().numel()} : p.w0.sizes().vec();
    const double scale = config.model.start_deviation / std::sqrt(static_cast<double>(sizes[0] * sizes[1]));
    const RandomStream stream(Purpose::displacement, config.seed);
    p.start = (scale * gaussian_points(sizes[0], sizes[1], stream)).to(device, config.dtype);
    if (p.module) p.start = p.start.view(-1);
  }
  model = torch::nn::AnyModule();  // with its W
  release_free_memory();           // and of drawing in float64
  if (config.model.kernel == ModelKernel::none) make_projectors(p);
  return p;
}

std::shared_ptr<Expandable> Problem::expanded() const {
  if (module) return module->same_start();
  return std::make_shared<NetworkImpl>(SharedStart{w0, a}, *activation);
}

std::vector<std::pair<std::string, at::Tensor>> Problem::start_tensors() const {
  if (!module) return {{"W0", w0}, {"a", a}};
  auto tensors = module->start();
  for (auto& [name, tensor] : tensors) {
    name = "start." + name;
    tensor = tensor.detach();
  }
  return tensors;
}

Network Problem::network(const std::string& what) const {
  if (module) {
    throw InputError(fmt::format("{}: it needs a two-layer network's neurons, which model.kind {} has not", what,
                                 config.model.kind.name()));
  }
  return Network(SharedStart{w0, a}, *activation);
}

void make_projectors(Problem& p) {
  const auto of = p.expanded();
  const auto tell = [&](const std::vector<std::string>& warnings) {
    for (const auto& warning : warnings) {
      if (std::find(p.notices.begin(), p.notices.end(), warning) == p.notices.end()) p.notices.push_back(warning);
    }
  };
  const auto& [source, rank, population_degree] = p.config.projector;
  switch (source) {
    case ProjectorSource::features:
      p.sigma = SigmaProjector::from_features(*of, p.data.train.x, rank);
      break;
    case ProjectorSource::unlabeled:
      p.sigma = SigmaProjector::from_unlabeled(*of, p.data.unlabeled, rank);
      break;
    case ProjectorSource::harmonic:
      p.harmonic = HarmonicProjector::make(p.network("projector.source harmonic"), rank);
      break;
    case ProjectorSource::none:
      break;
  }
  if (population_degree >= 0) {
    const auto network = p.network("projector.population_degree");
    const auto d = static_cast<int>(network->dimension());
    const auto n_k = exact_cumulative_multiplicity(d, static_cast<int>(population_degree));
    p.population =
        p.harmonic && p.harmonic->rank() == n_k ? p.harmonic : HarmonicProjector::make(network, n_k.value_or(0));
  }
  if (p.sigma) tell(p.sigma->warnings());
  for (const auto* made : {&p.harmonic, &p.population}) {
    if (*made) tell((*made)->warnings());
  }
  if ((p.harmonic || p.population) && p.config.data.source->law != InputLaw::sphere) tell({off_the_sphere});
}

TaylorModel make_model(const Problem& p) {
  if (p.config.model.kernel != ModelKernel::none) {
    throw InputError(
        fmt::format("model.kernel: {} is fitted in closed form; what trains a model, or looks around its W, "
                    "needs none",
                    word_of(p.config.model.kernel)));
  }
  const TaylorModelOptions options{.order = static_cast<int>(p.config.model.order),
                                   .linear_term = p.config.model.linear_term,
                                   .initial_output = p.config.model.initial_output,
                                   .pair = p.module && p.module->kind() == ModuleStartKind::pair,
                                   .whole_network = p.config.model.whole_network};
  const auto of = p.expanded();
  if (p.start.defined()) {
    const at::NoGradGuard no_grad;
    at::Tensor(of->displacement()).copy_(p.start);
  }
  if (p.module) return TaylorModel(ExpandedModule(std::static_pointer_cast<ExpandedModuleImpl>(of)), options);
  return TaylorModel(Network(std::static_pointer_cast<NetworkImpl>(of)), options);
}

void check_can_be_shared(const RunConfig& c) {
  if (group().size() == 1) return;
  const auto refuse = [](const char* key, const std::string& got) {
    throw InputError(fmt::format("{}: one run over {} processes does not have {} yet", key, group().size(), got));
  };
  if (!pick_device(c.device).is_cpu() && c.dtype != at::kFloat) refuse("dtype on a GPU", "float64");
  if (c.model.kind.name() != "two_layer") refuse("model.kind", c.model.kind.name());
  if (c.model.whole_network) refuse("model.whole_network", "true");
  if (c.model.kernel != ModelKernel::none) refuse("model.kernel", word_of(c.model.kernel));
  if (c.model.initialisation != Initialisation::symmetric) {
    refuse("model.initialisation", word_of(c.model.initialisation));
  }
  if (c.model.start_deviation != 0) refuse("model.start_deviation", fmt::format("{}", c.model.start_deviation));
  // Others sum over W by sums of their own, as L-BFGS's inner products are: not by the tree, nor over processes.
  if (const auto rule = descent_options(c).update; rule.optimizer && !rule.of_entries) {
    refuse("train.update", c.train.update.name());
  }
  if (c.train.kernel == KernelMode::reference) refuse("train.kernel", word_of(c.train.kernel));
}

void check_can_be_shared(const Objective& objective) {
  if (group().size() == 1) return;
  for (const auto& term : objective.terms) {
    if (term.reads == TermReads::vectors || (term.reads == TermReads::displacement && term.sums_over_neurons)) continue;
    throw InputError(
        fmt::format("regularizers.{}: one run over {} processes has terms of the vectors, and of W those that are sums "
                    "over neurons "
                    "(neuron_regularizer); this one is of the whole {}",
                    term.name, group().size(), term.reads == TermReads::model ? "model" : "W"));
  }
}

void check_can_be_shared(const std::vector<Observable>& observables) {
  if (group().size() == 1) return;
  for (const auto& o : observables) {
    if (o.of_all_neurons) continue;
    throw InputError(
        fmt::format("observables: one run over {} processes has those whose values are of all neurons "
                    "(Observable::of_all_neurons), "
                    "whatever rows of W a process has; {} is not declared as one",
                    group().size(), fmt::join(o.columns, ", ")));
  }
}

Setting make_setting(const Problem& p, const TaylorModel& model) {
  Setting s;
  s.dimension = p.data.train.x.size(1);
  s.law = p.data.law;
  s.seed = p.config.seed;
  s.model = model;
  s.data = p.data;
  s.sigma = p.sigma;
  s.harmonic = p.harmonic;
  s.directions = p.directions;
  return s;
}

Objective make_objective(const Problem& p, const TaylorModel& model) {
  const Objective objective = *p.config.loss;
  const auto weights = read_lambda(p.config.lambda, "config");
  auto whole = p.sigma      ? objective + paper_regularizers(*p.sigma, model->expanded(), p.data.train.x, weights)
               : p.harmonic ? objective + paper_regularizers(*p.harmonic, p.data.train.x, weights)
                            : objective + weights[3] * R4();
  const auto& r1 = p.config.r1;
  if (p.sigma && r1.points == R1Points::fresh) {
    whole.terms[0] =
        weights[0] * R1_fresh(*p.sigma, [source = *p.config.data.source, rows = r1.samples,
                                         columns = p.data.train.x.size(1), seed = p.config.seed](std::int64_t step) {
          const RandomStream stream(Purpose::fresh_inputs, seed, static_cast<std::uint32_t>(step));
          return draw_samples(source, rows, columns, stream).x;
        });
  } else if (p.sigma && r1.points == R1Points::unlabeled) {
    whole.terms[0] = weights[0] * R1_at(*p.sigma, model->expanded(), p.data.unlabeled);
  }
  if (p.population) {
    for (auto term : {R1(*p.population), R2(*p.population)}) {
      term.name = "population_" + term.name;
      whole = whole + 0.0 * term;
    }
  }
  return whole + make_named_terms(p.config, make_setting(p, model));
}

std::string ProblemCache::key(const RunConfig& config) {
  auto json = to_json(config);
  return nlohmann::json{json["model"], json["data"],  json["projector"],
                        json["seed"],  json["dtype"], config.loss->classification}
      .dump();
}

std::shared_ptr<ProblemCache::Entry> ProblemCache::entry(const std::string& key) {
  const std::lock_guard lock(mutex_);
  auto& entry = entries_[key];
  if (!entry) entry = std::make_shared<Entry>();
  return entry;
}

std::shared_ptr<const Problem> ProblemCache::problem(const RunConfig& config, c10::Device device) {
  const auto found = entry(key(config));
  const std::lock_guard lock(found->mutex);
  if (!found->problem) found->problem = std::make_shared<const Problem>(make_problem(config, device));
  // The tensors are shared; what else the run is asked for is its own.
  auto own = std::make_shared<Problem>(*found->problem);
  own->config = config;
  own->config.data = found->problem->config.data;
  own->config.projector = found->problem->config.projector;
  return own;
}

std::shared_ptr<const Primitive> ProblemCache::primitive(const std::string& key, const TaylorModelImpl& model,
                                                         const at::Tensor& x, const PrimitiveOptions& options) {
  const auto found = entry(key);
  const std::lock_guard lock(found->mutex);
  for (const auto& made : found->primitives) {
    if (made.options == options && made.points.sizes() == x.sizes() && at::equal(made.points, x)) return made.primitive;
  }
  found->primitives.push_back({x, options, model.primitive(x, options)});
  return found->primitives.back().primitive;
}

void ProblemCache::forget(const std::string& key) {
  const std::lock_guard lock(mutex_);
  entries_.erase(key);
}

}  // namespace entk
