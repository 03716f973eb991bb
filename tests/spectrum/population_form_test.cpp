#include "entk/spectrum/population_form.h"

#include <climits>
#include <cmath>
#include <numeric>

#include "entk/base/error.h"
#include "entk/spectrum/legendre.h"
#include "tests/spectrum/activations.h"
#include "tests/support/testing.h"

namespace entk::population_form_test {
namespace {

using testing::close;
using testing::plane_expectation;
using testing::Scalar;
using testing::Sigmoid;
using testing::step;

constexpr double rounding = 1e-12;

double at(const torch::Tensor& t) { return t.item<double>(); }
torch::Tensor grid() { return torch::linspace(-1, 1, 41, torch::kFloat64); }

// σ' = z: E[(w·x)(w'·x) xxᵀ] = d/(d+2) (ρ I + ww'ᵀ + w'wᵀ).
TEST(PopulationForm, OfALinearDerivativeIsItsClosedForm) {
  for (int d : {2, 3, 30, 10000}) {
    const auto v = evaluate(population_form([](double z) { return z; }, d, 1), grid());
    const double c = d / (d + 2.0);
    EXPECT_TRUE(close(v.alpha, c * grid(), rounding)) << d;
    EXPECT_LT(at(v.beta.abs().max()), rounding) << d;
    EXPECT_TRUE(close(v.gamma, torch::full_like(grid(), c), rounding)) << d;
  }
}

// σ' = z²: the sixth moments of x give α = c(1+2ρ²), β = 2c, γ = 4cρ with c = d²/((d+2)(d+4)).
TEST(PopulationForm, OfAQuadraticDerivativeIsItsClosedForm) {
  for (double d : {2, 3, 30, 10000}) {
    const auto v = evaluate(population_form([](double z) { return z * z; }, static_cast<int>(d), 2), grid());
    const double c = d * d / ((d + 2) * (d + 4));
    EXPECT_TRUE(close(v.alpha, c * (1 + 2 * grid().square()), rounding)) << d;
    EXPECT_TRUE(close(v.beta, torch::full_like(grid(), 2 * c), rounding)) << d;
    EXPECT_TRUE(close(v.gamma, 4 * c * grid(), rounding)) << d;
  }
}

// A step at 0: in any dimension α = P(w·x > 0, w'·x > 0) = 1/4 + arcsin ρ/(2π), γ = α', and as |x|²
// is d wherever it is counted, dα + 2β + 2ργ = dα.
TEST(PopulationForm, OfAStepIsItsClosedFormAwayFromTheEnds) {
  const auto form = population_form(step, 20, 60, {.breaks = {0.0}});
  const auto rho = torch::linspace(-0.6, 0.6, 13, torch::kFloat64);
  const auto v = evaluate(form, rho);
  const auto gamma = 1 / (2 * std::numbers::pi * (1 - rho.square()).sqrt());
  EXPECT_TRUE(close(v.alpha, 0.25 + rho.asin() / (2 * std::numbers::pi), 1e-10));
  EXPECT_TRUE(close(v.gamma, gamma, 1e-9));
  EXPECT_TRUE(close(v.beta, -rho * gamma, 1e-8));
}

// α, β, γ through the matrix itself over the plane of w and w', where for σ'σ' = F
//   E[F p pᵀ] = (αI + …) restricted to the plane,   α = E[F (d − |p|²)]/(d−2).
TEST(PopulationForm, IsTheQuadratureOverThePlaneOfTwoNeurons) {
  const int d = 20;
  const auto f = Sigmoid{1.0}.first();
  const auto form = population_form(f, d, 24);
  for (double rho : {-1.0, -0.999, -0.5, 0.0, 0.2, 0.9, 0.9999, 1.0}) {
    const double s = std::sqrt(1 - rho * rho);
    const auto mean = [&](auto weight) {
      return plane_expectation(d, rho,
                               [&](double a, double b, double p, double q) { return f(a) * f(b) * weight(p, q); });
    };
    const auto v = evaluate(form, torch::tensor({rho}, torch::kFloat64));
    const double alpha = at(v.alpha), beta = at(v.beta), gamma = at(v.gamma);
    const double tolerance = 1e-9;
    EXPECT_NEAR(alpha, mean([&](double p, double q) { return (d - p * p - q * q) / (d - 2); }), tolerance) << rho;
    // w = (1, 0), w' = (ρ, s).
    EXPECT_NEAR(alpha + beta * (1 + rho * rho) + 2 * gamma * rho, mean([](double p, double) { return p * p; }),
                tolerance)
        << rho;
    EXPECT_NEAR((beta * rho + gamma) * s, mean([](double p, double q) { return p * q; }), tolerance) << rho;
    EXPECT_NEAR(alpha + beta * s * s, mean([](double, double q) { return q * q; }), tolerance) << rho;
  }
}

// The definition by σ', σ'', σ''' at dimensions d+2 and d+4, against the form made from σ' alone.
TEST(PopulationForm, FromTheFirstDerivativeIsThatOfAllThree) {
  const Sigmoid f{1.0};
  for (int d : {2, 3, 20, 1000}) {
    const int J = 8;
    const auto form = population_form(f.first(), d, J);
    const double root = std::sqrt(d), share = d / (d + 2.0);
    const auto a = harmonic_coefficients(f.first(), d + 2, root, J),
               b0 = harmonic_coefficients(f.first(), d + 4, root, J),
               b1 = harmonic_coefficients(f.second(), d + 4, root, J),
               b2 = harmonic_coefficients(f.third(), d + 4, root, J);
    for (int j = 0; j <= J; ++j) {
      EXPECT_NEAR(form.alpha[j], a.norms[j] * a.norms[j], rounding) << d << ' ' << j;
      EXPECT_NEAR(form.beta[j], share * b0.norms[j] * b2.norms[j], rounding) << d << ' ' << j;
      EXPECT_NEAR(form.gamma[j], share * b1.norms[j] * b1.norms[j], rounding) << d << ' ' << j;
    }
  }
}

// a_j = d/(2j+d) (η_j − η_{j+2}) and the same step from d+2 to d+4.
TEST(PopulationForm, CoefficientsOfTheNextDimensionsAreDifferencesOfThoseBelow) {
  const auto f = Sigmoid{1.0}.first();
  for (int D : {2, 3, 20, 100}) {
    const auto below = harmonic_coefficients(f, D, 3.0, 10), above = harmonic_coefficients(f, D + 2, 3.0, 8);
    for (int j = 0; j <= 8; ++j) {
      EXPECT_NEAR(above.values[j], D * (below.values[j] - below.values[j + 2]) / (2 * j + D), rounding)
          << D << ' ' << j;
    }
  }
}

TEST(PopulationForm, GammaIsTheDerivativeOfAlpha) {
  const auto form = population_form(Sigmoid{1.0}.first(), 20, 12);
  // The derivative of P_j^(d+2) is j(j+d)/(d+1) P_{j−1}^(d+4).
  for (int j = 1; j <= 12; ++j) EXPECT_NEAR(form.gamma[j - 1], form.alpha[j] * j * (j + 20) / 21, 1e-15);
}

at::Tensor legendre_series(int dimension, const std::vector<double>& coefficients, const at::Tensor& t) {
  const auto values = legendre_values(dimension, static_cast<int>(coefficients.size()) - 1, t);
  return torch::tensordot(torch::tensor(coefficients, torch::kFloat64), values, {0}, {0});
}

// The trace of the 3-term form: dα + 2β + 2ργ = d E[σ'(w·x)σ'(w'·x)].
TEST(PopulationForm, HasTheTraceOfTheKernel) {
  const int d = 20;
  const auto f = Sigmoid{1.0}.first();
  const auto v = evaluate(population_form(f, d, 24), grid());
  const auto eta = harmonic_coefficients(f, d, std::sqrt(d), 24);
  std::vector<double> terms;
  for (double norm : eta.norms) terms.push_back(norm * norm);
  EXPECT_TRUE(close(d * v.alpha + 2 * v.beta + 2 * grid() * v.gamma, d * legendre_series(d, terms, grid()), 1e-10));
}

TEST(PopulationForm, TruncationBoundsWhatIsLeftOut) {
  const auto f = Sigmoid{1.0}.first();
  for (int d : {3, 20, 100}) {
    const auto full = evaluate(population_form(f, d, 40), grid());
    for (int J : {2, 4, 8}) {
      const auto form = population_form(f, d, J);
      const auto v = evaluate(form, grid());
      const auto error = [](const torch::Tensor& a, const torch::Tensor& b) { return at((a - b).abs().max()); };
      // The bounds are attained at ρ = 1, up to rounding.
      EXPECT_LE(error(v.alpha, full.alpha), form.truncation.alpha + 1e-14) << d << ' ' << J;
      EXPECT_NEAR(at((full.alpha - v.alpha)[-1]), form.truncation.alpha, 1e-2 * form.truncation.alpha + 1e-14);
      EXPECT_LE(error(v.beta, full.beta), form.truncation.beta * 1.01 + 1e-14) << d << ' ' << J;
      EXPECT_LE(error(v.gamma, full.gamma), form.truncation.gamma * 1.01 + 1e-14) << d << ' ' << J;
      const auto trace = [&](const FormValues& t) {
        return d * at(t.alpha[-1]) + 2 * at(t.beta[-1]) + 2 * at(t.gamma[-1]);
      };
      EXPECT_NEAR(form.truncation.trace, 1 - trace(v) / trace(full), 1e-8) << d << ' ' << J;
      EXPECT_LT(form.quadrature_error, rounding);
    }
  }
}

TEST(PopulationForm, TruncationOfAPolynomialIsNothing) {
  const auto form = population_form([](double z) { return 1 + z - 0.5 * z * z * z; }, 30, 3);
  EXPECT_LT(form.truncation.alpha, 1e-10);  // of α(1) = 3.4e2
  EXPECT_LT(form.truncation.beta, 1e-10);
  EXPECT_LT(form.truncation.gamma, 1e-10);
  EXPECT_LT(std::fabs(form.truncation.trace), rounding);
}

TEST(PopulationForm, EvaluatesEveryEntryAlike) {
  const auto form = population_form(Sigmoid{1.0}.first(), 20, 8);
  const auto rho = torch::linspace(-1, 1, 7 * 31, torch::kFloat64).view({7, 31});
  const auto whole = evaluate(form, rho), turned = evaluate(form, rho.t());
  EXPECT_TRUE(testing::identical(turned.beta.t(), whole.beta));
  EXPECT_TRUE(testing::identical(evaluate(form, rho[6][30]).gamma, whole.gamma[6][30]));
  EXPECT_TRUE(close(whole.alpha, legendre_series(22, form.alpha, rho), 1e-14));
  EXPECT_TRUE(close(whole.gamma, legendre_series(24, form.gamma, rho), 1e-14));
}

TEST(PopulationForm, RefusesImpossibleArguments) {
  const auto f = Sigmoid{1.0}.first();
  EXPECT_THROW(population_form(f, 1, 4), InputError);
  EXPECT_THROW(population_form(f, 10, -1), InputError);
  EXPECT_THROW(population_form(f, 10, INT_MAX), InputError);
  EXPECT_THROW(evaluate(population_form(f, 10, 2), torch::zeros({2}, torch::kFloat32)), InputError);
  EXPECT_THROW(evaluate(population_form(f, 10, 2), torch::Tensor()), InputError);
}

}  // namespace
}  // namespace entk::population_form_test
