// Tensors of the wrong shape, type or value: what is thrown names the argument, what was wanted and what came.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "entk/kernels/shard.h"
#include "entk/data/dataset.h"
#include "entk/kernels/network_function.h"
#include "entk/kernels/noise.h"
#include "entk/kernels/reference.h"
#include "entk/kernels/cpu/relu_descent.h"
#include "entk/regularizers/regularizers.h"
#include "entk/spectrum/feature_kernel.h"
#include "entk/spectrum/top_eigenpairs.h"
#include "entk/theory/expressive_solution.h"
#include "entk/theory/landscape.h"
#include "entk/train/trainer.h"
#include "tests/support/explicit_matrices.h"
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
       {"values' terms", [&] { bound.values(terms[0], s.w); }, {"terms: expected", "[23]"}},
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
  data.train.y = s.y * 1e-100;
  expect_refused({{"y that vanishes", [&] { data.to(at::kCPU, at::kFloat); }, {"y: all its entries", "vanish"}}});
}

}  // namespace
}  // namespace entk::misuse_test
