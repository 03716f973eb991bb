#include "entk/models/module_primitive.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/Allocator.h>
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "entk/base/check.h"
#include "entk/base/users_code.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/kernels/row_primitive.h"
#include "entk/models/point_graph.h"

namespace entk {

namespace {

using torch::autograd::variable_list;

constexpr std::int64_t points_at_once = 128, points_at_once_on_device = 1024;  // part of the bits
constexpr std::int64_t lanes_at_most = 8;                                      // sums of parameters' size, part too

constexpr const char* draws_at_random =
    "module: its forward draws random numbers (dropout in training mode does), so that it is another function at every "
    "call";

/// The factors and displacements whose terms are summed: (1, δ), or (1/√2, δ) and (−1/√2, δ').
struct Copies {
  Copies(ModuleStartKind kind, std::int64_t parameters)
      : factors(kind == ModuleStartKind::plain ? std::vector<double>{1.0}
                                               : std::vector<double>{std::sqrt(0.5), -std::sqrt(0.5)}),
        parameters(parameters) {}
  std::size_t count() const { return factors.size(); }
  std::int64_t length() const { return static_cast<std::int64_t>(count()) * parameters; }
  /// Copy c's displacement, one tensor a parameter: views of w.
  variable_list parts(const at::Tensor& w, std::size_t c, const variable_list& like) const {
    variable_list parts;
    std::int64_t first = static_cast<std::int64_t>(c) * parameters;
    for (const auto& t : like) {
      parts.push_back(w.narrow(0, first, t.numel()).view(t.sizes()));
      first += t.numel();
    }
    return parts;
  }
  /// Copy c's part of a vector of all.
  at::Tensor of(const at::Tensor& all, std::size_t c) const {
    return all.narrow(0, static_cast<std::int64_t>(c) * parameters, parameters);
  }
  std::vector<double> factors;
  std::int64_t parameters;
};

/// Batches of nearly the same size.
std::int64_t batch_of(std::int64_t samples, std::int64_t at_most) {
  const auto batches = (samples + at_most - 1) / at_most;
  return (samples + batches - 1) / batches;
}

std::int64_t count_of(const variable_list& parameters) {
  std::int64_t count = 0;
  for (const auto& t : parameters) count += t.numel();
  return count;
}

class ModulePrimitive final : public RowPrimitive, public std::enable_shared_from_this<ModulePrimitive> {
 public:
  ModulePrimitive(const PointModule& module, ModuleStartKind kind, const at::Tensor& x, const PrimitiveOptions& options)
      : RowPrimitive(x, Copies(kind, count_of(module.start.parameters())).length(), options.orders),
        kind_(kind),
        copies_(kind, count_of(module.start.parameters())),
        modules_{module.start.is_copy() ? module.copy() : module},
        alone_(!module.start.is_copy()) {
    cut();
    check_function_of_points([&](const variable_list& in) { return output_at(modules_[0], in[0]); }, modules_[0].start,
                             x_.narrow(0, 0, std::min<std::int64_t>(batch_, 8)), orders_);
    if (options.mode == KernelMode::reference || orders_ > 2 || !graph_agrees()) return;
    mode_ = options.mode == KernelMode::recompute || kept_bytes() > options.memory_limit ? KernelMode::recompute
                                                                                         : KernelMode::keep;
  }

  KernelMode mode() const override { return mode_; }
  const char* backend() const override { return kind_ == ModuleStartKind::pair ? "module, pair" : "module"; }

  at::Tensor terms(const at::Tensor& w) const override {
    kernels::check_weights("w", w, *this);
    const Differentiating recording;
    const auto at = constant(w);
    return forms(orders_, [&](const Batch& b, std::size_t c) { return b.terms(part(at, c, b)); });
  }

  at::Tensor pull_back(const at::Tensor& w, const at::Tensor& cotangents) const override {
    kernels::check_weights("w", w, *this);
    kernels::check_cotangents(cotangents, orders_, *this);
    const Differentiating recording;
    const auto at = constant(w), g = constant(cotangents);
    return gradient([&](const Batch& b, std::size_t c, const at::Tensor& sum) {
      b.add_pull_back(part(at, c, b), b.rows(g) * copies_.factors[c], sum);
    });
  }

  at::Tensor terms_along(const at::Tensor& w, const at::Tensor& v) const override {
    kernels::check_weights("w", w, *this);
    kernels::check_weights("v", v, *this);
    const Differentiating recording;
    const auto at = constant(w), by = constant(v);
    return forms(2, [&](const Batch& b, std::size_t c) { return b.terms_along(part(at, c, b), part(by, c, b)); });
  }

  at::Tensor pull_back_along(const at::Tensor& w, const at::Tensor& v, const at::Tensor& cotangents) const override {
    kernels::check_weights("w", w, *this);
    kernels::check_weights("v", v, *this);
    kernels::check_cotangents(cotangents, 3, *this);
    const Differentiating recording;
    const auto at = constant(w), by = constant(v), g = constant(cotangents);
    return gradient([&](const Batch& b, std::size_t c, const at::Tensor& sum) {
      b.add_pull_back_along(part(at, c, b), part(by, c, b), b.rows(g) * copies_.factors[c], sum);
    });
  }

  at::Tensor reference_pull_back(const at::Tensor& w, const at::Tensor& cotangents) const override {
    kernels::check_weights("w", w, *this);
    kernels::check_cotangents(cotangents, orders_, *this);
    const Differentiating recording;
    const auto at = w.requires_grad() ? w : recordable(w.detach()).requires_grad_(true);
    const auto terms = module_terms(modules_[0], kind_, x_, orders_, at).narrow(0, 1, orders_);
    return torch::autograd::grad({terms}, {at}, {cotangents}, true, true)[0];
  }

  /// Kept graphs of all points save half of the work.
  std::shared_ptr<const Primitive> at_rows(const at::Tensor& rows) const override {
    if (mode_ == KernelMode::keep && 2 * rows.size(0) >= samples()) return nullptr;
    const Differentiating recording;
    return std::shared_ptr<const Primitive>(new ModulePrimitive(*this, recordable(x_.index_select(0, rows))));
  }

  std::unique_ptr<Stepper> stepper(const at::Tensor& w) const override {
    if (mode_ != KernelMode::keep) return kernels::plain_stepper(shared_from_this(), w);
    auto kept = std::make_unique<KeptStepper>(shared_from_this());
    if (!kept->is_whole()) return kernels::plain_stepper(shared_from_this(), w);
    kept->move(w);
    return kept;
  }

 private:
  /// Of a module that was looked at already.
  ModulePrimitive(const ModulePrimitive& of, const at::Tensor& x)
      : RowPrimitive(x, of.displacement_sizes_, of.orders_),
        kind_(of.kind_),
        copies_(of.copies_),
        mode_(of.mode_ == KernelMode::reference ? KernelMode::reference : KernelMode::recompute),
        modules_(of.for_workers()),
        alone_(of.alone_) {
    cut();
  }

  /// Into batches of about the same size.
  void cut() {
    batch_ = batch_of(samples(), x_.is_cpu() ? points_at_once : points_at_once_on_device);
    batches_ = (samples() + batch_ - 1) / batch_;
  }

  /// Some points, the module's output there with its graph, and what is made of it.
  struct Batch {
    const PointModule& module;
    std::int64_t first, count;
    int order;
    at::Tensor output;
    std::optional<PointGraph> graph;  ///< in place of autograd

    const variable_list& parameters() const { return module.start.parameters(); }
    at::Tensor rows(const at::Tensor& cotangents) const { return cotangents.narrow(1, first, count); }

    /// t_1 … t_P.
    at::Tensor terms(const variable_list& displacement) const {
      if (!graph) {
        const auto terms = chain(displacement, order, false);
        const at::NoGradGuard no_grad;
        return at::stack(variable_list(terms.begin() + 1, terms.end()));
      }
      const at::NoGradGuard no_grad;
      return order == 1 ? graph->linear_term(displacement).unsqueeze(0) : graph->terms(displacement);
    }
    void add_pull_back(const variable_list& displacement, const at::Tensor& g, const at::Tensor& sum) const {
      if (!graph) return add_gradient(chain(displacement, order - 1, true), g, sum);
      const at::NoGradGuard no_grad;
      if (order == 1) return graph->add_gradient(g[0], {}, sum);
      const auto motion = graph->motion(displacement);
      graph->add_gradient(g[0], {{&motion, g[1]}}, sum);
    }
    at::Tensor terms_along(const variable_list& displacement, const variable_list& direction) const {
      if (!graph) {
        const auto terms = chain(displacement, 1, true);
        return at::stack({along(terms[0], parameters(), direction, false).detach(),
                          along(terms[1], parameters(), direction, false).detach()});
      }
      const at::NoGradGuard no_grad;
      return graph->terms_along(graph->motion(displacement), direction);
    }
    void add_pull_back_along(const variable_list& displacement, const variable_list& direction, const at::Tensor& g,
                             const at::Tensor& sum) const {
      if (!graph) {
        const auto terms = chain(displacement, 1, true);
        return add_gradient({terms[0], terms[1], along(terms[0], parameters(), direction, true)}, g, sum);
      }
      const at::NoGradGuard no_grad;
      const auto motion = graph->motion(displacement), other = graph->motion(direction);
      graph->add_gradient(g[0], {{&motion, g[1]}, {&other, g[2]}}, sum);
    }

   private:
    /// t_0 … t_P; the last with a graph if it is to be differentiated.
    variable_list chain(const variable_list& displacement, int orders, bool again) const {
      variable_list terms{output};
      for (int p = 1; p <= orders; ++p) {
        terms.push_back(along(terms.back(), parameters(), displacement, p < orders || again) / p);
      }
      return terms;
    }
    /// sum += ∂/∂θ0 Σ_i ⟨u_i, t_i⟩ as one vector.
    void add_gradient(const variable_list& terms, const at::Tensor& u, const at::Tensor& sum) const {
      std::int64_t from = 0;
      for (const auto& g : gradients(terms, parameters(), u.unbind(), false)) {
        const at::NoGradGuard no_grad;
        at::Tensor(sum.narrow(0, from, g.numel())).add_(g.reshape(-1));
        from += g.numel();
      }
    }
  };

  /// Keeps each batch's graph, and what W moves there until the next step.
  class KeptStepper final : public Stepper {
   public:
    explicit KeptStepper(std::shared_ptr<const ModulePrimitive> primitive) : of_(std::move(primitive)) {
      batches_.resize(static_cast<std::size_t>(of_->batches_));
      of_->for_batches(
          of_->batches_, [&](std::int64_t i, Batch& b) { batches_[i].graph = std::move(b.graph); }, of_->orders_);
    }
    /// A forward that branches on its points may leave some without rules.
    bool is_whole() const {
      return std::all_of(batches_.begin(), batches_.end(), [](const Kept& b) { return b.graph.has_value(); });
    }
    /// To w, the terms too.
    void move(const at::Tensor& w) {
      kernels::check_weights("w", w, *of_);
      of_->modules_[0].start.check_unchanged();
      const Differentiating recording;
      terms_ = at::zeros({of_->orders_, of_->samples()}, of_->x_.options());
      const auto at = constant(w);
      of_->shared_out(of_->batches_, [&](std::int64_t i) {
        auto& b = batches_[i];
        const auto terms = rows(terms_, i);
        b.motions.clear();
        for (std::size_t c = 0; c < of_->copies_.count(); ++c) {
          const auto parts = of_->copies_.parts(at, c, of_->modules_[0].start.parameters());
          if (of_->orders_ == 1) {
            terms[0].add_(b.graph->linear_term(parts), of_->copies_.factors[c]);
          } else {
            b.motions.push_back(b.graph->motion(parts));
            terms.add_(b.motions.back().terms, of_->copies_.factors[c]);
          }
        }
      });
    }

    at::Tensor terms() const override { return terms_; }

    void step(const at::Tensor& w, const at::Tensor& cotangents, const Update& update) override {
      kernels::check_weights("w", w, *of_);
      kernels::check_cotangents(cotangents, of_->orders_, *of_);
      kernels::check_update(update, *of_);
      const at::NoGradGuard no_grad;
      const auto g = constant(cotangents);
      const auto& copies = of_->copies_;
      auto gradient = of_->sums_of_lanes([&](std::int64_t i, const at::Tensor& sum) {
        const auto& b = batches_[i];
        for (std::size_t c = 0; c < copies.count(); ++c) {
          const auto u = rows(g, i) * copies.factors[c];
          std::vector<PointGraph::Weighted> second;
          if (of_->orders_ == 2) second.push_back({&b.motions[c], u[1]});
          b.graph->add_gradient(u[0], second, copies.of(sum, c));
        }
      });
      kernels::descend(w, std::move(gradient), update);
      move(w);
    }

   private:
    struct Kept {
      std::optional<PointGraph> graph;
      std::vector<PointGraph::Motion> motions;
    };

    /// Of a row of numbers a term: those of batch i.
    at::Tensor rows(const at::Tensor& all, std::int64_t i) const {
      const auto first = i * of_->batch_;
      return all.narrow(1, first, std::min(of_->batch_, of_->samples() - first));
    }

    std::shared_ptr<const ModulePrimitive> of_;
    std::vector<Kept> batches_;
    at::Tensor terms_;
  };

  /// As autograd may keep it, where Differentiating lives.
  static at::Tensor constant(const at::Tensor& t) { return recordable(t.detach()); }

  variable_list part(const at::Tensor& w, std::size_t copy, const Batch& b) const {
    return copies_.parts(w, copy, b.parameters());
  }

  /// P×n, batch by batch: the sum over copies of form(batch, copy).
  template <class F>
  at::Tensor forms(int rows, F&& form) const {
    auto out = at::zeros({rows, samples()}, x_.options());
    for_batches(batches_, [&](std::int64_t, const Batch& b) {
      for (std::size_t c = 0; c < copies_.count(); ++c) {
        const auto of_copy = form(b, c);
        const at::NoGradGuard no_grad;
        out.narrow(1, b.first, b.count).add_(of_copy, copies_.factors[c]);
      }
    });
    return out;
  }

  std::int64_t lanes() const { return std::min(lanes_at_most, batches_); }
  at::Tensor zeros_for_lanes() const { return at::zeros({lanes(), displacement_sizes_[0]}, x_.options()); }

  /// add(batch, copy, sum) for every batch and copy: the sum over all.
  template <class F>
  at::Tensor gradient(F&& add) const {
    auto sums = zeros_for_lanes().unbind();
    for_batches(lanes(), [&](std::int64_t lane, const Batch& b) {
      for (std::size_t c = 0; c < copies_.count(); ++c) add(b, c, copies_.of(sums[lane], c));
    });
    return kernels::tree_sum(std::move(sums)).clone();
  }

  /// f(i), i < count, shared out over workers, without gradients.
  template <class F>
  void shared_out(std::int64_t count, F&& f) const {
    const SerialTorch serial;
    kernels::for_each_tile(x_.is_cpu(), count, f);
  }

  /// add(i, sum) for every batch, without gradients: the sum over all.
  template <class F>
  at::Tensor sums_of_lanes(F&& add) const {
    auto sums = zeros_for_lanes().unbind();
    shared_out(lanes(), [&](std::int64_t lane) {
      for (std::int64_t i = lane; i < batches_; i += lanes()) add(i, sums[lane]);
    });
    return kernels::tree_sum(std::move(sums)).clone();
  }

  /// f(lane, batch) for every batch, those of a lane one after another.
  template <class F>
  void for_batches(std::int64_t lanes, F&& f, int order = 2) const {
    const SerialTorch serial;
    const auto lane = [&](std::int64_t which, const PointModule& module) {
      const Differentiating recording;
      for (std::int64_t i = which; i < batches_; i += lanes) {
        differentiated(orders_, [&] {
          auto b = batch_at(module, i * batch_, std::min(batch_, samples() - i * batch_));
          if (mode_ != KernelMode::reference) add_graph(b, order);
          f(which, b);
        });
      }
    };
    if (alone_ || !x_.is_cpu()) {
      modules_[0].start.check_unchanged();
      for (std::int64_t i = 0; i < lanes; ++i) lane(i, modules_[0]);
    } else {
      const auto& modules = for_workers();
      parallel_for_workers(lanes, [&](std::int64_t i, int worker) { lane(i, modules[worker]); });
    }
  }

  Batch batch_at(const PointModule& module, std::int64_t first, std::int64_t count) const {
    bool random = false;
    const auto output = output_at_start([&](const variable_list& in) { return output_at(module, in[0]); }, module.start,
                                        {x_.narrow(0, first, count)}, orders_, false, random);
    if (random) throw InputError(draws_at_random);
    return {module, first, count, orders_, output, std::nullopt};
  }

  /// order 1: for terms and pull-backs of order 1 alone.
  static bool add_graph(Batch& b, int order = 2) {
    b.graph = PointGraph::of(b.output, b.module.start);
    if (b.graph) b.graph->fix(order);
    return b.graph.has_value();
  }

  /// Whether the module's graph at a few points has rules for all, and says what autograd does.
  bool graph_agrees() const {
    const Differentiating recording;
    return differentiated(orders_, [&] {
      auto b = batch_at(modules_[0], 0, std::min<std::int64_t>(samples(), 3));
      if (!add_graph(b)) return false;
      auto generator = at::detail::createCPUGenerator(7);
      const auto drawn = [&](at::IntArrayRef sizes) {
        return at::randn(sizes, generator, at::kDouble).to(x_.options());
      };
      const auto v = drawn({copies_.parameters}), g = drawn({orders_, b.count});
      const auto parts = copies_.parts(v, 0, b.parameters());
      const auto found = [&] {
        auto sum = at::zeros_like(v);
        b.add_pull_back(parts, g, sum);
        return std::pair{b.terms(parts), sum};
      };
      const auto own = found();
      b.graph.reset();
      const auto wanted = found();
      const double tolerance = std::sqrt(x_.scalar_type() == at::kDouble ? 2e-16 : 1e-7);
      const auto close = [&](const at::Tensor& a, const at::Tensor& of) {
        return (a - of).norm().item<double>() <= tolerance * of.norm().item<double>();
      };
      return close(own.first, wanted.first) && close(own.second, wanted.second);
    });
  }

  /// What a stepper would keep, from a few points.
  std::int64_t kept_bytes() const {
    const Differentiating recording;
    auto b = batch_at(modules_[0], 0, 1);
    if (!add_graph(b, orders_)) return std::numeric_limits<std::int64_t>::max();
    // A motion holds a tangent and an adjoint at each use, a graph an operand and an adjoint there, and more.
    const auto motions = orders_ == 1 ? 0 : static_cast<std::int64_t>(copies_.count());
    return b.graph->bytes() * (1 + motions) * samples();
  }

  /// A copy of the module for each worker; one that cannot be copied alone.
  const std::vector<PointModule>& for_workers() const {
    const std::lock_guard lock(mutex_);
    while (!alone_ && x_.is_cpu() && static_cast<int>(modules_.size()) < threads())
      modules_.push_back(modules_[0].copy());
    return modules_;
  }

  ModuleStartKind kind_;
  Copies copies_;
  KernelMode mode_ = KernelMode::reference;
  mutable std::vector<PointModule> modules_;
  mutable std::mutex mutex_;
  bool alone_;
  std::int64_t batches_ = 1, batch_ = 1;
};

}  // namespace

at::Tensor forward_at(const PointModule& module, const at::Tensor& x) {
  return of_user(fmt::format("module: its forward failed at points of shape {}", fmt::streamed(x.sizes())),
                 [&] { return module.forward(x); });
}

void check_function_of_points(const FunctionAtStart& f, const ModuleStart& start, const at::Tensor& x, int orders) {
  const Differentiating recording;
  const at::NoGradGuard no_grad;
  const SerialTorch serial;
  bool random = false;
  output_at_start(f, start, {x}, orders, false, random);
  if (random) throw InputError(draws_at_random);
  // A displacement as large as the start: at the start itself the output may be 0, whatever it depends on.
  auto generator = at::detail::createCPUGenerator(11);
  variable_list displacement;
  for (const auto& t : start.parameters()) {
    // A long tensor repeats some draws, a prime number of them, so that a weight's rows differ.
    const auto count = std::clamp<std::int64_t>(t.numel(), 1, 8191);
    const auto some = at::randn({count}, generator, at::kDouble).to(t.options());
    const auto drawn = some.repeat({(t.numel() + count - 1) / count}).narrow(0, 0, t.numel()).view(t.sizes());
    const double size = t.detach().norm().item<double>(), of = drawn.norm().item<double>();
    displacement.push_back(drawn * (of > 0 ? (size > 0 ? size : 1) / of : 0));
  }
  const std::int64_t n = x.size(0);
  const auto terms = [&](const at::Tensor& at) {
    return expansion_terms(f, start, orders, displacement, {at}).reshape({orders + 1, at.size(0), -1});
  };
  const auto together = terms(x);
  const auto finite = together.isfinite();
  const auto sizes = at::where(finite, together.abs(), 0).amax({1, 2}).unsqueeze(1);
  for (const std::int64_t i : {std::int64_t{0}, n - 1}) {
    const auto off = (together.select(1, i) - terms(x.narrow(0, i, 1)).select(1, 0)).abs();
    // Of a term that vanishes nothing but rounding is left; alone it may be no number.
    const auto as_alone = (off <= 1e-3 * sizes).logical_or(off <= 1e-5 * sizes.max());
    if (!as_alone.logical_not().logical_and(finite.select(1, i)).any().item<bool>()) continue;
    throw InputError(
        "module: its output at a point depends on the other points (as with batch_norm in training mode), so that it "
        "is "
        "no function of points");
  }
}

at::Tensor output_at(const PointModule& module, const at::Tensor& x) {
  const auto output = forward_at(module, x);
  const std::int64_t n = x.size(0);
  const bool fits =
      output.defined() && (output.dim() == 1 || (output.dim() == 2 && output.size(1) == 1)) && output.size(0) == n;
  if (!fits) {
    throw InputError(fmt::format("module: expected one number for each of {} points, got {}", n,
                                 output.defined() ? fmt::format("{}", fmt::streamed(output.sizes())) : "nothing"));
  }
  check_like("module: its output", output, "x", x);
  return output.reshape({n});
}

namespace {

/// While it is there, what this thread allocates.
struct Allocations : c10::MemoryReportingInfoBase {
  void reportMemoryUsage(void*, std::int64_t size, std::size_t, std::size_t, c10::Device) override {
    now += static_cast<double>(size);
    most = std::max(most, now);
  }
  bool memoryProfilingEnabled() const override { return true; }
  double now = 0, most = 0;
};

/// Kept, and at most beside it.
std::pair<double, double> bytes_at(const Primitive& primitive) {
  const auto options = primitive.points().options();
  const auto w = at::zeros(primitive.displacement_sizes(), options);
  const auto g = at::ones({primitive.orders(), primitive.samples()}, options);
  primitive.terms(w);  // makes the workers' copies of the module
  const auto count = std::make_shared<Allocations>();
  const c10::DebugInfoGuard counting(c10::DebugInfoKind::PROFILER_STATE, count);
  const auto stepper = primitive.stepper(w);
  const double kept = count->now;
  stepper->step(w, g, {});
  return {kept, std::max(0.0, count->most - kept)};
}

}  // namespace

std::int64_t module_batch(std::int64_t samples) { return batch_of(samples, points_at_once); }
std::int64_t module_lanes(std::int64_t samples) {
  const auto batch = module_batch(samples);
  return std::min(lanes_at_most, (samples + batch - 1) / batch);
}

ModuleBytes module_bytes(const std::function<std::shared_ptr<const Primitive>(const at::Tensor& x)>& make,
                         const at::Tensor& points) {
  const auto [kept, working] = bytes_at(*make(points.narrow(0, 0, 1)));
  const auto [kept_by_three, working_at_three] = bytes_at(*make(points.narrow(0, 0, 3)));
  ModuleBytes bytes;
  bytes.kept_a_point = std::max(0.0, (kept_by_three - kept) / 2);
  bytes.kept = std::max(0.0, kept - bytes.kept_a_point);
  bytes.working_a_point = std::max(0.0, (working_at_three - working) / 2);
  bytes.working = std::max(0.0, working - bytes.working_a_point);
  return bytes;
}

at::Tensor module_terms(const PointModule& module, ModuleStartKind kind, const at::Tensor& x, int orders,
                        const at::Tensor& displacement) {
  const auto& parameters = module.start.parameters();
  const Copies copies(kind, count_of(parameters));
  const auto f = [module](const variable_list& in) { return output_at(module, in[0]); };
  at::Tensor sum;
  for (std::size_t c = 0; c < copies.count(); ++c) {
    const auto terms =
        expansion_terms(f, module.start, orders, copies.parts(displacement, c, parameters), {x}) * copies.factors[c];
    sum = sum.defined() ? sum + terms : terms;
  }
  return sum;
}

std::shared_ptr<const Primitive> make_module_primitive(const PointModule& module, ModuleStartKind kind,
                                                       const at::Tensor& x, const PrimitiveOptions& options) {
  if (!x.defined() || x.dim() < 1 || x.numel() == 0) {
    throw InputError("x: expected points, a row each, got " + shape_text(x));
  }
  kernels::check_constant("x", x);
  const int orders = options.orders;
  if (orders < 1 || orders > kernels::max_orders) {
    throw InputError(fmt::format("orders: expected 1 to {}, got {}", kernels::max_orders, orders));
  }
  const Differentiating recording;
  return std::make_shared<ModulePrimitive>(module, kind, recordable(x.detach()), options);
}

}  // namespace entk
