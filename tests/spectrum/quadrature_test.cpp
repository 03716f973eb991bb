#include "entk/spectrum/quadrature.h"

#include <cmath>
#include <numeric>
#include <numbers>

#include "entk/base/error.h"
#include "entk/spectrum/legendre.h"
#include "tests/spectrum/activations.h"
#include "tests/support/testing.h"

namespace entk::quadrature_test {
namespace {

constexpr double rounding = 1e-13;  // of a sum of some hundred terms
const int dimensions[] = {2, 3, 4, 20, 100, 10000, 10004};

// E[t^(2q)] = 1·3·…·(2q−1) / (D(D+2)…(D+2q−2)).
double moment(int D, int power) {
  double value = power % 2 ? 0.0 : 1.0;
  for (int i = 0; i < power / 2; ++i) value *= (2.0 * i + 1) / (D + 2.0 * i);
  return value;
}

double mean_power(const Quadrature& rule, int power) {
  double sum = 0;
  for (std::size_t i = 0; i < rule.nodes.size(); ++i) sum += rule.weights[i] * std::pow(rule.nodes[i], power);
  return sum;
}

double worst_orthonormality(const Quadrature& rule, int D, int max_degree) {
  auto gram = torch::zeros({max_degree + 1, max_degree + 1}, torch::kFloat64);
  for (std::size_t i = 0; i < rule.nodes.size(); ++i) {
    if (rule.weights[i] == 0) continue;
    const auto p = torch::tensor(orthonormal_values(D, max_degree, rule.nodes[i]), torch::kFloat64);
    gram += rule.weights[i] * torch::outer(p, p);
  }
  return (gram - torch::eye(max_degree + 1, torch::kFloat64)).abs().max().item<double>();
}

TEST(GaussQuadrature, IsExactForPolynomialsBelowTwiceItsNodes) {
  for (int D : dimensions) {
    for (int count : {1, 2, 3, 5, 8, 33}) {
      const auto rule = gauss_quadrature(D, count);
      for (int power = 0; power < std::min(2 * count, 40); ++power) {
        const double want = moment(D, power);
        // The rounding is relative to the moment, for odd powers to the next one.
        EXPECT_NEAR(mean_power(rule, power), want, rounding * (want + moment(D, power + 1)))
            << D << ' ' << count << ' ' << power;
      }
      EXPECT_GT(std::fabs(mean_power(rule, 2 * count) - moment(D, 2 * count)), 0.0);
    }
  }
}

TEST(GaussQuadrature, WeightsSumToOneAndNodesAreSymmetric) {
  for (int D : dimensions) {
    for (int count : {7, 64, 301}) {
      const auto rule = gauss_quadrature(D, count);
      EXPECT_NEAR(std::accumulate(rule.weights.begin(), rule.weights.end(), 0.0), 1.0, 1e-14);
      for (int i = 0; i < count; ++i) {
        EXPECT_EQ(rule.nodes[i], -rule.nodes[count - 1 - i]);
        EXPECT_EQ(rule.weights[i], rule.weights[count - 1 - i]);
        EXPECT_TRUE(i == 0 || rule.nodes[i - 1] < rule.nodes[i]);
        EXPECT_LE(std::fabs(rule.nodes[i]), 1.0);
      }
    }
  }
}

TEST(GaussQuadrature, InDimensionTwoIsChebyshevs) {
  for (int count : {1, 4, 33, 300}) {
    const auto rule = gauss_quadrature(2, count);
    for (int i = 0; i < count; ++i) {
      EXPECT_NEAR(rule.nodes[i], -std::cos((2 * i + 1) * std::numbers::pi / (2 * count)), 1e-14);
      EXPECT_NEAR(rule.weights[i] * count, 1.0, 1e-12) << count << ' ' << i;
    }
  }
}

TEST(GaussQuadrature, InDimensionThreeIsGaussLegendre) {
  const auto rule = gauss_quadrature(3, 3);
  EXPECT_NEAR(rule.nodes[2], std::sqrt(0.6), 1e-15);
  EXPECT_NEAR(rule.weights[0], 5.0 / 18, 1e-15);
  EXPECT_NEAR(rule.weights[1], 8.0 / 18, 1e-15);
}

TEST(GaussQuadrature, KeepsTheLegendrePolynomialsOrthonormalWithHundredsOfNodes) {
  for (int D : dimensions) {
    for (int count : {40, 200, 500})
      EXPECT_LT(worst_orthonormality(gauss_quadrature(D, count), D, 25), 2e-13) << D << ' ' << count;
  }
}

TEST(CompositeQuadrature, KeepsTheLegendrePolynomialsOrthonormal) {
  for (int D : dimensions) {
    for (double b : {0.0, 0.013, -0.7}) {
      EXPECT_LT(worst_orthonormality(composite_quadrature(D, {b}, 32), D, 20), 2e-13) << D << ' ' << b;
    }
  }
}

TEST(CompositeQuadrature, PutsPanelEndsAtItsBreaks) {
  const auto rule = composite_quadrature(50, {0.05, -0.1, 0.05, 3.0}, 8);
  const auto below = std::count_if(rule.nodes.begin(), rule.nodes.end(), [](double t) { return t < 0.05; });
  EXPECT_EQ(below % 8, 0);
  EXPECT_TRUE(std::is_sorted(rule.nodes.begin(), rule.nodes.end()));
}

// A break that puts a panel within rounding of the end must not make a weight that is not a number.
TEST(CompositeQuadrature, SurvivesABreakNextToTheEnd) {
  for (int D : {2, 3, 100}) {
    const auto rule = composite_quadrature(D, {std::nextafter(1.0, 0.0)}, 16);
    EXPECT_NEAR(std::accumulate(rule.weights.begin(), rule.weights.end(), 0.0), 1.0, 1e-14);
  }
}

TEST(Quadrature, RefusesDimensionsBelowTwoAndImpossibleCounts) {
  for (int D : {1, 0, -3}) {
    EXPECT_THROW(gauss_quadrature(D, 8), InputError);
    EXPECT_THROW(composite_quadrature(D, {0.0}, 8), InputError);
  }
  EXPECT_THROW(gauss_quadrature(3, 0), InputError);
  EXPECT_THROW(gauss_quadrature(3, 2001), InputError);
  EXPECT_THROW(composite_quadrature(3, {NAN}, 8), InputError);
}

}  // namespace
}  // namespace entk::quadrature_test
