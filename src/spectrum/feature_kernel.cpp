#include "entk/spectrum/feature_kernel.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/kernels/shard.h"
#include "entk/spectrum/activation_spectrum.h"
#include "entk/spectrum/empirical_ntk.h"
#include "entk/spectrum/legendre.h"
#include "entk/spectrum/projector_bytes.h"

namespace entk {

namespace {

constexpr std::int64_t block_rows = 256;
/// Rows of K made at a time: of these as many sums are held as the tree over groups of neurons is high.
constexpr std::int64_t stripe_rows = 8 * block_rows;

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

  at::Tensor of(const at::Tensor& matrix, std::int64_t i, std::int64_t j) const { return across_block(matrix, i, j); }

  const Blocks down, across;

 private:
  at::Tensor across_block(const at::Tensor& matrix, std::int64_t i, std::int64_t j) const {
    return down.of(matrix, i).narrow(1, across.first(j), across.rows(j));
  }

  bool cpu_, symmetric_;
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs_;
};

/// This process's neurons in groups.
class NeuronGroups {
 public:
  NeuronGroups(const NetworkImpl& network, const at::TensorOptions& options)
      : twins_(network.symmetric()),
        shard_(shard_with(network.width())),
        neurons_(twins_ ? network.width() / 2 : network.width()),
        w0_(network.w0),
        a_(network.a),
        options_(options) {}

  /// Twins contribute equally: half of the neurons, twice.
  double factor() const { return std::sqrt((twins_ ? 2.0 : 1.0) / static_cast<double>(shard_.width)); }
  /// W0 and |a| of this process's g-th group.
  std::pair<at::Tensor, at::Tensor> at(std::int64_t g) const {
    const auto from = g * pair_group, count = std::min(pair_group, neurons_ - from);
    return {w0_.narrow(0, from, count).to(options_), a_.narrow(0, from, count).to(options_).abs()};
  }
  /// The sum over the groups of all processes.
  template <class Make, class Add>
  at::Tensor sum(Make&& make, Add&& add) const {
    return sum_of_groups(shard_, (neurons_ + pair_group - 1) / pair_group, make, add);
  }

 private:
  bool twins_;
  Shard shard_;
  std::int64_t neurons_;
  at::Tensor w0_, a_;
  at::TensorOptions options_;
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
  kernels::check_constant(name, x);
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
  const NeuronGroups neurons(network, options);
  const double factor = neurons.factor() / std::tgamma(order + 1.0);

  auto whole = at::empty({left.size(0), right.size(0)}, options);
  for (std::int64_t top = 0; top < left.size(0); top += stripe_rows) {
    // Of a symmetric K the rows' part from the diagonal on.
    const std::int64_t first = symmetric ? top : 0;
    const auto down = left.narrow(0, top, std::min(stripe_rows, left.size(0) - top));
    const auto across = right.narrow(0, first, right.size(0) - first);
    const BlockGrid grid(down, across, symmetric);
    const auto of_group = [&](std::int64_t g) {
      const auto [rows, size] = neurons.at(g);
      // a_r² multiplies each neuron's product: |a_r| goes with each side.
      const auto s2 = scaled_slopes(network, across, rows, order, factor) * size;
      const auto s =
          symmetric ? s2.narrow(0, 0, down.size(0)) : scaled_slopes(network, down, rows, order, factor) * size;
      auto sum = at::zeros({down.size(0), across.size(0)}, options);
      grid.for_each(sum, [&](at::Tensor block, std::int64_t i, std::int64_t j) {
        at::mm_out(block, grid.down.of(s, i), grid.across.of(s2, j).t());
      });
      return sum;
    };
    const auto add = [&](const at::Tensor& to, const at::Tensor& from) {
      grid.for_each(to, [&](at::Tensor block, std::int64_t i, std::int64_t j) { block.add_(grid.of(from, i, j)); });
    };
    const auto sum = neurons.sum(of_group, add);
    grid.for_each(sum, [&](at::Tensor block, std::int64_t i, std::int64_t j) {
      const auto inner = grid.down.of(down, i).mm(grid.across.of(across, j).t());
      for (int p = 0; p < order; ++p) block.mul_(inner);
    });
    whole.narrow(0, top, down.size(0)).narrow(1, first, across.size(0)).copy_(sum);
  }
  BlockGrid(left, right, symmetric).complete(whole);
  return whole;
}

/// c_j(x) = √B(d,j) E_t[σ'(‖x‖ t) P_j(t)] for points of these norms (n): n×(L+1), L the first degree at which no more
/// than `tolerance` of any point's E σ'² is left out.
struct SlopeSeries {
  static constexpr double tolerance = 1e-13;
  at::Tensor coefficients;
  double left_out;  ///< the largest share
};

SlopeSeries slope_series(const Activation& activation, const at::Tensor& norms, int dimension) {
  const bool smooth = activation.kinks.empty();
  const int highest = smooth ? 100 : 200;
  const double norm = std::max(norms.max().item<double>(), 1e-300);
  std::vector<double> breaks;
  for (const double kink : activation.kinks) {
    if (kink != 0 && norms.min().item<double>() < (1 - 1e-6) * norm) {
      throw InputError(
          fmt::format("the kernel in the limit of width, of {} with a kink at {}: expected points of one "
                      "norm, got norms from {} to {}",
                      activation.name, kink, norms.min().item<double>(), norm));
    }
    breaks.push_back(kink / norm);
  }
  // A panel is up to 1.8 wide in arcsin t, where P_200 has 115 zeros.
  const auto rule =
      smooth ? gauss_quadrature(dimension, QuadratureOptions{}.nodes) : composite_quadrature(dimension, breaks, 160);
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
    kernels::check_constant(name, t);
    check_finite(name, t);
    return t.detach().to(exact->displacement().device(), exact->displacement().scalar_type());
  };
  const auto& module = dynamic_cast<const ExpandedModuleImpl&>(*exact).module();
  return empirical_ntk(module, points("x", x), x2.defined() ? points("x2", x2) : x2).to(at::kDouble);
}

}  // namespace

double feature_kernel_bytes(double rows, double columns, const ProjectorSizes& s) {
  const double m = static_cast<double>(s.width), d = static_cast<double>(s.dimension);
  const double all = s.twins ? m / 2 : m, neurons = std::min(static_cast<double>(pair_group), all);
  const double points = rows == columns ? rows : rows + columns;
  // The rows of K that are made, of a symmetric one from the diagonal on, and the tree's open sums for the next stripe.
  const double open = 1 + std::floor(std::log2(std::max(1.0, std::ceil(all / static_cast<double>(pair_group)))));
  double kernel = rows * columns;
  for (double top = 0; top < rows; top += static_cast<double>(stripe_rows)) {
    const bool symmetric = rows == columns;
    const double made = top * (columns - (symmetric ? top / 2 : 0)), across = columns - (symmetric ? top : 0);
    kernel = std::max(kernel, made + open * std::min(rows - top, static_cast<double>(stripe_rows)) * across);
  }
  // Beside them a group's W0 and the points in float64; slopes and their scaled copy; the eight blocks that σ' of a
  // sigmoid takes on the way, for each worker.
  return 8 * (kernel + neurons * d + points * d + 2 * points * neurons + s.workers * 8 * block_rows * neurons);
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
  kernels::check_activation(activation);
  check_matrix("x", x, -1, -1);
  check_matrix("x2", x2, -1, x.size(1));
  if (x.size(1) < 2) throw InputError("x: expected at least 2 columns for the expansion in harmonics, got 1");
  const bool symmetric = x.is_same(x2);
  for (const auto& [name, points] : {std::pair{"x", x}, {"x2", x2}}) {
    check_floating(name, points);
    check_finite(name, points);
    kernels::check_constant(name, points);
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
