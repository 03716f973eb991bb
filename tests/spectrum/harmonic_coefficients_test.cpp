#include "entk/spectrum/harmonic_coefficients.h"

#include <cmath>

#include "entk/base/error.h"
#include "entk/spectrum/legendre.h"
#include "tests/spectrum/activations.h"
#include "tests/support/testing.h"

namespace entk::harmonic_coefficients_test {
namespace {

using testing::Sigmoid;
using testing::step;

// What quadrature is held to here: relative to the L² norm of g. See Vanishing::zero_below.
constexpr double accuracy = 1e-12;
const int dimensions[] = {2, 3, 5, 20, 100, 10000};

TEST(HarmonicCoefficients, OfAPolynomialAreItsLegendreCoefficientsOverTheMultiplicity) {
  const auto g = [](double z) { return 1 - 2 * z + 0.5 * z * z * z; };
  for (int d : dimensions) {
    for (int D : {d, d + 2, d + 4}) {
      const double s = std::sqrt(d);
      const auto c = harmonic_coefficients(g, D, s, 6);
      auto want = monomials_to_legendre(D, {1.0, -2 * s, 0.0, 0.5 * s * s * s, 0.0, 0.0, 0.0});
      for (int j = 0; j <= 6; ++j) {
        const double root = std::sqrt(multiplicity(D, j));
        EXPECT_NEAR(c.norms[j], want[j] / root, accuracy * std::sqrt(c.mean_square)) << D << ' ' << j;
        EXPECT_NEAR(c.values[j] * root, c.norms[j], accuracy * std::sqrt(c.mean_square)) << D << ' ' << j;
      }
    }
  }
}

// E_D[e^{κt} P_j(t)] = Γ(D/2) (2/κ)^(D/2−1) I_{j+D/2−1}(κ).
TEST(HarmonicCoefficients, OfAnExponentialAreBesselFunctions) {
  for (int D : {3, 8, 20, 40}) {
    const auto c = harmonic_coefficients([](double z) { return std::exp(z); }, D, 1.7, 12);
    for (int j = 0; j <= 12; ++j) {
      const double want =
          std::tgamma(D / 2.0) * std::pow(2 / 1.7, D / 2.0 - 1) * std::cyl_bessel_i(j + D / 2.0 - 1, 1.7);
      EXPECT_NEAR(c.values[j], want, accuracy / std::sqrt(multiplicity(D, j))) << D << ' ' << j;
    }
  }
}

// ∫_s^1 P_j^(D) = (1−s²)^((D−1)/2) P_{j−1}^(D+2)(s) / ((D−1) Z_D) under the density, j ≥ 1.
TEST(HarmonicCoefficients, OfAStepHaveTheirClosedFormWhenItsBreakIsNamed) {
  for (int d : dimensions) {
    for (double threshold : {0.0, 0.7, -1.3}) {
      const double scale = std::sqrt(d), s = threshold / scale;
      const auto c =
          harmonic_coefficients([&](double z) { return step(z - threshold); }, d, scale, 20, {.breaks = {threshold}});
      const auto p = legendre_values(d + 2, 19, s);
      for (int j = 1; j <= 20; ++j) {
        const double want =
            std::exp(0.5 * (d - 1) * std::log1p(-s * s)) * p[j - 1] / (d - 1) * testing::density_constant(d);
        EXPECT_NEAR(c.norms[j], want * std::sqrt(multiplicity(d, j)), accuracy) << d << ' ' << threshold << ' ' << j;
        EXPECT_LT(c.errors[j], accuracy);
      }
      const double half = threshold == 0 ? 0.5
                          : d == 2       ? std::acos(s) / std::numbers::pi
                          : d == 3       ? 0.5 * (1 - s)
                                         : c.values[0];
      EXPECT_NEAR(c.values[0], half, accuracy);
    }
  }
}

TEST(HarmonicCoefficients, OfAStepWithoutItsBreakReportALargeError) {
  const auto c = harmonic_coefficients([](double z) { return step(z - 0.7); }, 20, std::sqrt(20), 4);
  EXPECT_GT(*std::max_element(c.errors.begin(), c.errors.end()), 1e-4);
}

TEST(HarmonicCoefficients, OfASmoothFunctionDoNotDependOnTheRule) {
  const auto g = Sigmoid{1.0}.first();
  for (int d : dimensions) {
    const auto gauss = harmonic_coefficients(g, d, std::sqrt(d), 20);
    const auto panels = harmonic_coefficients(g, d, std::sqrt(d), 20, {.breaks = {0.3}});
    for (int j = 0; j <= 20; ++j) {
      EXPECT_NEAR(gauss.norms[j], panels.norms[j], accuracy * std::sqrt(gauss.mean_square)) << d << ' ' << j;
    }
    EXPECT_NEAR(gauss.mean_square, panels.mean_square, accuracy * gauss.mean_square) << d;
  }
}

TEST(HarmonicCoefficients, ErrorEstimateCoversTheErrorOfTheCoarserRule) {
  const auto g = Sigmoid{1.0}.first();
  const auto good = harmonic_coefficients(g, 1000, std::sqrt(1000), 8);
  const auto poor = harmonic_coefficients(g, 1000, std::sqrt(1000), 8, {.nodes = 12});
  double error = 0, estimate = 0;
  for (int j = 0; j <= 8; ++j) {
    error = std::fmax(error, std::fabs(poor.norms[j] - good.norms[j]));
    estimate = std::fmax(estimate, poor.errors[j]);
  }
  EXPECT_GT(error, 1e-9);
  EXPECT_LE(error, estimate);
  EXPECT_LE(estimate, 1e4 * error);
}

TEST(HarmonicCoefficients, MeanSquareIsTheSumOfTheSquaredNorms) {
  const auto c = harmonic_coefficients(Sigmoid{1.0}.first(), 20, std::sqrt(20), 40);
  double sum = 0;
  for (double norm : c.norms) sum += norm * norm;
  EXPECT_NEAR(sum, c.mean_square, accuracy);
}

TEST(HarmonicCoefficients, FromValuesAtTheNodesAreThoseOfTheFunction) {
  const auto rule = gauss_quadrature(20, 384);
  std::vector<double> values;
  for (double t : rule.nodes) values.push_back(Sigmoid{1.0}.first()(std::sqrt(20) * t));
  const auto got = harmonic_coefficients(values, rule, 20, 6);
  EXPECT_EQ(got.norms, harmonic_coefficients(Sigmoid{1.0}.first(), 20, std::sqrt(20), 6).norms);
}

TEST(Vanishing, IsByParityWithoutAShift) {
  for (int d : {20, 100}) {
    const auto v = vanishing(harmonic_coefficients(Sigmoid{0.0}.first(), d, std::sqrt(d), 6));
    EXPECT_EQ(v.zero, (std::vector<int>{1, 3, 5})) << d;
    EXPECT_TRUE(v.nearly.empty()) << d;
  }
}

TEST(Vanishing, IsNothingAtAGenericShift) {
  for (int d : {20, 100, 10000}) {
    const auto v = vanishing(harmonic_coefficients(Sigmoid{1.0}.first(), d, std::sqrt(d), 8));
    EXPECT_TRUE(v.zero.empty() && v.nearly.empty()) << d;
  }
}

TEST(Vanishing, IsNearlySoAtATinyShift) {
  const auto v = vanishing(harmonic_coefficients(Sigmoid{1e-8}.first(), 100, 10, 4));
  EXPECT_TRUE(v.zero.empty());
  EXPECT_EQ(v.nearly, (std::vector<int>{1, 3}));
}

TEST(Vanishing, IsByDegreeForAPolynomial) {
  const auto v = vanishing(harmonic_coefficients([](double z) { return 2 * z; }, 50, std::sqrt(50), 5));
  EXPECT_EQ(v.zero, (std::vector<int>{0, 2, 3, 4, 5}));
  EXPECT_FALSE(v.is_zero(1));
}

TEST(Vanishing, HoldsForWhatTheQuadratureCannotTellFromZero) {
  HarmonicCoefficients c;
  c.norms = c.values = {1.0, 1e-4, 1e-4};
  c.errors = {0.0, 0.0, 1e-3};
  c.mean_square = 1.0;
  EXPECT_EQ(vanishing(c).zero, (std::vector<int>{2}));
}

TEST(HarmonicCoefficients, RefuseWhatTheyCannotIntegrate) {
  const auto g = [](double z) { return z; };
  EXPECT_THROW(harmonic_coefficients([](double) { return NAN; }, 5, 1.0, 2), NotFiniteError);
  EXPECT_THROW(harmonic_coefficients(g, 1, 1.0, 2), InputError);
  EXPECT_THROW(harmonic_coefficients(g, 5, 0.0, 2), InputError);
  EXPECT_THROW(harmonic_coefficients(g, 5, 1.0, -1), InputError);
  EXPECT_THROW(harmonic_coefficients(g, 5, 1.0, highest_degree + 1), InputError);
  EXPECT_THROW(harmonic_coefficients(g, 5, 1.0, 20, {.nodes = 21}), InputError);
  EXPECT_THROW(harmonic_coefficients({1.0}, gauss_quadrature(5, 4), 5, 2), InputError);
  EXPECT_THROW(harmonic_coefficients({1.0}, gauss_quadrature(5, 1), 5, -2), InputError);
}

}  // namespace
}  // namespace entk::harmonic_coefficients_test
