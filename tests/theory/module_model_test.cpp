// Regularizers, objective, Trainer and landscape on the expansion of any module: for the two-layer network taken as a
// module, the numbers of the closed form.
#include <gtest/gtest.h>

#include "entk/base/error.h"
#include "entk/regularizers/regularizers.h"
#include "entk/spectrum/feature_kernel.h"
#include "entk/theory/landscape.h"
#include "entk/train/trainer.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/modules.h"
#include "tests/support/testing.h"

namespace entk::module_model_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

constexpr double tolerance = 1e-10;
constexpr std::int64_t d = 4, m = 24, n = 40;

/// The same model twice: by the kernels, and as any module.
struct Setting {
  Network network = float64_network(d, m, Initialisation::plain);
  PlainTwoLayer plain{network};
  TaylorModel closed{network}, module{plain};
  torch::Tensor x = random_matrix(n, d, 1), y = random_matrix(n, 1, 2).squeeze(1), x_u = random_matrix(31, d, 3);
  torch::Tensor w = 0.7 * random_matrix(m, d, 9);
};

TEST(ModuleModel, KernelAndProjectorAreThoseOfTheClosedForm) {
  const Setting s;
  const auto& of = s.module->expanded();
  EXPECT_TRUE(close(feature_kernel(of, s.x), feature_kernel(*s.network, s.x), tolerance));
  EXPECT_TRUE(close(feature_kernel(of, s.x, s.x_u), feature_kernel(*s.network, s.x, s.x_u), tolerance));
  const auto got = SigmaProjector::from_features(s.plain, s.x, 6),
             want = SigmaProjector::from_features(s.network, s.x, 6);
  EXPECT_TRUE(close(got.eigenvalues(), want.eigenvalues(), tolerance));
  const auto u = random_matrix(1, n, 4).squeeze(0);
  EXPECT_TRUE(close(got.low(u), want.low(u), tolerance));
  EXPECT_TRUE(close(got.transfer(of, s.x_u).mv(got.coefficients(u)),
                    want.transfer(*s.network, s.x_u).mv(want.coefficients(u)), tolerance));
}

TEST(ModuleModel, RegularizersAndGradientAreThoseOfTheClosedForm) {
  const Setting s;
  const auto bound = [&](const TaylorModel& model, bool unlabeled) {
    const auto& of = model->expanded();
    const auto sigma =
        unlabeled ? SigmaProjector::from_unlabeled(of, s.x_u, 6) : SigmaProjector::from_features(of, s.x, 6);
    return BoundObjective(model, square_loss() + paper_regularizers(sigma, of, s.x, {0.3, 0.2, 10.0, 0}), {s.x, s.y},
                          {});
  };
  for (const bool unlabeled : {false, true}) {
    const auto got = bound(s.module, unlabeled), want = bound(s.closed, unlabeled);
    const auto flat = s.w.view(-1);
    const auto got_terms = got.primitive()->terms(flat), want_terms = want.primitive()->terms(s.w);
    const auto a = got.values(got_terms, flat), b = want.values(want_terms, s.w);
    EXPECT_NEAR(a.regularized.item<double>(), b.regularized.item<double>(), tolerance);
    for (int i = 0; i < 3; ++i) EXPECT_NEAR(a.terms[i].item<double>(), b.terms[i].item<double>(), tolerance) << i;
    EXPECT_TRUE(std::isnan(a.terms[3].item<double>()));  // R4 is of neurons
    EXPECT_TRUE(close(got.gradient(flat, got.evaluate(got_terms, flat)),
                      want.gradient(s.w, want.evaluate(want_terms, s.w)).view(-1), tolerance));
  }
  try {
    BoundObjective(s.module, square_loss() + 1e-3 * R4(), {s.x, s.y}, {});
    ADD_FAILURE() << "R4 of a module";
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()).find("R4: it reads neurons"), std::string::npos) << e.what();
  }
}

TEST(ModuleModel, AHundredStepsAreThoseOfTheClosedForm) {
  const Setting s;
  const auto data = own_data({s.x, s.y}, {s.x_u, random_matrix(31, 1, 5).squeeze(1)});
  const auto fit = [&](const TaylorModel& model) {
    const auto sigma = SigmaProjector::from_features(model->expanded(), s.x, 6);
    // Noise and the ball's points are addressed by an entry's place, the same in both.
    return Trainer(model, square_loss() + 2.0 * R3(sigma),
                   {.learning_rate = 0.2,
                    .steps = 100,
                    .noise_variance = 0.1,
                    .perturbation = {.radius = 1e-3, .threshold = 1e3, .interval = 30}})
        .fit(data);
  };
  const auto got = fit(s.module), want = fit(s.closed);
  EXPECT_TRUE(close(s.module->displacement(), s.closed->displacement().view(-1), tolerance));
  ASSERT_EQ(got.records.size(), want.records.size());
  for (std::size_t i = 0; i < got.records.size(); ++i) {
    EXPECT_NEAR(got.records[i].regularized_loss, want.records[i].regularized_loss, tolerance);
    EXPECT_NEAR(got.records[i].test_loss, want.records[i].test_loss, tolerance);
    EXPECT_NEAR(got.records[i].norm_gradient, want.records[i].norm_gradient, tolerance);
  }
  EXPECT_EQ(got.kernel, "keep module");
  EXPECT_EQ(got.perturbations, want.perturbations);
}

// Images n×c×h×w, and the same numbers as rows.
TEST(ModuleModel, PointsOfAnyShapeAreTrainedAndTestedOn) {
  const auto of_images = [](const FunctionModuleImpl::Tensors& p, const torch::Tensor& x) {
    return torch::tanh(torch::conv2d(x, p[0])).flatten(1).mv(p[1]);
  };
  const auto of_rows = [&](const FunctionModuleImpl::Tensors& p, const torch::Tensor& x) {
    return of_images(p, x.view({-1, 2, 4, 3}));
  };
  const auto x = random_matrix(n, 24, 1), y = random_matrix(n, 1, 2).squeeze(1), x_test = random_matrix(31, 24, 3),
             y_test = random_matrix(31, 1, 5).squeeze(1);
  const auto shaped = [](const torch::Tensor& t) { return t.view({-1, 2, 4, 3}); };
  const auto fit = [](const FunctionModule& module, const DataSet& data) {
    const TaylorModel model(module);
    const auto sigma = SigmaProjector::from_features(model->expanded(), data.train.x, 6);
    const auto result = Trainer(model, square_loss() + 2.0 * R3(sigma), {.learning_rate = 0.05, .steps = 20}).fit(data);
    return std::pair{model->displacement().detach().clone(), result};
  };
  const std::vector<std::vector<std::int64_t>> sizes = {{3, 2, 2, 2}, {18}};
  const auto [w, got] = fit(function_module(sizes, of_images), own_data({shaped(x), y}, {shaped(x_test), y_test}));
  const auto [w_rows, want] = fit(function_module(sizes, of_rows), own_data({x, y}, {x_test, y_test}));
  EXPECT_LT(got.last.train_loss, got.records.front().train_loss);
  EXPECT_TRUE(close(w, w_rows, tolerance));
  EXPECT_NEAR(got.last.test_loss, want.last.test_loss, tolerance);
}

TEST(ModuleModel, ARunThatIsResumedHasTheSameBits) {
  const Setting s;
  const auto fit = [&](std::int64_t from, std::int64_t to, const torch::Tensor& start) {
    TaylorModel model(s.plain, {.pair = true});
    if (start.defined()) {
      const torch::NoGradGuard no_grad;
      model->parameters()[0].copy_(start);
    }
    Trainer(model, square_loss(), {.learning_rate = 0.2, .steps = to, .noise_variance = 0.1})
        .fit(own_data({s.x, s.y}), torch::kCPU, {.step = from});
    return model->displacement().detach().clone();
  };
  EXPECT_TRUE(identical(fit(7, 20, fit(0, 7, {})), fit(0, 20, {})));
}

TEST(ModuleModel, TheLeastEigenvalueIsThatOfTheClosedForm) {
  const Setting s;
  const auto found = [&](const TaylorModel& model, const torch::Tensor& w) {
    const auto sigma = SigmaProjector::from_features(model->expanded(), s.x, 6);
    const BoundObjective bound(model, square_loss() + 2.0 * R3(sigma), {s.x, s.y}, {});
    return landscape(ObjectiveHessian(bound, w), w.sizes(), w.options(), {.nu = 1e-3, .gamma = 1e-3});
  };
  const auto got = found(s.module, s.w.view(-1)), want = found(s.closed, s.w);
  EXPECT_EQ(got.verdict, want.verdict);
  EXPECT_NEAR(got.lanczos.rayleigh, want.lanczos.rayleigh, 1e-8 * std::fabs(want.lanczos.rayleigh));
  EXPECT_NEAR(got.gradient_norm, want.gradient_norm, tolerance);
}

TEST(ModuleModel, ProjectorAndR3OfAnMlpAreThoseOfItsJacobian) {
  SmallMlp module(std::vector<std::int64_t>{3, 5, 4, 1});
  const auto x = random_matrix(12, 3, 1), x2 = random_matrix(7, 3, 2);
  const auto j = derivatives(module, x, false).jacobian, j2 = derivatives(module, x2, false).jacobian;
  const TaylorModel model(module);
  const auto& of = model->expanded();
  EXPECT_TRUE(close(feature_kernel(of, x), j.mm(j.t()), tolerance));
  EXPECT_TRUE(close(feature_kernel(of, x2, x), j2.mm(j.t()), tolerance));
  const auto sigma = SigmaProjector::from_features(module, x, 4);
  const auto w = 0.3 * random_matrix(1, j.size(1), 5).squeeze(0);
  const auto low = projector(j, 4).mv(w);
  EXPECT_TRUE(close(sigma.low(j.mv(w)), j.mv(low), tolerance));
  EXPECT_TRUE(close(sigma.transfer(of, x2).mv(sigma.coefficients(j.mv(w))), j2.mv(low), tolerance));
  const BoundObjective bound(model, square_loss() + R3(sigma), {x, random_matrix(12, 1, 6).squeeze(1)}, {});
  EXPECT_NEAR(bound.values(bound.primitive()->terms(w), w).terms[0].item<double>(),
              j.mv(w - low).square().mean().item<double>(), tolerance);
}

TEST(ModuleModel, WhatNeedsNeuronsIsRefusedByName) {
  const Setting s;
  try {
    Trainer(s.module, square_loss(), {.steps = 1, .random_signs = true}).fit(own_data({s.x, s.y}));
    ADD_FAILURE() << "random signs of a module";
  } catch (const InputError& e) {
    EXPECT_NE(std::string(e.what()).find("random_signs: it reads neurons"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace entk::module_model_test
