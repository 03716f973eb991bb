#include "entk/spectrum/lanczos.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <vector>

#include "entk/base/error.h"
#include "entk/base/sphere.h"
#include "entk/base/threads.h"

namespace entk {

namespace {

constexpr std::int64_t chunk = std::int64_t{1} << 15;  // entries a piece of work; part of the bits

/// Krylov vectors as rows, with products shared out over threads by pieces of their length.
class Basis {
 public:
  Basis(std::int64_t rows, std::int64_t length, const at::TensorOptions& options)
      : rows_(at::empty({rows, length}, options)), length_(length) {}

  void push(const at::Tensor& v) { rows_[count_++].copy_(v); }
  at::Tensor row(std::int64_t i) const { return rows_[i]; }

  /// v − QᵀQ v.
  void orthogonalize(at::Tensor& v) const {
    if (!v.is_cpu()) {
      const auto q = rows_.narrow(0, 0, count_);
      v -= q.t().mv(q.mv(v));
      return;
    }
    const std::int64_t pieces = (length_ + chunk - 1) / chunk;
    std::vector<at::Tensor> parts(pieces);
    parallel_for(pieces, [&](std::int64_t i) {
      const SerialTorch serial;
      parts[i] = piece(i).mv(narrowed(v, i));
    });
    auto coefficients = parts[0];
    for (std::int64_t i = 1; i < pieces; ++i) coefficients += parts[i];
    parallel_for(pieces, [&](std::int64_t i) {
      const SerialTorch serial;
      narrowed(v, i).sub_(piece(i).t().mv(coefficients));
    });
  }

  /// Σ_i weights_i row_i.
  at::Tensor combination(const at::Tensor& weights) const {
    auto out = at::empty({length_}, rows_.options());
    const std::int64_t pieces = (length_ + chunk - 1) / chunk;
    parallel_for(pieces, [&](std::int64_t i) {
      const SerialTorch serial;
      narrowed(out, i).copy_(piece(i).t().mv(weights));
    });
    return out;
  }

 private:
  at::Tensor narrowed(const at::Tensor& v, std::int64_t i) const {
    return v.narrow(0, i * chunk, std::min(chunk, length_ - i * chunk));
  }
  at::Tensor piece(std::int64_t i) const {
    return rows_.narrow(0, 0, count_).narrow(1, i * chunk, std::min(chunk, length_ - i * chunk));
  }

  at::Tensor rows_;
  std::int64_t length_, count_ = 0;
};

double norm_of(const at::Tensor& v) {
  const SerialTorch serial;
  return v.to(at::kDouble).norm().item<double>();
}

double dot_of(const at::Tensor& a, const at::Tensor& b) {
  const SerialTorch serial;
  return a.to(at::kDouble).dot(b.to(at::kDouble)).item<double>();
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
  if (theta_min < -gamma) return 1.0;
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
  const at::NoGradGuard no_grad;
  const std::int64_t size = c10::multiply_integers(shape);
  if (size < 1) throw InputError("shape: expected at least one number");
  const auto steps = static_cast<int>(std::min<std::int64_t>(options.max_iterations, size));
  const auto apply = [&](const at::Tensor& v) {
    const auto image = product(v.view(shape));
    if (!image.defined() || image.numel() != size) {
      throw InputError(fmt::format("product: expected {} numbers, as many as its argument, got {}", size,
                                   image.defined() ? image.numel() : 0));
    }
    auto out = image.reshape({size});
    if (!std::isfinite(norm_of(out))) throw NotFiniteError("Lanczos: a product with the operator is not finite");
    return out;
  };
  Basis basis(steps, size, tensor_options);
  auto start = gaussian_points(1, size, RandomStream(Purpose::lanczos_start, options.seed))[0];
  basis.push((start / norm_of(start)).to(tensor_options));

  LanczosResult result;
  std::vector<double> alpha, beta;
  Eigen::VectorXd weights;
  for (int k = 0; k < steps; ++k) {
    auto next = apply(basis.row(k)).clone();
    alpha.push_back(dot_of(basis.row(k), next));
    next -= alpha[k] * basis.row(k);
    if (k > 0) next -= beta[k - 1] * basis.row(k - 1);
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
    basis.push(next / beta[k]);
  }
  auto w = at::empty({result.iterations}, at::kDouble);
  std::copy(weights.data(), weights.data() + result.iterations, w.mutable_data_ptr<double>());
  auto v = basis.combination(w.to(tensor_options));
  v /= norm_of(v);
  const auto image = apply(v);
  result.rayleigh = dot_of(v, image);
  result.residual = norm_of(image - result.rayleigh * v);
  result.vector = v.view(shape);
  return result;
}

}  // namespace entk
