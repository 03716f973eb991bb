#include "entk/models/activation.h"

#include <gtest/gtest.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "tests/support/testing.h"

namespace entk {
namespace {

using testing::close;

struct Named {
  Activation sigma;
  Activation::Function by_autograd;  // σ in ATen's own functions
};

std::vector<Named> built_ins() {
  return {
      {sigmoid(1.0), [](const at::Tensor& z) { return torch::sigmoid(z - 1.0); }},
      {tanh(-0.5), [](const at::Tensor& z) { return torch::tanh(z + 0.5); }},
      {erf(), [](const at::Tensor& z) { return torch::erf(z); }},
      {softplus(), [](const at::Tensor& z) { return torch::log1p(torch::exp(z)); }},
      {gelu(), [](const at::Tensor& z) { return 0.5 * z * (1 + torch::erf(z / std::sqrt(2.0))); }},
      {silu(), [](const at::Tensor& z) { return z * torch::sigmoid(z); }},
      {polynomial({0.5, -1.0, 0.25, 2.0, 0.1}),
       [](const at::Tensor& z) { return 0.5 - z + 0.25 * z.pow(2) + 2.0 * z.pow(3) + 0.1 * z.pow(4); }},
  };
}

torch::Tensor autograd_derivative(const Activation::Function& f, const torch::Tensor& at, int order) {
  auto z = at.clone().requires_grad_(true);
  auto value = f(z);
  for (int k = 0; k < order; ++k) value = torch::autograd::grad({value.sum()}, {z}, {}, true, true)[0];
  return value.detach();
}

TEST(Activation, ClosedFormsAreTheAutogradDerivativesUpToOrderFour) {
  const auto z = torch::linspace(-6, 6, 1001, torch::kFloat64);
  for (const auto& [sigma, f] : built_ins()) {
    for (int order = 0; order <= 4; ++order) {
      SCOPED_TRACE(fmt::format("{} order {}", sigma.name(), order));
      // Autograd of the tails cancels: the naive derivative is the less exact of the two.
      EXPECT_TRUE(close(sigma.derivative(z, order), autograd_derivative(f, z, order), 1e-11));
    }
  }
}

TEST(Activation, SigmoidDerivativesDoNotCancelInTheTails) {
  const auto z = torch::tensor({-40.0, 40.0}, torch::kFloat64);
  const auto first = sigmoid().derivative(z, 1), second = sigmoid().derivative(z, 2);
  const double tail = std::exp(-40.0);
  for (int i = 0; i < 2; ++i) {
    EXPECT_NEAR(first[i].item<double>(), tail, 1e-14 * tail);
    EXPECT_NEAR(std::fabs(second[i].item<double>()), tail, 1e-14 * tail);
  }
}

TEST(Activation, ReluIsAStepWithNoSecondDerivative) {
  const auto z = torch::tensor({-1.0, 0.0, 2.0});
  EXPECT_TRUE(testing::identical(relu().derivative(z, 1), torch::tensor({0.0, 0.0, 1.0}).to(z.dtype())));
  EXPECT_EQ(relu().derivative(z, 2).abs().sum().item<double>(), 0.0);
}

TEST(Activation, AutogradSuppliesWhatAUserDoesNotGive) {
  const auto z = torch::linspace(-2, 2, 101, torch::kFloat64);
  const auto f = [](const at::Tensor& t) { return torch::sin(t); };
  const auto df = [](const at::Tensor& t) { return torch::cos(t); };
  for (const auto& sigma : {activation("sine", f), activation("sine", f, {df})}) {
    EXPECT_TRUE(close(sigma.derivative(z, 1), torch::cos(z), 1e-14));
    EXPECT_TRUE(close(sigma.derivative(z, 2), -torch::sin(z), 1e-14));
    EXPECT_TRUE(close(sigma.derivative(z, 3), -torch::cos(z), 1e-14));
  }
}

TEST(Activation, AutogradOfALowDegreePolynomialEndsInZeros) {
  const auto sigma = activation("square", [](const at::Tensor& t) { return t * t; });
  const auto z = torch::linspace(-2, 2, 11, torch::kFloat64);
  EXPECT_TRUE(close(sigma.derivative(z, 2), torch::full_like(z, 2.0), 1e-15));
  EXPECT_EQ(sigma.derivative(z, 3).abs().sum().item<double>(), 0.0);
}

TEST(Activation, DerivativesWorkWhereGradientsAreSwitchedOff) {
  const torch::NoGradGuard no_grad;
  const auto sigma = activation("sine", [](const at::Tensor& t) { return torch::sin(t); });
  EXPECT_TRUE(close(sigma.derivative(torch::zeros({3}, torch::kFloat64), 1), torch::ones({3}, torch::kFloat64), 1e-15));
}

TEST(Activation, AssumptionTwoIsJudgedOverTheArgumentsSeen) {
  EXPECT_TRUE(assumption_two(sigmoid(1.0), -10, 10).holds);
  const auto report = assumption_two(softplus(), -10, 10);
  EXPECT_FALSE(report.holds);
  EXPECT_NEAR(report.sup_value, std::log1p(std::exp(10.0)), 1e-12);
  EXPECT_NE(report.warning.find("Assumption 2"), std::string::npos);
  EXPECT_TRUE(assumption_two(softplus(), -10, 0).holds);
}

TEST(Activation, ArgumentRangeIsOverAllRows) {
  const auto x = torch::tensor({{1.0, 0.0}, {0.0, 2.0}}), w0 = torch::tensor({{3.0, -1.0}, {0.0, 1.0}});
  EXPECT_EQ(argument_range(x, w0), (std::pair<double, double>{-2.0, 3.0}));
}

TEST(Activation, BadParametersAreRefused) {
  EXPECT_THROW(polynomial({}), InputError);
  EXPECT_THROW(polynomial({NAN}), InputError);
  EXPECT_THROW(sigmoid(INFINITY), InputError);
  EXPECT_THROW(activation("nothing", nullptr), InputError);
}

}  // namespace
}  // namespace entk
