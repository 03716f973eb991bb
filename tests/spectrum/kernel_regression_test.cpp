#include "entk/spectrum/kernel_regression.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <numbers>

#include "entk/base/error.h"
#include "entk/base/sphere.h"
#include "entk/spectrum/activation_spectrum.h"
#include "entk/spectrum/feature_kernel.h"
#include "entk/train/losses.h"
#include "entk/train/trainer.h"
#include "tests/spectrum/activations.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::kernel_regression_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

/// φ_2: n×md², row i is m^(-1/2)/2 a_r σ''(w0_r·x) x xᵀ over r.
torch::Tensor quadratic_features(const NetworkImpl& network, const torch::Tensor& x) {
  const auto s2 = network.activation().derivative(x.mm(network.w0.t()), 2) * network.a /
                  (2 * std::sqrt(static_cast<double>(network.width())));
  const auto squares = (x.unsqueeze(2) * x.unsqueeze(1)).flatten(1);
  return (s2.unsqueeze(2) * squares.unsqueeze(1)).flatten(1);
}

/// Two points of these norms with cosine ρ between them.
torch::Tensor pair_of_points(int d, double rho, double norm, double norm2) {
  auto x = torch::zeros({2, d}, torch::kFloat64);
  x[0][0] = norm;
  x[1][0] = norm2 * rho;
  x[1][1] = norm2 * std::sqrt(1 - rho * rho);
  return x;
}

TEST(QuadraticKernel, IsTheGramMatrixOfItsFeaturesInWhichTheQuadraticTermIsLinear) {
  for (auto start : {Initialisation::symmetric, Initialisation::plain}) {
    const auto network = float64_network(4, 30, start);
    const auto x = random_matrix(9, 4, 1), x2 = random_matrix(5, 4, 2), w = random_matrix(30, 4, 3);
    const auto phi = quadratic_features(*network, x), phi2 = quadratic_features(*network, x2);
    EXPECT_TRUE(close(feature_kernel(*network, x, 2), phi.mm(phi.t()), 1e-13));
    EXPECT_TRUE(close(feature_kernel(*network, x, x2, 2), phi.mm(phi2.t()), 1e-13));
    const auto m = w.unsqueeze(2) * w.unsqueeze(1);  // M_r
    EXPECT_TRUE(close(phi.mv(m.flatten()), make_primitive(*network, x)->terms(w)[1], 1e-13));
    EXPECT_NEAR(m.square().sum().item<double>(), w.square().sum(1).square().sum().item<double>(), 1e-9);
  }
}

TEST(InfiniteNtk, IsTheMeanOverW0OfTheSlopesTimesTheInnerProduct) {
  const Sigmoid sigma{1.0};
  for (const int d : {3, 10, 40}) {
    const double root = std::sqrt(d);
    for (const double rho : {1.0, 0.6, -0.3, -1.0}) {
      for (const double factor : {1.0, 1.3}) {  // off the sphere too
        const auto x = pair_of_points(d, rho, root, factor * root);
        const auto k = infinite_ntk(sigmoid(1.0), x.narrow(0, 0, 1), x.narrow(0, 1, 1));
        const double want = factor * d * rho * plane_expectation(d, rho, [&](double p, double q, double, double) {
                              return sigma.first()(p) * sigma.first()(factor * q);
                            });
        EXPECT_NEAR(k.values.item<double>() / want, 1, 1e-10) << d << " " << rho << " " << factor;
        EXPECT_LT(k.left_out, 1e-12);
      }
    }
  }
}

TEST(InfiniteNtk, OfReluIsTheArcCosineKernelAsFarAsItsSeriesGoes) {
  const int d = 6;
  for (const double rho : {0.5, 0.0, -0.7}) {
    const auto x = pair_of_points(d, rho, 2.0, 3.0);
    const auto k = infinite_ntk(relu(), x, x);
    const double mean = (std::numbers::pi - std::acos(rho)) / (2 * std::numbers::pi);
    EXPECT_NEAR(k.values[0][1].item<double>(), 6 * rho * mean, 1e-3);
    EXPECT_NEAR(k.left_out, 1 - k.values[0][0].item<double>() / (4 * 0.5), 1e-12);
    EXPECT_GT(k.left_out, 1e-4);
    EXPECT_EQ(k.degree, 200);
  }
}

TEST(InfiniteNtk, CutsItsIntegralsAtTheKinksOfAnActivationOfOnesOwn) {
  const double kink = 0.7;
  Activation shifted{
      .name = "relu(z - 0.7)",
      .derivative = [kink](const at::Tensor& z, int order) { return relu().derivative(z - kink, order); },
      .kinks = {kink}};
  const auto x = pair_of_points(3, 0.5, 2.0, 2.0);
  const auto k = infinite_ntk(shifted, x, x);
  const double mean_square = 0.5 * (1 - kink / 2.0);  // of σ': t is uniform on [−1, 1] in three dimensions
  EXPECT_NEAR(k.left_out, 1 - k.values[0][0].item<double>() / (4 * mean_square), 1e-12);
  const auto others = pair_of_points(3, 0.5, 2.0, 3.0);
  EXPECT_THROW(infinite_ntk(shifted, others, others), InputError);
  const auto asks_for_kinks = [&] {
    const auto warnings = sigma_spectrum(shifted, 20, 6).warnings;
    return std::any_of(warnings.begin(), warnings.end(),
                       [](const std::string& w) { return w.find("name its kinks") != std::string::npos; });
  };
  EXPECT_FALSE(asks_for_kinks());
  shifted.kinks = {};
  EXPECT_TRUE(asks_for_kinks());
}

TEST(InfiniteNtk, IsTheLimitOfWideNetworks) {
  const auto x = sphere_points(20, 5, std::sqrt(5.0), RandomStream(Purpose::train_inputs, 1));
  const auto limit = infinite_ntk(sigmoid(1.0), x, x).values;
  EXPECT_TRUE(identical(limit, limit.t()));
  const auto error = [&](std::int64_t m) {
    return relative_error(feature_kernel(*float64_network(5, m, Initialisation::symmetric), x), limit);
  };
  EXPECT_LT(error(2000), 0.02);
  EXPECT_NEAR(error(128000) / error(2000), 1.0 / 8, 0.06);  // as m^(-1/2)
}

TEST(InfiniteNtk, TakesAPointThatIsZeroAndRefusesOneColumn) {
  const auto k = infinite_ntk(sigmoid(1.0), torch::zeros({1, 3}, torch::kFloat64), random_matrix(4, 3, 1));
  EXPECT_TRUE(identical(k.values, torch::zeros({1, 4}, torch::kFloat64)));
  const auto line = random_matrix(4, 1, 1);
  EXPECT_THROW(infinite_ntk(sigmoid(1.0), line, line), InputError);
}

TEST(KernelRegression, OnTheNtkIsWhatDescentOnTheLinearTermEndsAt) {
  const auto network = float64_network(6, 40, Initialisation::symmetric);
  const auto x = sphere_points(8, 6, std::sqrt(6.0), RandomStream(Purpose::train_inputs, 1));
  const auto fresh = random_matrix(5, 6, 2), y = random_matrix(8, 1, 3).squeeze(1);
  const auto fit = kernel_regression(feature_kernel(*network, x), y);
  EXPECT_EQ(fit.rank, 8);
  EXPECT_EQ(fit.notice, "");
  const KernelFunction kernel = [&](const at::Tensor& a, const at::Tensor& b) {
    return feature_kernel(*network, a, b);
  };

  TaylorModel model(network, TaylorModelOptions{.order = 1});
  Trainer trainer(model, square_loss(), {.learning_rate = 3, .steps = 20000});
  const auto end = trainer.fit(own_data({x, y}, {}));
  ASSERT_LT(end.last.train_loss, 1e-20);
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(close(kernel_prediction(kernel, fresh, x, fit.coefficients), model->forward(fresh), 1e-8));
  EXPECT_NEAR(std::sqrt(fit.squared_norm) / end.last.norm_w, 1, 1e-8);
  EXPECT_TRUE(close(fit.fitted, y, 1e-9));
}

TEST(KernelRegression, WithARidgeIsTheMinimumOverTheParameters) {
  const auto network = float64_network(3, 20, Initialisation::plain);
  const auto x = random_matrix(90, 3, 1), y = random_matrix(90, 1, 3).squeeze(1);  // more points than parameters
  const auto phi = features(*network, x);
  // By Cholesky's factors; by eigenvectors, which the second cut asks for.
  for (const auto& [ridge, cut] : {std::pair{1e-3, 1e-12}, {1.0, 1e-12}, {1e-3, 1e-2}}) {
    const auto fit = kernel_regression(phi.mm(phi.t()), y, {.ridge = ridge, .cut = cut});
    const auto normal = phi.t().mm(phi) / 90.0 + ridge * torch::eye(60, torch::kFloat64);
    const auto v = torch::linalg_solve(normal, phi.t().mv(y) / 90.0);
    EXPECT_TRUE(close(phi.t().mv(fit.coefficients), v, 1e-9)) << ridge;
    EXPECT_TRUE(close(fit.fitted, phi.mv(v), 1e-9));
    EXPECT_NEAR(fit.squared_norm, v.square().sum().item<double>(), 1e-9 * fit.squared_norm);
  }
}

TEST(KernelRegression, OnASingularKernelIsTheFitOfLeastNormAndSaysSo) {
  const auto phi = random_matrix(12, 5, 1);
  const auto y = random_matrix(12, 1, 3).squeeze(1);
  const auto fit = kernel_regression(phi.mm(phi.t()), y);
  EXPECT_EQ(fit.rank, 5);
  EXPECT_NE(fit.notice.find("singular at these points: 7 of its 12 eigenvalues"), std::string::npos) << fit.notice;
  EXPECT_TRUE(close(phi.t().mv(fit.coefficients), torch::linalg_pinv(phi).mv(y), 1e-9));
}

TEST(KernelRegression, PointsThatAreThereTwiceShareTheMeanOfTheirLabels) {
  const auto network = float64_network(3, 40, Initialisation::symmetric);
  const auto x = random_matrix(6, 3, 1).repeat({2, 1});
  const auto y = random_matrix(12, 1, 3).squeeze(1);
  const auto fit = kernel_regression(feature_kernel(*network, x), y);
  EXPECT_EQ(fit.rank, 6);
  EXPECT_TRUE(close(fit.fitted, y.view({2, 6}).mean(0).repeat({2}), 1e-8));
}

TEST(KernelRegression, PredictsInBlocks) {
  const auto x = random_matrix(4500, 3, 1), train = random_matrix(7, 3, 2), alpha = random_matrix(7, 1, 3).squeeze(1);
  std::int64_t most = 0;
  const KernelFunction kernel = [&](const at::Tensor& a, const at::Tensor& b) {
    most = std::max(most, a.size(0));
    return a.mm(b.t());
  };
  EXPECT_TRUE(close(kernel_prediction(kernel, x, train, alpha), x.mm(train.t()).mv(alpha), 1e-13));
  EXPECT_EQ(most, 2048);
}

TEST(KernelRegression, BitsDoNotDependOnTheNumberOfThreads) {
  const auto network = float64_network(8, 600, Initialisation::symmetric);
  const auto x = sphere_points(700, 8, std::sqrt(8.0), RandomStream(Purpose::train_inputs, 1));
  const auto y = random_matrix(700, 1, 3).squeeze(1);
  const auto all = [&](int threads) {
    const ThreadCount count(threads);
    const auto limit = infinite_ntk(network->activation(), x, x).values;
    return torch::stack({kernel_regression(feature_kernel(*network, x), y).coefficients,
                         kernel_regression(feature_kernel(*network, x, 2), y, {.ridge = 1e-3}).fitted,
                         kernel_regression(limit, y).coefficients});
  };
  EXPECT_TRUE(identical(all(1), all(3)));
}

TEST(KernelRegression, RefusesWhatDoesNotFit) {
  const auto k = torch::eye(3, torch::kFloat64), y = torch::ones({3}, torch::kFloat64);
  EXPECT_THROW(kernel_regression(k.narrow(0, 0, 2), y), InputError);
  EXPECT_THROW(kernel_regression(k, y.narrow(0, 0, 2)), InputError);
  EXPECT_THROW(kernel_regression(k.to(torch::kFloat), y), InputError);
  EXPECT_THROW(kernel_regression(k, y * NAN), InputError);
  EXPECT_THROW(kernel_regression(k, y, {.ridge = -1}), InputError);
}

}  // namespace
}  // namespace entk::kernel_regression_test
