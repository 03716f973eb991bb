#include "entk/spectrum/sigma_spectrum.h"

#include <climits>
#include <cmath>
#include <numeric>

#include "entk/base/error.h"
#include "entk/spectrum/legendre.h"
#include "tests/spectrum/activations.h"
#include "tests/support/testing.h"

namespace entk::sigma_spectrum_test {
namespace {

using testing::close;
using testing::plane_expectation;
using testing::Sigmoid;
using testing::sphere_points;
using testing::step;
using testing::zero;

constexpr double rounding = 1e-12;

SigmaSpectrum sigmoid_spectrum(double shift, int d, int max_degree) {
  return sigma_spectrum(Sigmoid{shift}.first(), Sigmoid{shift}.second(), d, max_degree);
}

bool any_contains(const std::vector<std::string>& texts, const std::string& part) {
  return std::any_of(texts.begin(), texts.end(), [&](const auto& t) { return t.find(part) != std::string::npos; });
}

// Four digits computed apart from this library.
TEST(SigmaSpectrum, OfTheShiftedSigmoidAtDimension100HasItsKnownEigenvalues) {
  const auto s = sigmoid_spectrum(1.0, 100, 8);
  const double want[] = {2.799e-3, 3.166e-2, 5.508e-5, 3.433e-7, 7.90e-9};
  for (int l = 0; l < 5; ++l) EXPECT_NEAR(s.lambda[l] / want[l], 1.0, l == 4 ? 1e-3 : 3e-4) << l;
  EXPECT_NEAR(s.trace_captured, 3.5461, 5e-5);
  EXPECT_NEAR(s.trace, 3.5462, 5e-5);
  EXPECT_LT(s.trace_captured, s.trace);
  EXPECT_EQ((std::vector<int>(s.order.begin(), s.order.begin() + 4)), (std::vector<int>{1, 0, 2, 3}));
  for (int i = 0; i < 8; ++i) {
    EXPECT_GE(s.lambda[s.order[i]], s.lambda[s.order[i + 1]]);
    EXPECT_NEAR(s.gaps[i], 1 - s.lambda[s.order[i + 1]] / s.lambda[s.order[i]], rounding);
  }
  EXPECT_TRUE(s.warnings.empty());
}

// E_w[σ'(w·x)σ'(w·x')] = Σ_j B(d,j) η_j² P_j(x·x'/d): the left side over the plane of x and x',
// which holds w·x = √d (w's coordinate along x/√d), for w on the unit sphere.
TEST(SigmaSpectrum, CoefficientsExpandTheKernelOfTheFeatures) {
  const auto f = Sigmoid{1.0}.first();
  for (int d : {5, 20}) {
    const auto eta = harmonic_coefficients(f, d, std::sqrt(d), 30);
    for (double u : {-1.0, -0.6, 0.0, 0.3, 0.95, 1.0}) {
      const double kernel = plane_expectation(d, u, [&](double s, double t, double, double) { return f(s) * f(t); });
      const auto p = legendre_values(d, 30, u);
      double series = 0;
      for (int j = 0; j <= 30; ++j) series += eta.norms[j] * eta.norms[j] * p[j];
      EXPECT_NEAR(series, kernel, rounding) << d << ' ' << u;
    }
  }
}

// λ_l by Funk and Hecke from the kernel itself, K(x,x') = x·x' E_w[σ'(w·x)σ'(w·x')], without η.
TEST(SigmaSpectrum, EigenvaluesAreThoseOfTheKernel) {
  const auto f = Sigmoid{1.0}.first();
  for (int d : {3, 12}) {
    const auto s = sigmoid_spectrum(1.0, d, 5);
    const auto rule = gauss_quadrature(d, 30);
    std::vector<double> lambda(6, 0.0);
    for (std::size_t i = 0; i < rule.nodes.size(); ++i) {
      const double u = rule.nodes[i];
      const double kernel =
          d * u * plane_expectation(d, u, [&](double a, double b, double, double) { return f(a) * f(b); }, 60, 90);
      const auto p = legendre_values(d, 5, u);
      for (int l = 0; l <= 5; ++l) lambda[l] += rule.weights[i] * kernel * p[l];
    }
    for (int l = 0; l <= 5; ++l) EXPECT_NEAR(s.lambda[l], lambda[l], rounding * s.lambda[1]) << d << ' ' << l;
  }
}

// σ = z²: η_1 = 2/√d alone, so λ_0 = 4, λ_2 = 8/(d+2), and tr Σ = 4d.
TEST(SigmaSpectrum, OfAQuadraticActivationIsItsClosedForm) {
  for (int d : {2, 3, 30, 10000}) {
    const auto s = sigma_spectrum([](double z) { return 2 * z; }, [](double) { return 2.0; }, d, 4);
    const double want[] = {4.0, 0.0, 8.0 / (d + 2), 0.0, 0.0};
    for (int l = 0; l <= 4; ++l) EXPECT_NEAR(s.lambda[l], want[l], rounding) << d << ' ' << l;
    EXPECT_NEAR(s.trace / d, 4.0, rounding);
    EXPECT_NEAR(s.trace_captured / d, 4.0, rounding);
    EXPECT_NEAR(s.mu.values[0], 2.0, rounding);
  }
}

TEST(SigmaSpectrum, TracePartsAreMultiplicityTimesEigenvalue) {
  for (int d : {2, 3, 20, 100}) {
    const auto s = sigmoid_spectrum(1.0, d, 8);
    for (int l = 0; l <= 8; ++l) {
      EXPECT_NEAR(s.trace_part[l], s.multiplicity[l] * s.lambda[l], rounding * s.trace) << d << ' ' << l;
    }
  }
}

TEST(SigmaSpectrum, TraceIsCapturedByEnoughDegrees) {
  for (int d : {2, 3, 20}) {
    const auto s = sigmoid_spectrum(1.0, d, 50);
    EXPECT_NEAR(s.trace_captured / s.trace, 1.0, 1e-10) << d;
  }
}

TEST(SigmaSpectrum, IsFiniteAtDimension10000AndDegree20) {
  const auto s = sigmoid_spectrum(1.0, 10000, 20);
  for (int l = 0; l <= 20; ++l) EXPECT_TRUE(std::isfinite(s.lambda[l]) && std::isfinite(s.trace_part[l])) << l;
  EXPECT_GT(s.trace_captured / s.trace, 0.999999);
}

// The block of a harmonic Y: E_x[σ'(w·x) x Y(x)] over points of the sphere, d = 3, against
// d^((l+1)/2) {η_{l+1} Y(w) w + κ_l ∇Y(w)}; for degrees 0, 1, 2 also by BlockConstants.
struct Block {
  int degree;
  std::function<torch::Tensor(const torch::Tensor&)> value, gradient;  // of rows N×3: N, N×3
};
std::vector<Block> harmonics() {
  const auto x = [](const torch::Tensor& p) { return p.select(1, 0); };
  const auto y = [](const torch::Tensor& p) { return p.select(1, 1); };
  const auto z = [](const torch::Tensor& p) { return p.select(1, 2); };
  return {{0, [=](const torch::Tensor& p) { return torch::ones_like(x(p)); },
           [](const torch::Tensor& p) { return torch::zeros_like(p); }},
          {1, [=](const torch::Tensor& p) { return y(p); },
           [=](const torch::Tensor& p) { return torch::stack({0 * x(p), torch::ones_like(x(p)), 0 * x(p)}, 1); }},
          {2, [=](const torch::Tensor& p) { return x(p) * x(p) - y(p) * y(p) + 3 * x(p) * z(p); },
           [=](const torch::Tensor& p) { return torch::stack({2 * x(p) + 3 * z(p), -2 * y(p), 3 * x(p)}, 1); }},
          {3, [=](const torch::Tensor& p) { return x(p) * y(p) * z(p); },
           [=](const torch::Tensor& p) { return torch::stack({y(p) * z(p), x(p) * z(p), x(p) * y(p)}, 1); }}};
}

TEST(SigmaSpectrum, BlocksOfHarmonicsHaveTheirClosedForm) {
  const auto s = sigmoid_spectrum(1.0, 3, 5);
  const auto points = sphere_points(3, 40);
  const auto w = testing::unit_rows(7, 3, 5);
  const auto features = testing::map(Sigmoid{1.0}.first(), points.x.mm(w.t()));  // N×7
  for (const auto& Y : harmonics()) {
    const int l = Y.degree;
    const auto want = features.t().mm(points.x * (points.weights * Y.value(points.x)).unsqueeze(1));  // 7×3
    const auto got =
        std::pow(3.0, 0.5 * (l + 1)) * (s.eta.values[l + 1] * Y.value(w).unsqueeze(1) * w + s.kappa[l] * Y.gradient(w));
    EXPECT_TRUE(close(got, want, rounding)) << l;
  }
}

TEST(SigmaSpectrum, BlockConstantsGiveTheBlocksOfDegreesZeroToTwo) {
  const auto s = sigmoid_spectrum(1.0, 3, 5);
  const auto points = sphere_points(3, 40);
  const auto w = testing::unit_rows(7, 3, 5);
  const auto features = testing::map(Sigmoid{1.0}.first(), points.x.mm(w.t()));
  const auto block = [&](const torch::Tensor& y) {
    return features.t().mm(points.x * (points.weights * y).unsqueeze(1));
  };
  const auto& k = s.blocks;
  EXPECT_TRUE(close(k.c * w, block(torch::ones_like(points.weights)), rounding));
  const auto e1 = torch::tensor({0.0, 1.0, 0.0}, torch::kFloat64);
  EXPECT_TRUE(close(k.A * e1 + k.B * w.select(1, 1).unsqueeze(1) * w, block(points.x.select(1, 1)), rounding));
  const auto M = torch::tensor({1.0, 0.5, -0.3, 0.5, -0.7, 0.2, -0.3, 0.2, -0.3}, torch::kFloat64).view({3, 3});
  const auto quadratic = [&](const torch::Tensor& p) { return (p.mm(M) * p).sum(1); };
  EXPECT_TRUE(close(2 * k.C * w.mm(M) + k.D * quadratic(w).unsqueeze(1) * w, block(quadratic(points.x)), rounding));
}

TEST(SigmaSpectrum, WithoutAShiftLosesTheEvenDegreesAndSaysSo) {
  const auto s = sigmoid_spectrum(0.0, 100, 6);
  for (int l : {0, 2, 4}) EXPECT_LT(s.lambda[l], 1e-25);
  EXPECT_EQ(vanishing(s.mu).zero, (std::vector<int>{0, 2, 4, 6}));
  const auto check = check_degrees(s, 1);
  EXPECT_FALSE(check.leading);
  EXPECT_TRUE(any_contains(check.warnings, "f_L cannot learn degree 0"));
  EXPECT_FALSE(any_contains(check.warnings, "f_L cannot learn degree 1"));
  EXPECT_TRUE(any_contains(check.warnings, "f_Q cannot fit (β·x)^2"));
  // k = 2 asks for μ_1, which is there.
  EXPECT_FALSE(any_contains(check_degrees(s, 2).warnings, "f_Q"));
  EXPECT_TRUE(any_contains(check_degrees(s, 2).warnings, "f_L cannot learn degree 2"));
}

TEST(SigmaSpectrum, WithAGenericShiftHasTheDegreesInPlaceAndNoWarnings) {
  for (int d : {20, 100, 1000}) {
    for (int k : {1, 2, 3}) {
      const auto check = check_degrees(sigmoid_spectrum(1.0, d, 8), k);
      EXPECT_TRUE(check.leading) << d << ' ' << k;
      EXPECT_GT(check.relative_gap, 0.9) << d << ' ' << k;
      EXPECT_LT(check.relative_gap, 1.0) << d << ' ' << k;
      EXPECT_TRUE(check.warnings.empty()) << check.warnings.front();
    }
  }
}

// σ' = z² − 1 + 0.01 z: λ_1 and λ_3 come from η_2, λ_0 and λ_2 from a small η_1.
TEST(SigmaSpectrum, SaysWhenTheLowDegreesDoNotLead) {
  const int d = 30;
  const auto s =
      sigma_spectrum([](double z) { return z * z - 1 + 0.01 * z; }, [](double z) { return 2 * z + 0.01; }, d, 4);
  EXPECT_GT(s.lambda[3], s.lambda[2]);
  const auto check = check_degrees(s, 2);
  EXPECT_FALSE(check.leading);
  EXPECT_LE(check.relative_gap, 0.0);
  EXPECT_TRUE(any_contains(check.warnings, "are not the degrees ≤ 2"));
}

// σ = z²: η_1 alone is there, and carries λ_0 and λ_2.
TEST(SigmaSpectrum, SaysThatADegreeIsLostOnlyWhenBothItsCoefficientsVanish) {
  const auto s = sigma_spectrum([](double z) { return 2 * z; }, [](double) { return 2.0; }, 30, 4);
  const auto warnings = check_degrees(s, 2).warnings;
  EXPECT_TRUE(any_contains(warnings, "f_L cannot learn degree 1"));
  EXPECT_FALSE(any_contains(warnings, "f_L cannot learn degree 0"));
  EXPECT_FALSE(any_contains(warnings, "f_L cannot learn degree 2"));
  EXPECT_TRUE(any_contains(warnings, "f_Q cannot fit (β·x)^3"));  // μ_1 = 0
  EXPECT_FALSE(any_contains(check_degrees(s, 1).warnings, "f_Q"));
}

TEST(SigmaSpectrum, SaysWhenACoefficientNearlyVanishes) {
  const auto check = check_degrees(sigmoid_spectrum(1e-8, 100, 6), 1);
  EXPECT_TRUE(any_contains(check.warnings, "η_1 nearly vanishes"));
  EXPECT_FALSE(any_contains(check.warnings, "cannot"));
}

TEST(SigmaSpectrum, OfARectifierWarnsThatSecondDerivativesMissTheJump) {
  const auto s = sigma_spectrum(step, zero, 20, 6, {.breaks = {0.0}});
  EXPECT_TRUE(any_contains(s.warnings, "not the derivative"));
  EXPECT_NEAR(s.trace, 10.0, rounding);
  EXPECT_TRUE(any_contains(check_degrees(s, 1).warnings, "f_Q cannot fit"));
  EXPECT_LT(s.lambda[3], 1e-25);  // η_2 = η_4 = 0
  EXPECT_TRUE(any_contains(check_degrees(s, 3).warnings, "f_L cannot learn degree 3"));
}

TEST(SigmaSpectrum, WarnsOfAKinkThatWasNotNamed) {
  EXPECT_TRUE(any_contains(sigma_spectrum(step, zero, 20, 6).warnings, "name its kinks"));
}

TEST(SigmaSpectrum, WarnsOfAWrongSecondDerivative) {
  const auto f = Sigmoid{1.0};
  const auto twice = [f](double z) { return 2 * f.second()(z); };
  EXPECT_TRUE(any_contains(sigma_spectrum(f.first(), twice, 20, 6).warnings, "not the derivative"));
}

TEST(Partition, AtDegreeTwoDimension100Width10000CannotExist) {
  const auto p = partition(sigmoid_spectrum(1.0, 100, 8), 2, 10000);
  EXPECT_EQ(p.large, 5150);
  EXPECT_EQ(p.medium, 171600 + 4416225);
  EXPECT_FALSE(p.exists);
  EXPECT_NE(p.statement.find("cannot exist"), std::string::npos);
}

TEST(Partition, AtDegreeOneSeparatesThreeGroups) {
  const auto s = sigmoid_spectrum(1.0, 100, 8);
  const auto p = partition(s, 1, 10000);
  EXPECT_EQ(p.large, 101);
  EXPECT_EQ(p.medium, 5049);
  EXPECT_EQ(p.small, 1000000 - 5150);
  EXPECT_TRUE(p.exists);
  EXPECT_EQ(p.large_min, s.lambda[0]);
  EXPECT_EQ(p.medium_max, s.lambda[2]);
  EXPECT_EQ(p.medium_min, s.lambda[2]);
  EXPECT_NEAR(p.small_mean * p.small, s.trace - s.trace_part[0] - s.trace_part[1] - s.trace_part[2], rounding);
  EXPECT_GT(p.medium_min, p.small_mean);
}

TEST(Partition, ExistsUpToHalfOfTheDirections) {
  const auto s = sigmoid_spectrum(1.0, 10, 4);
  // n_2 = 1 + 10 + 54 = 65 ≤ 10 m/2 from m = 13 on.
  EXPECT_FALSE(partition(s, 1, 12).exists);
  EXPECT_TRUE(partition(s, 1, 13).exists);
}

TEST(SigmaSpectrum, RefusesImpossibleArguments) {
  const auto f = Sigmoid{1.0};
  EXPECT_THROW(sigma_spectrum(f.first(), f.second(), 1, 4), InputError);
  EXPECT_THROW(sigma_spectrum(f.first(), f.second(), 10, 1), InputError);
  EXPECT_THROW(sigma_spectrum(f.first(), f.second(), 10, INT_MAX), InputError);
  const auto s = sigmoid_spectrum(1.0, 10, 4);
  EXPECT_THROW(check_degrees(s, 4), InputError);
  EXPECT_THROW(check_degrees(s, -1), InputError);
  EXPECT_THROW(partition(s, 3, 100), InputError);
  EXPECT_THROW(partition(s, 0, 100), InputError);
  EXPECT_THROW(partition(s, 1, 0), InputError);
}

}  // namespace
}  // namespace entk::sigma_spectrum_test
