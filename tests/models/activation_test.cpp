#include "entk/models/activation.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "entk/base/sphere.h"
#include "entk/models/network.h"
#include "tests/support/errors.h"
#include "tests/support/special_points.h"
#include "tests/support/testing.h"

namespace entk::activation_test {
namespace {

using testing::close;
using testing::error_of;

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
      SCOPED_TRACE(fmt::format("{} order {}", sigma.name, order));
      // Autograd of the tails cancels: the naive derivative is the less exact of the two.
      EXPECT_TRUE(close(sigma.derivative(z, order), autograd_derivative(f, z, order), 1e-11));
    }
  }
}

/// σ, σ', σ'' in long double.
std::vector<std::pair<Activation, std::function<std::array<long double, 3>(long double)>>> closed_forms() {
  using Number = long double;
  using Three = std::array<Number, 3>;
  constexpr Number pi = 3.14159265358979323846264338327950288L;
  const auto logistic = [](Number z) {
    const Number s = 1 / (1 + std::exp(-z)), c = 1 / (1 + std::exp(z));
    return std::array<Number, 4>{s, s * c, s * c * (c - s), c};
  };
  const auto slope_times = [](Number z, Number by) { return by == 0 ? 0 : z * by; };
  return {
      {sigmoid(),
       [=](Number z) {
         const auto s = logistic(z);
         return Three{s[0], s[1], s[2]};
       }},
      {tanh(),
       [=](Number z) {
         const auto s = logistic(2 * z);
         return Three{std::tanh(z), 4 * s[1], 8 * s[2]};
       }},
      {erf(),
       [=](Number z) {
         const Number first = 2 / std::sqrt(pi) * std::exp(-z * z);
         return Three{std::erf(z), first, -2 * slope_times(z, first)};
       }},
      {softplus(),
       [=](Number z) {
         const auto s = logistic(z);
         return Three{(z > 0 ? z : 0) + std::log1p(std::exp(-std::fabs(z))), s[0], s[1]};
       }},
      {gelu(),
       [=](Number z) {
         const Number phi = std::exp(-z * z / 2) / std::sqrt(2 * pi), cumulative = std::erfc(-z / std::sqrt(2.0L)) / 2;
         return Three{z * cumulative, cumulative + z * phi, phi * 2 - z * z * phi};
       }},
      {silu(),
       [=](Number z) {
         const auto s = logistic(z);
         return Three{z * s[0], s[0] + z * s[1], 2 * s[1] + z * s[2]};
       }},
      {relu(), [](Number z) { return Three{z > 0 ? z : 0, z > 0 ? 1.0L : 0.0L, 0}; }},
      {polynomial({0.5, -1.0, 0.25}), [](Number z) { return Three{0.5L - z + 0.25L * z * z, -1 + 0.5L * z, 0.5L}; }}};
}

TEST(Activation, ValueAndBothDerivativesAreRightWhereFormulasBreak) {
  for (const auto type : {torch::kFloat64, torch::kFloat32}) {
    const double epsilon = type == torch::kFloat32 ? 1.2e-7 : 2.3e-16,
                 least = type == torch::kFloat32 ? 1.2e-38 : 2.3e-308;
    const double largest = type == torch::kFloat32 ? 3.4e38 : 1.7e308;
    for (const auto& [sigma, closed] : closed_forms()) {
      for (const double point : testing::special_points()) {
        SCOPED_TRACE(fmt::format("{} {} at {}", sigma.name, toString(type), point));
        const auto z = torch::full({1}, point, type).requires_grad_(true);
        const auto want = closed(z.item<double>());
        // σ' and σ'' by the activation itself, and what autograd makes of σ and σ' inside an expression of a user's
        // own.
        const auto value = sigma(z), first = sigma.derivative(z, 1);
        const auto autograd = [&](const torch::Tensor& of) {
          if (!of.requires_grad()) return 0.0;
          const auto g = torch::autograd::grad({of.sum()}, {z}, {}, true, false, true)[0];
          return g.defined() ? g.item<double>() : 0.0;
        };
        const double got[] = {value.item<double>(), first.item<double>(), sigma.derivative(z, 2).item<double>()};
        const double by_autograd[] = {got[0], autograd(value), autograd(first)};
        for (int order = 0; order < 3; ++order) {
          const double w = static_cast<double>(want[order]);
          if (std::fabs(w) > largest) continue;
          EXPECT_NEAR(got[order], w, testing::special_tolerance(point, w, epsilon, least)) << "derivative " << order;
          // Autograd cancels in the tails.
          EXPECT_NEAR(by_autograd[order], w, testing::special_tolerance(point, w, epsilon, least) + 8 * epsilon)
              << "by autograd, derivative " << order;
        }
        for (int order = 3; order <= 4; ++order) EXPECT_TRUE(std::isfinite(sigma.derivative(z, order).item<double>()));
      }
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

TEST(Activation, AUsersDerivativesAreCheckedByDifferences) {
  const auto sine = [](const at::Tensor& z) { return torch::sin(z); };
  const auto cosine = [](const at::Tensor& z) { return torch::cos(z); };
  const auto wrong_first = error_of([&] { return activation("sine", sine, {sine}); });
  EXPECT_EQ(wrong_first.find("activation sine: derivative 1 at z = "), 0U) << wrong_first;
  EXPECT_NE(wrong_first.find("by differences of σ, got "), std::string::npos) << wrong_first;
  const auto wrong_second = error_of([&] { return activation("sine", sine, {cosine, sine}); });
  EXPECT_EQ(wrong_second.find("activation sine: derivative 2 at z = "), 0U) << wrong_second;
  EXPECT_NE(error_of([&] {
              return activation("scaled", [](const at::Tensor& z) { return z.tanh(); },
                                {[](const at::Tensor& z) { return 1.01 * (1 - z.tanh().square()); }});
            }),
            "nothing thrown");
  // Outside autograd's graph, where σ' would be 0 without a word.
  EXPECT_NE(error_of([] {
              return activation("detached", [](const at::Tensor& z) { return z.detach().sin(); });
            }).find("derivative 1"),
            std::string::npos);
  EXPECT_NE(error_of([] {
              return activation("sum", [](const at::Tensor& z) { return z.sum(); });
            }).find("expected 204 numbers"),
            std::string::npos);
}

TEST(Activation, ANetworkChecksOneThatWasNotMadeByAMaker) {
  const auto derivatives = [](double first, double third, int highest) {
    return Activation{.name = "sine", .derivative = [=](const at::Tensor& z, int order) {
                        if (order > highest) throw std::runtime_error("no more");
                        const auto value = order % 2 == 0 ? torch::sin(z) : torch::cos(z);
                        const double factor = order == 1 ? first : order == 3 ? third : 1;
                        return (order % 4 < 2 ? factor : -factor) * value;
                      }};
  };
  const auto w0 = sphere_points(4, 3, 1.0, RandomStream(Purpose::first_layer, 1)),
             a = torch::ones({4}, torch::kFloat64);
  const auto said = [&](const Activation& sigma) {
    const auto by_options = error_of([&] { Network(NetworkOptions{.dimension = 3, .width = 4, .activation = sigma}); });
    EXPECT_EQ(error_of([&] { Network(w0, a, sigma); }), by_options);
    return by_options;
  };
  EXPECT_EQ(said(derivatives(1, 1, 4)), "nothing thrown");
  EXPECT_EQ(said(derivatives(1, 2, 2)), "nothing thrown");  // it ends at σ''
  EXPECT_EQ(said(derivatives(1.01, 1, 4)).find("activation sine: derivative 1 at z = "), 0U);
  EXPECT_EQ(said(derivatives(1, 1.01, 4)).find("activation sine: derivative 3 at z = "), 0U);
}

TEST(Activation, KinksJumpsFastAndFloat32FunctionsPassTheCheck) {
  const std::vector<std::pair<const char*, Activation::Function>> good = {
      {"relu", [](const at::Tensor& z) { return z.clamp_min(0); }},
      {"leaky relu", [](const at::Tensor& z) { return at::leaky_relu(z, 0.1); }},
      {"kink at 0.03", [](const at::Tensor& z) { return (z - 0.03).abs(); }},
      {"step", [](const at::Tensor& z) { return z.sign() + z; }},
      {"fast", [](const at::Tensor& z) { return torch::sin(300 * z); }},
      {"logarithm", [](const at::Tensor& z) { return z.log(); }},
      {"exponential", [](const at::Tensor& z) { return z.exp(); }},
      {"eighth power", [](const at::Tensor& z) { return z.pow(8); }},
      {"float32", [](const at::Tensor& z) { return z.to(at::kFloat).tanh(); }},
      {"constant", [](const at::Tensor& z) { return torch::ones_like(z); }}};
  for (const auto& [name, sigma] : good) {
    EXPECT_EQ(error_of([&, f = sigma, n = name] { check_derivatives(activation(n, f)); }), "nothing thrown") << name;
  }
  check_derivatives(gelu());
}

TEST(Activation, TermsThatVanishOnTheDataAreNamed) {
  const auto x = torch::randn({300, 3}), w0 = torch::randn({600, 3});
  EXPECT_EQ(vanishing_terms(sigmoid(1.0), 4, x, w0), "");
  EXPECT_EQ(vanishing_terms(relu(), 1, x, w0), "");
  EXPECT_NE(vanishing_terms(relu(), 2, x, w0).find("f_Q of relu(z)"), std::string::npos);
  const auto leaky = activation("leaky", [](const at::Tensor& z) { return at::leaky_relu(z, 0.1); });
  EXPECT_NE(vanishing_terms(leaky, 2, x, w0).find("f_Q of leaky"), std::string::npos);
  EXPECT_NE(vanishing_terms(polynomial({1.0}), 2, x, w0).find("f_L, f_Q of polynomial"), std::string::npos);
  EXPECT_NE(vanishing_terms(polynomial({0, 0, 1.0}), 4, x, w0).find("t_3, t_4 of polynomial"), std::string::npos);
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

TEST(Activation, DerivativesByAutogradAreThereWithoutGradAndInInferenceMode) {
  const auto own = activation("sine", [](const torch::Tensor& z) { return z.sin(); });
  const auto z = torch::linspace(-2, 2, 9, torch::kFloat64);
  const std::vector<torch::Tensor> want{z.sin(), z.cos(), -z.sin(), -z.cos()};
  const auto expect_right = [&](const torch::Tensor& at) {
    for (int order = 0; order < 4; ++order)
      EXPECT_TRUE(testing::close(own.derivative(at, order), want[order], 1e-14)) << order;
  };
  {
    const torch::NoGradGuard no_grad;
    expect_right(z);
  }
  torch::Tensor made;
  {
    const c10::InferenceMode inference;
    expect_right(z);
    made = z + 0;
    expect_right(made);
  }
  expect_right(made);
}

}  // namespace
}  // namespace entk::activation_test
