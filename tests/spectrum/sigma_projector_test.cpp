#include "entk/spectrum/sigma_projector.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "entk/spectrum/feature_kernel.h"
#include "entk/spectrum/top_eigenpairs.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::sigma_projector_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

TEST(FeatureKernel, IsTheGramMatrixOfTheFeatures) {
  for (auto start : {Initialisation::symmetric, Initialisation::plain}) {
    const auto network = float64_network(5, 1100, start);  // more neurons than one pass takes
    const auto x = random_matrix(300, 5, 1), x2 = random_matrix(17, 5, 2);
    const auto phi = features(*network, x), phi2 = features(*network, x2);
    const auto k = feature_kernel(*network, x);
    EXPECT_TRUE(close(k, phi.mm(phi.t()), 1e-13));
    EXPECT_TRUE(identical(k, k.t()));
    EXPECT_TRUE(close(feature_kernel(*network, x, x2), phi.mm(phi2.t()), 1e-13));
  }
}

TEST(FeatureKernel, ReadsTheSizesOfA) {
  const auto w0 = random_matrix(6, 3, 1), x = random_matrix(4, 3, 2);
  const Network network(w0, torch::tensor({0.5, -2.0, 0.0, 1.0, 3.0, -1.0}, torch::kFloat64), sigmoid(1.0));
  const auto phi = features(*network, x);
  EXPECT_TRUE(close(feature_kernel(*network, x), phi.mm(phi.t()), 1e-13));
}

TEST(SigmaProjector, LowAndHighPartsAreThoseOfTheExplicitProjector) {
  for (auto start : {Initialisation::symmetric, Initialisation::plain}) {
    const auto network = float64_network(4, 24, start);
    const auto x = random_matrix(19, 4, 1), fresh = random_matrix(7, 4, 2), w = random_matrix(24, 4, 3);
    const auto phi = features(*network, x);
    const auto sigma = SigmaProjector::from_features(network, x, 5);
    const auto pi = projector(phi, 5);
    const auto vec = w.flatten(), u = phi.mv(vec);
    EXPECT_TRUE(close(sigma.low(u), phi.mv(pi.mv(vec)), 1e-10));
    EXPECT_TRUE(close(sigma.high(u), phi.mv(vec - pi.mv(vec)), 1e-10));
    const auto elsewhere = features(*network, fresh).mv(pi.mv(vec));
    EXPECT_TRUE(close(sigma.transfer(*network, fresh).mv(sigma.coefficients(u)), elsewhere, 1e-10));
    const auto values = std::get<1>(torch::linalg_svd(phi, false)).square() / 19.0;
    EXPECT_TRUE(close(sigma.eigenvalues(), values.narrow(0, 0, 6), 1e-10));
    EXPECT_NEAR(sigma.relative_gap(), ((values[4] - values[5]) / values[4]).item<double>(), 1e-9);
  }
}

TEST(SigmaProjector, RowBlocksAndTheWholeKernelGiveTheSameSubspace) {
  const auto network = float64_network(6, 64, Initialisation::symmetric);
  const auto x = random_matrix(2500, 6, 1);
  const auto whole = SigmaProjector::from_unlabeled(network, x, 6);
  const auto blocks = SigmaProjector::from_unlabeled(network, x, 6, {.kernel_limit = 0});
  // ‖U_1ᵀU_2‖ has singular values 1 where the subspaces agree.
  const auto cosines = std::get<1>(torch::linalg_svd(whole.basis().t().mm(blocks.basis())));
  EXPECT_NEAR(cosines.min().item<double>(), 1.0, 1e-12);
  EXPECT_TRUE(close(blocks.eigenvalues(), whole.eigenvalues(), 1e-11));
}

TEST(SigmaProjector, SubspaceIterationFindsWhatLapackFinds) {
  const auto a = random_matrix(400, 400, 1);
  const auto q = std::get<0>(torch::linalg_qr(a));
  for (double decay : {0.9, 0.99}) {
    const auto spectrum = torch::pow(decay, torch::arange(400, torch::kFloat64));
    const auto matrix = (q * spectrum).mm(q.t());
    const auto pairs = top_eigenpairs([&](const torch::Tensor& v) { return matrix.mm(v); }, 400, 20, matrix.options());
    EXPECT_TRUE(close(pairs.values, spectrum.narrow(0, 0, 20), 1e-11)) << decay;
    EXPECT_TRUE(close(pairs.vectors.t().mm(pairs.vectors), torch::eye(20, torch::kFloat64), 1e-12));
    const auto cosines = std::get<1>(torch::linalg_svd(q.narrow(1, 0, 20).t().mm(pairs.vectors)));
    EXPECT_NEAR(cosines.min().item<double>(), 1.0, 1e-10) << decay;
  }
}

TEST(SigmaProjector, BitsDoNotDependOnTheNumberOfThreads) {
  const auto network = float64_network(6, 700, Initialisation::symmetric);
  const auto x = random_matrix(600, 6, 1), fresh = random_matrix(300, 6, 2), many = random_matrix(1700, 6, 3);
  std::vector<torch::Tensor> first;
  for (int count : {1, 2, 3}) {
    const ThreadCount threads(count);
    const auto small = SigmaProjector::from_features(network, x, 7);
    const auto large = SigmaProjector::from_unlabeled(network, many, 7);
    const std::vector<torch::Tensor> now = {small.basis(), small.eigenvalues(), small.transfer(*network, fresh),
                                            large.basis()};
    if (first.empty()) first = now;
    for (std::size_t i = 0; i < now.size(); ++i) EXPECT_TRUE(identical(now[i], first[i])) << i;
  }
}

TEST(SigmaProjector, ARankAboveTheNumericalRankIsRefused) {
  const auto network = float64_network(3, 2, Initialisation::symmetric);  // one distinct neuron: rank 3
  const auto x = random_matrix(20, 3, 1);
  EXPECT_EQ(SigmaProjector::from_features(network, x, 3).rank(), 3);
  for (int rank : {0, 4, 21}) EXPECT_THROW(SigmaProjector::from_features(network, x, rank), InputError) << rank;
}

TEST(SigmaProjector, AClosedGapAtTheCutIsAWarning) {
  const Network network(torch::ones({1, 2}, torch::kFloat64), torch::ones({1}, torch::kFloat64),
                        polynomial({0.0, 1.0}));
  const auto x = torch::tensor({{1.0, 0.0}, {0.0, 1.0}}, torch::kFloat64);  // K is the identity
  EXPECT_EQ(SigmaProjector::from_features(network, x, 1).warnings().size(), 1u);
  EXPECT_TRUE(SigmaProjector::from_features(network, x, 2).warnings().empty());
}

TEST(SigmaProjector, FloatNetworksHaveAFloatBasisOfFullAccuracy) {
  const Network network(NetworkOptions{.dimension = 5, .width = 80});
  const Network exact(network->w0.to(torch::kFloat64), network->a.to(torch::kFloat64), sigmoid(1.0));
  const auto x = random_matrix(40, 5, 1).to(torch::kFloat32);
  const auto single = SigmaProjector::from_features(network, x, 5);
  const auto twice = SigmaProjector::from_features(exact, x.to(torch::kFloat64), 5);
  EXPECT_EQ(single.basis().scalar_type(), torch::kFloat32);
  EXPECT_TRUE(close(single.basis(), twice.basis(), 1e-7));
}

}  // namespace
}  // namespace entk::sigma_projector_test
