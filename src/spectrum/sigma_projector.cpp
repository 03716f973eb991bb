#include "entk/spectrum/sigma_projector.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/kernels/shard.h"
#include "entk/spectrum/feature_kernel.h"
#include "entk/spectrum/projector_bytes.h"
#include "entk/spectrum/top_eigenpairs.h"

namespace entk {

namespace {

constexpr double smallest_gap = 1e-6;

Eigenpairs kernel_eigenpairs(const Expandable& of, const at::Tensor& x, std::int64_t count,
                             const ProjectorOptions& options) {
  const std::int64_t n = x.size(0);
  if (checked_product("points", n, 8 * n) <= options.kernel_limit) {
    return top_eigenpairs(feature_kernel(of, x), count);
  }
  constexpr std::int64_t rows = 2048;
  const auto product = [&](const at::Tensor& v) {
    auto out = at::empty_like(v);
    for (std::int64_t from = 0; from < n; from += rows) {
      const auto block = feature_kernel(of, x.narrow(0, from, std::min(rows, n - from)), x);
      out.narrow(0, from, block.size(0)).copy_(tiled_product(block, v));
    }
    return out;
  };
  return top_eigenpairs(product, n, count, of.displacement().options().dtype(at::kDouble).requires_grad(false));
}

void check_orthonormal(const at::Tensor& basis) {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto u = basis.detach();
  const double off =
      (tiled_product(u.t().contiguous(), u) - at::eye(u.size(1), u.options())).abs().max().item<double>();
  const double most = std::sqrt(u.scalar_type() == at::kDouble ? 2.2e-16 : 1.2e-7);
  if (off <= most) return;
  throw InputError(
      fmt::format("projector basis: expected orthonormal columns, got products of two that are off by {:.1e}", off));
}

}  // namespace

SigmaProjector SigmaProjector::make(SigmaSource source, const Expandable& of, const at::Tensor& x, std::int64_t rank,
                                    const ProjectorOptions& options) {
  const char* name = source == SigmaSource::features ? "X" : "X_unlabeled";
  of.check_points(name, x);
  check_finite(name, x);
  const std::int64_t n = x.size(0);
  if (rank < 1 || rank > n) {
    throw InputError(fmt::format("projector.rank: expected 1 to {}, the number of points, got {}", n, rank));
  }
  const at::NoGradGuard no_grad;
  const std::int64_t wanted = std::min(n, rank + 1);
  auto pairs = kernel_eigenpairs(of, x, wanted, options);
  // On another processor the library's eigenvectors may have other bits: all take the first one's.
  for (auto* t : {&pairs.values, &pairs.vectors}) {
    *t = t->contiguous();
    spread(*t);
  }
  const auto values = pairs.values.cpu();
  const double* lambda = values.const_data_ptr<double>();
  // Below this, an eigenvalue of K is rounding: its vector is arbitrary.
  const double floor = static_cast<double>(n) * 2.2e-16 * lambda[0];
  if (!(lambda[rank - 1] > floor)) {
    std::int64_t numerical = 0;
    while (numerical < wanted && lambda[numerical] > floor) ++numerical;
    throw InputError(fmt::format("projector.rank: {} is above the numerical rank {} of the features at these {} points",
                                 rank, numerical, n));
  }
  auto state = std::make_shared<State>();
  state->source = source;
  state->points = x.detach().to(of.displacement().options().requires_grad(false));
  state->basis = pairs.vectors.narrow(1, 0, rank).to(of.displacement().scalar_type()).contiguous();
  state->eigenvalues = values / static_cast<double>(n);
  SigmaProjector projector(state);
  if (projector.relative_gap() < smallest_gap) {
    state->warnings.push_back(fmt::format(
        "projector: the relative eigenvalue gap at rank {} is {:.1e}, below {:.0e}: the subspace is arbitrary there",
        rank, projector.relative_gap(), smallest_gap));
  }
  return projector;
}

SigmaProjector SigmaProjector::from_features(const Expandable& of, const at::Tensor& x, std::int64_t rank,
                                             const ProjectorOptions& options) {
  return make(SigmaSource::features, of, x, rank, options);
}

SigmaProjector SigmaProjector::from_unlabeled(const Expandable& of, const at::Tensor& x_unlabeled, std::int64_t rank,
                                              const ProjectorOptions& options) {
  return make(SigmaSource::unlabeled, of, x_unlabeled, rank, options);
}

SigmaProjector SigmaProjector::restored(SigmaSource source, at::Tensor points, at::Tensor basis,
                                        at::Tensor eigenvalues) {
  if (!points.defined() || points.dim() < 1)
    throw InputError("projector points: expected some, a row a point, got " + shape_text(points));
  check_matrix("projector basis", basis, points.size(0), -1);
  check_vector("projector eigenvalues", eigenvalues, -1);
  if (eigenvalues.size(0) < basis.size(1)) {
    throw InputError(fmt::format("projector eigenvalues: expected at least {}, one a column of the basis, got {}",
                                 basis.size(1), eigenvalues.size(0)));
  }
  for (const auto& [name, t] :
       {std::pair{"projector points", points}, {"projector basis", basis}, {"projector eigenvalues", eigenvalues}})
    check_floating(name, t);
  check_like("projector basis", basis, "its points", points);
  check_finite("projector points", points);
  check_finite("projector basis", basis);
  check_finite("projector eigenvalues", eigenvalues);
  check_orthonormal(basis);
  if (const auto own = eigenvalues.narrow(0, 0, basis.size(1)); !own.gt(0).all().item<bool>()) {
    throw InputError(
        fmt::format("projector eigenvalues: expected those of the basis above 0, got {}", own.min().item<double>()));
  }
  auto state = std::make_shared<State>();
  state->source = source;
  state->points = std::move(points);
  state->basis = std::move(basis);
  state->eigenvalues = std::move(eigenvalues);
  return SigmaProjector(state);
}

double SigmaProjector::relative_gap() const {
  const auto& values = state_->eigenvalues;
  if (values.size(0) <= rank()) return 1.0;
  const double at_cut = values[rank() - 1].item<double>(), next = values[rank()].item<double>();
  return (at_cut - next) / at_cut;
}

at::Tensor SigmaProjector::coefficients(const at::Tensor& u) const {
  check_vector("u, one number a point of the projector", u, basis().size(0));
  check_like("u", u, "the projector, which is made again after to(…),", basis());
  return basis().t().mv(u);
}
at::Tensor SigmaProjector::low(const at::Tensor& u) const { return basis().mv(coefficients(u)); }
at::Tensor SigmaProjector::high(const at::Tensor& u) const { return u - low(u); }

at::Tensor SigmaProjector::transfer(const Expandable& of, const at::Tensor& x) const {
  of.check_points("x", x);
  of.check_points("the projector's points", points());
  kernels::check_constant("x", x);
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const double n = static_cast<double>(points().size(0));
  const auto inverse = 1.0 / (eigenvalues().narrow(0, 0, rank()) * n);
  const auto scaled = basis().to(at::kDouble) * inverse.to(basis().device());
  constexpr std::int64_t rows = 2048;
  auto out = at::empty({x.size(0), rank()}, basis().options());
  for (std::int64_t from = 0; from < x.size(0); from += rows) {
    const auto part = x.narrow(0, from, std::min(rows, x.size(0) - from));
    out.narrow(0, from, part.size(0)).copy_(tiled_product(feature_kernel(of, part, points()), scaled));
  }
  return out;
}

ProjectorBytes sigma_projector_bytes(const ProjectorSizes& s) {
  const auto n = static_cast<double>(s.points), r = static_cast<double>(s.rank);
  const bool whole = n * n * 8 <= static_cast<double>(ProjectorOptions{}.kernel_limit);
  const double kernel = feature_kernel_bytes(whole ? n : std::min(n, 2048.0), n, s);
  return {std::max(kernel, top_eigenpairs_bytes(n, r + 1) + (whole ? 0 : kernel)), n * r * s.element_size, 0};
}

}  // namespace entk
