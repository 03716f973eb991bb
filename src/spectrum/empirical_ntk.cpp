#include "entk/spectrum/empirical_ntk.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/record_function.h>
#include <fmt/format.h>
#include <fmt/ostream.h>
#include <torch/csrc/profiler/util.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <mutex>
#include <optional>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/models/module_primitive.h"
#include "entk/models/point_graph.h"

namespace entk {

namespace {

using torch::autograd::variable_list;

constexpr std::int64_t points_with_graph = 128, rows_at_once = 32;  // part of the bits
constexpr std::int64_t points_looked_at = 3;  // fewer tell less, and are not taken for those of later calls

constexpr const char* no_structure =
    "method: structured derivatives need a module whose parameters each enter once, in a product with what is of "
    "points, a point's rows next to each other; expected another method";

/// The module's outputs at x as a function of it: n×O.
FunctionAtStart outputs_of(const PointModule& module) {
  return [module](const variable_list& in) {
    const auto& x = in[0];
    const auto output = forward_at(module, x);
    if (!output.defined() || output.dim() < 1 || output.dim() > 2 || output.size(0) != x.size(0)) {
      throw InputError(fmt::format("module: expected a number or a vector for each of {} points, got {}", x.size(0),
                                   output.defined() ? fmt::format("{}", fmt::streamed(output.sizes())) : "nothing"));
    }
    return output.reshape({x.size(0), -1});
  };
}

at::Tensor outputs_at(const PointModule& module, const at::Tensor& x) {
  bool random = false;
  return output_at_start(outputs_of(module), module.start, {x}, 1, false, random);
}

}  // namespace

/// What calls learn of a module, for those after them.
struct EmpiricalNtk::Known {
  struct Shape {
    std::int64_t outputs;
    std::optional<std::int64_t> structure_bytes;  // a point, where structured derivatives serve
  };
  NtkOptions options;
  std::vector<PointModule> modules;                     // one a worker
  std::map<std::vector<std::int64_t>, Shape> shapes{};  // of a point on the left, and on the right
  std::mutex mutex{};
};

namespace {

class Ntk {
 public:
  Ntk(EmpiricalNtk::Known& known, const at::Tensor& x, const at::Tensor& x2)
      : options_(known.options),
        modules_(known.modules),
        symmetric_(!x2.defined()),
        left_(at_start(modules_[0], "x", x)),
        right_(symmetric_ ? left_ : at_start(modules_[0], "x2", x2)) {
    const auto& module = modules_[0];
    for (const auto& t : module.start.parameters()) parameters_ += t.numel();
    auto shape = left_.sizes().slice(1).vec();
    shape.insert(shape.end(), right_.sizes().begin() + 1, right_.sizes().end());
    const auto found = known.shapes.find(shape);
    const auto of = found != known.shapes.end() ? found->second : learned();
    outputs_ = of.outputs;
    structure_bytes_ = of.structure_bytes;
    if (std::max(left_.size(0), right_.size(0)) >= points_looked_at) known.shapes.emplace(shape, of);
    if (left_.is_cpu() && module.start.is_copy()) {
      while (static_cast<int>(known.modules.size()) < threads()) known.modules.push_back(known.modules[0].copy());
    }
  }

  at::Tensor kernel() const {
    if (structure_bytes_) {
      if (const auto k = by_structure(*structure_bytes_); k.defined()) return k;
      if (options_.method == NtkMethod::structured_derivatives) throw InputError(no_structure);
    }
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
      throw InputError(fmt::format("{}: expected points, a row each, got {}", name, shape_text(x)));
    }
    check_finite(name, x);
    check_like(name, x, "the module's parameters", module.start.parameters()[0]);
    return recordable(x.detach());
  }

  /// @throws InputError where the module's outputs are not functions of points.
  EmpiricalNtk::Known::Shape learned() {
    const bool structured = options_.method == NtkMethod::structured_derivatives;
    std::optional<std::int64_t> bytes;
    differentiated(1, [&] {
      const auto& most = left_.size(0) < right_.size(0) ? right_ : left_;  // of one point any order of rows is right
      const auto x = most.narrow(0, 0, std::min(points_looked_at, most.size(0)));
      bool random = false;
      const auto output = output_at_start(outputs_of(modules_[0]), modules_[0].start, {x}, 1, false, random);
      outputs_ = output.size(1);
      if (!random && (structured || options_.method == NtkMethod::automatic)) bytes = structure_bytes(x, output);
    });
    for (const auto& side : {left_, right_}) {
      if (bytes && left_.sizes().slice(1) == right_.sizes().slice(1)) break;
      check_function_of_points(outputs_of(modules_[0]), modules_[0].start,
                               side.narrow(0, 0, std::min<std::int64_t>(8, side.size(0))), 1);
      if (symmetric_) break;
    }
    if (structured && !bytes) throw InputError(no_structure);
    return {outputs_, bytes};
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

  using Factors = std::vector<PointGraph::Factor>;

  /// Each output's, from the module's outputs at some points.
  std::vector<Factors> factors_of(const PointModule& module, const at::Tensor& output) const {
    const auto graph = PointGraph::of(output, module.start);
    std::vector<Factors> found;
    for (std::int64_t o = 0; graph && o < outputs_; ++o) {
      auto cotangent = at::zeros_like(output.detach());
      cotangent.select(1, o).fill_(1);
      auto factors = graph->factors(cotangent);
      if (!factors) return {};
      found.push_back(std::move(*factors));
    }
    return found;
  }

  /// Their bytes a point, if the module has them, vᵀKv at a few points is ‖Σ v ∇f‖² as autograd has it for some v (one
  /// gradient, where their kernel by autograd takes one for each), and a point's row of K is the same with it alone.
  /// The output is that at x.
  std::optional<std::int64_t> structure_bytes(const at::Tensor& x, const at::Tensor& output) const {
    const auto& module = modules_[0];
    const auto factors = factors_of(module, output);
    if (factors.empty()) return std::nullopt;
    auto generator = at::detail::createCPUGenerator(7);
    const auto v = at::randn({x.size(0), outputs_}, generator, at::kDouble).to(x.options());
    double own = 0, wanted = 0;
    for (const auto& g : gradients({output}, module.start.parameters(), {v}, false)) {
      wanted += std::pow(g.norm().item<double>(), 2);
    }
    const auto between = x.size(0) / 2;  // a running sum over the points, from either end, would change it
    const auto alone = factors_of(module, outputs_at(module, x.narrow(0, between, 1)));
    if (alone.empty()) return std::nullopt;
    const at::NoGradGuard no_grad;
    const double tolerance = std::sqrt(x.scalar_type() == at::kDouble ? 2e-16 : 1e-7);
    for (std::int64_t o = 0; o < outputs_; ++o) {
      for (std::int64_t p = 0; p < outputs_; ++p) {
        auto k = at::zeros({x.size(0), x.size(0)}, x.options()), row = at::zeros({1, x.size(0)}, x.options());
        contract(factors[o], factors[p], k);
        contract(alone[o], factors[p], row);
        const auto together = k.narrow(0, between, 1);
        if (!((row - together).norm().item<double>() <= tolerance * together.norm().item<double>()))
          return std::nullopt;
        own += v.select(1, o).dot(k.mv(v.select(1, p))).item<double>();
      }
    }
    if (!(std::abs(own - wanted) <= tolerance * wanted)) return std::nullopt;
    return bytes_of(factors) / x.size(0) + 1;
  }

  /// out += Σ over the layers of their kernels.
  void contract(const Factors& left, const Factors& right, const at::Tensor& out) const {
    for (std::size_t k = 0; k < left.size(); ++k) {
      const auto& l = left[k];
      const auto& r = right[k];
      const std::int64_t n = l.b.size(0), n2 = r.b.size(0);
      const double square = l.scale * r.scale;
      if (!l.a.defined() || l.b.size(1) == 1) {
        const auto summed = [](const at::Tensor& t) { return t.size(1) == 1 ? t.squeeze(1) : t.sum(1); };
        const auto b = summed(l.b), b2 = summed(r.b);
        auto part = b.mm(b2.t());
        if (l.a.defined()) part.mul_(l.a.squeeze(1).mm(r.a.squeeze(1).t()));
        at::Tensor(out).add_(part, square);
        continue;
      }
      // Many places a point share the weight: its Jacobian, some columns of b at a time.
      const std::int64_t columns = l.b.size(2);
      const std::int64_t bytes = checked_product("parameters", l.a.size(2), out.element_size() * (n + n2));
      const std::int64_t at_once = std::max<std::int64_t>(1, options_.memory_limit / 2 / bytes);
      for (std::int64_t c = 0; c < columns; c += at_once) {
        const auto count = std::min(at_once, columns - c);
        const auto j = l.a.transpose(1, 2).bmm(l.b.narrow(2, c, count)).flatten(1);
        const auto j2 = r.a.transpose(1, 2).bmm(r.b.narrow(2, c, count)).flatten(1);
        at::Tensor(out).addmm_(j, j2.t(), 1, square);
      }
    }
  }

  static std::int64_t bytes_of(const std::vector<Factors>& outputs) {
    std::int64_t bytes = 1;
    for (const auto& factors : outputs) {
      for (const auto& f : factors) {
        bytes += static_cast<std::int64_t>(f.b.nbytes() + (f.a.defined() ? f.a.nbytes() : 0));
      }
    }
    return bytes;
  }

  /// K in the layout that is asked; undefined where some points' graph has no structure.
  at::Tensor by_structure(std::int64_t bytes_a_point) const {
    using Blocks = std::vector<std::vector<Factors>>;  // of points, then outputs
    const bool full = options_.outputs == NtkOutputs::full;
    const std::int64_t n = left_.size(0), n2 = right_.size(0);
    auto k = full ? at::zeros({n, n2, outputs_, outputs_}, left_.options()) : at::zeros({n, n2}, left_.options());
    const auto blocks = [](const at::Tensor& x) { return (x.size(0) + points_with_graph - 1) / points_with_graph; };
    std::atomic<bool> whole = true;
    const auto side = [&](const at::Tensor& x, std::int64_t first, std::int64_t count) {
      Blocks found(static_cast<std::size_t>(std::min(count, blocks(x) - first)));
      for_each(static_cast<std::int64_t>(found.size()), [&](std::int64_t i, const PointModule& module) {
        const auto from = (first + i) * points_with_graph;
        const auto rows = x.narrow(0, from, std::min(points_with_graph, x.size(0) - from));
        found[i] = factors_of(module, outputs_at(module, rows));
        if (found[i].empty()) whole = false;
      });
      return found;
    };
    const auto multiply = [&](const Blocks& left, std::int64_t down, const Blocks& right, std::int64_t across) {
      const SerialTorch serial;
      const auto columns = static_cast<std::int64_t>(right.size());
      kernels::for_each_tile(left_.is_cpu(), static_cast<std::int64_t>(left.size()) * columns, [&](std::int64_t tile) {
        const std::int64_t i = tile / columns, j = tile % columns;
        if (symmetric_ && across + j < down + i) return;
        const auto cut = [&](const at::Tensor& of) {
          return of.narrow(0, (down + i) * points_with_graph, left[i][0][0].b.size(0))
              .narrow(1, (across + j) * points_with_graph, right[j][0][0].b.size(0));
        };
        for (std::int64_t o = 0; o < outputs_; ++o) {
          if (!full) {
            contract(left[i][o], right[j][o], cut(k));
            continue;
          }
          for (std::int64_t p = 0; p < outputs_; ++p) {
            contract(left[i][o], right[j][p], cut(k.select(3, p).select(2, o)));
          }
        }
      });
    };
    // Of each side the factors at as many blocks of points as half of the memory holds.
    const auto held = std::max<std::int64_t>(1, options_.memory_limit / 2 / bytes_a_point / points_with_graph);
    for (std::int64_t down = 0; down < blocks(left_); down += held) {
      const auto left = side(left_, down, held);
      if (!whole) return {};
      for (std::int64_t across = symmetric_ ? down : 0; across < blocks(right_); across += held) {
        const auto right = symmetric_ && across == down ? left : side(right_, across, held);
        if (!whole) return {};
        multiply(left, down, right, across);
      }
    }
    const at::NoGradGuard no_grad;
    if (!full) k.div_(outputs_);
    if (!symmetric_) return k;
    if (!full) return k.triu() + k.triu(1).t();
    // Of pairs of a point and an output.
    const auto square = k.permute({0, 2, 1, 3}).reshape({n * outputs_, n * outputs_});
    return (square.triu() + square.triu(1).t()).view({n, outputs_, n, outputs_}).permute({0, 2, 1, 3}).contiguous();
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
      const auto block = k.narrow(0, from * count, rows * count);
      const auto v = at::zeros_like(f).requires_grad_(true);
      variable_list pull_back;
      if (f.requires_grad()) pull_back = torch::autograd::grad({f}, parameters, {v}, true, true, true);
      if (std::none_of(pull_back.begin(), pull_back.end(), [](const at::Tensor& t) { return t.defined(); })) {
        at::Tensor(block).zero_();  // nothing of θ0 is in f
        return;
      }
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
          block.select(1, j * count + o).copy_(column.reshape(-1));
        }
      }
    });
    return symmetric_ ? k.triu() + k.triu(1).t() : k;
  }

  const NtkOptions& options_;
  const std::vector<PointModule>& modules_;
  bool symmetric_;
  at::Tensor left_, right_;
  std::int64_t parameters_ = 0, outputs_ = 1;
  std::optional<std::int64_t> structure_bytes_;  // a point, where structured derivatives serve
};

thread_local double* Ntk::counted = nullptr;

}  // namespace

EmpiricalNtk::EmpiricalNtk(const PointModule& module, const NtkOptions& options)
    : known_(new Known{.options = options, .modules = {module}}) {}

at::Tensor EmpiricalNtk::operator()(const at::Tensor& x, const at::Tensor& x2) const {
  const std::lock_guard lock(known_->mutex);
  known_->modules[0].start.check_unchanged();
  kernels::check_constant("x", x);
  kernels::check_constant("x2", x2);
  const SerialTorch serial;  // copies and single points too: OpenMP's threads would wait, busily, beside the workers
  const Differentiating recording;
  return Ntk(*known_, x, x2).kernel().detach();
}

}  // namespace entk
