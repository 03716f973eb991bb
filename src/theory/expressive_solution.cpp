#include "entk/theory/expressive_solution.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/kernels/shard.h"
#include "entk/spectrum/legendre.h"

namespace entk {

namespace {

/// d^((k−1)/2) b_l/μ_l, l = 0 … k−1; zeros where b_l = 0.
std::vector<double> quotients(const SparsePart& sparse, const SigmaSpectrum& spectrum) {
  const int k = sparse.degree - 1;
  if (k < 1)
    throw InputError(fmt::format("Theorem 2: expected a sparse part of degree at least 2, got {}", sparse.degree));
  if (sparse.alphas.empty()) throw InputError("Theorem 2: expected at least one sparse direction, got none");
  if (sparse.betas.size() != sparse.alphas.size()) {
    throw InputError(fmt::format("Theorem 2: expected a direction for each of {} coefficients, got {}",
                                 sparse.alphas.size(), sparse.betas.size()));
  }
  if (k - 1 > spectrum.mu.max_degree()) {
    throw InputError(
        fmt::format("Theorem 2: μ_{} is beyond the spectrum's degree {}", k - 1, spectrum.mu.max_degree()));
  }
  std::vector<double> monomial(k, 0.0);
  monomial.back() = 1.0;
  auto b = monomials_to_legendre(spectrum.dimension, monomial);
  const auto vanishes = vanishing(spectrum.mu);
  for (int l = 0; l < k; ++l) {
    if ((k - 1 - l) % 2 != 0) {
      b[l] = 0;
      continue;
    }
    if (vanishes.is_zero(l)) {
      throw InputError(
          fmt::format("Theorem 2: μ_{} of this activation vanishes, so f_Q cannot fit (β·x)^{} this way", l, k + 1));
    }
    b[l] *= std::pow(spectrum.dimension, 0.5 * (k - 1)) / spectrum.mu.values[l];
  }
  return b;
}

}  // namespace

at::Tensor linear_solution(const HarmonicProjector& projector, const at::Tensor& x, const at::Tensor& f_low) {
  check_matrix("x", x, -1, -1);
  const std::int64_t n = x.size(0);
  check_vector("f_k", f_low, n);
  check_finite("x", x);
  check_finite("f_k", f_low);
  if (n < projector.rank()) {
    throw InputError(fmt::format("Lemma 2: expected at least n_k = {} samples for W_L, got {}", projector.rank(), n));
  }
  const SerialTorch serial;
  const auto table = projector.features(x);  // n×r
  const auto scale = table.square().sum(0).sqrt();
  const auto [q, r] = at::linalg_qr(table / scale);
  const auto right = q.t().mm(f_low.to(table.options()).unsqueeze(1));
  const auto solved = at::linalg_solve_triangular(r, right, /*upper=*/true).squeeze(1);
  return projector.combine(solved / scale).to(at::kCPU);
}

at::Tensor quadratic_solution(const NetworkImpl& network, const SparsePart& sparse, const SigmaSpectrum& spectrum) {
  if (!network.symmetric()) throw InputError("Theorem 2: expected the symmetric start (8)(9)");
  const std::int64_t half = network.width() / 2, d = network.dimension();
  const auto shard = shard_with(network.width());
  const auto R = static_cast<std::int64_t>(sparse.alphas.size());
  if (spectrum.dimension != d) {
    throw InputError(
        fmt::format("Theorem 2: the spectrum is of dimension {}, the network of {}", spectrum.dimension, d));
  }
  for (const auto& beta : sparse.betas) {
    if (static_cast<std::int64_t>(beta.size()) != d) {
      throw InputError(fmt::format("Theorem 2: expected directions of length {}, got {}", d, beta.size()));
    }
  }
  const auto quotient = quotients(sparse, spectrum);
  const auto start = network.w0.detach().to(at::kCPU, at::kDouble).contiguous();
  const auto signs = network.a.detach().to(at::kCPU, at::kDouble).contiguous();
  const double* w0 = start.const_data_ptr<double>();
  const double* a = signs.const_data_ptr<double>();
  auto out = at::zeros({2 * half, d}, at::kDouble);
  double* w = out.mutable_data_ptr<double>();
  const double scale = std::pow(static_cast<double>(shard.width), -0.25);
  parallel_for(half, [&](std::int64_t r) {
    const auto i = static_cast<std::size_t>((shard.first + r) % R);
    const auto& beta = sparse.betas[i];
    double t = 0;
    for (std::int64_t j = 0; j < d; ++j) t += beta[j] * w0[r * d + j];
    const auto legendre =
        legendre_values(static_cast<int>(d), static_cast<int>(quotient.size()) - 1, std::min(1.0, std::max(-1.0, t)));
    double h = 0;
    for (std::size_t l = 0; l < quotient.size(); ++l) h += quotient[l] * legendre[l];
    h *= 2.0 * static_cast<double>(R) * sparse.alphas[i];
    const std::int64_t row = a[r] * h >= 0 ? r : r + half;  // the twin whose sign is h's
    const double size = scale * std::sqrt(2 * std::fabs(h));
    for (std::int64_t j = 0; j < d; ++j) w[row * d + j] = size * beta[j];
  });
  return out;
}

double quadratic_solution_norm(const SparsePart& sparse, const SigmaSpectrum& spectrum) {
  const auto quotient = quotients(sparse, spectrum);
  double sum = 0, squares = 0;
  for (std::size_t l = 0; l < quotient.size(); ++l) {
    sum += quotient[l] * quotient[l] / multiplicity(spectrum.dimension, static_cast<int>(l));
  }
  for (const double alpha : sparse.alphas) squares += alpha * alpha;
  return 8.0 * static_cast<double>(sparse.alphas.size()) * squares * sum;
}

at::Tensor random_signs(std::int64_t rows, std::uint64_t seed, std::uint32_t draw) {
  if (rows < 1) throw InputError(fmt::format("rows: expected at least 1, got {}", rows));
  return neuron_signs(rows, RandomStream(Purpose::theory_signs, seed, draw));
}

}  // namespace entk
