// Tensors of the wrong shape, type or value: what is thrown names the argument, what was wanted and what came.
#include <gtest/gtest.h>
#include <torch/optim/sgd.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "entk/kernels/shard.h"
#include "entk/data/dataset.h"
#include "entk/kernels/taylor_function.h"
#include "entk/kernels/network_function.h"
#include "entk/kernels/noise.h"
#include "entk/kernels/reference.h"
#include "entk/kernels/cpu/relu_descent.h"
#include "entk/models/mlp.h"
#include "entk/models/model_file.h"
#include "entk/models/taylor_expansion.h"
#include "entk/regularizers/regularizers.h"
#include "entk/spectrum/activation_spectrum.h"
#include "entk/spectrum/empirical_ntk.h"
#include "entk/spectrum/feature_kernel.h"
#include "entk/spectrum/kernel_regression.h"
#include "entk/spectrum/legendre.h"
#include "entk/spectrum/top_eigenpairs.h"
#include "entk/theory/expressive_solution.h"
#include "entk/theory/landscape.h"
#include "entk/train/trainer.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/modules.h"
#include "tests/support/testing.h"

namespace entk::misuse_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone
using torch::Tensor;

constexpr std::int64_t d = 5, m = 12, n = 23;

struct Misuse {
  const char* what;
  std::function<void()> act;
  std::vector<std::string> says;
};

void expect_refused(const std::vector<Misuse>& all) {
  for (const auto& misuse : all) {
    SCOPED_TRACE(misuse.what);
    try {
      misuse.act();
      ADD_FAILURE() << "nothing thrown";
    } catch (const InputError& e) {
      for (const auto& part : misuse.says) {
        EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << "no '" << part << "' in: " << e.what();
      }
    } catch (const std::exception& e) {
      ADD_FAILURE() << "no InputError: " << std::string(e.what()).substr(0, 200);
    }
  }
}

struct Setting {
  Network network = float64_network(d, m, Initialisation::symmetric);
  TaylorModel model{network};
  Tensor x = random_matrix(n, d, 1), y = random_matrix(n, 1, 2).squeeze(1), w = random_matrix(m, d, 3);
  Tensor single = torch::zeros({m, d}), turned = torch::zeros({d, m}, torch::kFloat64);  // the same count of numbers
  Tensor longer = torch::zeros({n + 1}, torch::kFloat64);
  Tensor hole = [this] {
    auto t = x.clone();
    t[3][1] = NAN;
    return t;
  }();
  SigmaProjector sigma = SigmaProjector::from_features(network, x, 6);
  HarmonicProjector harmonic = HarmonicProjector::make(network, 6);
};

TEST(Misuse, OfThePrimitive) {
  const Setting s;
  for (const auto mode : {KernelMode::keep, KernelMode::recompute, KernelMode::reference}) {
    const auto p = make_primitive(*s.network, s.x, {.mode = mode});
    const auto g = torch::zeros({2, n}, torch::kFloat64), wrong_g = torch::zeros({3, n}, torch::kFloat64);
    const auto stepper = p->stepper(s.w);
    expect_refused(
        {{"terms", [&] { p->terms(s.turned); }, {"w: expected", "[12, 5]", "[5, 12]"}},
         {"terms' type", [&] { p->terms(s.single); }, {"w: expected the type", "Double", "Float"}},
         {"terms of nothing", [&] { p->terms(Tensor()); }, {"w: expected", "nothing"}},
         {"pull_back's w", [&] { p->pull_back(s.turned, g); }, {"w: expected", "[5, 12]"}},
         {"pull_back's cotangents",
          [&] { p->pull_back(s.w, wrong_g); },
          {"cotangents: expected", "[2, 23]", "[3, 23]"}},
         {"terms_along", [&] { p->terms_along(s.w, s.turned); }, {"v: expected", "[5, 12]"}},
         {"pull_back_along", [&] { p->pull_back_along(s.w, s.w, g); }, {"cotangents: expected", "[3, 23]", "[2, 23]"}},
         {"stepper", [&] { p->stepper(s.turned); }, {"w: expected", "[5, 12]"}},
         {"a step's w", [&] { stepper->step(s.turned, g, {}); }, {"w: expected", "[5, 12]"}},
         {"a step's cotangents",
          [&] { stepper->step(s.w.clone(), wrong_g, {}); },
          {"cotangents: expected", "[3, 23]"}}});
  }
  const auto functions = s.network->activation();
  expect_refused(
      {{"network_output",
        [&] { network_output(functions, s.x, s.network->w0, s.network->a, s.turned); },
        {"w: expected", "[5, 12]"}},
       {"noise_like", [&] { kernels::noise_like(at::zeros({2, 3, 4}), {1, 1, 1.0}); }, {"w: expected", "[2, 3, 4]"}},
       {"noise_like of nothing", [] { kernels::noise_like({}, {1, 1, 1.0}); }, {"w: expected"}},
       {"relu_output", [&] { relu_output(s.x, relu_start(d + 1, m, 1)); }, {"w: expected", "[any, 5]"}},
       {"neuron_norm", [] { neuron_norm({}); }, {"nothing"}}});
}

TEST(Misuse, OfModelsAndData) {
  const Setting s;
  Target square{"own", [](const Tensor& x) { return x * x; }, NAN};
  const auto target = figure1_target(d, InputLaw::sphere, 1);
  expect_refused(
      {{"forward", [&] { s.model.ptr()->forward(s.x.narrow(1, 0, 4)); }, {"x: expected", "[any, 5]", "[23, 4]"}},
       {"initial_output", [&] { s.network->initial_output(s.x.narrow(1, 0, 4)); }, {"x: expected", "[23, 4]"}},
       {"argument_range", [&] { argument_range(s.x, s.turned); }, {"w0: expected", "[5, 12]"}},
       {"a target of n×d",
        [&] { sphere_data({.dimension = d, .samples = n}, square); },
        {"values of the target own", "length 23", "[23, 5]"}},
       {"a target's inputs", [&] { target.value(s.x.narrow(1, 0, 4)); }, {"x: expected", "[any, 5]", "[23, 4]"}},
       {"a target's type", [&] { target.value(s.x.to(torch::kFloat32)); }, {"x: expected float64", "Float"}},
       {"own targets", [&] { own_data({s.x, s.x}); }, {"y: expected a vector", "[23, 5]"}},
       {"loss", [&] { square_loss().mean(s.y, s.y.unsqueeze(1)); }, {"one shape", "[23]", "[23, 1]"}},
       {"logistic loss", [&] { logistic_loss().mean(s.y, s.y.unsqueeze(1)); }, {"one shape", "[23]", "[23, 1]"}},
       {"pseudo-Huber", [&] { pseudo_huber_loss().mean(s.y, s.y.unsqueeze(1)); }, {"one shape", "[23]", "[23, 1]"}}});
}

TEST(Misuse, OfProjectorsAndKernels) {
  const Setting s;
  const auto nan_w0 = [] {
    auto w0 = random_matrix(m, d, 1);
    w0[2][3] = NAN;
    return Network(w0, torch::ones({m}, torch::kFloat64), sigmoid(1.0));
  }();
  expect_refused(
      {{"feature_kernel", [&] { feature_kernel(*s.network, s.hole); }, {"x: entry [3, 1] is nan"}},
       {"feature_kernel's x2", [&] { feature_kernel(*s.network, s.x, s.hole); }, {"x2: entry [3, 1] is nan"}},
       {"feature_kernel's W0", [&] { feature_kernel(*nan_w0, s.x); }, {"W0: entry [2, 3] is nan"}},
       {"tiled_product", [&] { tiled_product(s.x, s.x); }, {"b: expected", "[5, any]", "[23, 5]"}},
       {"top_eigenpairs", [&] { top_eigenpairs(s.x, 2); }, {"matrix: expected", "[23, 23]", "[23, 5]"}},
       {"top_eigenpairs' count",
        [&] { top_eigenpairs(torch::eye(3, torch::kFloat64), 4); },
        {"count: expected 1 to 3, got 4"}},
       {"high", [&] { s.sigma.high(s.longer); }, {"u", "length 23", "[24]"}},
       {"low", [&] { s.sigma.low(s.x); }, {"u", "length 23", "[23, 5]"}},
       {"coefficients' type", [&] { s.sigma.coefficients(s.y.to(torch::kFloat32)); }, {"u", "Double", "Float"}},
       {"transfer", [&] { s.sigma.transfer(*s.network, s.x.narrow(1, 0, 4)); }, {"x: expected", "[any, 5]", "[23, 4]"}},
       {"restored",
        [&] {
          SigmaProjector::restored(SigmaSource::unlabeled, s.x, torch::eye(n, torch::kFloat64), torch::ones({3}));
        },
        {"eigenvalues: expected at least 23", "got 3"}},
       {"moments", [&] { s.harmonic.moments(s.turned); }, {"W: expected", "[12, 5]", "[5, 12]"}},
       {"low of W", [&] { s.harmonic.low(s.turned); }, {"W: expected", "[5, 12]"}},
       {"combine", [&] { s.harmonic.combine(s.longer); }, {"g: expected", "length 6", "[24]"}},
       {"solve", [&] { s.harmonic.solve(s.longer); }, {"g: expected", "length 6", "[24]"}},
       {"features", [&] { s.harmonic.features(s.x.narrow(1, 0, 4)); }, {"x: expected", "[23, 4]"}},
       {"population_energy", [&] { s.harmonic.population_energy(s.turned); }, {"W: expected", "[5, 12]"}},
       {"linear_solution", [&] { linear_solution(s.harmonic, s.x, s.longer); }, {"f_k: expected", "length 23", "[24]"}},
       {"linear_solution's x", [&] { linear_solution(s.harmonic, s.hole, s.y); }, {"x: entry [3, 1] is nan"}}});
}

TEST(Misuse, OfObjectivesAndTheirHessian) {
  const Setting s;
  const BoundObjective bound(s.model, square_loss() + 1.0 * R3(s.sigma), {s.x, s.y}, {});
  const ObjectiveHessian hessian(bound, s.w);
  const auto terms = bound.primitive()->terms(s.w);
  const auto identity = [](const Tensor& v) { return v; };
  expect_refused(
      {{"product", [&] { hessian.product(s.turned); }, {"v: expected", "[12, 5]", "[5, 12]"}},
       {"product's type", [&] { hessian.product(s.single); }, {"v: expected the type", "Double", "Float"}},
       {"quadratic_form", [&] { hessian.quadratic_form(s.turned); }, {"v: expected", "[5, 12]"}},
       {"Hessian's W", [&] { ObjectiveHessian(bound, s.turned); }, {"W: expected", "[5, 12]"}},
       {"evaluate's terms",
        [&] { bound.evaluate(terms.narrow(1, 0, 7), s.w); },
        {"terms: expected", "[2, 23]", "[2, 7]"}},
       {"evaluate's terms' type", [&] { bound.evaluate(terms.to(torch::kLong), s.w); }, {"terms: expected", "Long"}},
       {"evaluate's terms of nothing", [&] { bound.evaluate({}, s.w); }, {"terms: expected", "nothing"}},
       {"values' terms", [&] { bound.values(terms[0], s.w); }, {"terms: expected", "[23]"}},
       {"values' w", [&] { bound.values(terms, s.turned); }, {"w: expected", "[12, 5]", "[5, 12]"}},
       {"check_gradients' w", [&] { bound.check_gradients(terms, {}, 0); }, {"w: expected", "nothing"}},
       {"loss_of's targets",
        [&] { bound.loss_of(at::zeros({s.x.size(0)}, s.x.options()), s.longer); },
        {"targets: expected", "length 23", "[24]"}},
       {"landscape", [&] { landscape(hessian, {d, m}, s.w.options()); }, {"shape: expected W's, [12, 5], got [5, 12]"}},
       {"lemma_three",
        [&] { lemma_three(hessian, s.w, s.w, s.turned, s.w, 0, 2, 1); },
        {"solution: expected", "[5, 12]"}},
       {"Lanczos",
        [&] { lanczos_smallest([](const Tensor& v) { return v.narrow(0, 0, 2); }, {m, d}, s.w.options()); },
        {"product: expected 60 numbers", "got 10"}},
       {"Lanczos of nothing",
        [&] { lanczos_smallest(identity, {0, d}, s.w.options()); },
        {"shape: expected at least one"}},
       {"test targets",
        [&] {
          DataSet data;
          data.train = {s.x, s.y};
          data.test = {s.x, s.longer};
          Trainer(s.model, square_loss(), {.steps = 1}).fit(data);
        },
        {"y_test: expected", "length 23", "[24]"}}});
}

TEST(Misuse, AProjectorOfAnotherTypeIsSaidToBeOne) {
  Setting s;
  auto network = Network(NetworkOptions{.dimension = d, .width = m, .seed = 3});
  const auto x = s.x.to(torch::kFloat32);
  const auto older = SigmaProjector::from_features(network, x, 6);
  network->to(torch::kFloat64);
  const Samples samples{x.to(torch::kFloat64), s.y};
  expect_refused({{"R3",
                   [&] { BoundObjective(TaylorModel(network), square_loss() + 1.0 * R3(older), samples, {}); },
                   {"R3: its projector was made in Float, the training inputs are Double"}}});
}

TEST(Misuse, NumbersBeyondTheRunsTypeAreRefused) {
  const auto network = Network(NetworkOptions{.dimension = d, .width = m, .seed = 3});
  const Setting s;
  const auto x = s.x.to(torch::kFloat32), y = s.y.to(torch::kFloat32);
  const auto with_y = [&](const Loss& loss, double size) {
    BoundObjective(TaylorModel(network), loss, {x, y * size}, {});
  };
  expect_refused({{"weight",
                   [&] { BoundObjective(TaylorModel(network), square_loss() + 1e39 * R4(), {x, y}, {}); },
                   {"weight of R4", "float32", "1e+39"}},
                  {"a weight that vanishes",
                   [&] { BoundObjective(TaylorModel(network), square_loss() + 1e-50 * R4(), {x, y}, {}); },
                   {"weight of R4", "float32", "1e-50"}},
                  {"delta",
                   [&] { BoundObjective(TaylorModel(network), pseudo_huber_loss(1e-300), {x, y}, {}); },
                   {"loss.delta", "float32", "1e-300"}},
                  {"y", [&] { with_y(square_loss(), 1e30); }, {"y: entry [", "square loss", "Float"}}});
  EXPECT_NO_THROW(with_y(pseudo_huber_loss(), 1e30)) << "which is linear there";
  EXPECT_NO_THROW(with_y(square_loss(), 1e15));
  DataSet data;
  data.train = {s.x, s.y * 1e300};
  expect_refused({{"y in float64", [&] { data.to(at::kCPU, at::kFloat); }, {"y: its entry number", "float32"}}});
  DataSet tested;
  tested.train = {x, y};
  tested.test = {x, y * 1e30};
  expect_refused({{"y_test",
                   [&] { Trainer(TaylorModel(network), square_loss(), {.steps = 1}).fit(tested); },
                   {"y_test: entry [", "square loss", "Float"}}});
  tested.test = {x * 1e30, y};
  expect_refused({{"X_test",
                   [&] { Trainer(TaylorModel(network), square_loss(), {.steps = 3}).fit(tested); },
                   {"X_test: the model at point ", "beyond Float"}}});
  data.train.y = s.y * 1e-100;
  expect_refused({{"y that vanishes", [&] { data.to(at::kCPU, at::kFloat); }, {"y: all its entries", "vanish"}}});
}

TEST(Misuse, OfWhatIsNotThere) {
  const Setting s;
  const std::shared_ptr<SmallMlpImpl> no_module;
  const Network no_network(nullptr);
  const TaylorModel no_model(nullptr);
  const Samples samples{s.x, s.y};
  DataSet data;
  data.train = samples;
  const KernelFunction no_kernel;
  const std::vector<std::string> module = {"module: expected one, got none"}, network = {"network: expected one"},
                                 model = {"model: expected one, got none"}, activation = {"activation: expected one"};
  expect_refused(
      {{"TaylorModel of a module", [&] { (void)TaylorModel(no_module); }, module},
       {"taylor_expand", [&] { taylor_expand(no_module, {}, 1); }, module},
       {"check_expansion", [&] { check_expansion(no_module, s.x); }, module},
       {"empirical_ntk", [&] { empirical_ntk(no_module, s.x); }, module},
       {"TaylorModel of a network", [&] { (void)TaylorModel(no_network); }, network},
       {"from_features", [&] { SigmaProjector::from_features(no_network, s.x, 3); }, network},
       {"from_unlabeled", [&] { SigmaProjector::from_unlabeled(no_network, s.x, 3); }, network},
       {"HarmonicProjector", [&] { HarmonicProjector::make(no_network, 6); }, network},
       {"BoundObjective", [&] { BoundObjective(no_model, square_loss(), samples, {}); }, model},
       {"Trainer", [&] { Trainer(no_model, square_loss(), {.steps = 1}).fit(data); }, model},
       {"save_model", [&] { save_model("model.pt", no_model); }, model},
       {"taylor_terms", [&] { taylor_terms(nullptr, s.w); }, {"primitive: expected one, got none"}},
       {"taylor_terms of nothing",
        [&] { taylor_terms(make_primitive(*s.network, s.x), {}); },
        {"w: expected", "nothing"}},
       {"infinite_ntk", [&] { infinite_ntk(Activation{}, s.x, s.x); }, activation},
       {"assumption_two", [] { assumption_two(Activation{}, -1, 1); }, activation},
       {"sigma_spectrum", [] { sigma_spectrum(Activation{}, d, 3); }, activation},
       {"Mlp", [] { Mlp(MlpOptions{.dimension = d, .widths = {3}, .activation = Activation{}}); }, activation},
       {"harmonic_coefficients", [] { harmonic_coefficients(nullptr, d, 1, 3); }, {"g: expected a function"}},
       {"Lanczos", [&] { lanczos_smallest(nullptr, {3}, s.w.options()); }, {"product: expected a function"}},
       {"kernel_prediction", [&] { kernel_prediction(no_kernel, s.x, s.x, s.y); }, {"kernel: expected a function"}},
       {"kernel_prediction's train",
        [&] { kernel_prediction([](const Tensor& a, const Tensor&) { return a; }, s.x, {}, s.y); },
        {"train: expected", "nothing"}},
       {"output", [&] { s.model->output({}, {}); }, {"terms: expected", "nothing"}},
       {"R3's x", [&] { R3(s.sigma, *s.network, {}); }, {"x: expected", "nothing"}},
       {"R1_fresh", [&] { R1_fresh(s.sigma, nullptr); }, {"R1: draw: expected a function"}},
       {"legendre_values", [] { legendre_values(3, 3, Tensor()); }, {"t: expected", "nothing"}},
       {"regularizer", [] { regularizer("mine", nullptr); }, {"mine: expected a function, got none"}},
       {"neuron_regularizer", [] { neuron_regularizer("mine", nullptr); }, {"mine: expected a function, got none"}},
       {"model_regularizer", [] { model_regularizer("mine", nullptr); }, {"mine: expected a function, got none"}},
       {"observable", [] { observable("mine", nullptr); }, {"observable mine: expected a function, got none"}}});
}

TEST(Misuse, OfNumbersAndShapesThatAreNone) {
  const Setting s;
  const BoundObjective bound(s.model, square_loss() + 1.0 * R3(s.sigma), {s.x, s.y}, {});
  const ObjectiveHessian hessian(bound, s.w);
  const auto terms = bound.primitive()->terms(s.w);
  const auto indices = [](std::int64_t i) { return torch::full({2}, i, torch::kLong); };
  const SmallMlp mlp(std::vector<std::int64_t>{d, 3, 1});
  const TaylorModel of_module(mlp);
  const BoundObjective module_bound(of_module, square_loss(), {s.x, s.y}, {});
  const auto v = torch::full(of_module->displacement().sizes(), 0.1, torch::kFloat64);
  const ObjectiveHessian module_hessian(module_bound, v);
  const auto chance = [&](double p) {
    landscape(hessian, s.w.sizes(), s.w.options(), {.max_iterations = 1, .failure_probability = p});
  };
  const auto basis = torch::eye(n, torch::kFloat64).narrow(1, 0, 2), values = torch::ones({2}, torch::kFloat64);
  const auto restored = [&](const Tensor& u, const Tensor& of) {
    SigmaProjector::restored(SigmaSource::unlabeled, s.x, u, of);
  };
  const auto identity = torch::eye(n, torch::kFloat64);
  auto lopsided = identity.clone();
  lopsided[3][1] = 0.5;
  auto complex = mlp->parameters();
  complex[0] = torch::complex(complex[0].detach(), complex[0].detach());
  const SparsePart few{2, {1.0, 1.0}, {{1, 0, 0, 0, 0}}};
  expect_refused(
      {{"assumption_two", [] { assumption_two(sigmoid(1), 5, -5); }, {"expected a finite interval", "5 to -5"}},
       {"assumption_two of NaN", [] { assumption_two(sigmoid(1), NAN, 1); }, {"finite interval", "nan"}},
       {"a probability of NaN", [&] { chance(NAN); }, {"failure_probability: expected at least 0, below 1, got nan"}},
       {"a probability of 2", [&] { chance(2); }, {"failure_probability", "got 2"}},
       {"Lanczos of integers",
        [] { lanczos_smallest([](const Tensor& t) { return t; }, {3}, at::kLong); },
        {"options: expected float", "Long"}},
       {"lemma_three", [&] { lemma_three(module_hessian, v, v, v, v, 0, 2, 1); }, {"Lemma 3", "neurons"}},
       {"evaluate's w", [&] { bound.evaluate(terms, s.turned); }, {"w: expected", "[5, 12]"}},
       {"gradient's w", [&] { bound.gradient({}, bound.evaluate(terms, s.w)); }, {"w: expected", "nothing"}},
       {"expression's w", [&] { bound.expression(terms, s.turned); }, {"w: expected", "[5, 12]"}},
       {"a batch", [&] { bound.evaluate(terms, s.w, 0, indices(n)); }, {"batch: expected points 0 to 22, got 23"}},
       {"a batch's type", [&] { bound.evaluate(terms, s.w, 0, s.y); }, {"batch: expected Long, got Double"}},
       {"primitive_at", [&] { module_bound.primitive_at(indices(-1)); }, {"batch: expected points", "-1"}},
       {"output's rows", [&] { s.model->output(s.x.narrow(0, 0, 1), s.y); }, {"terms: expected 2 rows", "got 1"}},
       {"output's initial", [&] { s.model->output(terms, s.longer); }, {"initial: expected", "length 23", "[24]"}},
       {"a part",
        [&] { of_module->module->parts().back().of(s.y.narrow(0, 0, 21)); },
        {"displacement: expected", "22", "got 21"}},
       {"the whole network's points",
        [&] { TaylorModel(s.network, {.whole_network = true})->primitive({}, {}); },
        {"x: expected", "nothing"}},
       {"save_model", [&] { save_model("model.pt", of_module); }, {"save_model", "two-layer network"}},
       {"an expansion's points",
        [&] { taylor_expand(mlp, mlp->parameters(), 2)(s.x.narrow(1, 0, 4)); },
        {"module: its forward failed: ", "23x4"}},
       {"complex parameters", [&] { taylor_expand(mlp, complex, 1); }, {"parameters: weight0", "ComplexDouble"}},
       {"empirical_ntk", [&] { empirical_ntk(mlp, s.hole); }, {"x: entry [3, 1] is nan"}},
       {"a basis that is none", [&] { restored(s.x.narrow(1, 0, 2), values); }, {"projector basis", "orthonormal"}},
       {"a basis' type", [&] { restored(basis.to(torch::kFloat32), values); }, {"projector basis", "Double", "Float"}},
       {"eigenvalues", [&] { restored(basis, values * 0); }, {"projector eigenvalues", "above 0, got 0"}},
       {"a kernel", [&] { kernel_regression(lopsided, s.y); }, {"kernel: expected a symmetric matrix"}},
       {"a kernel's type", [&] { kernel_regression(identity.to(torch::kFloat32), s.y); }, {"float64, got Float"}},
       {"complex y",
        [&] { kernel_regression(identity, torch::complex(s.y, s.y)); },
        {"y: expected real numbers", "ComplexDouble"}},
       {"predictions",
        [&] { kernel_prediction([](const Tensor& a, const Tensor&) { return a; }, s.x, s.x, s.y); },
        {"kernel's values: expected", "[23, 23]", "[23, 5]"}},
       {"coefficients' type",
        [&] {
          kernel_prediction([](const Tensor& a, const Tensor& b) { return a.mm(b.t()); }, s.x, s.x,
                            s.y.to(torch::kFloat32));
        },
        {"coefficients: expected the type", "Double", "Float"}},
       {"population_form", [] { population_form(sigmoid(1), d, NAN); }, {"tolerance: expected", "nan"}},
       {"legendre_values", [&] { legendre_values(3, 3, indices(0)); }, {"t: expected", "Long"}},
       {"quadratic_solution",
        [&] { quadratic_solution(*s.network, few, s.harmonic.spectrum()); },
        {"2 coefficients, got 1"}},
       {"a sparse part", [&] { few(s.x); }, {"2 coefficients, got 1"}},
       {"random_signs", [] { random_signs(-1, 1, 0); }, {"rows: expected at least 1, got -1"}},
       {"random_direction", [] { random_direction(0, 1, 0); }, {"dimension: expected at least 1, got 0"}},
       {"a device",
        [&] {
          DataSet data;
          data.train = {s.x, s.y};
          Trainer(s.model, square_loss(), {.steps = 1}).fit(data, c10::Device("cuda:77"));
        },
        {"device: "}}});
  EXPECT_EQ(lanczos_failure_probability(10, 5, 0, 1, NAN), 1);
  EXPECT_EQ(lanczos_failure_probability(10, 0, 0, 1, 1), 1);
}

// LibTorch drops an imaginary part with a warning, and refuses sparse tensors in its own words.
TEST(Misuse, OfTensorsThatAreNoRealNumbersInDenseMemory) {
  const Setting s;
  const auto complex = torch::complex(s.x, s.x), sparse = s.x.to_sparse(), complex_y = torch::complex(s.y, s.y);
  const SmallMlp mlp(std::vector<std::int64_t>{d, 3, 1});
  const auto fit = [&](const Tensor& x, const Tensor& y) {
    DataSet data;
    data.train = {x, y};
    Trainer(s.model, square_loss(), {.steps = 1}).fit(data);
  };
  const auto refused = [](const char* name, const char* got) {
    return std::vector<std::string>{std::string(name) + ": expected real numbers in dense memory, got " + got};
  };
  expect_refused(
      {{"training inputs", [&] { fit(complex, s.y); }, {"X: expected real numbers, got ComplexDouble"}},
       {"labels", [&] { fit(s.x, complex_y); }, {"y: expected real numbers, got ComplexDouble"}},
       {"R3", [&] { R3(s.sigma, *s.network, complex); }, refused("x", "ComplexDouble")},
       {"R1_at", [&] { R1_at(s.sigma, *s.network, complex); }, refused("x", "ComplexDouble")},
       {"harmonic R3", [&] { R3(s.harmonic, complex); }, refused("x", "ComplexDouble")},
       {"moments", [&] { s.harmonic.moments(torch::complex(s.w, s.w)); }, refused("W", "ComplexDouble")},
       {"from_features", [&] { SigmaProjector::from_features(s.network, complex, 6); }, refused("X", "ComplexDouble")},
       {"empirical_ntk", [&] { empirical_ntk(mlp, complex); }, refused("x", "ComplexDouble")},
       {"sparse points", [&] { s.model.ptr()->forward(sparse); }, refused("x", "Double, sparse")},
       {"sparse data", [&] { own_data({sparse, s.y}); }, refused("X", "Double, sparse")},
       {"a sparse W", [&] { taylor_terms(make_primitive(*s.network, s.x), s.w.to_sparse()); },
        refused("w", "Double, sparse")},
       {"no numbers",
        [&] { SigmaProjector::from_features(s.network, s.x.to(at::kMeta), 6); },
        {"X: expected numbers", "meta"}}});
}

TEST(Misuse, OfWhatAUserWritesIsSaidWithItsName) {
  const Setting s;
  DataSet data;
  data.train = {s.x, s.y};
  const auto other = torch::ones({3}, torch::kFloat64).requires_grad_();
  const auto fit = [&](const Objective& objective, const DescentOptions& descent = {.steps = 1},
                       const TrainerHooks& hooks = {}) {
    const TaylorModel model(float64_network(d, m, Initialisation::symmetric));
    Trainer(model, objective, descent, hooks).fit(data);
  };
  using Value = std::function<Tensor(const Tensor& f, const Tensor& y)>;
  const auto loss = [&](Value f) { return [=] { fit(Loss{"mine", f}); }; };
  const auto term = [&](std::function<Tensor(const Tensor&)> f) {
    return [=] { fit(square_loss() + 0.1 * regularizer("mine", f)); };
  };
  const auto vectors = [&](std::function<Tensor(const TermInputs&)> f) {
    return [=] { fit(square_loss() + 0.1 * vector_regularizer("mine", f)); };
  };
  const auto target = [](std::function<Tensor(const Tensor&)> f) {
    return [=] { sphere_data({.dimension = d, .samples = n}, Target{"own", f, NAN}); };
  };
  const auto sigma = [](Activation::Function f) { return [=] { activation("mine", f); }; };
  const auto optimizer = [&](auto parameters) {
    return [=] {
      fit(square_loss(), {.steps = 1, .update = {.optimizer = [=](const Tensor& w) {
                                        return std::make_shared<torch::optim::SGD>(parameters(w),
                                                                                   torch::optim::SGDOptions(1));
                                      }}});
    };
  };
  using Tensors = std::vector<Tensor>;
  const auto x = s.x, others = random_matrix(n, d, 9);
  expect_refused(
      {{"no loss", loss(nullptr), {"loss mine: expected a function", "none"}},
       {"a loss of many numbers", loss([](auto& f, auto& y) { return f - y; }), {"loss mine: expected a scalar", "23"}},
       {"a loss of nothing",
        loss([](auto&, auto&) { return Tensor(); }),
        {"loss mine: expected a scalar, got nothing"}},
       {"a complex loss", loss([](auto& f, auto& y) { return torch::complex(f, y).mean(); }), {"loss mine", "complex"}},
       {"a loss that LibTorch refuses", loss([](auto& f, auto& y) { return f.mm(y); }), {"loss mine: ", "matrix"}},
       {"a loss that is NaN",
        loss([](auto& f, auto& y) { return (f - y).square().mean() * NAN; }),
        {"the loss mine: expected a finite value at the first W, 0, got nan"}},
       {"a loss in place",
        loss([](auto& f, auto& y) { return Tensor(f).sub_(y).square().mean(); }),
        {"loss mine: it changes the output in place"}},
       {"a loss of something else", loss([=](auto&, auto&) { return other.sum(); }), {"loss mine: it has no gradient"}},
       {"a term that LibTorch refuses", term([](auto& w) { return w.mm(w).sum(); }), {"mine: ", "12x5"}},
       {"a complex term", term([](auto& w) { return torch::complex(w, w).sum(); }), {"mine: ", "complex"}},
       {"a term that is infinite",
        term([](auto& w) { return 1 / w.square().sum(); }),
        {"mine: expected a finite", "inf"}},
       {"a term of something else", term([=](auto&) { return other.sum(); }), {"mine: it has no gradient"}},
       {"a term that moves W",
        term([](auto& w) {
          w.detach().add_(1);
          return w.square().sum();
        }),
        {"mine: it changes W in place"}},
       {"a term without vectors of its own", vectors([](auto& in) { return in.own_terms[0].sum(); }), {"mine: "}},
       {"a term of a third order", vectors([](auto& in) { return in.terms[2].sum(); }), {"mine: ", "index 2"}},
       {"a term that changes the vectors",
        vectors([](auto& in) { return in.terms.detach().add_(1).sum() + in.f_linear().sum(); }),
        {"mine: it changes the terms in place"}},
       {"a term without a value",
        [&] { fit(square_loss() + Term{.name = "mine", .value = nullptr}); },
        {"mine: expected a function"}},
       {"R3 made for fewer points",
        [&] { fit(square_loss() + 1.0 * R3(s.harmonic, x.narrow(0, 0, 7))); },
        {"R3: it was made for other points", "[23, 5]", "[7, 5]"}},
       {"harmonic R3 of other points",
        [&] { fit(square_loss() + 1.0 * R3(s.harmonic, others)); },
        {"R3: it was made for other points"}},
       {"R3 of other points than it is trained on",
        [&] {
          const auto unlabeled = SigmaProjector::from_unlabeled(s.network, random_matrix(30, d, 8), 6);
          fit(square_loss() + 1.0 * R3(unlabeled, *s.network, others));
        },
        {"R3: it was made for other points"}},
       {"an optimizer of something else", optimizer([=](auto&) { return Tensors{other}; }), {"update: ", "W"}},
       {"an optimizer of more", optimizer([=](auto& w) { return Tensors{w, other}; }), {"update: ", "no other"}},
       {"a schedule",
        [&] { fit(square_loss(), {.steps = 2, .schedule = schedule([](std::int64_t) { return NAN; })}); },
        {"schedule: expected a finite factor", "step 0"}},
       {"an observable",
        [&] {
          fit(square_loss(), {.steps = 1}, {.observables = {observable("mine", [](const Observation& in) {
                                              return in.w.mm(in.w).sum().template item<double>();
                                            })}});
        },
        {"observable mine: ", "12x5"}},
       {"test targets alone",
        [&] {
          DataSet without = data;
          without.test.y = s.y;
          Trainer(s.model, square_loss(), {.steps = 1}).fit(without);
        },
        {"X_test: expected", "nothing"}},
       {"no target", target(nullptr), {"target own: expected a function"}},
       {"a target that LibTorch refuses",
        target([](auto& at) { return at.select(1, 9); }),
        {"target own: ", "index 9"}},
       {"an activation that LibTorch refuses", sigma([](auto& z) { return z.mm(z); }), {"activation mine: ", "matrix"}},
       {"an activation of integers", sigma([](auto& z) { return z.to(at::kLong); }), {"activation mine", "Long"}},
       {"an activation without values", sigma([](auto& z) { return z * NAN; }), {"activation mine", "finite"}},
       {"an activation of all entries together",
        sigma([](auto& z) { return z.softmax(0); }),
        {"activation mine: derivative 0: expected a function of every entry alone"}},
       {"a derivative of all entries together",
        [] {
          activation("mine", [](const Tensor& z) { return 0.5 * z.square(); },
                     {[](const Tensor& z) { return z - 1e-4 * z.mean() * z.numel(); }});
        },
        {"activation mine: derivative 1: expected a function of every entry alone"}}});
}

TEST(Misuse, WhatHoldsItsArgumentFixedRefusesOneWhoseGradientIsRecorded) {
  const Setting s;
  const auto x = s.x.clone().requires_grad_(), w = s.w.clone().requires_grad_();
  const SmallMlp mlp(std::vector<std::int64_t>{d, 3, 1});
  const auto product = [](const Tensor& a, const Tensor& b) { return a.mm(b.t()); };
  const std::vector<std::string> of_x = {"x: it requires a gradient", "x.detach()"},
                                 of_w = {"w: it requires a gradient"};
  expect_refused(
      {{"feature_kernel", [&] { feature_kernel(*s.network, x); }, of_x},
       {"feature_kernel's x2", [&] { feature_kernel(*s.network, s.x, x); }, {"x2: it requires a gradient"}},
       {"infinite_ntk", [&] { infinite_ntk(sigmoid(1), x, x); }, of_x},
       {"empirical_ntk", [&] { empirical_ntk(mlp, x); }, of_x},
       {"kernel_prediction", [&] { kernel_prediction(product, x, s.x, s.y); }, of_x},
       {"transfer", [&] { s.sigma.transfer(*s.network, x); }, of_x},
       {"features", [&] { s.harmonic.features(x); }, of_x},
       {"harmonic transfer", [&] { s.harmonic.transfer(x); }, of_x},
       {"a module's initial output", [&] { ExpandedModule(point_module(mlp.ptr()))->initial_output(x); }, of_x},
       {"moments", [&] { s.harmonic.moments(w); }, of_w},
       {"low", [&] { s.harmonic.low(w); }, of_w},
       {"high", [&] { s.harmonic.high(w); }, of_w},
       {"population_product", [&] { s.harmonic.population_product(w); }, {"v: it requires a gradient"}}});
  const at::NoGradGuard no_grad;
  EXPECT_NO_THROW(feature_kernel(*s.network, x));
  EXPECT_NO_THROW(s.harmonic.high(w));
}

}  // namespace
}  // namespace entk::misuse_test
