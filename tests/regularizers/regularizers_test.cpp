#include "entk/regularizers/regularizers.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "entk/kernels/taylor_function.h"
#include "entk/theory/objective_hessian.h"
#include "entk/train/bound_objective.h"
#include "tests/support/errors.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::regularizers_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

constexpr std::int64_t d = 4, m = 24, n = 19, N = 31, rank = 5;

struct Setting {
  explicit Setting(Initialisation start) : network(float64_network(d, m, start)), model(network) {
    const torch::NoGradGuard no_grad;
    network->w.copy_(0.7 * random_matrix(m, d, 9));
  }
  Network network;
  TaylorModel model;
  torch::Tensor x = random_matrix(n, d, 1), y = random_matrix(n, 1, 2).squeeze(1), x_u = random_matrix(N, d, 3);
};

/// A term's value and gradient through the fast path: primitive, detached vectors, pull-back.
std::pair<torch::Tensor, torch::Tensor> fast(const Setting& s, Term term) {
  const Objective objective = square_loss() + 1.0 * term;
  const BoundObjective bound(s.model, objective, {s.x, s.y}, {});
  const auto w = s.network->w.detach();
  const auto with = bound.evaluate(bound.primitive()->terms(w), w);
  const BoundObjective loss_alone(s.model, square_loss(), {s.x, s.y}, {});
  const auto without = loss_alone.evaluate(loss_alone.primitive()->terms(w), w);
  return {with.terms[0], bound.gradient(w, with) - loss_alone.gradient(w, without)};
}

/// Value and gradient of a definition by explicit matrices, by autograd in vec(W).
std::pair<torch::Tensor, torch::Tensor> slow(const Setting& s,
                                             const std::function<torch::Tensor(const torch::Tensor&)>& f) {
  const auto w = s.network->w.detach().clone().requires_grad_(true);
  const auto value = f(w);
  return {value.detach(), torch::autograd::grad({value}, {w})[0]};
}

void expect_same(const Setting& s, Term term, const std::function<torch::Tensor(const torch::Tensor&)>& f) {
  const auto [value, gradient] = fast(s, std::move(term));
  const auto [want, want_gradient] = slow(s, f);
  EXPECT_TRUE(close(value, want, 1e-10));
  EXPECT_TRUE(close(gradient, want_gradient, 1e-10));
}

const std::vector<Initialisation> starts = {Initialisation::symmetric, Initialisation::plain};

TEST(Regularizers, R1AtOtherPointsIsTheExplicitFormThere) {
  for (auto start : starts) {
    const Setting s(start);
    const auto by_training = projector(features(*s.network, s.x), rank),
               by_unlabeled = projector(features(*s.network, s.x_u), rank);
    const auto points = random_matrix(13, d, 11);
    const auto phi = features(*s.network, points);
    const auto explicit_form = [&](const torch::Tensor& low) {
      return [&phi, low](const torch::Tensor& w) { return phi.mv(w.flatten() - low.mv(w.flatten())).square().mean(); };
    };
    const auto of_training = SigmaProjector::from_features(s.network, s.x, rank);
    const auto of_unlabeled = SigmaProjector::from_unlabeled(s.network, s.x_u, rank);
    expect_same(s, R1_at(of_training, *s.network, points), explicit_form(by_training));
    expect_same(s, R1_at(of_unlabeled, *s.network, points), explicit_form(by_unlabeled));
    expect_same(s, R1_fresh(of_training, [&](std::int64_t) { return points; }), explicit_form(by_training));
  }
}

TEST(Regularizers, FreshPointsAreThoseOfTheStep) {
  const Setting s(Initialisation::plain);
  const auto sigma = SigmaProjector::from_features(s.network, s.x, rank);
  const Objective fresh =
      square_loss() + R1_fresh(sigma, [](std::int64_t step) { return random_matrix(7, d, 100 + step); });
  const BoundObjective bound(s.model, fresh, {s.x, s.y}, {});
  const auto w = s.network->w.detach(), terms = bound.primitive()->terms(w);
  for (const std::int64_t step : {0, 3}) {
    const Objective fixed = square_loss() + R1_at(sigma, *s.network, random_matrix(7, d, 100 + step));
    const BoundObjective want(s.model, fixed, {s.x, s.y}, {});
    EXPECT_TRUE(close(bound.evaluate(terms, w, step).terms[0], want.evaluate(terms, w).terms[0], 1e-12));
    EXPECT_TRUE(close(bound.values(terms, w, step).terms[0], want.values(terms, w).terms[0], 1e-12));
  }
}

TEST(Regularizers, SecondDerivativesAreThoseOfTheExplicitQuadraticForms) {
  for (auto start : starts) {
    const Setting s(start);
    const auto phi = features(*s.network, s.x);
    const auto sigma_matrix = phi.t().mm(phi) / static_cast<double>(n);
    const auto low = projector(phi, rank), high = torch::eye(m * d, torch::kFloat64) - low;
    const auto sigma = SigmaProjector::from_features(s.network, s.x, rank);
    const auto v = random_matrix(m, d, 12);
    const auto product = [&](const Objective& objective) {
      const BoundObjective bound(s.model, objective, {s.x, s.y}, {});
      const auto w = s.network->w.detach().clone().requires_grad_(true);
      const auto value = bound.expression(taylor_terms(bound.primitive(), w), w);
      const auto gradient = torch::autograd::grad({value}, {w}, {}, true, true)[0];
      return torch::autograd::grad({(gradient * v).sum()}, {w})[0];
    };
    const auto of_loss = product(Objective(square_loss()));
    for (const auto& term : {R1(sigma), R3(sigma)}) {
      const auto want = 2 * high.mm(sigma_matrix).mm(high).mv(v.flatten()).view({m, d});
      EXPECT_TRUE(close(product(square_loss() + 1.0 * term) - of_loss, want, 1e-10)) << term.name;
    }
    EXPECT_TRUE(close(product(square_loss() + 1.0 * R2(sigma)) - of_loss,
                      2 * low.mm(sigma_matrix).mm(low).mv(v.flatten()).view({m, d}), 1e-10));
  }
}

TEST(Regularizers, MadeByTheTrainingFeaturesTheyAreTheExplicitQuadraticForms) {
  for (auto start : starts) {
    const Setting s(start);
    const auto phi = features(*s.network, s.x);
    const auto sigma_matrix = phi.t().mm(phi) / static_cast<double>(n);  // md×md
    const auto low = projector(phi, rank), high = torch::eye(m * d, torch::kFloat64) - low;
    const auto sigma = SigmaProjector::from_features(s.network, s.x, rank);
    expect_same(s, R1(sigma), [&](const torch::Tensor& w) {  // vec(W)ᵀ Σ_{>r} vec(W) (16)
      return w.flatten().dot(high.mm(sigma_matrix).mm(high).mv(w.flatten()));
    });
    expect_same(s, R2(sigma), [&](const torch::Tensor& w) {  // (17)
      return w.flatten().dot(low.mm(sigma_matrix).mm(low).mv(w.flatten()));
    });
    expect_same(s, R3(sigma), [&](const torch::Tensor& w) {  // (18)
      return phi.mv(high.mv(w.flatten())).square().mean();
    });
    expect_same(s, R3(sigma, *s.network, s.x),
                [&](const torch::Tensor& w) { return phi.mv(high.mv(w.flatten())).square().mean(); });
  }
}

TEST(Regularizers, MadeByUnlabeledPointsTheyAreTheExplicitQuadraticForms) {
  for (auto start : starts) {
    const Setting s(start);
    const auto phi = features(*s.network, s.x), phi_u = features(*s.network, s.x_u);
    const auto sigma_matrix = phi_u.t().mm(phi_u) / static_cast<double>(N);
    const auto low = projector(phi_u, rank), high = torch::eye(m * d, torch::kFloat64) - low;
    const auto sigma = SigmaProjector::from_unlabeled(s.network, s.x_u, rank);
    expect_same(s, R1(sigma), [&](const torch::Tensor& w) {
      return w.flatten().dot(high.mm(sigma_matrix).mm(high).mv(w.flatten()));
    });
    expect_same(s, R2(sigma),
                [&](const torch::Tensor& w) { return w.flatten().dot(low.mm(sigma_matrix).mm(low).mv(w.flatten())); });
    expect_same(s, R3(sigma, *s.network, s.x),
                [&](const torch::Tensor& w) { return phi.mv(high.mv(w.flatten())).square().mean(); });
    EXPECT_THROW(R3(sigma), InputError);
  }
}

TEST(Regularizers, R4OfAModulesParametersIsRefused) {
  TermInputs in;
  in.w = torch::ones({5}, torch::kFloat64);
  EXPECT_EQ(error_of([&] { R4().value(in); }),
            "R4: it reads neurons, rows of W, which a module's vector of parameters has not");
}

TEST(Regularizers, R4IsTheEighthPowerOfTheTwoFourNorm) {
  const Setting s(Initialisation::plain);
  expect_same(s, R4(), [](const torch::Tensor& w) { return w.norm(2, 1).pow(4).sum().pow(2); });
  // The closed form: 8 (Σ‖w_s‖⁴) ‖w_r‖² w_r.
  const auto w = s.network->w.detach();
  const auto squares = w.square().sum(1, true);
  EXPECT_TRUE(close(fast(s, R4()).second, 8 * squares.square().sum() * squares * w, 1e-11));
}

TEST(Regularizers, ValueAndBothDerivativesAreRightAtZeroAndFarFromIt) {
  // Each is homogeneous: of degree 2, R4 of degree 8. Beside the loss 0, R(cW), its gradient and its Hessian along V
  // are c^p R(W), c^(p−1) ∇R(W) and c^(p−2) ∇²R(W)V, and those of R itself are in the tests above.
  const Loss none{"none", [](const at::Tensor& f, const at::Tensor&) { return 0 * f.sum(); }};
  for (auto start : starts) {
    const Setting s(start);
    const auto sigma = SigmaProjector::from_features(s.network, s.x, rank),
               other = SigmaProjector::from_unlabeled(s.network, s.x_u, rank);
    const auto harmonic = HarmonicProjector::make(s.network, rank);
    const auto x_u = s.x_u;
    const std::vector<Term> terms = {R1(sigma),
                                     R1(other),
                                     R1_at(other, *s.network, s.x),
                                     R1_fresh(other, [x_u](std::int64_t) { return x_u; }),
                                     R2(sigma),
                                     R2(other),
                                     R3(sigma),
                                     R3(other, *s.network, s.x),
                                     R1(harmonic),
                                     R2(harmonic),
                                     R3(harmonic, s.x),
                                     R4()};
    const auto w = s.network->w.detach().clone(), v = random_matrix(m, d, 10);
    for (std::size_t i = 0; i < terms.size(); ++i) {
      SCOPED_TRACE(fmt::format("{}: {}", i, terms[i].name));
      const int degree = terms[i].name == "R4" ? 8 : 2;
      const BoundObjective bound(s.model, none + terms[i], {s.x, s.y}, {});
      const ObjectiveHessian one(bound, w);
      ASSERT_GT(one.value(), 0);
      EXPECT_NEAR((one.gradient() * w).sum().item<double>(), degree * one.value(), 1e-10 * one.value());
      EXPECT_NEAR(one.quadratic_form(w), degree * (degree - 1) * one.value(), 1e-9 * one.value());
      for (const double c : {0.0, 1e-30, -1e-30, 1e-3, -1.0, 1e30, -1e30}) {
        SCOPED_TRACE(c);
        const ObjectiveHessian at(bound, c * w);
        EXPECT_NEAR(at.value(), std::pow(c, degree) * one.value(), 1e-10 * std::pow(c, degree) * one.value());
        const auto power = [c](int p) { return c != 0 ? std::pow(c, p) : 1.0; };  // what to divide by
        EXPECT_TRUE(close(at.gradient() / power(degree - 1), c == 0 ? torch::zeros_like(w) : one.gradient(), 1e-10));
        EXPECT_TRUE(close(at.product(v) / power(degree - 2),
                          c == 0 && degree > 2 ? torch::zeros_like(w) : one.product(v), 1e-10));
      }
    }
  }
}

TEST(Regularizers, SignRandomisationLeavesTheQuadraticTermAlone) {
  const Setting s(Initialisation::plain);
  const auto primitive = make_primitive(*s.network, s.x);
  const auto signs = torch::randn({m, 1}, torch::kFloat64).sign();
  const auto w = s.network->w.detach();
  EXPECT_TRUE(close(primitive->terms(signs * w)[1], primitive->terms(w)[1], 1e-13));
}

TEST(Regularizers, AProjectorFromOtherPointsThanTheTrainingInputsIsRefused) {
  const Setting s(Initialisation::plain);
  const auto sigma = SigmaProjector::from_features(s.network, s.x_u, rank);
  EXPECT_THROW(BoundObjective(s.model, square_loss() + R3(sigma), {s.x, s.y}, {}), InputError);
}

TEST(Regularizers, AUsersOwnOfWOfTheVectorsAndOfTheModelAgreeWithAutograd) {
  const Setting s(Initialisation::symmetric);
  expect_same(s, regularizer("l1", [](const torch::Tensor& w) { return w.abs().mean(); }),
              [](const torch::Tensor& w) { return w.abs().mean(); });
  expect_same(s, neuron_regularizer("quartic", [](const torch::Tensor& w) { return w.square().sum(1).square(); }),
              [](const torch::Tensor& w) { return w.square().sum(1).square().sum(); });
  EXPECT_THROW(fast(s, neuron_regularizer("whole", [](const torch::Tensor& w) { return w.square().sum(); })),
               InputError);
  const auto phi = features(*s.network, s.x);
  expect_same(s, vector_regularizer("cubic", [](const TermInputs& in) { return in.f_linear().pow(3).mean(); }),
              [&](const torch::Tensor& w) { return phi.mv(w.flatten()).pow(3).mean(); });
  // Through the whole model: the network itself, not its expansion.
  auto network = s.network;
  const auto x = s.x;
  const auto [value, gradient] = fast(s, model_regularizer("output", [x](TaylorModelImpl& model) {
                                        return model.network->forward(x).square().mean();
                                      }));
  const auto direct = network->forward(x).square().mean();
  EXPECT_TRUE(close(value, direct, 1e-13));
  EXPECT_TRUE(close(gradient, torch::autograd::grad({direct}, {network->w})[0], 1e-11));
}

}  // namespace
}  // namespace entk::regularizers_test
