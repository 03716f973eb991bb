#include "entk/tools/evaluate.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "entk/base/check.h"
#include "entk/kernels/shard.h"
#include "entk/base/threads.h"
#include "entk/config/precision.h"
#include "entk/config/run_config.h"
#include "entk/runs/problem.h"
#include "entk/regularizers/regularizers.h"
#include "entk/train/bound_objective.h"

namespace entk {

namespace {

struct EvaluateConfig {
  std::optional<Activation> activation;
  std::optional<ModelConfig> model;  ///< of a module, in place of the activation
  ProjectorSource source = ProjectorSource::features;
  std::int64_t rank = 0;
  std::array<double, 4> lambda{};
  Loss loss = square_loss();
  at::ScalarType dtype = at::kDouble;
  c10::Device device = c10::kCPU;
};

EvaluateConfig read_config(const nlohmann::json& json, const std::string& source, const Catalogue& catalogue) {
  const JsonReader reader(json, source);
  EvaluateConfig c;
  if (reader.has("model")) {
    c.model.emplace();
    SchemaReader schema(reader.object("model"), catalogue);
    describe(schema, *c.model);
  } else {
    c.activation = *Named<Activation>(catalogue.shelf<ActivationEntry>().entries(), reader.any("activation"), source,
                                      "activation");
  }
  const auto projector = reader.object("projector");
  c.source = from_word<ProjectorSource>(projector, "source");
  if (c.source == ProjectorSource::none) projector.fail("source", "features, unlabeled or harmonic");
  c.rank = projector.get<std::int64_t>("rank", {.at_least = 1});
  c.lambda = read_lambda(reader.get_or<std::vector<double>>("lambda", {0, 0, 0, 0}), source);
  if (reader.has("loss")) {
    auto loss = reader.any("loss");
    // The parameter may stand beside the name.
    if (loss.is_string() && reader.has("delta")) {
      loss = {{"name", loss}, {"delta", reader.any("delta")}};
    }
    c.loss = *Named<Loss>(catalogue.shelf<LossEntry>().entries(), loss, source, "loss");
  }
  if (reader.has("dtype")) c.dtype = from_word<at::ScalarType>(reader, "dtype");
  c.device = pick_device(reader.get_or<std::string>("device", "cpu"));
  reader.finish();
  check_precision(json, c.dtype, source);
  return c;
}

std::vector<double> as_list(const at::Tensor& t) {
  const auto values = t.detach().to(at::kCPU, at::kDouble).contiguous();
  const double* first = values.const_data_ptr<double>();
  return {first, first + values.numel()};
}

class Inputs {
 public:
  Inputs(const TensorDict& tensors, const EvaluateConfig& config) : tensors_(tensors), config_(config) {}
  at::Tensor operator()(const char* name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end())
      throw InputError(fmt::format("input: expected a tensor '{}', which is not there", name));
    check_floating(name, found->second);
    return found->second.to(config_.device, config_.dtype);
  }

 private:
  const TensorDict& tensors_;
  const EvaluateConfig& config_;
};

/// The module that the configuration names, with the tensors start.NAME for its own, at W.
ExpandedModule module_at(const Inputs& in, const EvaluateConfig& config, const at::Tensor& x, const at::Tensor& w) {
  const auto& m = *config.model;
  const auto made = m.kind.make({.dimension = x.size(1),
                                 .width = m.width,
                                 .activation = *m.activation,
                                 .initialisation = m.initialisation,
                                 .dtype = config.dtype});
  if (made.is_empty() || std::dynamic_pointer_cast<NetworkImpl>(made.ptr())) {
    throw InputError(
        fmt::format("model.kind: expected a module, got {}: a two-layer network is said by activation, W0 "
                    "and a",
                    m.kind.name()));
  }
  made.ptr()->to(config.device, config.dtype);
  const at::NoGradGuard no_grad;
  const auto take = [&](const auto& named) {
    for (const auto& item : named) {
      const auto name = "start." + item.key();
      const auto given = in(name.c_str());
      if (given.sizes() != item.value().sizes()) {
        throw InputError(
            fmt::format("{}: expected shape {}, got {}", name, shape_text(item.value()), shape_text(given)));
      }
      check_finite(name, given);
      at::Tensor(item.value()).copy_(given);
    }
  };
  take(made.ptr()->named_parameters());
  take(made.ptr()->named_buffers());
  const bool pair = m.initialisation == Initialisation::symmetric;
  ExpandedModule module(point_module(made), pair ? ModuleStartKind::pair : ModuleStartKind::plain);
  check_vector("W", w, module->displacement().numel());
  at::Tensor(module->displacement()).copy_(w);
  return module;
}

/// Of a module: R4 and harmonic projectors need neurons.
void check_without_neurons(const EvaluateConfig& config, const std::string& source) {
  for (const auto& [key, needs] : {std::pair{"lambda.4: R4", config.lambda[3] != 0},
                                   {"projector.source: harmonic", config.source == ProjectorSource::harmonic}}) {
    if (needs)
      throw InputError(fmt::format("{}: {} needs a two-layer network's neurons, which a module has not", source, key));
  }
}

/// What `model` says of the run's own model, where its loss is another than this one's, of f_L + f_Q.
std::string other_model(const ModelConfig& m) {
  std::vector<std::string> keys;
  if (m.order != 2) keys.push_back("order");
  if (!m.linear_term) keys.push_back("linear_term");
  if (m.whole_network) keys.push_back("whole_network");
  if (m.initialisation == Initialisation::plain && m.initial_output) keys.push_back("initial_output");
  if (keys.empty()) return "";
  return fmt::format("model.{}: no effect: loss, regularized_loss and gradient are those of f_L + f_Q, without f(x;0)",
                     fmt::join(keys, ", model."));
}

void check_result(const char* name, const at::Tensor& value) {
  if (!at::isfinite(value).all().item<bool>()) throw NotFiniteError(fmt::format("{}: the result is not finite", name));
}

}  // namespace

EvaluateResult evaluate_tensors(const TensorDict& tensors, const nlohmann::json& json, const std::string& source,
                                bool with_gradient, const Catalogue& catalogue) {
  const SerialTorch serial;
  const auto config = read_config(json, source, catalogue);
  const Inputs in(tensors, config);
  const auto w = in("W"), x = in("X"), y = in("y");
  Network network(nullptr);
  TaylorModel model(nullptr), whole(nullptr);  // of a module, whole is itself
  EvaluateResult result;
  if (config.model) {
    check_without_neurons(config, source);
    check_matrix("X", x, -1, -1);
    const auto module = module_at(in, config, x, w);
    const bool pair = module->kind() == ModuleStartKind::pair;
    model = TaylorModel(module, {.initial_output = false, .pair = pair});
    whole = TaylorModel(module, {.pair = pair, .whole_network = true});
  } else {
    for (const auto& [name, tensor] : tensors) {
      if (name.starts_with("start."))
        throw InputError(
            fmt::format("{}: model: expected the key, as in the run's config.json: the tensor '{}' is of a "
                        "module",
                        source, name));
    }
    const auto w0 = in("W0"), a = in("a");
    check_matrix("W0", w0, -1, -1);
    check_vector("a", a, w0.size(0));
    check_matrix("W", w, w0.size(0), w0.size(1));
    check_matrix("X", x, -1, w0.size(1));
    check_finite("W0", w0);
    check_finite("a", a);
    network = Network(w0, a, *config.activation);
    {
      const at::NoGradGuard no_grad;
      network->w.copy_(w);
    }
    model = TaylorModel(network, TaylorModelOptions{.initial_output = false});
  }
  check_vector("y", y, x.size(0));
  const auto regularizers = [&] {
    if (config.source == ProjectorSource::harmonic) {
      const auto sigma = HarmonicProjector::make(network, config.rank);
      result.warnings = sigma.warnings();
      const double d = static_cast<double>(x.size(1));
      if ((x.to(at::kDouble).square().sum(1) / d - 1).abs().max().item<double>() > 1e-3)
        result.warnings.push_back(off_the_sphere);
      result.values["population_truncation"] = sigma.form().truncation.trace;
      return paper_regularizers(sigma, x, config.lambda);
    }
    const auto& of = model->expanded();
    const auto sigma = config.source == ProjectorSource::features
                           ? SigmaProjector::from_features(of, x, config.rank)
                           : SigmaProjector::from_unlabeled(of, in("X_unlabeled"), config.rank);
    result.warnings = sigma.warnings();
    return paper_regularizers(sigma, of, x, config.lambda);
  }();
  if (config.model) {
    if (auto note = other_model(*config.model); !note.empty()) result.warnings.push_back(std::move(note));
  } else {
    const auto [lowest, highest] = argument_range(x, network->w0);
    if (auto two = assumption_two(*config.activation, lowest, highest); !two.holds) {
      result.warnings.push_back(std::move(two.warning));
    }
  }
  const Objective objective = Objective(config.loss) + regularizers;
  const BoundObjective bound(model, objective, {x, y}, {.mode = KernelMode::recompute});
  const auto terms = bound.primitive()->terms(w);
  const auto n = x.size(0);
  const auto values = bound.values(terms, w);
  const auto gradient = bound.gradient(w, bound.evaluate(terms, w));
  const auto f = (config.model ? whole(x) : network->forward(x)).detach();

  const auto f_linear = terms[0].narrow(0, 0, n), f_quadratic = terms[1].narrow(0, 0, n);
  check_result("f", f);
  check_result("f_L", f_linear);
  check_result("f_Q", f_quadratic);
  check_result("gradient", gradient);
  auto& out = result.values;
  out["f"] = as_list(f);
  out["f_L"] = as_list(f_linear);
  out["f_Q"] = as_list(f_quadratic);
  const auto put = [&](const char* name, double value) {
    if (!std::isfinite(value)) throw NotFiniteError(fmt::format("{}: the result is not finite", name));
    out[name] = value;
  };
  for (int i = 0; i < (config.model ? 3 : 4); ++i)
    put(fmt::format("R{}", i + 1).c_str(), values.terms[i].item<double>());
  put("loss", values.loss.item<double>());
  put("regularized_loss", values.regularized.item<double>());
  put("gradient_norm", neuron_norm(gradient));
  if (with_gradient) {
    auto rows = nlohmann::json::array();
    for (std::int64_t r = 0; !config.model && r < gradient.size(0); ++r) rows.push_back(as_list(gradient[r]));
    out["gradient"] = config.model ? nlohmann::json(as_list(gradient)) : std::move(rows);
  }
  return result;
}

}  // namespace entk
