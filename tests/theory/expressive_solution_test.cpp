#include "entk/theory/expressive_solution.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "entk/data/inputs.h"
#include "entk/kernels/reference.h"
#include "entk/report/statistics.h"
#include "entk/spectrum/activation_spectrum.h"
#include "entk/theory/theorem_weights.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::expressive_solution_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

SparsePart sparse_part(std::int64_t d, int degree) {
  return {degree, {1.0, -0.7}, {random_direction(d, 5, 0), random_direction(d, 5, 1)}};
}

torch::Tensor points(std::int64_t n, std::int64_t d) { return draw_inputs(InputLaw::sphere, n, d, Purpose::probe, 7); }

double mean_square(const torch::Tensor& t) { return t.square().mean().item<double>(); }

TEST(QuadraticSolution, ItsFormIsTheSumOfHOverThePairs) {
  // f_Q(x;W_Q) = m^(−1) Σ_pairs h_i(w) σ''(w·x) (β_i·x)² with h written out for k = 1 and 2.
  constexpr std::int64_t d = 12, m = 400;
  const auto network = float64_network(d, m, Initialisation::symmetric);
  const auto spectrum = sigma_spectrum(network->activation(), d, 6);
  const auto x = points(30, d);
  for (int k : {1, 2}) {
    const auto sparse = sparse_part(d, k + 1);
    const auto w = quadratic_solution(*network, sparse, spectrum);
    auto want = torch::zeros({30}, torch::kFloat64);
    for (std::int64_t r = 0; r < m / 2; ++r) {
      const auto beta = torch::tensor(sparse.betas[r % 2], torch::kFloat64);
      const double t = beta.dot(network->w0[r]).item<double>(), alpha = sparse.alphas[r % 2];
      const double h =
          4 * alpha * (k == 1 ? 1 / spectrum.mu.values[0] : std::sqrt(double(d)) * t / spectrum.mu.values[1]);
      want += h / m * network->activation().derivative(x.mv(network->w0[r]), 2) * x.mv(beta).square();
      EXPECT_EQ((w[r].norm() > 0).item<bool>() && (w[r + m / 2].norm() > 0).item<bool>(), false);
    }
    const auto got = reference_terms(x, network->w0, network->a, network->activation(), w, 2)[1];
    EXPECT_TRUE(close(got, want, 1e-12)) << k;
  }
}

TEST(QuadraticSolution, ConvergesToTheSparsePartAndItsNormToTheLimit) {
  constexpr std::int64_t d = 12;
  const auto x = points(500, d);
  for (int k : {1, 2}) {
    const auto sparse = sparse_part(d, k + 1);
    const auto want = sparse(x);
    std::vector<double> widths{1000, 8000, 64000}, errors;
    for (const double m : widths) {
      const auto network = float64_network(d, static_cast<std::int64_t>(m), Initialisation::symmetric);
      const auto spectrum = sigma_spectrum(network->activation(), d, 6);
      const auto w = quadratic_solution(*network, sparse, spectrum);
      const auto got = make_primitive(*network, x, {.mode = KernelMode::recompute})->terms(w)[1];
      errors.push_back(std::sqrt(mean_square(got - want) / mean_square(want)));
      const double limit = quadratic_solution_norm(sparse, spectrum);
      const double norm = w.square().sum(1).square().sum().item<double>();
      EXPECT_NEAR(norm, limit, (k == 1 ? 1e-12 : 8 / std::sqrt(m)) * limit) << k << " " << m;
    }
    EXPECT_NEAR(power_law_fit(widths, errors).slope, -0.5, 0.15) << k;
    EXPECT_LT(errors.back(), k == 1 ? 0.02 : 0.08) << k;
  }
}

TEST(QuadraticSolution, SignsLeaveTheQuadraticTermAndCollapseTheLinearOne) {
  constexpr std::int64_t d = 12, m = 2000;
  const auto network = float64_network(d, m, Initialisation::symmetric);
  const auto w = quadratic_solution(*network, sparse_part(d, 2), sigma_spectrum(network->activation(), d, 6));
  const auto primitive = make_primitive(*network, points(200, d), {.mode = KernelMode::recompute});
  const auto plain = primitive->terms(w).clone();
  double square = 0;
  const int draws = 64;  // of some two degrees of freedom each: the mean is off by about an eighth
  for (int draw = 0; draw < draws; ++draw) {
    const auto signed_terms = primitive->terms(random_signs(m, 1, static_cast<std::uint32_t>(draw)).unsqueeze(1) * w);
    EXPECT_TRUE(close(signed_terms[1], plain[1], 1e-12));
    square += mean_square(signed_terms[0]) / draws;
  }
  // E_S f_L(x;SW)² = m^(−1) Σ_r σ'(w0_r·x)² (w_r·x)², at every x.
  const auto x = points(200, d);
  const auto s1 = network->activation().derivative(x.mm(network->w0.t()), 1);
  const double want = (s1 * x.mm(w.t())).square().sum(1).mean().item<double>() / m;
  EXPECT_NEAR(square, want, 0.4 * want);
  EXPECT_LT(square, 0.02 * mean_square(plain[0]));
}

TEST(LinearSolution, IsTheLeastSquaresFitInTheSpanOfTheLowDegrees) {
  constexpr std::int64_t d = 6, m = 300;
  const auto network = float64_network(d, m, Initialisation::symmetric);
  const auto x = points(120, d);
  const auto f = 0.3 + x.select(1, 0) - 0.5 * x.select(1, 1) * x.select(1, 2);
  for (const std::int64_t rank : {std::int64_t{d + 1}, std::int64_t{d + d * (d + 1) / 2}}) {
    const auto projector = HarmonicProjector::make(network, rank);
    const auto w = linear_solution(projector, x, f);
    EXPECT_TRUE(close(projector.low(w), w, 1e-9)) << "in the span";
    // Against the same fit with Φ and the span's columns written out.
    const auto phi = features(*network, x);
    std::vector<torch::Tensor> columns;
    for (std::int64_t i = 0; i < rank; ++i) {
      auto unit = torch::zeros({rank}, torch::kFloat64);
      unit[i] = 1;
      columns.push_back(projector.combine(unit).flatten());
    }
    const auto table = phi.mm(torch::stack(columns, 1));
    const auto g = std::get<0>(torch::linalg_lstsq(table, f.unsqueeze(1), {}, "gelsd"));
    EXPECT_TRUE(close(phi.mv(w.flatten()), table.mm(g).squeeze(1), 1e-8)) << rank;
    const double residual = mean_square(phi.mv(w.flatten()) - f);
    if (rank > d + 1) {
      EXPECT_LT(residual, 0.05 * mean_square(f));
    }  // f has degree 2
  }
  EXPECT_THROW(linear_solution(HarmonicProjector::make(network, d + 1), x.narrow(0, 0, d), f.narrow(0, 0, d)),
               InputError);
}

TEST(QuadraticSolution, WhereItDoesNotExistItSaysSo) {
  const auto network = float64_network(8, 40, Initialisation::symmetric);
  const auto odd = sigma_spectrum(sigmoid(0.0), 8, 6);  // σ'' odd: μ_0 = 0
  const auto message = [&](auto&& f) {
    try {
      f();
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("nothing thrown");
  };
  EXPECT_NE(message([&] { quadratic_solution(*network, sparse_part(8, 2), odd); }).find("μ_0"), std::string::npos);
  EXPECT_EQ(message([&] { quadratic_solution(*network, sparse_part(8, 3), odd); }), "nothing thrown");
  const auto plain = float64_network(8, 40, Initialisation::plain);
  const auto spectrum = sigma_spectrum(sigmoid(1.0), 8, 6);
  EXPECT_NE(message([&] { quadratic_solution(*plain, sparse_part(8, 2), spectrum); }).find("symmetric"),
            std::string::npos);
  EXPECT_NE(message([&] { quadratic_solution(*network, {2, {}, {}}, spectrum); }).find("direction"), std::string::npos);
}

TEST(TheoremWeights, AreThoseOfTheoremFour) {
  const auto one = theorem4_weights(10000, 100, 1, 0.01);
  EXPECT_EQ(one, (std::array<double, 4>{1.0, 0.01, 1.0, 0.01}));
  const auto two = theorem4_weights(10000, 100, 2, 0.01);
  EXPECT_DOUBLE_EQ(two[0], 0.1);
  EXPECT_DOUBLE_EQ(two[2], 0.1);
  EXPECT_DOUBLE_EQ(two[3], 1e-6);
  EXPECT_THROW(theorem4_weights(10000, 100, 0, 0.01), InputError);
  EXPECT_THROW(theorem4_weights(10000, 100, 1, -1), InputError);
}

}  // namespace
}  // namespace entk::expressive_solution_test
