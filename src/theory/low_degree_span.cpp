#include "entk/theory/low_degree_span.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/spectrum/legendre.h"

namespace entk {

namespace {

constexpr std::int64_t rows_a_piece = 1024;  // neurons; part of the bits

std::int64_t pieces_of(std::int64_t m) { return (m + rows_a_piece - 1) / rows_a_piece; }

at::Tensor piece(const at::Tensor& t, std::int64_t i) {
  return t.narrow(0, i * rows_a_piece, std::min(rows_a_piece, t.size(0) - i * rows_a_piece));
}

double dot(const at::Tensor& a, const at::Tensor& b) {
  const SerialTorch serial;
  return a.flatten().dot(b.flatten()).item<double>();
}

/// Conjugate gradients for A*A θ = A*b, from θ = 0, given A and A*.
struct LeastSquares {
  at::Tensor theta;
  int iterations = 0;
  double residual = 0;
};
template <class Apply, class Adjoint>
LeastSquares least_squares(const Apply& apply, const Adjoint& adjoint, const at::Tensor& b, double tolerance,
                           int most) {
  auto r = b.clone(), s = adjoint(r);
  LeastSquares result{at::zeros_like(s)};
  auto p = s.clone();
  const double start = dot(s, s);
  double gamma = start;
  while (result.iterations < most && gamma > tolerance * tolerance * start && gamma > 0) {
    const auto q = apply(p);
    const double step = gamma / dot(q, q);
    result.theta += step * p;
    r -= step * q;
    s = adjoint(r);
    const double next = dot(s, s);
    p = s + (next / gamma) * p;
    gamma = next;
    ++result.iterations;
  }
  result.residual = start > 0 ? std::sqrt(gamma / start) : 0;
  return result;
}

}  // namespace

LowDegreeSpan::LowDegreeSpan(const NetworkImpl& network, const SigmaSpectrum& spectrum, int k)
    : signed_start_(network.w0.detach().to(at::kCPU, at::kDouble).contiguous()), blocks_(spectrum.blocks),
      d_(network.dimension()), k_(k) {
  if (k < 1 || k > 2) throw InputError(fmt::format("low-degree span: expected k = 1 or 2, got {}", k));
  if (spectrum.dimension != d_) {
    throw InputError(fmt::format("low-degree span: the spectrum is of dimension {}, the network of {}", spectrum.dimension, d_));
  }
  const SerialTorch serial;
  const double worst = (signed_start_.square().sum(1) - 1).abs().max().item<double>();
  if (!(worst <= 1e-5)) throw InputError("low-degree span: expected rows of W0 of unit norm");
  factor_ = (network.a.detach().to(at::kCPU, at::kDouble) / std::sqrt(static_cast<double>(network.width()))).unsqueeze(1);
  for (int l = 0; l <= k; ++l) {
    lambda_[l] = spectrum.lambda[l];
    if (lambda_[l] <= 1e-12 * spectrum.trace) {
      lambda_[l] = 0;
      warnings_.push_back(fmt::format("λ_{} vanishes: f_L cannot fit polynomials of degree {}", l, l));
    }
  }
}

std::int64_t LowDegreeSpan::dimension() const {
  std::int64_t count = 0;
  for (int l = 0; l <= k_; ++l) {
    if (lambda_[l] > 0) count += exact_multiplicity(static_cast<int>(d_), l).value_or(0);
  }
  return count;
}

at::Tensor LowDegreeSpan::displacement(const at::Tensor& theta, const std::array<double, 3>& scale) const {
  const SerialTorch serial;
  const double constant = scale[0] * blocks_.c * theta[0].item<double>();
  const auto b = theta.narrow(0, 1, d_) * scale[1];
  at::Tensor M;
  if (k_ == 2) M = theta.narrow(0, 1 + d_, d_ * d_).view({d_, d_}) * scale[2];
  auto out = at::empty_like(signed_start_);
  parallel_for(pieces_of(out.size(0)), [&](std::int64_t i) {
    const SerialTorch here;
    const auto w = piece(signed_start_, i);
    auto along = (blocks_.B * w.mv(b) + constant).unsqueeze(1);  // factor of w0_r
    auto rows = (blocks_.A * b).unsqueeze(0).expand_as(w).clone();
    if (M.defined()) {
      const auto wm = w.mm(M);
      along += blocks_.D * (wm * w).sum(1, true);
      rows += 2 * blocks_.C * wm;
    }
    piece(out, i).copy_((rows + along * w) * piece(factor_, i));
  });
  return out;
}

at::Tensor LowDegreeSpan::inner_products(const at::Tensor& w, const std::array<double, 3>& scale) const {
  const SerialTorch serial;
  const std::int64_t pieces = pieces_of(signed_start_.size(0));
  std::vector<at::Tensor> parts(pieces);
  parallel_for(pieces, [&](std::int64_t i) {
    const SerialTorch here;
    const auto start = piece(signed_start_, i), v = piece(w, i) * piece(factor_, i);
    const auto along = (v * start).sum(1);  // w0_r·v_r
    auto part = at::empty({1 + d_ + (k_ == 2 ? d_ * d_ : 0)}, at::kDouble);
    part[0] = scale[0] * blocks_.c * along.sum();
    part.narrow(0, 1, d_).copy_(scale[1] * (blocks_.A * v.sum(0) + blocks_.B * start.t().mv(along)));
    if (k_ == 2) {
      const auto cross = v.t().mm(start);
      auto t = blocks_.C * (cross + cross.t()) + blocks_.D * start.t().mm(along.unsqueeze(1) * start);
      t.diagonal() -= t.trace() / static_cast<double>(d_);
      part.narrow(0, 1 + d_, d_ * d_).copy_((scale[2] * t).flatten());
    }
    parts[i] = part;
  });
  auto sum = parts[0];
  for (std::int64_t i = 1; i < pieces; ++i) sum += parts[i];
  return sum;
}

SpanSolution LowDegreeSpan::project(const at::Tensor& w) const {
  check_matrix("W", w, signed_start_.size(0), d_);
  // ‖𝓕Y‖² is near λ_l E Y², E (b·x)² = ‖b‖², E (xᵀMx)² = 2d/(d+2) ‖M‖².
  const double d = static_cast<double>(d_);
  std::array<double, 3> scale{};
  for (int l = 0; l <= k_; ++l) {
    if (lambda_[l] > 0) scale[l] = (l == 2 ? std::sqrt((d + 2) / (2 * d)) : 1.0) / std::sqrt(lambda_[l]);
  }
  const auto target = w.detach().to(at::kCPU, at::kDouble);
  const auto solved = least_squares([&](const at::Tensor& theta) { return displacement(theta, scale); },
                                    [&](const at::Tensor& v) { return inner_products(v, scale); }, target, 1e-12, 100);
  return {displacement(solved.theta, scale), solved.iterations, solved.residual};
}

SpanSolution LowDegreeSpan::fit(const TaylorPrimitive& primitive, const at::Tensor& target) const {
  check_vector("target", target, primitive.samples());
  const double d = static_cast<double>(d_), root_n = std::sqrt(static_cast<double>(primitive.samples()));
  std::array<double, 3> scale{};  // f_L(x;𝓕Y) is near λ_l Y
  for (int l = 0; l <= k_; ++l) {
    if (lambda_[l] > 0) scale[l] = (l == 2 ? std::sqrt((d + 2) / (2 * d)) : 1.0) / (lambda_[l] * root_n);
  }
  const auto zero = at::zeros_like(signed_start_);
  const auto apply = [&](const at::Tensor& theta) { return primitive.terms(displacement(theta, scale))[0].clone(); };
  const auto adjoint = [&](const at::Tensor& g) {
    auto cotangents = at::zeros({primitive.orders(), primitive.samples()}, at::kDouble);
    cotangents[0].copy_(g);
    return inner_products(primitive.pull_back(zero, cotangents), scale);
  };
  const auto solved = least_squares(apply, adjoint, target, 1e-9, 150);
  return {displacement(solved.theta, scale), solved.iterations, solved.residual};
}

}  // namespace entk
