#include "entk/spectrum/feature_kernel.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/spectrum/activation_spectrum.h"
#include "entk/spectrum/empirical_ntk.h"
#include "entk/spectrum/legendre.h"
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
  at::Tensor of(const at::Tensor& points, std::int64_t block) const {
    return points.narrow(0, first(block), rows(block));
  }
};

/// The blocks of a matrix; of a symmetric one those on and above the diagonal.
class BlockGrid {
 public:
  BlockGrid(const at::Tensor& left, const at::Tensor& right, bool symmetric)
      : down{left.size(0)}, across{right.size(0)}, cpu_(left.is_cpu()), symmetric_(symmetric) {
    for (std::int64_t i = 0; i < down.count(); ++i) {
      for (std::int64_t j = symmetric ? i : 0; j < across.count(); ++j) pairs_.emplace_back(i, j);
    }
  }
  /// f(matrix's block, i, j)
  template <class F>
  void for_each(const at::Tensor& matrix, F&& f) const {
    kernels::for_each_tile(cpu_, static_cast<std::int64_t>(pairs_.size()), [&](std::int64_t p) {
      const auto [i, j] = pairs_[p];
      f(across_block(matrix, i, j), i, j);
    });
  }
  /// Of a symmetric matrix, what lies below the diagonal.
  void complete(const at::Tensor& matrix) const {
    if (!symmetric_) return;
    for_each(matrix, [&](at::Tensor block, std::int64_t i, std::int64_t j) {
      // A diagonal block is made by one product and may differ from its transpose in the last bit.
      if (i == j) {
        block.copy_(block.tril() + block.tril(-1).t());
      } else {
        across_block(matrix, j, i).copy_(block.t());
      }
    });
  }

  const Blocks down, across;

 private:
  at::Tensor across_block(const at::Tensor& matrix, std::int64_t i, std::int64_t j) const {
    return down.of(matrix, i).narrow(1, across.first(j), across.rows(j));
  }

  bool cpu_, symmetric_;
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs_;
};

/// σ^(order) for some neurons, n×count, scaled so that K is the plain sum of products.
at::Tensor scaled_slopes(const NetworkImpl& network, const at::Tensor& x, const at::Tensor& rows, int order,
                         double factor) {
  auto table = at::empty({x.size(0), rows.size(0)}, x.options());
  const Blocks blocks{x.size(0)};
  kernels::for_each_tile(x.is_cpu(), blocks.count(), [&](std::int64_t b) {
    const auto z = blocks.of(x, b).mm(rows.t());
    blocks.of(table, b).copy_(network.activation().derivative(z, order) * factor);
  });
  return table;
}

void check_points(const char* name, const at::Tensor& x, const NetworkImpl& network) {
  check_matrix(name, x, -1, network.dimension());
  check_floating(name, x);
  check_finite(name, x);
}

at::Tensor kernel(const NetworkImpl& network, const at::Tensor& x, const at::Tensor& x2, int order, bool symmetric) {
  if (order < 1) throw InputError(fmt::format("order: expected at least 1, got {}", order));
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
  const double factor = std::sqrt((twins ? 2.0 : 1.0) / static_cast<double>(m)) / std::tgamma(order + 1.0);
  const auto w0 = network.w0.to(options);
  const auto signs = network.a.to(options);

  const BlockGrid grid(left, right, symmetric);
  auto sum = at::zeros({left.size(0), right.size(0)}, options);
  for (std::int64_t from = 0; from < neurons; from += neurons_at_once) {
    const std::int64_t count = std::min(neurons_at_once, neurons - from);
    const auto rows = w0.narrow(0, from, count);
    // a_r² multiplies each neuron's product: |a_r| goes with each side.
    const auto size = signs.narrow(0, from, count).abs();
    const auto s = scaled_slopes(network, left, rows, order, factor) * size;
    const auto s2 = symmetric ? s : scaled_slopes(network, right, rows, order, factor) * size;
    grid.for_each(sum, [&](at::Tensor block, std::int64_t i, std::int64_t j) {
      block.addmm_(grid.down.of(s, i), grid.across.of(s2, j).t());
    });
  }
  grid.for_each(sum, [&](at::Tensor block, std::int64_t i, std::int64_t j) {
    const auto inner = grid.down.of(left, i).mm(grid.across.of(right, j).t());
    for (int p = 0; p < order; ++p) block.mul_(inner);
  });
  grid.complete(sum);
  return sum;
}

/// c_j(x) = √B(d,j) E_t[σ'(‖x‖ t) P_j(t)] for points of these norms (n): n×(L+1), L the first degree at which no more
/// than `tolerance` of any point's E σ'² is left out.
struct SlopeSeries {
  static constexpr double tolerance = 1e-13;
  at::Tensor coefficients;
  double left_out;  ///< the largest share
};

SlopeSeries slope_series(const Activation& activation, const at::Tensor& norms, int dimension) {
  const auto options = quadrature_for(activation);
  const bool smooth = options.breaks.empty();
  const int highest = smooth ? 100 : 200;
  // The one break that is known, relu's, is at 0 for every norm. A panel is up to 1.8 wide in arcsin t, where P_200 has
  // 115 zeros.
  const auto rule =
      smooth ? gauss_quadrature(dimension, options.nodes) : composite_quadrature(dimension, options.breaks, 160);
  const auto nodes = static_cast<std::int64_t>(rule.nodes.size());
  const auto t = at::empty({nodes}, at::kDouble), weights = at::empty({nodes}, at::kDouble);
  const auto p = at::empty({nodes, highest + 1}, at::kDouble);
  for (std::int64_t i = 0; i < nodes; ++i) {
    t.mutable_data_ptr<double>()[i] = rule.nodes[i];
    weights.mutable_data_ptr<double>()[i] = rule.weights[i];
    const auto values = orthonormal_values(dimension, highest, rule.nodes[i]);
    std::copy(values.begin(), values.end(), p.mutable_data_ptr<double>() + i * (highest + 1));
  }
  const auto slopes = activation.derivative(at::outer(norms.cpu(), t), 1);
  const auto mean_square = slopes.square().mv(weights).clamp_min(1e-300);
  const auto coefficients = slopes.mm(p * weights.unsqueeze(1));
  const auto left_out = std::get<0>((1 - coefficients.square().cumsum(1) / mean_square.unsqueeze(1)).max(0));
  std::int64_t degree = 0;
  while (degree < highest && left_out[degree].item<double>() > SlopeSeries::tolerance) ++degree;
  return {coefficients.narrow(1, 0, degree + 1).to(norms.device()), std::max(0.0, left_out[degree].item<double>())};
}

/// By the gradients of its one output, in float64 where the module can be copied. A pair's kernel is its module's.
at::Tensor module_kernel(const Expandable& of, const at::Tensor& x, const at::Tensor& x2, int order) {
  if (order != 1) throw InputError(fmt::format("order: expected 1 for the kernel of a module, got {}", order));
  const auto exact = of.exact();
  const auto points = [&](const char* name, const at::Tensor& t) {
    of.check_points(name, t);
    check_finite(name, t);
    return t.detach().to(exact->displacement().device(), exact->displacement().scalar_type());
  };
  const auto& module = dynamic_cast<const ExpandedModuleImpl&>(*exact).module();
  return empirical_ntk(module, points("x", x), x2.defined() ? points("x2", x2) : x2).to(at::kDouble);
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

at::Tensor feature_kernel(const Expandable& of, const at::Tensor& x, const at::Tensor& x2, int order) {
  if (const auto* network = dynamic_cast<const NetworkImpl*>(&of)) return kernel(*network, x, x2, order, false);
  return module_kernel(of, x, x2, order);
}

at::Tensor feature_kernel(const Expandable& of, const at::Tensor& x, int order) {
  if (const auto* network = dynamic_cast<const NetworkImpl*>(&of)) return kernel(*network, x, x, order, true);
  return module_kernel(of, x, {}, order);
}

InfiniteKernel infinite_ntk(const Activation& activation, const at::Tensor& x, const at::Tensor& x2) {
  check_matrix("x", x, -1, -1);
  check_matrix("x2", x2, -1, x.size(1));
  if (x.size(1) < 2) throw InputError("x: expected at least 2 columns for the expansion in harmonics, got 1");
  const bool symmetric = x.is_same(x2);
  for (const auto& [name, points] : {std::pair{"x", x}, {"x2", x2}}) {
    check_floating(name, points);
    check_finite(name, points);
  }
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto left = x.to(at::kDouble).contiguous(), right = symmetric ? left : x2.to(left.options()).contiguous();
  const int d = static_cast<int>(x.size(1));
  const auto norms = left.norm(2, 1), norms2 = symmetric ? norms : right.norm(2, 1);
  const auto series = slope_series(activation, symmetric ? norms : at::cat({norms, norms2}), d);
  const auto c = series.coefficients.narrow(0, 0, left.size(0));
  const auto c2 = symmetric ? c : series.coefficients.narrow(0, left.size(0), right.size(0));
  const std::int64_t degree = c.size(1) - 1;
  // At a point 0 the direction does not matter.
  const auto unit = left / norms.clamp_min(1e-300).unsqueeze(1);
  const auto unit2 = symmetric ? unit : right / norms2.clamp_min(1e-300).unsqueeze(1);
  InfiniteKernel kernel{at::empty({left.size(0), right.size(0)}, left.options()), degree, series.left_out};
  const BlockGrid grid(left, right, symmetric);
  grid.for_each(kernel.values, [&](at::Tensor block, std::int64_t i, std::int64_t j) {
    const auto cosine = grid.down.of(unit, i).mm(grid.across.of(unit2, j).t()).clamp_(-1, 1);
    const auto a = grid.down.of(c, i), b = grid.across.of(c2, j);
    auto before = at::ones_like(cosine), now = cosine;
    block.copy_(at::outer(a.select(1, 0), b.select(1, 0)));
    for (std::int64_t l = 1; l <= degree; ++l) {
      block.addcmul_(at::outer(a.select(1, l), b.select(1, l)), now);
      const double size = static_cast<double>(l);
      const auto next = ((2 * size + d - 2) * cosine * now - size * before) / (size + d - 2);
      before = now;
      now = next;
    }
    block.mul_(grid.down.of(left, i).mm(grid.across.of(right, j).t()));
  });
  grid.complete(kernel.values);
  return kernel;
}

at::Tensor tiled_product(const at::Tensor& a, const at::Tensor& b) {
  check_matrix("a", a, -1, -1);
  check_matrix("b", b, a.size(1), -1);
  check_like("b", b, "a", a);
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  auto out = at::empty({a.size(0), b.size(1)}, a.options());
  const Blocks down{a.size(0)};
  kernels::for_each_tile(a.is_cpu(), down.count(), [&](std::int64_t i) {
    auto rows = down.of(out, i);
    at::mm_out(rows, down.of(a, i), b);
  });
  return out;
}

}  // namespace entk
