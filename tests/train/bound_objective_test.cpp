#include "entk/train/bound_objective.h"

#include <ATen/record_function.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <set>

#include "entk/base/error.h"
#include "entk/regularizers/regularizers.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::bound_objective_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

constexpr std::int64_t d = 4, m = 24, n = 19;

struct Setting {
  explicit Setting(Initialisation start = Initialisation::plain)
      : network(float64_network(d, m, start)), model(network) {
    const torch::NoGradGuard no_grad;
    network->w.copy_(0.7 * random_matrix(m, d, 9));
  }
  Network network;
  TaylorModel model;
  torch::Tensor x = random_matrix(n, d, 1), y = random_matrix(n, 1, 2).squeeze(1), x_u = random_matrix(31, d, 3);
};

double value_at(const BoundObjective& bound, const torch::Tensor& w) {
  return bound.values(bound.primitive()->terms(w), w).regularized.item<double>();
}

TEST(BoundObjective, TheWholeGradientIsTheCentralDifference) {
  const Setting s;
  const auto sigma = SigmaProjector::from_unlabeled(s.network, s.x_u, 5);
  const Objective objective = square_loss() + paper_regularizers(sigma, *s.network, s.x, {0.3, 0.2, 10.0, 1e-6});
  const BoundObjective bound(s.model, objective, {s.x, s.y}, {});
  const auto w = s.network->w.detach(), v = random_matrix(m, d, 5);
  const auto gradient = bound.gradient(w, bound.evaluate(bound.primitive()->terms(w), w));
  const double h = 1e-5;
  const double difference = (value_at(bound, w + h * v) - value_at(bound, w - h * v)) / (2 * h);
  EXPECT_NEAR((gradient * v).sum().item<double>(), difference, 1e-7 * std::fabs(difference));
}

TEST(BoundObjective, WhereTheObjectiveIsQuadraticTheCentralDifferenceIsExact) {
  // f_L alone with the square loss, R1, R2 and R3: quadratic in W, so any step will do.
  const Setting s;
  const TaylorModel linear(s.network, TaylorModelOptions{.order = 1});
  const auto sigma = SigmaProjector::from_features(s.network, s.x, 5);
  const BoundObjective bound(linear, square_loss() + 0.3 * R1(sigma) + 0.2 * R2(sigma) + 2.0 * R3(sigma), {s.x, s.y},
                             {});
  const auto w = s.network->w.detach(), v = random_matrix(m, d, 5);
  const auto gradient = bound.gradient(w, bound.evaluate(bound.primitive()->terms(w), w));
  const double difference = (value_at(bound, w + v) - value_at(bound, w - v)) / 2;
  EXPECT_NEAR((gradient * v).sum().item<double>(), difference, 1e-10 * std::fabs(difference));
}

TEST(BoundObjective, TheGradientIsThatOfTheModuleUnderOrdinaryAutograd) {
  Setting s;
  for (const auto& loss : {square_loss(), pseudo_huber_loss(0.5)}) {
    const BoundObjective bound(s.model, Objective(loss), {s.x, s.y}, {});
    const auto w = s.network->w.detach();
    const auto evaluation = bound.evaluate(bound.primitive()->terms(w), w);
    const auto z = s.x.mm(s.network->w.t()), z0 = s.x.mm(s.network->w0.t());
    const auto scale = s.network->a / std::sqrt(static_cast<double>(m));
    const auto& sigma = s.network->activation();
    const auto f = (scale * (sigma(z0) + sigma.derivative(z0, 1) * z + 0.5 * sigma.derivative(z0, 2) * z * z)).sum(1);
    const auto value = loss.mean(f, s.y);
    EXPECT_TRUE(close(evaluation.loss, value, 1e-12));
    EXPECT_TRUE(close(bound.gradient(w, evaluation), torch::autograd::grad({value}, {s.network->w})[0], 1e-11));
  }
}

TEST(BoundObjective, TermsOfWAndOfTheModelsOwnWAddTheirGradients) {
  const Setting s;
  const auto l2 = regularizer("l2", [](const torch::Tensor& w) { return w.square().sum(); });
  const auto quartic =
      model_regularizer("quartic", [](TaylorModelImpl& model) { return model.network->w.pow(4).sum(); });
  const BoundObjective plain(s.model, Objective(square_loss()), {s.x, s.y}, {});
  const BoundObjective both(s.model, square_loss() + 0.3 * l2 + 0.2 * quartic, {s.x, s.y}, {});
  const auto w = s.network->w.detach().clone();
  const auto gradient = [&](const BoundObjective& bound) {
    return bound.gradient(w, bound.evaluate(bound.primitive()->terms(w), w));
  };
  EXPECT_TRUE(close(gradient(both), gradient(plain) + 0.6 * w + 0.8 * w.pow(3), 1e-11));
}

/// Operations on the elements of tensors that `work` makes: those that call no others, views and allocations left out.
std::vector<std::string> operations(const std::function<void()>& work) {
  struct Open {
    std::string name;
    bool calls_others = false;
  };
  static thread_local std::vector<Open> open;
  static thread_local std::vector<std::string> found;
  open.clear();
  found.clear();
  const auto handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(
          [](const at::RecordFunction& f) -> std::unique_ptr<at::ObserverContext> {
            if (!open.empty()) open.back().calls_others = true;
            open.push_back({f.name()});
            return nullptr;
          },
          [](const at::RecordFunction&, at::ObserverContext*) {
            static const std::set<std::string> free = {"aten::select",      "aten::as_strided", "aten::narrow",
                                                       "aten::slice",       "aten::detach",     "detach",
                                                       "aten::t",           "aten::transpose",  "aten::view",
                                                       "aten::expand",      "aten::empty",      "aten::empty_strided",
                                                       "aten::empty_like",  "aten::to",         "aten::_reshape_alias",
                                                       "aten::resolve_conj"};
            const Open last = open.back();
            open.pop_back();
            if (!last.calls_others && !free.contains(last.name)) found.push_back(last.name);
          })
          .scopes({at::RecordScope::FUNCTION}));
  work();
  at::removeCallback(handle);
  return found;
}

TEST(BoundObjective, ValueAndCotangentsOfThePapersObjectiveAreFewOperations) {
  // Each is a launch on a GPU, where together they take as long as a product does.
  const Setting s;
  const auto sigma = SigmaProjector::from_features(s.network, s.x, 5);
  const BoundObjective bound(s.model, square_loss() + paper_regularizers(sigma, *s.network, s.x, {0, 0, 10.0, 0}),
                             {s.x, s.y}, {});
  const auto w = s.network->w.detach(), terms = bound.primitive()->terms(w);
  const auto all = operations([&] { bound.evaluate(terms, w); });
  EXPECT_LE(all.size(), 24U) << fmt::format("{}", fmt::join(all, " "));
}

TEST(BoundObjective, TermsOfWeightZeroAreValuedAndNotTrained) {
  const Setting s;
  const auto sigma = SigmaProjector::from_unlabeled(s.network, s.x_u, 5);
  const auto terms = paper_regularizers(sigma, *s.network, s.x, {0, 0, 0, 0});
  const BoundObjective with(s.model, square_loss() + terms, {s.x, s.y}, {}),
      without(s.model, square_loss(), {s.x, s.y}, {});
  EXPECT_EQ(with.primitive()->samples(), n) << "points of a term of weight zero cost nothing";
  const auto w = s.network->w.detach();
  const auto weighted = paper_regularizers(sigma, *s.network, s.x, {1, 1, 1, 1});
  const BoundObjective all(s.model, square_loss() + weighted, {s.x, s.y}, {});
  EXPECT_EQ(all.primitive()->samples(), n + 31) << "equal own points are taken once";
  const auto got = with.values(with.primitive()->terms(w), w), want = all.values(all.primitive()->terms(w), w);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(close(got.terms[i], want.terms[i], 1e-13)) << i;
  const auto one = with.evaluate(with.primitive()->terms(w), w),
             two = without.evaluate(without.primitive()->terms(w), w);
  EXPECT_TRUE(identical(with.gradient(w, one), without.gradient(w, two)));
}

TEST(BoundObjective, LossesHaveTheirClosedForms) {
  const auto f = torch::tensor({0.0, 1.0, -30.0, 400.0}, torch::kFloat64);
  const auto y = torch::tensor({1.0, -1.0, 1.0, 1.0}, torch::kFloat64);
  EXPECT_NEAR(square_loss().mean(f, y).item<double>(), (1 + 4 + 31 * 31 + 399.0 * 399.0) / 4, 1e-9);
  double huber = 0, logistic = 0;
  for (int i = 0; i < 4; ++i) {
    const double t = (f[i] - y[i]).item<double>() / 2, margin = -(f[i] * y[i]).item<double>();
    huber += 4 * (std::sqrt(1 + t * t) - 1) / 4;
    logistic += (margin > 30 ? margin : std::log1p(std::exp(margin))) / 4;
  }
  EXPECT_NEAR(pseudo_huber_loss(2.0).mean(f, y).item<double>(), huber, 1e-9);
  EXPECT_NEAR(logistic_loss().mean(f, y).item<double>(), logistic, 1e-9);
  EXPECT_THROW(pseudo_huber_loss(0.0), InputError);
}

TEST(BoundObjective, BadDataIsNamed) {
  Setting s;
  const auto message = [&](const Samples& samples, const Loss& loss = square_loss()) {
    try {
      BoundObjective(s.model, Objective(loss), samples, {});
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("nothing thrown");
  };
  auto x = s.x.clone(), y = s.y.clone();
  x[3][2] = NAN;
  EXPECT_NE(message({x, s.y}).find("X: entry [3, 2] is nan"), std::string::npos);
  y[4] = INFINITY;
  EXPECT_NE(message({s.x, y}).find("y: entry [4] is inf"), std::string::npos);
  EXPECT_NE(message({s.x, s.y.slice(0, 1)}).find("y: expected a vector of length 19"), std::string::npos);
  EXPECT_NE(message({s.x.slice(1, 1), s.y}).find("X: expected a matrix"), std::string::npos);
  EXPECT_NE(message({s.x, s.y}, logistic_loss()).find("labels −1 and +1; entry [0]"), std::string::npos);
  {
    const torch::NoGradGuard no_grad;
    s.network->w0[1][0] = NAN;
  }
  EXPECT_NE(message({s.x, s.y}).find("W0: entry [1, 0] is nan"), std::string::npos);
}

}  // namespace
}  // namespace entk::bound_objective_test
