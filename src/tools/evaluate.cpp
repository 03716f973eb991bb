#include "entk/tools/evaluate.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

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
  c.activation =
      *Named<Activation>(catalogue.shelf<ActivationEntry>().entries(), reader.any("activation"), source, "activation");
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

void check_result(const char* name, const at::Tensor& value) {
  if (!at::isfinite(value).all().item<bool>()) throw NotFiniteError(fmt::format("{}: the result is not finite", name));
}

}  // namespace

EvaluateResult evaluate_tensors(const TensorDict& tensors, const nlohmann::json& json, const std::string& source,
                                bool with_gradient, const Catalogue& catalogue) {
  const SerialTorch serial;
  const auto config = read_config(json, source, catalogue);
  const Inputs in(tensors, config);
  const auto w0 = in("W0"), a = in("a"), w = in("W"), x = in("X"), y = in("y");
  check_matrix("W0", w0, -1, -1);
  check_vector("a", a, w0.size(0));
  check_matrix("W", w, w0.size(0), w0.size(1));
  check_matrix("X", x, -1, w0.size(1));
  check_vector("y", y, x.size(0));
  check_finite("W0", w0);
  check_finite("a", a);
  Network network(w0, a, *config.activation);
  {
    const at::NoGradGuard no_grad;
    network->w.copy_(w);
  }
  TaylorModel model(network, TaylorModelOptions{.initial_output = false});
  EvaluateResult result;
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
    const auto sigma = config.source == ProjectorSource::features
                           ? SigmaProjector::from_features(network, x, config.rank)
                           : SigmaProjector::from_unlabeled(network, in("X_unlabeled"), config.rank);
    result.warnings = sigma.warnings();
    return paper_regularizers(sigma, *network, x, config.lambda);
  }();
  if (const auto [lowest, highest] = argument_range(x, w0); true) {
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
  const auto f = network->forward(x).detach();

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
  for (int i = 0; i < 4; ++i) put(fmt::format("R{}", i + 1).c_str(), values.terms[i].item<double>());
  put("loss", values.loss.item<double>());
  put("regularized_loss", values.regularized.item<double>());
  put("gradient_norm", neuron_norm(gradient));
  if (with_gradient) {
    auto rows = nlohmann::json::array();
    for (std::int64_t r = 0; r < gradient.size(0); ++r) rows.push_back(as_list(gradient[r]));
    out["gradient"] = std::move(rows);
  }
  return result;
}

}  // namespace entk
