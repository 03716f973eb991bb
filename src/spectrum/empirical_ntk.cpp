#include "entk/spectrum/empirical_ntk.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <torch/csrc/profiler/util.h>

#include <algorithm>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/models/expansion_terms.h"
#include "entk/models/module_primitive.h"

namespace entk {

namespace {

using torch::autograd::variable_list;

constexpr std::int64_t points_with_graph = 128, rows_at_once = 32;  // part of the bits

/// The module's outputs at x: n×O.
at::Tensor outputs_at(const PointModule& module, const at::Tensor& x) {
  const auto f = [&](const variable_list& in) {
    auto output = forward_at(module, in[0]);
    if (!output.defined() || output.dim() < 1 || output.dim() > 2 || output.size(0) != x.size(0)) {
      throw InputError(fmt::format("module: expected a number or a vector for each of {} points, got {}", x.size(0),
                                   output.defined() ? fmt::format("{}", fmt::streamed(output.sizes())) : "nothing"));
    }
    return output.reshape({x.size(0), -1});
  };
  bool random = false;
  return output_at_start(f, module.start, {x}, 1, false, random);
}

class Ntk {
 public:
  Ntk(const PointModule& module, const at::Tensor& x, const at::Tensor& x2, const NtkOptions& options)
      : options_(options),
        modules_{module},
        symmetric_(!x2.defined()),
        left_(at_start(module, "x", x)),
        right_(symmetric_ ? left_ : at_start(module, "x2", x2)) {
    for (const auto& t : module.start.parameters()) parameters_ += t.numel();
    const at::NoGradGuard no_grad;
    outputs_ = outputs_at(module, left_.narrow(0, 0, 1)).size(1);
    if (left_.is_cpu() && module.start.is_copy()) {
      while (static_cast<int>(modules_.size()) < threads()) modules_.push_back(module.copy());
    }
  }

  at::Tensor kernel() const {
    const bool products = options_.method == NtkMethod::ntk_vector_products ||
                          (options_.method == NtkMethod::automatic && products_are_cheaper());
    auto k = products ? by_products() : by_contraction();  // nO × n'O
    const std::int64_t n = left_.size(0), n2 = right_.size(0);
    if (outputs_ == 1 && options_.outputs == NtkOutputs::trace) return k;
    k = k.view({n, outputs_, n2, outputs_}).permute({0, 2, 1, 3});
    if (options_.outputs == NtkOutputs::full) return k.contiguous();
    return k.diagonal(0, 2, 3).mean(-1);
  }

 private:
  static at::Tensor at_start(const PointModule& module, const char* name, const at::Tensor& x) {
    if (!x.defined() || x.dim() < 1 || x.numel() == 0) {
      throw InputError(std::string(name) + ": expected points, a row each");
    }
    check_like(name, x, "the module's parameters", module.start.parameters()[0]);
    return recordable(x.detach());
  }

  /// Multiplications of one forward pass at a point, as the profiler counts those of products and convolutions.
  double forward_cost() const {
    double operations = 0;
    const auto handle = at::addThreadLocalCallback(
        at::RecordFunctionCallback([](const at::RecordFunction& fn) -> std::unique_ptr<at::ObserverContext> {
          *counted += static_cast<double>(
              torch::profiler::impl::computeFlops(fn.name(), torch::profiler::impl::saveExtraArgs(fn)));
          return nullptr;
        })
            .needsInputs(true)
            .scopes({at::RecordScope::FUNCTION}));
    counted = &operations;
    const at::NoGradGuard no_grad;
    outputs_at(modules_[0], left_.narrow(0, 0, 1));
    at::removeCallback(handle);
    return operations / 2;
  }
  static thread_local double* counted;

  bool products_are_cheaper() const {
    if (outputs_ == 1 || options_.outputs == NtkOutputs::trace) return false;  // F is at least p
    return 3 * forward_cost() < static_cast<double>(outputs_) * static_cast<double>(parameters_);
  }

  /// f(i, module) for i < count, shared out over workers where each has a module of its own.
  template <class F>
  void for_each(std::int64_t count, F&& f) const {
    const SerialTorch serial;
    const auto one = [&](std::int64_t i, int worker) {
      const Differentiating recording;
      differentiated(1, [&] { f(i, modules_[worker]); });
    };
    if (modules_.size() > 1) {
      parallel_for_workers(count, one);
    } else {
      for (std::int64_t i = 0; i < count; ++i) one(i, 0);
    }
  }

  /// ∇_θ f_o at the points: nO × p.
  at::Tensor jacobian(const at::Tensor& x) const {
    auto rows = at::empty({x.size(0) * outputs_, parameters_}, x.options());
    for_each(x.size(0), [&](std::int64_t i, const PointModule& module) {
      const auto f = outputs_at(module, x.narrow(0, i, 1)).view({-1});
      for (std::int64_t o = 0; o < outputs_; ++o) {
        const auto g = gradients({f.narrow(0, o, 1)}, module.start.parameters(), {at::ones({1}, f.options())}, false);
        const at::NoGradGuard no_grad;
        auto row = rows[i * outputs_ + o];
        std::int64_t first = 0;
        for (const auto& part : g) {
          row.narrow(0, first, part.numel()).copy_(part.reshape(-1));
          first += part.numel();
        }
      }
    });
    return rows;
  }

  at::Tensor by_contraction() const {
    const at::NoGradGuard no_grad;
    const std::int64_t row_bytes = checked_product("parameters", parameters_, left_.element_size() * outputs_);
    const std::int64_t block = std::max<std::int64_t>(1, options_.memory_limit / 2 / row_bytes);
    const std::int64_t n = left_.size(0), n2 = right_.size(0), count = outputs_;
    auto k = at::empty({n * count, n2 * count}, left_.options());
    for (std::int64_t i = 0; i < n; i += block) {
      const auto down = jacobian(left_.narrow(0, i, std::min(block, n - i)));
      for (std::int64_t j = symmetric_ ? i : 0; j < n2; j += block) {
        const bool diagonal = symmetric_ && j == i;
        const auto across = diagonal ? down : jacobian(right_.narrow(0, j, std::min(block, n2 - j)));
        auto part = k.narrow(0, i * count, down.size(0)).narrow(1, j * count, across.size(0));
        multiply(down, across, diagonal, part);
        if (diagonal) part.copy_(part.triu() + part.triu(1).t());
        if (symmetric_ && !diagonal) {
          k.narrow(0, j * count, across.size(0)).narrow(1, i * count, down.size(0)).copy_(part.t());
        }
      }
    }
    return k;
  }

  /// a·bᵀ, rows in tiles; of a square one the upper half alone.
  static void multiply(const at::Tensor& a, const at::Tensor& b, bool upper, const at::Tensor& out) {
    const SerialTorch serial;
    kernels::for_each_tile(a.is_cpu(), (a.size(0) + rows_at_once - 1) / rows_at_once, [&](std::int64_t tile) {
      const std::int64_t from = tile * rows_at_once, rows = std::min(rows_at_once, a.size(0) - from);
      const std::int64_t left_out = upper ? from : 0, columns = b.size(0) - left_out;
      out.narrow(0, from, rows)
          .narrow(1, left_out, columns)
          .copy_(a.narrow(0, from, rows).mm(b.narrow(0, left_out, columns).t()));
    });
  }

  /// Column (x', o') is the derivative of f at the rows of x along ∇_θ f_o'(x').
  at::Tensor by_products() const {
    const std::int64_t n = left_.size(0), n2 = right_.size(0), count = outputs_;
    auto k = at::empty({n * count, n2 * count}, left_.options());
    for_each((n + points_with_graph - 1) / points_with_graph, [&](std::int64_t b, const PointModule& module) {
      const std::int64_t from = b * points_with_graph, rows = std::min(points_with_graph, n - from);
      const auto& parameters = module.start.parameters();
      const auto f = outputs_at(module, left_.narrow(0, from, rows));
      const auto v = at::zeros_like(f).requires_grad_(true);
      const auto pull_back = torch::autograd::grad({f}, parameters, {v}, true, true, true);
      for (std::int64_t j = 0; j < n2; ++j) {
        const auto other = outputs_at(module, right_.narrow(0, j, 1)).view({-1});
        for (std::int64_t o = 0; o < count; ++o) {
          const auto g = gradients({other.narrow(0, o, 1)}, parameters, {at::ones({1}, other.options())}, false);
          variable_list reached, direction;
          for (std::size_t i = 0; i < g.size(); ++i) {
            if (!pull_back[i].defined() || !pull_back[i].requires_grad()) continue;
            reached.push_back(pull_back[i]);
            direction.push_back(g[i]);
          }
          const auto column = torch::autograd::grad(reached, {v}, direction, true, false, false)[0];
          const at::NoGradGuard no_grad;
          k.narrow(0, from * count, rows * count).select(1, j * count + o).copy_(column.reshape(-1));
        }
      }
    });
    return symmetric_ ? k.triu() + k.triu(1).t() : k;
  }

  NtkOptions options_;
  std::vector<PointModule> modules_;  // one a worker
  bool symmetric_;
  at::Tensor left_, right_;
  std::int64_t parameters_ = 0, outputs_ = 1;
};

thread_local double* Ntk::counted = nullptr;

}  // namespace

at::Tensor empirical_ntk(const PointModule& module, const at::Tensor& x, const at::Tensor& x2,
                         const NtkOptions& options) {
  module.start.check_unchanged();
  const Differentiating recording;
  return Ntk(module, x, x2, options).kernel().detach();
}

}  // namespace entk
