#include "entk/spectrum/legendre.h"

#include <cmath>
#include <numbers>

#include "entk/base/error.h"
#include "tests/support/testing.h"

namespace entk::legendre_test {
namespace {

using testing::close;

// Rounding of a recurrence of some twenty steps on values of at most 1.
constexpr double rounding = 1e-13;
const int dimensions[] = {2, 3, 4, 7, 100, 10000, 10004};

TEST(Legendre, IsOneAtOneAndHasItsParity) {
  for (int D : dimensions) {
    const auto at_one = legendre_values(D, 25, 1.0), plus = legendre_values(D, 25, 0.37),
               minus = legendre_values(D, 25, -0.37);
    for (int l = 0; l <= 25; ++l) {
      EXPECT_NEAR(at_one[l], 1.0, rounding) << D << ' ' << l;
      EXPECT_EQ(minus[l], l % 2 ? -plus[l] : plus[l]) << D << ' ' << l;
    }
  }
}

TEST(Legendre, StaysWithinOneOnTheInterval) {
  for (int D : dimensions) {
    for (double t = -1.0; t <= 1.0; t += 0.01) {
      for (double p : legendre_values(D, 25, t)) EXPECT_LE(std::fabs(p), 1 + rounding) << D << ' ' << t;
    }
  }
}

TEST(Legendre, InDimensionTwoIsChebyshev) {
  for (double t : {-1.0, -0.9, -0.2, 0.0, 0.5, 0.99}) {
    const auto p = legendre_values(2, 20, t);
    for (int l = 0; l <= 20; ++l) EXPECT_NEAR(p[l], std::cos(l * std::acos(t)), rounding);
  }
}

TEST(Legendre, InDimensionThreeIsLegendre) {
  for (double t : {-1.0, -0.9, -0.2, 0.0, 0.5, 0.99}) {
    const auto p = legendre_values(3, 20, t);
    for (unsigned l = 0; l <= 20; ++l) EXPECT_NEAR(p[l], std::legendre(l, t), rounding);
  }
}

TEST(Legendre, InDimensionFourIsASineQuotient) {
  for (double angle : {0.3, 1.2, 1.9, 3.0}) {
    const auto p = legendre_values(4, 20, std::cos(angle));
    for (int l = 0; l <= 20; ++l) {
      EXPECT_NEAR(p[l], std::sin((l + 1) * angle) / ((l + 1) * std::sin(angle)), rounding);
    }
  }
}

TEST(Legendre, LowDegreesAreTheirPolynomials) {
  for (double D : dimensions) {
    for (double t : {-0.8, 0.01, 0.6}) {
      const auto p = legendre_values(static_cast<int>(D), 4, t);
      EXPECT_NEAR(p[2], (D * t * t - 1) / (D - 1), rounding);
      EXPECT_NEAR(p[3], ((D + 2) * t * t * t - 3 * t) / (D - 1), rounding);
      EXPECT_NEAR(p[4], ((D + 2) * (D + 4) * std::pow(t, 4) - 6 * (D + 2) * t * t + 3) / (D * D - 1), rounding);
    }
  }
}

// P_{2k}(0) = (−1)^k (1·3·…·(2k−1)) / ((D−1)(D+1)…(D+2k−3)), as small as 1e-30 at D = 10⁴: the
// tolerance is relative.
TEST(Legendre, HasItsClosedFormAtZero) {
  for (int D : dimensions) {
    const auto p = legendre_values(D, 20, 0.0);
    double want = 1.0;
    for (int k = 1; k <= 10; ++k) {
      want *= -(2.0 * k - 1) / (D + 2.0 * k - 3);
      EXPECT_NEAR(p[2 * k] / want, 1.0, rounding) << D << ' ' << k;
      EXPECT_EQ(p[2 * k - 1], 0.0);
    }
  }
}

TEST(Legendre, TensorsGetTheValuesOfTheirEntries) {
  const auto t = torch::linspace(-1, 1, 12, torch::kFloat64).view({3, 4});
  const auto values = legendre_values(30, 9, t);
  ASSERT_EQ(values.sizes(), (std::vector<std::int64_t>{10, 3, 4}));
  for (int i = 0; i < 12; ++i) {
    const auto want = legendre_values(30, 9, t.flatten()[i].item<double>());
    for (int l = 0; l <= 9; ++l) {
      EXPECT_NEAR(values.view({10, 12})[l][i].item<double>(), want[l], 1e-15);
    }
  }
}

TEST(Legendre, OrthonormalValuesAreScaledByTheRootOfTheMultiplicity) {
  for (int D : dimensions) {
    const auto p = legendre_values(D, 15, 0.013), q = orthonormal_values(D, 15, 0.013);
    for (int l = 0; l <= 15; ++l) {
      const double want = std::sqrt(multiplicity(D, l)) * p[l];
      EXPECT_NEAR(q[l], want, rounding * std::fmax(1.0, std::fabs(want))) << D << ' ' << l;
    }
  }
}

TEST(Multiplicity, HasTheKnownValues) {
  EXPECT_EQ(exact_multiplicity(100, 0), 1);
  EXPECT_EQ(exact_multiplicity(100, 1), 100);
  EXPECT_EQ(exact_multiplicity(100, 2), 5049);
  EXPECT_EQ(exact_multiplicity(100, 3), 171600);
  EXPECT_EQ(exact_multiplicity(100, 4), 4416225);
  EXPECT_EQ(exact_cumulative_multiplicity(100, 1), 101);
  EXPECT_EQ(exact_cumulative_multiplicity(100, 2), 5150);
  for (int l = 1; l < 50; ++l) {
    EXPECT_EQ(exact_multiplicity(2, l), 2);
    EXPECT_EQ(exact_multiplicity(3, l), 2 * l + 1);
    EXPECT_EQ(exact_multiplicity(4, l), (l + 1) * (l + 1));
  }
}

// B(D,l) = C(D+l−1, l) − C(D+l−3, l−2), the binomials by Pascal's triangle.
TEST(Multiplicity, IsTheDifferenceOfBinomials) {
  std::int64_t pascal[40][40] = {};
  for (int n = 0; n < 40; ++n) {
    pascal[n][0] = 1;
    for (int k = 1; k <= n; ++k) pascal[n][k] = pascal[n - 1][k - 1] + pascal[n - 1][k];
  }
  for (int D = 2; D < 20; ++D) {
    for (int l = 2; l < 20; ++l) {
      const auto want = pascal[D + l - 1][l] - pascal[D + l - 3][l - 2];
      EXPECT_EQ(exact_multiplicity(D, l), want);
      EXPECT_EQ(exact_cumulative_multiplicity(D, l), pascal[D + l - 1][l] + pascal[D + l - 2][l - 1]);
    }
  }
}

TEST(Multiplicity, BeyondSixtyFourBitsIsADoubleAlone) {
  EXPECT_FALSE(exact_multiplicity(10000, 20).has_value());
  EXPECT_FALSE(exact_cumulative_multiplicity(10000, 20).has_value());
  for (int l : {5, 6, 8, 20, 40}) {  // B(10000, 4) is the last that fits
    const double D = 10000, log_value = std::log(2 * l + D - 2) + std::lgamma(l + D - 2) - std::lgamma(l + 1.0) -
                                        std::lgamma(D - 1);
    // lgamma(10⁴) is 8e4: its rounding limits the comparison.
    EXPECT_NEAR(std::log(multiplicity(10000, l)), log_value, 1e-10) << l;
  }
  EXPECT_TRUE(std::isinf(multiplicity(10000, 400)));
}

TEST(Multiplicity, DoubleAndExactMeetWhereBothExist) {
  for (int D : {50, 100, 1000}) {
    for (int l = 1; exact_multiplicity(D, l); ++l) {
      const double next = multiplicity(D, l + 1), here = static_cast<double>(*exact_multiplicity(D, l));
      const double quotient = (2.0 * l + D) * (l + D - 2.0) / ((2.0 * l + D - 2.0) * (l + 1.0));
      EXPECT_NEAR(next / here / quotient, 1.0, 1e-14) << D << ' ' << l;
    }
  }
}

// E_{D}[t^p P_l] = E_{D+2l}[(t^p)^(l)] / (D(D+2)…(D+2l−2)) and the moments of t give
// b_l = B(D,l) p!/(p−l)! (p−l−1)!! / (D(D+2)…(D+2(l+q)−2)), p − l = 2q.
TEST(Monomials, OfASinglePowerHaveTheirClosedForm) {
  for (int D : {2, 3, 30, 10000}) {
    for (int p = 0; p <= 8; ++p) {
      std::vector<double> power(p + 1, 0.0);
      power[p] = 1.0;
      const auto b = monomials_to_legendre(D, power);
      for (int l = 0; l <= p; ++l) {
        double want = 0.0;
        if ((p - l) % 2 == 0) {
          want = multiplicity(D, l);
          for (int i = p - l + 1; i <= p; ++i) want *= i;
          for (int i = p - l - 1; i > 1; i -= 2) want *= i;
          for (int i = 0; i < (p + l) / 2; ++i) want /= D + 2.0 * i;
        }
        EXPECT_NEAR(b[l], want, 1e-14 * std::fmax(want, 1e-3)) << D << ' ' << p << ' ' << l;
      }
    }
  }
}

TEST(Monomials, AndTheirLegendreSeriesAreTheSameFunction) {
  const std::vector<double> coefficients{0.3, -1.0, 0.0, 2.0, 0.5, -0.25, 0.125};
  const auto t = torch::linspace(-1, 1, 21, torch::kFloat64);
  auto want = torch::zeros_like(t);
  for (std::size_t p = 0; p < coefficients.size(); ++p) want += coefficients[p] * t.pow(static_cast<double>(p));
  for (int D : {2, 3, 30, 10000}) {
    const auto series = monomials_to_legendre(D, coefficients);
    const auto sum = torch::tensordot(torch::tensor(series, torch::kFloat64), legendre_values(D, 6, t), {0}, {0});
    EXPECT_TRUE(close(sum, want, 1e-14)) << D;
  }
}

TEST(Legendre, RefusesWhatIsNotASphereOrADegree) {
  EXPECT_THROW(legendre_values(1, 3, 0.5), InputError);
  EXPECT_THROW(legendre_values(3, -1, 0.5), InputError);
  EXPECT_THROW(legendre_values(1, 3, torch::zeros({2})), InputError);
  EXPECT_THROW(orthonormal_values(0, 3, 0.5), InputError);
  EXPECT_THROW(multiplicity(1, 2), InputError);
  EXPECT_THROW(exact_multiplicity(3, -1), InputError);
  EXPECT_THROW(monomials_to_legendre(1, {1.0}), InputError);
}

}  // namespace
}  // namespace entk::legendre_test
