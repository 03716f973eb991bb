#include "entk/models/entries.h"

#include <algorithm>
#include <cmath>

#include "entk/models/convolutional_network.h"
#include "entk/models/mlp.h"

namespace entk {

namespace {

torch::nn::AnyModule make_mlp(const Parameters& p, const ModelSetting& s) {
  const auto depth = p.get<std::int64_t>("depth");
  std::vector<std::int64_t> widths(depth, s.width);
  if (p.has("widths")) {
    widths = p.get<std::vector<std::int64_t>>("widths");
    if (static_cast<std::int64_t>(widths.size()) != depth) {
      p.reader().fail("widths", std::to_string(depth) + " numbers, one for each of depth hidden layers");
    }
  }
  return torch::nn::AnyModule(
      Mlp(MlpOptions{.dimension = s.dimension,
                     .widths = std::move(widths),
                     .activation = s.activation,
                     .parameterisation = p.get<std::string>("parameterisation") == "ntk" ? Parameterisation::ntk
                                                                                         : Parameterisation::standard,
                     .biases = p.get<bool>("biases"),
                     .seed = s.seed,
                     .dtype = s.dtype,
                     .device = s.device}));
}

torch::nn::AnyModule make_convolutional(const Parameters& p, const ModelSetting& s) {
  const auto side = std::llround(std::sqrt(static_cast<double>(s.dimension)));
  std::vector<std::int64_t> shape{1, side, side};
  if (p.has("shape")) shape = p.get<std::vector<std::int64_t>>("shape");
  if (shape.size() != 3 || shape[0] * shape[1] * shape[2] != s.dimension) {
    throw InputError(p.reader().path("shape") + ": expected [channels, height, width] whose product is d = " +
                     std::to_string(s.dimension) + "; without it d is the square of an image's side");
  }
  ConvolutionalOptions options{.input_channels = shape[0],
                               .height = shape[1],
                               .width = shape[2],
                               .blocks = p.get<std::int64_t>("blocks"),
                               .channels = p.get<std::int64_t>("channels"),
                               .seed = s.seed,
                               .dtype = s.dtype,
                               .device = s.device};
  if (std::min(shape[1], shape[2]) >> options.blocks < 1) {
    throw InputError(p.reader().path("blocks") + ": expected so many that " + std::to_string(shape[1]) + " by " +
                     std::to_string(shape[2]) + " pixels are halved so often, got " + std::to_string(options.blocks));
  }
  return torch::nn::AnyModule(ConvolutionalNetwork(options));
}

}  // namespace

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
       [](const Parameters&, const ModelSetting& s) { return torch::nn::AnyModule(Network(s)); }},
      {"mlp",
       "fully connected with model.activation, all of its parameters trained",
       {{"depth", 2, {.at_least = 1, .at_most = 1000}, "hidden layers, each of model.width"},
        {"widths", nullptr, {.at_least = 1, .at_most = 1e9}, "of the hidden layers, in place of model.width"},
        {"parameterisation",
         "ntk",
         {.one_of = {"ntk", "standard"}},
         "weights N(0, 1) over sqrt(fan-in), or N(0, 1/fan-in)"},
        {"biases", false, {}, "true: zero at first, and trained"}},
       make_mlp},
      {"convolutional",
       "Appendix G's: blocks of 3x3 convolution, ReLU and 2x2 average pool, then a linear layer",
       {{"shape", nullptr, {.at_least = 1, .at_most = 1e7}, "[channels, height, width] of an input; without: a square"},
        {"blocks", 3, {.at_least = 1, .at_most = 30}},
        {"channels", 64, {.at_least = 1, .at_most = 1e6}, "of every block"}},
       make_convolutional}};
  return all;
}

}  // namespace entk
