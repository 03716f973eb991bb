// R1, R2, R3 by the projector in closed form: values and derivatives against explicit matrices.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "entk/regularizers/regularizers.h"
#include "entk/train/bound_objective.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::harmonic_terms_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

constexpr std::int64_t d = 4, m = 24, n = 19;

/// Π_{≤r} as an md×md matrix, column by column.
torch::Tensor columns_of(const std::function<torch::Tensor(const torch::Tensor&)>& map) {
  std::vector<torch::Tensor> columns;
  const auto identity = torch::eye(m * d, torch::kFloat64);
  for (std::int64_t i = 0; i < m * d; ++i) columns.push_back(map(identity[i].view({m, d})).flatten());
  return torch::stack(columns, 1);
}

TEST(HarmonicTerms, AreTheExplicitQuadraticFormsWithTheirDerivatives) {
  for (auto start : {Initialisation::symmetric, Initialisation::plain}) {
    const auto network = float64_network(d, m, start);
    const auto x = random_matrix(n, d, 1), y = random_matrix(n, 1, 2).squeeze(1), w = random_matrix(m, d, 3);
    const TaylorModel model(network);
    for (std::int64_t rank : {5, 14}) {
      const auto sigma = HarmonicProjector::make(network, rank);
      const auto pi = columns_of([&](const torch::Tensor& v) { return sigma.low(v); });
      EXPECT_TRUE(close(pi.mm(pi), pi, 1e-10));
      EXPECT_TRUE(close(pi.t(), pi, 1e-10));
      const auto covariance = columns_of([&](const torch::Tensor& v) { return sigma.population_product(v); });
      const auto rest = torch::eye(m * d, torch::kFloat64) - pi;
      const auto phi = features(*network, x).mm(rest);
      const std::vector<torch::Tensor> forms = {rest.mm(covariance).mm(rest), pi.mm(covariance).mm(pi),
                                                phi.t().mm(phi) / static_cast<double>(n)};
      const auto terms = paper_regularizers(sigma, x, {1, 1, 1, 0});
      for (int i = 0; i < 3; ++i) {
        SCOPED_TRACE(terms[i].name);
        const BoundObjective with(model, square_loss() + terms[i], {x, y}, {});
        const BoundObjective without(model, square_loss(), {x, y}, {});
        const auto at_w = with.evaluate(with.primitive()->terms(w), w);
        const auto loss_alone = without.evaluate(without.primitive()->terms(w), w);
        const auto vec = w.flatten();
        EXPECT_TRUE(close(at_w.terms[0], vec.dot(forms[i].mv(vec)), 1e-10));
        EXPECT_TRUE(
            close((with.gradient(w, at_w) - without.gradient(w, loss_alone)).flatten(), 2 * forms[i].mv(vec), 1e-9));
        EXPECT_TRUE(close(with.values(with.primitive()->terms(w), w).terms[0], vec.dot(forms[i].mv(vec)), 1e-10));
      }
      // Second derivatives along v.
      const auto v = random_matrix(m, d, 4);
      for (int i = 0; i < 2; ++i) {
        TermInputs in;
        in.w = w.clone().requires_grad_(true);
        const auto gradient = torch::autograd::grad({terms[i].value(in)}, {in.w}, {}, true, true)[0];
        const auto along = torch::autograd::grad({(gradient * v).sum()}, {in.w})[0];
        EXPECT_TRUE(close(along.flatten(), 2 * forms[i].mv(v.flatten()), 1e-9)) << i;
      }
    }
  }
}

TEST(HarmonicTerms, TakeFloatNetworks) {
  const auto exact = float64_network(d, m, Initialisation::symmetric);
  const Network single(exact->w0.to(torch::kFloat32), exact->a.to(torch::kFloat32), sigmoid(1.0));
  const auto x = random_matrix(n, d, 1), w = random_matrix(m, d, 3);
  TermInputs in, in_single;
  const auto phi = features(*exact, x);
  in.w = w, in_single.w = w.to(torch::kFloat32);
  in.terms = phi.mv(w.flatten()).unsqueeze(0), in_single.terms = in.terms.to(torch::kFloat32);
  const auto twice = paper_regularizers(HarmonicProjector::make(exact, 5), x, {1, 1, 1, 1});
  const auto once = paper_regularizers(HarmonicProjector::make(single, 5), x.to(torch::kFloat32), {1, 1, 1, 1});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(close(once[i].value(in_single), twice[i].value(in), 1e-5)) << i;
}

}  // namespace
}  // namespace entk::harmonic_terms_test
