#include "entk/spectrum/lanczos.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <vector>

#include "entk/base/check.h"
#include "entk/base/sphere.h"
#include "entk/base/threads.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/kernels/shard.h"

namespace entk {

namespace {

/// Krylov vectors: this process's rows of each, in pieces of a group of neurons that are shared out over threads. A
/// piece has memory of its own, so that its products have the same bits in whatever process it is.
class Basis {
 public:
  Basis(std::int64_t most, at::IntArrayRef shape, const at::TensorOptions& options)
      : shard_(shard_with(shape[0])), like_(at::empty(shape, options)) {
    for (std::int64_t g = 0; g < shard_.own_groups(); ++g) {
      for (std::int64_t half = 0; half < shard_.halves(); ++half)
        pieces_.push_back(at::empty({most, entries(like_, half, g).size(0)}, options));
    }
  }

  void push(const at::Tensor& v) {
    for_groups([&](std::int64_t half, std::int64_t g) { piece(half, g)[count_].copy_(entries(v, half, g)); });
    ++count_;
  }

  /// v − QᵀQ v.
  void orthogonalize(const at::Tensor& v) const {
    const auto own = at::zeros({shard_.own_groups(), count_}, like_.options());
    for_groups([&](std::int64_t half, std::int64_t g) { own[g].add_(all(half, g).mv(entries(v, half, g).clone())); });
    const auto coefficients = sum_of_groups(own, shard_);
    for_groups([&](std::int64_t half, std::int64_t g) { entries(v, half, g).sub_(all(half, g).t().mv(coefficients)); });
  }

  /// Σ_i weights_i row_i.
  at::Tensor combination(const at::Tensor& weights) const {
    auto out = at::empty_like(like_);
    for_groups([&](std::int64_t half, std::int64_t g) { entries(out, half, g).copy_(all(half, g).t().mv(weights)); });
    return out;
  }

 private:
  template <class F>
  void for_groups(F&& f) const {
    const SerialTorch serial;
    kernels::for_each_tile(like_.is_cpu(), shard_.own_groups(), [&](std::int64_t g) {
      for (std::int64_t half = 0; half < shard_.halves(); ++half) f(half, g);
    });
  }
  at::Tensor entries(const at::Tensor& v, std::int64_t half, std::int64_t g) const {
    return shard_.group_rows(v, half, g).view({-1});
  }
  at::Tensor piece(std::int64_t half, std::int64_t g) const {
    return pieces_[static_cast<std::size_t>(g * shard_.halves() + half)];
  }
  at::Tensor all(std::int64_t half, std::int64_t g) const { return piece(half, g).narrow(0, 0, count_); }

  Shard shard_;
  at::Tensor like_;
  std::vector<at::Tensor> pieces_;  // of each group and half; a vector a row
  std::int64_t count_ = 0;
};

double norm_of(const at::Tensor& v) {
  const SerialTorch serial;
  return neuron_norm(v);
}

double dot_of(const at::Tensor& a, const at::Tensor& b) {
  const SerialTorch serial;
  return neuron_dot(a, b);
}

/// This process's rows of a standard normal vector.
at::Tensor normal_vector(at::IntArrayRef shape, std::uint64_t seed) {
  const auto shard = shard_with(shape[0]);
  std::vector<at::Tensor> halves;
  for (std::int64_t half = 0; half < shard.halves(); ++half)
    halves.push_back(gaussian_points(shard.count, c10::multiply_integers(shape) / shape[0],
                                     RandomStream(Purpose::lanczos_start, seed), shard.row(half)));
  return at::cat(halves).view(shape);
}

Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> ritz(const std::vector<double>& alpha, const std::vector<double>& beta) {
  const auto k = static_cast<Eigen::Index>(alpha.size());
  const Eigen::VectorXd diagonal = Eigen::Map<const Eigen::VectorXd>(alpha.data(), k);
  const Eigen::VectorXd off = Eigen::Map<const Eigen::VectorXd>(beta.data(), k - 1);
  Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver;
  solver.computeFromTridiagonal(diagonal, off);
  // Eigen's steps for tridiagonal matrices stop at times where eigenvalues are many orders apart; its way through a
  // whole matrix does not.
  if (solver.info() != Eigen::Success) {
    Eigen::MatrixXd whole = Eigen::MatrixXd::Zero(k, k);
    whole.diagonal() = diagonal;
    whole.diagonal(1) = whole.diagonal(-1) = off;
    solver.compute(whole);
  }
  if (solver.info() != Eigen::Success) {
    throw RunError(fmt::format("Lanczos: the eigenproblem of its {} steps did not converge", k));
  }
  return solver;
}

}  // namespace

double lanczos_failure_probability(std::int64_t size, int iterations, double theta_min, double theta_max,
                                   double gamma) {
  if (!(theta_min >= -gamma) || !(theta_max >= theta_min) || iterations < 1) return 1.0;
  const double spread = theta_max - theta_min;
  const double q = (theta_min + gamma) / spread;
  const double epsilon = spread > 0 ? q / (1 + 2 * q) : 0.5;
  const double log_bound =
      std::log(2 * 1.648) + 0.5 * std::log(static_cast<double>(size)) - std::sqrt(epsilon) * (2.0 * iterations - 1);
  return std::min(1.0, std::exp(log_bound));
}

LanczosResult lanczos_smallest(const std::function<at::Tensor(const at::Tensor&)>& product, at::IntArrayRef shape,
                               const at::TensorOptions& tensor_options, const LanczosOptions& options) {
  if (options.max_iterations < 1) {
    throw InputError(fmt::format("iterations: expected at least 1, got {}", options.max_iterations));
  }
  if (!product) throw InputError("product: expected a function, got none");
  if (!at::isFloatingType(c10::typeMetaToScalarType(tensor_options.dtype()))) {
    throw InputError(fmt::format("options: expected float32 or float64, got {}",
                                 toString(c10::typeMetaToScalarType(tensor_options.dtype()))));
  }
  const at::NoGradGuard no_grad;
  const std::int64_t size = c10::multiply_integers(shape);
  if (size < 1) throw InputError("shape: expected at least one number");
  const auto steps = static_cast<int>(std::min<std::int64_t>(options.max_iterations, sum_of_all(size)));
  const auto apply = [&](const at::Tensor& v) {
    const auto image = product(v);
    if (!image.defined() || image.numel() != size) {
      throw InputError(fmt::format("product: expected {} numbers, as many as its argument, got {}", size,
                                   image.defined() ? image.numel() : 0));
    }
    auto out = image.reshape(shape);
    if (!std::isfinite(norm_of(out))) throw NotFiniteError("Lanczos: a product with the operator is not finite");
    return out;
  };
  Basis basis(steps, shape, tensor_options);
  const auto start = normal_vector(shape, options.seed);
  auto before = at::Tensor(), now = (start / norm_of(start)).to(tensor_options);
  basis.push(now);

  LanczosResult result;
  std::vector<double> alpha, beta;
  Eigen::VectorXd weights;
  for (int k = 0; k < steps; ++k) {
    auto next = apply(now).clone();
    alpha.push_back(dot_of(now, next));
    next -= alpha[k] * now;
    if (k > 0) next -= beta[k - 1] * before;
    basis.orthogonalize(next);
    beta.push_back(norm_of(next));

    const auto solver = ritz(alpha, beta);
    weights = solver.eigenvectors().col(0);
    result.iterations = k + 1;
    result.smallest = solver.eigenvalues()[0];
    result.largest = solver.eigenvalues()[k];
    const double scale = std::max(std::fabs(result.smallest), std::fabs(result.largest));
    const double rounding = tensor_options.dtype() == at::kDouble ? 1e-14 : 1e-6;
    result.invariant = beta[k] <= rounding * scale;
    const double residual = beta[k] * std::fabs(weights[k]);
    if (result.invariant || k + 1 == steps) break;
    if (options.done && options.done({k + 1, result.smallest, result.largest, residual})) break;
    before = now;
    now = next / beta[k];
    basis.push(now);
  }
  auto w = at::empty({result.iterations}, at::kDouble);
  std::copy(weights.data(), weights.data() + result.iterations, w.mutable_data_ptr<double>());
  auto v = basis.combination(w.to(tensor_options));
  v /= norm_of(v);
  const auto image = apply(v);
  result.rayleigh = dot_of(v, image);
  result.residual = norm_of(image - result.rayleigh * v);
  result.vector = v;
  return result;
}

}  // namespace entk
