#include "entk/models/entries.h"

namespace entk {

const std::vector<ActivationEntry>& built_in_activations() {
  static const std::vector<Parameter> shift = {{"shift", 0.0}};
  static const std::vector<ActivationEntry> all = {
      {"sigmoid", "1/(1 + e^(shift - z)), the paper's", shift, [](const Parameters& p) { return sigmoid(p["shift"]); }},
      {"tanh", "tanh(z - shift)", shift, [](const Parameters& p) { return tanh(p["shift"]); }},
      {"erf", "erf(z)", {}, [](const Parameters&) { return erf(); }},
      {"softplus", "log(1 + e^z)", {}, [](const Parameters&) { return softplus(); }},
      {"gelu", "z Phi(z)", {}, [](const Parameters&) { return gelu(); }},
      {"silu", "z/(1 + e^(-z))", {}, [](const Parameters&) { return silu(); }},
      {"relu", "max(z, 0)", {}, [](const Parameters&) { return relu(); }},
      {"polynomial",
       "sum of coefficients[j] z^j",
       {{"coefficients", nullptr, {}, "from degree 0"}},
       [](const Parameters& p) { return polynomial(p.get<std::vector<double>>("coefficients")); }}};
  return all;
}

const std::vector<ModelEntry>& built_in_models() {
  static const std::vector<ModelEntry> all = {
      {"two_layer",
       "f(x;W) of (1), its W0 and a as model.initialisation says",
       {},
       [](const Parameters&, const ModelSetting& s) { return torch::nn::AnyModule(Network(s)); }}};
  return all;
}

}  // namespace entk
