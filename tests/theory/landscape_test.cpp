#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "entk/kernels/reference.h"
#include "entk/regularizers/regularizers.h"
#include "entk/theory/expressive_solution.h"
#include "entk/theory/landscape.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::landscape_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

constexpr std::int64_t d = 5, m = 24, n = 23;  // m d = 120

// L_λ with every kind of term, and the same written out naively for ordinary autograd.
struct Setting {
  explicit Setting(Initialisation start)
      : network(float64_network(d, m, start)), model(network, TaylorModelOptions{.initial_output = false}) {}
  Network network;
  TaylorModel model;
  torch::Tensor x = random_matrix(n, d, 1), y = random_matrix(n, 1, 2).squeeze(1);
  torch::Tensor w = 0.7 * random_matrix(m, d, 9);
  SigmaProjector sigma = SigmaProjector::from_features(network, x, 6);
  double l3 = 2.0, l4 = 1e-5;

  BoundObjective bound(const Loss& loss) const {
    return BoundObjective(model, loss + l3 * R3(sigma) + l4 * R4(), {x, y}, {});
  }
  torch::Tensor naive(const Loss& loss, const torch::Tensor& at) const {
    const auto t = reference_terms(x, network->w0, network->a, network->activation(), at, 2);
    const auto high = t[0] - sigma.basis().mm(sigma.basis().t()).mv(t[0]);
    return loss.mean(t[0] + t[1], y) + l3 * high.square().mean() + l4 * at.square().sum(1).square().sum().square();
  }
  // Column by column of ordinary double backward.
  torch::Tensor dense_hessian(const Loss& loss) const {
    const SerialTorch serial;  // many small products: threads would only wait for each other
    const auto at = w.clone().requires_grad_(true);
    const auto g = torch::autograd::grad({naive(loss, at)}, {at}, {}, true, true)[0].flatten();
    std::vector<torch::Tensor> rows;
    for (std::int64_t i = 0; i < m * d; ++i) {
      rows.push_back(torch::autograd::grad({g[i]}, {at}, {}, true)[0].flatten());
    }
    return torch::stack(rows);
  }
};

TEST(ObjectiveHessian, ProductsAreThoseOfDoubleBackward) {
  for (auto start : {Initialisation::plain, Initialisation::symmetric}) {
    const Setting s(start);
    for (const auto& loss : {square_loss(), pseudo_huber_loss(0.5)}) {
      const auto bound = s.bound(loss);
      const ObjectiveHessian hessian(bound, s.w);
      const auto dense = s.dense_hessian(loss);
      const auto v = random_matrix(m, d, 5);
      const auto want = dense.mv(v.flatten()).view({m, d});
      EXPECT_TRUE(close(hessian.product(v), want, 1e-11));
      EXPECT_NEAR(hessian.quadratic_form(v), v.flatten().dot(want.flatten()).item<double>(), 1e-9);
      const auto at = s.w.clone().requires_grad_(true);
      const auto value = s.naive(loss, at);
      EXPECT_NEAR(hessian.value(), value.item<double>(), 1e-12);
      EXPECT_TRUE(close(hessian.gradient(), torch::autograd::grad({value}, {at})[0], 1e-11));
    }
  }
}

TEST(ObjectiveHessian, AtTheSymmetricStartTheLeastEigenvalueIsThatOfADenseHessianForEachLoss) {
  // There every output is exactly 0, and f_Q's curvature is what the gradient of the loss gives it.
  Setting s(Initialisation::symmetric);
  s.w.zero_();
  s.y = s.y.sign();
  const std::vector<std::pair<Loss, Loss>> losses = {
      // the library's, and one in other words
      {square_loss(),
       {"square", [](const at::Tensor& f, const at::Tensor& y) { return (y * y - 2 * f * y + f * f).mean(); }}},
      {pseudo_huber_loss(0.5),
       {"huber", [](const at::Tensor& f,
                    const at::Tensor& y) { return (0.5 * ((f - y).square() + 0.25).sqrt() - 0.25).mean(); }}},
      {logistic_loss(),
       {"logistic", [](const at::Tensor& f, const at::Tensor& y) { return torch::log1p(torch::exp(-y * f)).mean(); }}}};
  for (const auto& [loss, other] : losses) {
    SCOPED_TRACE(loss.name);
    const auto values = torch::linalg_eigvalsh(s.dense_hessian(other));
    const double want = values[0].item<double>(), spread = values[-1].item<double>() - want;
    ASSERT_LT(want, -1e-3);
    const auto bound = s.bound(loss);
    const ObjectiveHessian hessian(bound, s.w);
    const auto at = s.w.clone().requires_grad_(true);
    EXPECT_TRUE(close(hessian.gradient(), torch::autograd::grad({s.naive(other, at)}, {at})[0], 1e-11));
    EXPECT_GT(hessian.gradient().norm().item<double>(), 1e-2);
    const auto found = landscape(hessian, {m, d}, s.w.options(), {.nu = 10, .gamma = 1e-4});
    EXPECT_NEAR(found.lanczos.rayleigh, want, 1e-4 * spread);
    EXPECT_EQ(found.verdict, StationaryVerdict::not_sosp);
  }
}

TEST(Landscape, TooFewIterationsAreUndecidedAndNoCertificate) {
  const Setting s(Initialisation::plain);
  const auto bound = s.bound(square_loss());
  const ObjectiveHessian hessian(bound, torch::zeros_like(s.w));
  const auto least = landscape(hessian, {m, d}, s.w.options()).lanczos.rayleigh;
  for (const double nu : {1e-6, 1e6}) {
    const auto one =
        landscape(hessian, {m, d}, s.w.options(), {.nu = nu, .gamma = 1 + std::fabs(least), .max_iterations = 1});
    EXPECT_EQ(one.verdict, StationaryVerdict::undecided);
    EXPECT_GT(one.failure_probability, 0.5);
    EXPECT_EQ(one.statement.find("undecided: "), 0U) << one.statement;
    EXPECT_EQ(one.statement.find("second-order stationary"), std::string::npos);
    const auto all = landscape(hessian, {m, d}, s.w.options(), {.nu = nu, .gamma = 1 + std::fabs(least)});
    EXPECT_LE(all.failure_probability, 1e-6);
    EXPECT_EQ(all.verdict, nu > 1 ? StationaryVerdict::none_found : StationaryVerdict::not_first_order);
    EXPECT_EQ(all.statement.find("not first-order stationary"), nu > 1 ? std::string::npos : 0U) << all.statement;
  }
}

TEST(ObjectiveHessian, IsTheSameInInferenceMode) {
  const Setting s(Initialisation::plain);
  const auto objective =
      pseudo_huber_loss(0.5) + regularizer("quartic", [](const torch::Tensor& w) { return w.pow(4).sum(); });
  const auto v = random_matrix(m, d, 5);
  const BoundObjective bound(s.model, objective, {s.x, s.y}, {});
  const ObjectiveHessian outside(bound, s.w);
  const auto want = outside.product(v);
  const c10::InferenceMode inference;
  EXPECT_TRUE(identical(outside.product(v + 0), want));
  const BoundObjective made_here(s.model, objective, {s.x + 0, s.y + 0}, {});
  const ObjectiveHessian inside(made_here, s.w + 0);
  EXPECT_TRUE(identical(inside.product(v), want));
  EXPECT_TRUE(identical(inside.gradient(), outside.gradient()));
}

TEST(ObjectiveHessian, ModelsAndTermsItCannotTreatAreRefused) {
  const Setting s(Initialisation::plain);
  const TaylorModel third(s.network, TaylorModelOptions{.order = 3});
  const BoundObjective high(third, square_loss(), {s.x, s.y}, {});
  EXPECT_THROW(ObjectiveHessian(high, s.w), InputError);
  const auto whole = model_regularizer("own", [x = s.x](TaylorModelImpl& f) { return f.forward(x).square().mean(); });
  const BoundObjective slow(s.model, square_loss() + whole, {s.x, s.y}, {});
  EXPECT_THROW(ObjectiveHessian(slow, s.w), InputError);
}

TEST(Lanczos, TheLeastEigenvalueIsThatOfTheDenseHessian) {
  for (auto start : {Initialisation::plain, Initialisation::symmetric}) {
    const Setting s(start);
    const auto bound = s.bound(square_loss());
    const ObjectiveHessian hessian(bound, s.w);
    const auto values = torch::linalg_eigvalsh(s.dense_hessian(square_loss()));
    const auto result = lanczos_smallest([&](const torch::Tensor& v) { return hessian.product(v); }, {m, d},
                                         s.w.options(), {.max_iterations = 120});
    const double want = values[0].item<double>(), spread = values[-1].item<double>() - want;
    ASSERT_LT(want, 0) << "this W is no minimum";
    EXPECT_NEAR(result.rayleigh, want, 1e-9 * spread);
    EXPECT_NEAR(result.smallest, want, 1e-9 * spread);
    EXPECT_NEAR(result.largest, values[-1].item<double>(), 1e-9 * spread);
    EXPECT_LT(result.residual, 1e-5 * spread);
    const auto image = hessian.product(result.vector);
    EXPECT_NEAR(result.vector.norm().item<double>(), 1, 1e-12);
    EXPECT_NEAR((image - result.rayleigh * result.vector).norm().item<double>(), result.residual, 1e-12);
  }
}

TEST(Lanczos, SameBitsForAnyNumberOfThreads) {
  // Long enough for several pieces; the operator is diagonal.
  const auto diagonal = torch::linspace(-1, 3, 90000, torch::kFloat64);
  std::optional<LanczosResult> first;
  for (int count : {1, 2, 3}) {
    const ThreadCount threads(count);
    const SerialTorch serial;
    auto now = lanczos_smallest([&](const torch::Tensor& v) { return diagonal * v; }, {90000}, diagonal.options(),
                                {.max_iterations = 15});
    if (first) {
      EXPECT_TRUE(identical(now.vector, first->vector));
      EXPECT_EQ(now.rayleigh, first->rayleigh);
    } else {
      first = std::move(now);
    }
  }
}

TEST(Lanczos, AnExhaustedKrylovSpaceIsReportedAndExact) {
  auto diagonal = torch::zeros({500}, torch::kFloat64);
  diagonal.narrow(0, 0, 3).copy_(torch::tensor({-0.25, 1.0, 2.0}, torch::kFloat64));
  const auto result = lanczos_smallest([&](const torch::Tensor& v) { return diagonal * v; }, {500}, diagonal.options());
  EXPECT_TRUE(result.invariant);
  EXPECT_LE(result.iterations, 5);
  EXPECT_NEAR(result.rayleigh, -0.25, 1e-12);
}

// Eigen's tridiagonal solver alone gives up here.
TEST(Lanczos, RepeatedEigenvaluesFarApartDoNotStopIt) {
  auto diagonal = torch::linspace(1, 2, 60, torch::kFloat64).repeat({20});
  diagonal.masked_fill_(diagonal == diagonal[0], 50.0);
  const auto result =
      lanczos_smallest([&](const torch::Tensor& v) { return diagonal * v; }, {1200}, diagonal.options());
  EXPECT_NEAR(result.rayleigh, 1 + 1.0 / 59, 1e-9);
  EXPECT_NEAR(result.largest, 50, 1e-9);
}

// Without orthogonality to all of them, vectors of the large eigenvalues come back again and again.
TEST(Lanczos, AsManyStepsAsThereAreDimensionsFindTheLeastOfEigenvaluesFarApart) {
  const auto diagonal = torch::cat({torch::full({1}, -1.0, torch::kFloat64), torch::linspace(0, 1, 19, torch::kFloat64),
                                    torch::arange(1, 21, torch::kFloat64).exp2()});
  const auto result = lanczos_smallest([&](const torch::Tensor& v) { return diagonal * v; }, {40}, diagonal.options());
  EXPECT_NEAR(result.rayleigh, -1, 1e-6);
  EXPECT_LT(result.residual, 1e-4);
}

TEST(Lanczos, ADirectionThatWasFoundHasNotBeenMissed) {
  EXPECT_EQ(lanczos_failure_probability(100, 50, -1.0, 0.0, 0.1), 1.0);
}

TEST(Lanczos, TheFailureProbabilityBoundsWhatHappens) {
  // One eigenvalue at −0.05 among 4000 in [0, 1]: how often is it missed after k steps?
  const std::int64_t size = 4000;
  auto diagonal = torch::linspace(0, 1, size, torch::kFloat64);
  diagonal[0] = -0.05;
  for (int k : {6, 10, 14}) {
    int missed = 0;
    double bound = 0;
    const int trials = 40;
    for (int trial = 0; trial < trials; ++trial) {
      const auto r = lanczos_smallest([&](const torch::Tensor& v) { return diagonal * v; }, {size}, diagonal.options(),
                                      {.max_iterations = k, .seed = static_cast<std::uint64_t>(trial)});
      const double gamma = 0.049;
      if (r.smallest >= -gamma) {
        ++missed;
        bound = std::max(bound, lanczos_failure_probability(size, k, r.smallest, r.largest, gamma));
      }
    }
    if (missed > 0) {
      EXPECT_GE(bound * trials * 2, missed) << k;
    }
  }
  EXPECT_EQ(lanczos_failure_probability(100, 10, -1, 1, 0.5), 1.0) << "below −γ there is nothing to certify";
  // 2·1.648·√100·e^(−√ε·199), q = 0.5/1.5, ε = q/(1 + 2q) = 1/5.
  EXPECT_NEAR(std::log(lanczos_failure_probability(100, 100, 0, 1.5, 0.5)), std::log(32.96) - std::sqrt(0.2) * 199,
              1e-9);
}

TEST(Lanczos, AtWZeroTheQuadraticModelHasASaddle) {
  auto network = float64_network(d, m, Initialisation::symmetric);
  const TaylorModel model(network, TaylorModelOptions{.order = 2, .linear_term = false});
  const auto x = random_matrix(60, d, 1);
  const auto y = x.select(1, 0).square() - 1;
  const BoundObjective bound(model, square_loss(), {x, y}, {});
  const ObjectiveHessian hessian(bound, torch::zeros({m, d}, torch::kFloat64));
  EXPECT_EQ(hessian.gradient().norm().item<double>(), 0);
  // There ∇²L is block diagonal: block r is m^(−1/2) a_r E_n[−2y σ''(w0_r·x) xxᵀ].
  double want = 0;
  for (std::int64_t r = 0; r < m; ++r) {
    const auto s2 = network->activation().derivative(x.mv(network->w0[r]), 2) * network->a[r] / std::sqrt(double(m));
    const auto block = x.t().mm((-2.0 * y * s2 / 60.0).unsqueeze(1) * x);
    want = std::min(want, torch::linalg_eigvalsh(block)[0].item<double>());
  }
  const auto result = lanczos_smallest([&](const torch::Tensor& v) { return hessian.product(v); }, {m, d}, x.options(),
                                       {.max_iterations = 150});
  EXPECT_LT(want, -1e-3);
  EXPECT_NEAR(result.rayleigh, want, 1e-10);
}

TEST(Landscape, TheSaddleIsRefutedAndACurvedBowlIsNot) {
  auto network = float64_network(d, m, Initialisation::symmetric);
  const TaylorModel model(network, TaylorModelOptions{.order = 2, .linear_term = false});
  const auto x = random_matrix(60, d, 1);
  const auto y = x.select(1, 0).square() - 1;
  const auto zero = torch::zeros({m, d}, torch::kFloat64);
  const auto judged = [&](double decay) {
    const auto l2 = regularizer("l2", [](const torch::Tensor& w) { return w.square().sum(); });
    const BoundObjective bound(model, square_loss() + decay * l2, {x, y}, {});
    return landscape(ObjectiveHessian(bound, zero), {m, d}, x.options(), {.gamma = 1e-3});
  };
  const auto saddle = judged(0.0);
  EXPECT_EQ(saddle.verdict, StationaryVerdict::not_sosp);
  EXPECT_EQ(saddle.failure_probability, 1);
  EXPECT_LT(saddle.lanczos.rayleigh, -1e-3);
  EXPECT_NE(saddle.statement.find("not a second-order stationary point"), std::string::npos);
  const auto bowl = judged(1.0);
  EXPECT_EQ(bowl.verdict, StationaryVerdict::none_found);
  EXPECT_EQ(bowl.gradient_norm, 0);
  EXPECT_LE(bowl.failure_probability, 1e-6);
  EXPECT_NEAR(bowl.lanczos.rayleigh, 2 + saddle.lanczos.rayleigh, 0.05);
  EXPECT_NEAR(saddle.nu, std::pow(m, -0.5), 1e-15);
  // The same bowl away from its bottom: a gradient above ν is said, however the curvature.
  const auto away = random_matrix(m, d, 7);
  const BoundObjective decayed(
      model, square_loss() + regularizer("l2", [](const torch::Tensor& w) { return w.square().sum(); }), {x, y}, {});
  const auto slope = landscape(ObjectiveHessian(decayed, away), {m, d}, x.options(), {.nu = 1e-6, .gamma = 1e3});
  EXPECT_GT(slope.gradient_norm, 1e-6);
  EXPECT_EQ(slope.verdict, StationaryVerdict::not_first_order);
  const BoundObjective bound(model, square_loss(), {x, y}, {});
  EXPECT_NEAR(landscape(ObjectiveHessian(bound, zero), {m, d}, x.options(), {.max_iterations = 1}).gamma,
              std::pow(m, -0.75), 1e-15);
}

TEST(Landscape, LemmaThreesLeftSideIsTheExplicitOne) {
  const Setting s(Initialisation::symmetric);
  const auto bound = s.bound(square_loss());
  const ObjectiveHessian hessian(bound, s.w);
  const auto dense = s.dense_hessian(square_loss());
  const auto solution = random_matrix(m, d, 21), low = random_matrix(m, d, 22), solution_low = random_matrix(m, d, 23);
  const auto got = lemma_three(hessian, s.w, low, solution, solution_low, 0.7, 6, 4);
  std::vector<double> forms;
  for (std::uint32_t draw = 0; draw < 6; ++draw) {
    const auto v = (random_signs(m, 4, draw).unsqueeze(1) * solution).flatten();
    forms.push_back(v.dot(dense.mv(v)).item<double>());
  }
  double mean = 0;
  for (const double f : forms) mean += f / 6;
  const double along = (hessian.gradient() * (s.w - 2 * solution_low + low)).sum().item<double>();
  EXPECT_NEAR(got.left_side, mean - along + 2 * hessian.value() - 2 * 0.7, 1e-8 * std::fabs(mean));
  double squares = 0;
  for (const double f : forms) squares += (f - mean) * (f - mean);
  EXPECT_NEAR(got.standard_error, std::sqrt(squares / 5 / 6), 1e-8 * std::fabs(mean));
}

}  // namespace
}  // namespace entk::landscape_test
