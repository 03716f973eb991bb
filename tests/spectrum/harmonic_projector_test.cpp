#include "entk/spectrum/harmonic_projector.h"

#include <cmath>

#include "entk/base/error.h"
#include "entk/spectrum/sigma_projector.h"
#include "tests/spectrum/activations.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::harmonic_projector_test {
namespace {

using testing::close;
using testing::features;
using testing::float64_network;
using testing::identical;
using testing::random_matrix;

const std::vector<Initialisation> starts = {Initialisation::symmetric, Initialisation::plain};
constexpr double rounding = 1e-11;

// The harmonics of degree ≤ k on the sphere of radius √3, as functions of rows N×3.
std::vector<torch::Tensor> harmonics(int k, const torch::Tensor& p) {
  const auto x = p.select(1, 0), y = p.select(1, 1), z = p.select(1, 2);
  std::vector<torch::Tensor> values{torch::ones_like(x)};
  if (k >= 1) values.insert(values.end(), {x, y, z});
  if (k >= 2) values.insert(values.end(), {x * y, x * z, y * z, x * x - y * y, 2 * z * z - x * x - y * y});
  return values;
}

// Orthonormal columns that span the blocks E_x[φ(x)Y(x)], by quadrature over the sphere: md×r.
torch::Tensor explicit_basis(const NetworkImpl& network, int k) {
  const auto points = testing::sphere_points(3, 40);
  const auto phi = features(network, points.x);  // N×md
  std::vector<torch::Tensor> blocks;
  for (const auto& y : harmonics(k, points.x)) blocks.push_back(phi.t().mv(points.weights * y));
  return std::get<0>(torch::linalg_qr(torch::stack(blocks, 1)));
}

const std::vector<std::int64_t> ranks = {1, 4, 9};  // n_0, n_1, n_2 at d = 3

TEST(HarmonicProjector, IsTheProjectorOnTheBlocksOfTheHarmonics) {
  for (auto start : starts) {
    const auto network = float64_network(3, 26, start);
    const auto w = random_matrix(26, 3, 1), x = random_matrix(11, 3, 2);
    for (int k = 0; k <= 2; ++k) {
      SCOPED_TRACE(k);
      const auto sigma = HarmonicProjector::make(network, ranks[k]);
      EXPECT_EQ(sigma.degree(), k);
      const auto q = explicit_basis(*network, k);
      const auto want = q.mv(q.t().mv(w.flatten()));
      EXPECT_TRUE(close(sigma.low(w).flatten(), want, rounding));
      EXPECT_TRUE(close(sigma.high(w).flatten(), w.flatten() - want, rounding));
      const auto elsewhere = features(*network, x).mv(want);
      EXPECT_TRUE(close(sigma.transfer(x).mv(sigma.moments(w)), elsewhere, rounding));
    }
  }
}

TEST(HarmonicProjector, ItsMapsAreAdjointAndItsGramMatrixIsThatOfTheBlocks) {
  for (auto start : starts) {
    // More neurons than a tile, and a of any size where it is not ±1.
    auto network = float64_network(5, 1100, start);
    if (start == Initialisation::plain) {
      network = Network(network->w0, random_matrix(1100, 1, 7).flatten(), sigmoid(1.0));
    }
    const auto sigma = HarmonicProjector::make(network, 20);
    std::vector<torch::Tensor> columns;
    const auto identity = torch::eye(20, torch::kFloat64);
    for (int i = 0; i < 20; ++i) columns.push_back(sigma.combine(identity[i]).flatten());
    const auto blocks = torch::stack(columns, 1);  // md×r
    const auto w = random_matrix(1100, 5, 1), x = random_matrix(300, 5, 2);
    EXPECT_TRUE(close(sigma.moments(w), blocks.t().mv(w.flatten()), rounding));
    EXPECT_TRUE(close(sigma.solve(blocks.t().mm(blocks)), identity, 1e-9));
    EXPECT_TRUE(close(sigma.features(x), features(*network, x).mm(blocks), rounding));
  }
}

TEST(HarmonicProjector, PopulationValuesAreTheIntegralsOverTheSphere) {
  for (auto start : starts) {
    const auto network = float64_network(3, 26, start);
    const auto points = testing::sphere_points(3, 40);
    const auto phi = features(*network, points.x);
    const auto integral = [&](const torch::Tensor& v) {
      return (points.weights * phi.mv(v.flatten()).square()).sum().item<double>();
    };
    const auto w = random_matrix(26, 3, 1);
    for (auto rank : ranks) {
      const auto sigma = HarmonicProjector::make(network, rank);
      const double whole = integral(w);
      const double bound = 1e-5 * whole;  // ten times what the form may leave out of tr Σ
      EXPECT_NEAR(sigma.population_r1(w), integral(sigma.high(w)), bound) << rank;
      EXPECT_NEAR(sigma.population_r2(w), integral(sigma.low(w)), bound) << rank;
      EXPECT_TRUE(close(sigma.population_product(w).flatten(), phi.t().mv(points.weights * phi.mv(w.flatten())), 1e-5));
    }
  }
}

// Against fresh points: the mean of squares over N points is known to about √(2/N) of itself.
// Population R1 and R2 within four standard errors of the means over `count` fresh points, `batch` at a time.
void expect_population_values(std::int64_t d, std::int64_t m, const std::vector<std::int64_t>& ranks,
                              std::int64_t count, std::int64_t batch) {
  const torch::NoGradGuard no_grad;
  const auto network = float64_network(d, m, Initialisation::symmetric);
  const auto w = random_matrix(m, d, 1);
  std::vector<torch::Tensor> parts;
  std::vector<double> population;
  for (const auto rank : ranks) {
    const auto sigma = HarmonicProjector::make(network, rank);
    for (const auto& part : {sigma.high(w), sigma.low(w)}) parts.push_back(part.flatten());
    for (const double value : {sigma.population_r1(w), sigma.population_r2(w)}) population.push_back(value);
  }
  const auto columns = torch::stack(parts, 1);
  std::vector<torch::Tensor> squares;
  for (std::int64_t i = 0; i < count / batch; ++i) {
    auto x = random_matrix(batch, d, static_cast<int>(2 + i));
    x *= std::sqrt(static_cast<double>(d)) / x.norm(2, 1, true);
    squares.push_back(features(*network, x).mm(columns).square());
  }
  const auto all = torch::cat(squares);
  for (std::size_t j = 0; j < population.size(); ++j) {
    const auto column = all.select(1, static_cast<std::int64_t>(j));
    const double mean = column.mean().item<double>(),
                 error = column.std().item<double>() / std::sqrt(static_cast<double>(count));
    EXPECT_NEAR(population[j], mean, 4 * error) << (j % 2 ? "R2" : "R1") << ", rank " << ranks[j / 2];
    std::printf("[  VALUES  ] %s, rank %ld: population %.6g, mean over %ld points %.6g, standard error %.2g\n",
                j % 2 ? "R2" : "R1", static_cast<long>(ranks[j / 2]), population[j], static_cast<long>(count), mean,
                error);
  }
}

TEST(HarmonicProjector, PopulationValuesAreThoseOfManyFreshPoints) {
  expect_population_values(12, 200, {13, 90}, 20000, 20000);
}

// Some minutes: run it by name, with --gtest_also_run_disabled_tests.
TEST(HarmonicProjector, DISABLED_PopulationValuesAreThoseOfAMillionFreshPoints) {
  expect_population_values(20, 1000, {21, 230}, 1000000, 2000);
}

// Cosines of the principal angles between its range and that of a projector from a sample.
double smallest_cosine(const HarmonicProjector& sigma, const NetworkImpl& network, const SigmaProjector& sampled) {
  std::vector<torch::Tensor> columns;
  const auto r = sigma.rank();
  const auto identity = torch::eye(r, torch::kFloat64);
  for (std::int64_t i = 0; i < r; ++i) columns.push_back(sigma.combine(identity[i]).flatten());
  const auto q = std::get<0>(torch::linalg_qr(torch::stack(columns, 1)));
  const auto v = std::get<0>(torch::linalg_qr(features(network, sampled.points()).t().mm(sampled.basis())));
  return std::get<1>(torch::linalg_svd(q.t().mm(v))).min().item<double>();
}

TEST(HarmonicProjector, ASampledProjectorComesCloserTheMorePointsItHas) {
  const auto network = float64_network(8, 400, Initialisation::symmetric);
  const auto sigma = HarmonicProjector::make(network, 9);
  auto x = random_matrix(3000, 8, 3);
  x *= std::sqrt(8.0) / x.norm(2, 1, true);
  const auto few = SigmaProjector::from_unlabeled(network, x.narrow(0, 0, 300), 9);
  const auto many = SigmaProjector::from_unlabeled(network, x, 9);
  const double coarse = smallest_cosine(sigma, *network, few), fine = smallest_cosine(sigma, *network, many);
  // The sample's own error, some 1/√N of the gaps, is what keeps the cosine from 1.
  EXPECT_GT(fine, 0.995);
  EXPECT_GT(fine, coarse);
}

TEST(HarmonicProjector, IsCloseToTheTopEigenspaceOfThePopulationCovariance) {
  const auto network = float64_network(4, 60, Initialisation::plain);
  const auto sigma = HarmonicProjector::make(network, 5);
  std::vector<torch::Tensor> columns;
  const auto identity = torch::eye(240, torch::kFloat64);
  for (int i = 0; i < 240; ++i) columns.push_back(sigma.population_product(identity[i].view({60, 4})).flatten());
  const auto vectors = std::get<1>(torch::linalg_eigh(torch::stack(columns, 1))).narrow(1, 235, 5);
  std::vector<torch::Tensor> blocks;
  for (int i = 0; i < 5; ++i) blocks.push_back(sigma.combine(torch::eye(5, torch::kFloat64)[i]).flatten());
  const auto q = std::get<0>(torch::linalg_qr(torch::stack(blocks, 1)));
  EXPECT_GT(std::get<1>(torch::linalg_svd(q.t().mm(vectors))).min().item<double>(), 0.99);
}

TEST(HarmonicProjector, BitsDoNotDependOnTheNumberOfThreads) {
  const auto network = float64_network(9, 2400, Initialisation::symmetric);
  const auto w = random_matrix(2400, 9, 1), x = random_matrix(600, 9, 2);
  std::vector<torch::Tensor> first;
  for (int count : {1, 2, 3}) {
    const testing::ThreadCount threads(count);
    const auto sigma = HarmonicProjector::make(network, 54);
    const std::vector<torch::Tensor> now = {sigma.moments(w), sigma.low(w), sigma.transfer(x)};
    if (first.empty()) first = now;
    for (std::size_t i = 0; i < now.size(); ++i) EXPECT_TRUE(identical(now[i], first[i])) << i;
  }
}

TEST(HarmonicProjector, RefusesWhatItCannotBe) {
  const auto network = float64_network(5, 40, Initialisation::symmetric);
  for (std::int64_t rank : {0, 2, 5, 7, 21}) EXPECT_THROW(HarmonicProjector::make(network, rank), InputError) << rank;
  const Network stretched(2 * network->w0, network->a, sigmoid(1.0));
  EXPECT_THROW(HarmonicProjector::make(stretched, 6), InputError);
  // Too narrow: n_2 = 20 directions, 15 of them at most nonzero.
  EXPECT_THROW(HarmonicProjector::make(float64_network(5, 6, Initialisation::symmetric), 20), InputError);
  // Without a shift Σ has no directions of even degree.
  const Network even(network->w0, network->a, sigmoid(0.0));
  for (std::int64_t rank : {1, 6, 20}) EXPECT_THROW(HarmonicProjector::make(even, rank), InputError) << rank;
}

}  // namespace
}  // namespace entk::harmonic_projector_test
