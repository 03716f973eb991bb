#include "entk/spectrum/feature_kernel.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/spectrum/projector_bytes.h"

namespace entk {

namespace {

constexpr std::int64_t block_rows = 256;
constexpr std::int64_t neurons_at_once = 512;

struct Blocks {
  std::int64_t size;
  std::int64_t count() const { return (size + block_rows - 1) / block_rows; }
  std::int64_t first(std::int64_t block) const { return block * block_rows; }
  std::int64_t rows(std::int64_t block) const { return std::min(block_rows, size - first(block)); }
};

/// S1 for some neurons, n×count, scaled so that K is the plain sum of products.
at::Tensor scaled_slopes(const NetworkImpl& network, const at::Tensor& x, const at::Tensor& rows, double factor) {
  auto table = at::empty({x.size(0), rows.size(0)}, x.options());
  const Blocks blocks{x.size(0)};
  kernels::for_each_tile(x.is_cpu(), blocks.count(), [&](std::int64_t b) {
    const auto z = x.narrow(0, blocks.first(b), blocks.rows(b)).mm(rows.t());
    table.narrow(0, blocks.first(b), blocks.rows(b)).copy_(network.activation().derivative(z, 1) * factor);
  });
  return table;
}

void check_points(const char* name, const at::Tensor& x, const NetworkImpl& network) {
  check_matrix(name, x, -1, network.dimension());
  check_floating(name, x);
  check_finite(name, x);
}

at::Tensor kernel(const NetworkImpl& network, const at::Tensor& x, const at::Tensor& x2, bool symmetric) {
  check_points("x", x, network);
  if (!symmetric) check_points("x2", x2, network);
  check_finite("W0", network.w0);
  check_finite("a", network.a);
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto options = network.w0.options().dtype(at::kDouble).requires_grad(false);
  const auto left = x.to(options).contiguous(), right = symmetric ? left : x2.to(options).contiguous();
  const std::int64_t m = network.width();
  // Twins contribute equally: half of the neurons, twice.
  const bool twins = network.symmetric();
  const std::int64_t neurons = twins ? m / 2 : m;
  const double factor = std::sqrt((twins ? 2.0 : 1.0) / static_cast<double>(m));
  const auto w0 = network.w0.to(options);
  const auto signs = network.a.to(options);

  const Blocks down{left.size(0)}, across{right.size(0)};
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;
  for (std::int64_t i = 0; i < down.count(); ++i) {
    for (std::int64_t j = symmetric ? i : 0; j < across.count(); ++j) pairs.emplace_back(i, j);
  }
  auto sum = at::zeros({left.size(0), right.size(0)}, options);
  for (std::int64_t from = 0; from < neurons; from += neurons_at_once) {
    const std::int64_t count = std::min(neurons_at_once, neurons - from);
    const auto rows = w0.narrow(0, from, count);
    // a_r² multiplies each neuron's product: |a_r| goes with each side.
    const auto size = signs.narrow(0, from, count).abs();
    const auto s = scaled_slopes(network, left, rows, factor) * size;
    const auto s2 = symmetric ? s : scaled_slopes(network, right, rows, factor) * size;
    kernels::for_each_tile(left.is_cpu(), static_cast<std::int64_t>(pairs.size()), [&](std::int64_t p) {
      const auto [i, j] = pairs[p];
      auto block = sum.narrow(0, down.first(i), down.rows(i)).narrow(1, across.first(j), across.rows(j));
      block.addmm_(s.narrow(0, down.first(i), down.rows(i)), s2.narrow(0, across.first(j), across.rows(j)).t());
    });
  }
  kernels::for_each_tile(left.is_cpu(), static_cast<std::int64_t>(pairs.size()), [&](std::int64_t p) {
    const auto [i, j] = pairs[p];
    auto block = sum.narrow(0, down.first(i), down.rows(i)).narrow(1, across.first(j), across.rows(j));
    block.mul_(left.narrow(0, down.first(i), down.rows(i)).mm(right.narrow(0, across.first(j), across.rows(j)).t()));
    if (symmetric && i != j) {
      sum.narrow(0, across.first(j), across.rows(j)).narrow(1, down.first(i), down.rows(i)).copy_(block.t());
    }
  });
  if (symmetric) {
    // A diagonal block is made by one product and may differ from its transpose in the last bit.
    kernels::for_each_tile(left.is_cpu(), down.count(), [&](std::int64_t i) {
      auto block = sum.narrow(0, down.first(i), down.rows(i)).narrow(1, down.first(i), down.rows(i));
      block.copy_(block.tril() + block.tril(-1).t());
    });
  }
  return sum;
}

}  // namespace

double feature_kernel_bytes(double rows, double columns, const ProjectorSizes& s) {
  const double m = static_cast<double>(s.width), d = static_cast<double>(s.dimension);
  const double neurons = std::min(static_cast<double>(neurons_at_once), s.twins ? m / 2 : m);
  const double points = rows == columns ? rows : rows + columns;
  // K; W0 and the points in float64; slopes and their scaled copy; the eight blocks that σ' of a sigmoid
  // takes on the way, for each worker.
  return 8 * (rows * columns + m * d + points * d + 2 * points * neurons + s.workers * 8 * block_rows * neurons);
}

at::Tensor feature_kernel(const NetworkImpl& network, const at::Tensor& x, const at::Tensor& x2) {
  return kernel(network, x, x2, false);
}

at::Tensor feature_kernel(const NetworkImpl& network, const at::Tensor& x) { return kernel(network, x, x, true); }

at::Tensor tiled_product(const at::Tensor& a, const at::Tensor& b) {
  check_matrix("a", a, -1, -1);
  check_matrix("b", b, a.size(1), -1);
  check_like("b", b, "a", a);
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  auto out = at::empty({a.size(0), b.size(1)}, a.options());
  const Blocks down{a.size(0)};
  kernels::for_each_tile(a.is_cpu(), down.count(), [&](std::int64_t i) {
    auto rows = out.narrow(0, down.first(i), down.rows(i));
    at::mm_out(rows, a.narrow(0, down.first(i), down.rows(i)), b);
  });
  return out;
}

}  // namespace entk
