// The quadratic form and the product of population_form.h, against explicit matrices.
#include <cmath>

#include "entk/base/error.h"
#include "entk/spectrum/population_form.h"
#include "tests/spectrum/activations.h"
#include "tests/support/testing.h"

namespace entk::population_tiles_test {
namespace {

using testing::close;
using testing::identical;
using testing::Sigmoid;
using testing::ThreadCount;
using testing::unit_rows;

constexpr double rounding = 1e-12;

struct Neurons {
  torch::Tensor a, w0, w;
};
Neurons neurons(std::int64_t m, int d) {
  const auto w0 = unit_rows(m, d, 11);
  return {torch::randn({m}, torch::kFloat64), w0, torch::randn({m, d}, torch::kFloat64)};
}
Neurons symmetric(std::int64_t half, int d) {
  const auto w0 = unit_rows(half, d, 12);
  const auto sign = torch::ones({half}, torch::kFloat64);
  return {torch::cat({sign, -sign}), torch::cat({w0, w0}), torch::randn({2 * half, d}, torch::kFloat64)};
}
double quadratic(const PopulationForm& form, const Neurons& n) {
  return population_quadratic_form(form, n.a, n.w0, n.w);
}
torch::Tensor product(const PopulationForm& form, const Neurons& n) { return population_product(form, n.a, n.w0, n.w); }

// Σ = E[φφᵀ], md×md, over points that integrate it to rounding: d = 2 and 3.
torch::Tensor explicit_sigma(const testing::Scalar& dsigma, const Neurons& n, int d) {
  const auto points = testing::sphere_points(d, 60);
  const auto m = n.w0.size(0);
  const auto table = testing::map(dsigma, points.x.mm(n.w0.t())) * n.a / std::sqrt(m);  // N×m
  const auto phi = (table.unsqueeze(2) * points.x.unsqueeze(1)).flatten(1);             // N×md
  return phi.t().mm(points.weights.unsqueeze(1) * phi);
}

TEST(PopulationTiles, AreTheExplicitCovarianceOfTheFeatures) {
  const auto f = Sigmoid{1.0}.first();
  for (int d : {2, 3}) {
    const auto n = neurons(6, d);
    const auto sigma = explicit_sigma(f, n, d);
    const auto form = population_form(f, d, 30);
    const auto want = sigma.mv(n.w.flatten());
    EXPECT_TRUE(close(product(form, n).flatten(), want, rounding)) << d;
    EXPECT_NEAR(quadratic(form, n), want.dot(n.w.flatten()).item<double>(), rounding) << d;
  }
}

// Monte Carlo at d = 12: E[f_L²] over 4·10⁵ points, within five standard errors.
TEST(PopulationTiles, AreTheMeanSquareOfTheLinearTerm) {
  const int d = 12, m = 40;
  const auto n = neurons(m, d);
  const auto f = Sigmoid{1.0}.first();
  const double got = quadratic(population_form(f, d, 16), n);
  const auto x = std::sqrt(d) * unit_rows(400000, d, 3);
  const auto linear =
      (torch::sigmoid(x.mm(n.w0.t()) - 1) * (1 - torch::sigmoid(x.mm(n.w0.t()) - 1)) * x.mm(n.w.t())).mv(n.a) /
      std::sqrt(m);
  const auto squares = linear.square();
  const double error = squares.std().item<double>() / std::sqrt(400000.0);
  EXPECT_LT(error, 0.01 * got);
  EXPECT_NEAR(got, squares.mean().item<double>(), 5 * error);
}

// Sizes around the tile of 128 rows: the sums over all pairs in a few lines.
TEST(PopulationTiles, AreTheNaiveSumsOverAllPairs) {
  const int d = 9;
  const auto form = population_form(Sigmoid{1.0}.first(), d, 10);
  for (std::int64_t m : {1, 2, 63, 65, 128, 129, 300}) {
    const auto n = neurons(m, d);
    const auto v = n.a.unsqueeze(1) * n.w;
    const auto k = evaluate(form, n.w0.mm(n.w0.t()));
    const auto cross = n.w0.mm(v.t()), p = cross.diagonal();  // cross_rs = w0_r·v_s
    const auto want = (n.a / m).unsqueeze(1) * (k.alpha.mm(v) + (k.beta * p + k.gamma * cross).mm(n.w0) +
                                                ((k.beta * cross).sum(1) + k.gamma.mv(p)).unsqueeze(1) * n.w0);
    const double value = (want * n.w).sum().item<double>();
    EXPECT_TRUE(close(product(form, n), want, rounding)) << m;
    EXPECT_NEAR(quadratic(form, n), value, rounding * value) << m;
  }
}

TEST(PopulationTiles, ProductIsHalfTheGradientOfTheQuadraticForm) {
  const auto form = population_form(Sigmoid{1.0}.first(), 7, 8);
  auto n = neurons(10, 7);
  const auto gradient = 2 * product(form, n);
  const auto direction = torch::randn_like(n.w);
  // The form is quadratic: central differences are exact but for rounding.
  const auto w = n.w;
  n.w = w + direction;
  const double up = quadratic(form, n);
  n.w = w - direction;
  const double down = quadratic(form, n);
  EXPECT_NEAR((up - down) / 2, (gradient * direction).sum().item<double>(), 1e-12 * (up + down));
}

TEST(PopulationTiles, OfASymmetricStartNeedItsFirstHalfAlone) {
  const auto form = population_form(Sigmoid{1.0}.first(), 9, 8);
  for (std::int64_t half : {3, 150}) {
    const auto n = symmetric(half, 9);
    const auto delta = n.w.narrow(0, 0, half) - n.w.narrow(0, half, half);
    const auto a = n.a.narrow(0, 0, half), w0 = n.w0.narrow(0, 0, half);
    const double want = quadratic(form, n);
    EXPECT_NEAR(population_quadratic_form(form, a, w0, delta, Rows::first_half), want, rounding * want);
    const auto rows = population_product(form, a, w0, delta, Rows::first_half);
    EXPECT_TRUE(close(torch::cat({rows, -rows}), product(form, n), rounding));
  }
}

TEST(PopulationTiles, OfASymmetricStartIgnoreTheSumsOfTwins) {
  const auto form = population_form(Sigmoid{1.0}.first(), 9, 8);
  auto n = symmetric(20, 9);
  n.w = torch::cat({n.w.narrow(0, 0, 20), n.w.narrow(0, 0, 20)});
  EXPECT_LT(std::fabs(quadratic(form, n)), rounding);
}

// What stopping at J leaves out, relative to a long series: d = 20, W random.
TEST(PopulationTiles, TruncationErrsByItsKnownAmounts) {
  const auto f = Sigmoid{1.0}.first();
  const auto n = neurons(400, 20);
  const double want = quadratic(population_form(f, 20, 30), n);
  const double known[] = {9e-4, 6e-5, 3e-6};
  for (int i = 0; i < 3; ++i) {
    const auto form = population_form(f, 20, 4 + 2 * i);
    const double error = std::fabs(quadratic(form, n) / want - 1);
    EXPECT_LT(error, 2 * known[i]);
    EXPECT_GT(error, known[i] / 4);
    // The reported share of the trace says how large it is.
    EXPECT_LT(error, 4 * form.truncation.trace);
  }
}

// On the span of the blocks of degree 1, W_r = a_r (A v + B (w0_r·v) w0_r), the form is nearly λ_1
// ‖W‖²: infinite width's eigenvalue, approached as 1/m.
TEST(PopulationTiles, ApproachTheEigenvalueOfInfiniteWidth) {
  const int d = 10;
  const auto f = Sigmoid{1.0}.first();
  const auto eta = harmonic_coefficients(f, d, std::sqrt(d), 3).values;
  const double lambda = d * (eta[0] * eta[0] + (d - 1) * eta[2] * eta[2]) / d;
  const auto w0 = unit_rows(2000, d, 4);
  const auto a = torch::ones({2000}, torch::kFloat64);
  const auto v = torch::ones({d}, torch::kFloat64);
  const auto w = (eta[0] - eta[2]) * v + d * eta[2] * w0.mv(v).unsqueeze(1) * w0;
  const double quotient =
      population_quadratic_form(population_form(f, d, 12), a, w0, w) / w.square().sum().item<double>();
  EXPECT_NEAR(quotient / lambda, 1.0, 0.02);
}

// A dozen rows of tiles, and repeats: threads must have a chance to finish in another order.
TEST(PopulationTiles, HaveTheSameBitsForEveryNumberOfThreads) {
  const auto form = population_form(Sigmoid{1.0}.first(), 30, 8);
  const auto n = neurons(1500, 30);
  std::vector<double> values;
  std::vector<torch::Tensor> products;
  for (int count : {1, 2, 3, 2, 3, 2, 3}) {
    const ThreadCount setting(count);
    values.push_back(quadratic(form, n));
    products.push_back(product(form, n));
  }
  for (std::size_t i = 1; i < values.size(); ++i) {
    EXPECT_EQ(values[i], values[0]);
    EXPECT_TRUE(identical(products[i], products[0]));
  }
}

TEST(PopulationTiles, TakeFloat32AndSumInFloat64) {
  const auto form = population_form(Sigmoid{1.0}.first(), 30, 8);
  auto n = neurons(200, 30);
  for (auto* t : {&n.a, &n.w0, &n.w}) *t = t->to(torch::kFloat32);
  Neurons cast{n.a.to(torch::kFloat64), n.w0.to(torch::kFloat64), n.w.to(torch::kFloat64)};
  EXPECT_EQ(quadratic(form, n), quadratic(form, cast));
  EXPECT_TRUE(identical(product(form, n), product(form, cast)));
}

TEST(PopulationTiles, RefuseWrongShapesTypesAndNorms) {
  const auto form = population_form(Sigmoid{1.0}.first(), 5, 2);
  const auto n = neurons(4, 5);
  EXPECT_THROW(population_product(form, n.a.narrow(0, 0, 3), n.w0, n.w), InputError);
  EXPECT_THROW(population_product(form, n.a, n.w0.narrow(1, 0, 4), n.w), InputError);
  EXPECT_THROW(population_product(form, n.a, n.w0, n.w.t()), InputError);
  EXPECT_THROW(population_product(form, n.a, n.w0, torch::Tensor()), InputError);
  EXPECT_THROW(population_product(form, n.a, n.w0, n.w.to(torch::kInt64)), InputError);
  EXPECT_THROW(population_product(form, n.a, 1.01 * n.w0, n.w), InputError);
  EXPECT_THROW(population_product(form, n.a, NAN * n.w0, n.w), InputError);
  EXPECT_THROW(population_quadratic_form(form, n.a.narrow(0, 0, 0), n.w0.narrow(0, 0, 0), n.w.narrow(0, 0, 0)),
               InputError);
  try {
    population_product(form, n.a, n.w0, n.w.t());
    FAIL();
  } catch (const InputError& error) {
    EXPECT_NE(std::string(error.what()).find("w: expected floating [4, 5]"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace entk::population_tiles_test
