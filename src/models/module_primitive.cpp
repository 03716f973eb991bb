#include "entk/models/module_primitive.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "entk/base/check.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/models/expansion_terms.h"

namespace entk {

namespace {

using torch::autograd::variable_list;

constexpr std::int64_t points_at_once = 128, points_at_once_on_device = 1024;  // part of the bits
constexpr std::int64_t lanes_at_most = 8;                                      // sums of parameters' size, part too

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
  std::vector<double> factors;
  std::int64_t parameters;
};

std::int64_t count_of(const variable_list& parameters) {
  std::int64_t count = 0;
  for (const auto& t : parameters) count += t.numel();
  return count;
}

class ModulePrimitive final : public Primitive, public std::enable_shared_from_this<ModulePrimitive> {
 public:
  ModulePrimitive(const PointModule& module, ModuleStartKind kind, const at::Tensor& x, int orders)
      : Primitive(x, Copies(kind, count_of(module.start.parameters())).length(), orders),
        kind_(kind),
        copies_(kind, count_of(module.start.parameters())),
        modules_{module.start.is_copy() ? module.copy() : module},
        alone_(!module.start.is_copy()) {
    const std::int64_t most = x.is_cpu() ? points_at_once : points_at_once_on_device;
    batches_ = (samples() + most - 1) / most;
    batch_ = (samples() + batches_ - 1) / batches_;
    batches_ = (samples() + batch_ - 1) / batch_;
    check_points_are_independent();
  }

  KernelMode mode() const override { return KernelMode::recompute; }
  const char* backend() const override { return kind_ == ModuleStartKind::pair ? "module, pair" : "module"; }

  at::Tensor terms(const at::Tensor& w) const override {
    kernels::check_weights("w", w, *this);
    const Differentiating recording;
    const auto at = constant(w);
    return forms(orders_, [&](const Batch& b, at::Tensor& rows) {
      for (std::size_t c = 0; c < copies_.count(); ++c) {
        const auto chain = b.chain(part(at, c, b), orders_, false);
        for (int p = 1; p <= orders_; ++p) rows[p - 1].add_(chain[p].detach(), copies_.factors[c]);
      }
    });
  }

  at::Tensor pull_back(const at::Tensor& w, const at::Tensor& cotangents) const override {
    kernels::check_weights("w", w, *this);
    kernels::check_cotangents(cotangents, orders_, *this);
    const Differentiating recording;
    const auto at = constant(w), g = constant(cotangents);
    return gradient([&](const Batch& b, std::size_t c) {
      const auto chain = b.chain(part(at, c, b), orders_ - 1, true);
      return b.gradient(chain, b.rows(g));
    });
  }

  at::Tensor terms_along(const at::Tensor& w, const at::Tensor& v) const override {
    kernels::check_weights("w", w, *this);
    kernels::check_weights("v", v, *this);
    const Differentiating recording;
    const auto at = constant(w), by = constant(v);
    return forms(2, [&](const Batch& b, at::Tensor& rows) {
      for (std::size_t c = 0; c < copies_.count(); ++c) {
        const auto chain = b.chain(part(at, c, b), 1, true);
        const auto direction = part(by, c, b);
        for (int p = 0; p < 2; ++p) {
          rows[p].add_(along(chain[p], b.parameters(), direction, false).detach(), copies_.factors[c]);
        }
      }
    });
  }

  at::Tensor pull_back_along(const at::Tensor& w, const at::Tensor& v, const at::Tensor& cotangents) const override {
    kernels::check_weights("w", w, *this);
    kernels::check_weights("v", v, *this);
    kernels::check_cotangents(cotangents, 3, *this);
    const Differentiating recording;
    const auto at = constant(w), by = constant(v), g = constant(cotangents);
    return gradient([&](const Batch& b, std::size_t c) {
      const auto chain = b.chain(part(at, c, b), 1, true);
      return b.gradient({chain[0], chain[1], along(chain[0], b.parameters(), part(by, c, b), true)}, b.rows(g));
    });
  }

  at::Tensor reference_pull_back(const at::Tensor& w, const at::Tensor& cotangents) const override {
    const Differentiating recording;
    const auto at = w.requires_grad() ? w : recordable(w.detach()).requires_grad_(true);
    const auto terms = module_terms(modules_[0], kind_, x_, orders_, at).narrow(0, 1, orders_);
    return torch::autograd::grad({terms}, {at}, {cotangents}, true, true)[0];
  }

  std::unique_ptr<Stepper> stepper(const at::Tensor& w) const override {
    return kernels::plain_stepper(shared_from_this(), w);
  }

 private:
  /// Some points, the module's output there with its graph, and what is made of it.
  struct Batch {
    const PointModule& module;
    std::int64_t first, count;
    int order;
    at::Tensor output;

    const variable_list& parameters() const { return module.start.parameters(); }
    /// t_0 … t_P; the last with a graph if it is to be differentiated.
    variable_list chain(const variable_list& displacement, int orders, bool again) const {
      variable_list terms{output};
      for (int p = 1; p <= orders; ++p) {
        terms.push_back(along(terms.back(), parameters(), displacement, p < orders || again) / p);
      }
      return terms;
    }
    at::Tensor rows(const at::Tensor& cotangents) const { return cotangents.narrow(1, first, count); }
    /// ∂/∂θ0 Σ_i ⟨u_i, t_i⟩ as one vector.
    at::Tensor gradient(const variable_list& terms, const at::Tensor& u) const {
      variable_list flat;
      for (const auto& g : gradients(terms, parameters(), u.unbind(), false)) flat.push_back(g.reshape(-1));
      return at::cat(flat);
    }
  };

  /// As autograd may keep it, where Differentiating lives.
  static at::Tensor constant(const at::Tensor& t) { return recordable(t.detach()); }

  variable_list part(const at::Tensor& w, std::size_t copy, const Batch& b) const {
    return copies_.parts(w, copy, b.parameters());
  }

  /// P×n, filled batch by batch: form(batch, its zeros).
  template <class F>
  at::Tensor forms(int rows, F&& form) const {
    auto out = at::zeros({rows, samples()}, x_.options());
    for_batches(batches_, [&](std::int64_t, const Batch& b) {
      auto own = out.narrow(1, b.first, b.count);
      form(b, own);
    });
    return out;
  }

  /// Σ over batches of form(batch, copy), copy after copy.
  template <class F>
  at::Tensor gradient(F&& form) const {
    const std::int64_t lanes = std::min(lanes_at_most, batches_);
    auto sums = at::zeros({lanes, displacement_sizes_[0]}, x_.options()).unbind();
    for_batches(lanes, [&](std::int64_t lane, const Batch& b) {
      for (std::size_t c = 0; c < copies_.count(); ++c) {
        const at::NoGradGuard no_grad;
        sums[lane]
            .narrow(0, static_cast<std::int64_t>(c) * copies_.parameters, copies_.parameters)
            .add_(differentiating([&] { return form(b, c); }), copies_.factors[c]);
      }
    });
    return kernels::tree_sum(std::move(sums)).clone();
  }

  template <class F>
  static auto differentiating(F&& f) {
    const at::AutoGradMode on(true);
    return f();
  }

  /// f(lane, batch) for every batch, those of a lane one after another.
  template <class F>
  void for_batches(std::int64_t lanes, F&& f) const {
    const SerialTorch serial;
    const auto lane = [&](std::int64_t which, const PointModule& module) {
      const Differentiating recording;
      for (std::int64_t i = which; i < batches_; i += lanes) {
        differentiated(orders_, [&] { f(which, batch_of(module, i * batch_)); });
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

  Batch batch_of(const PointModule& module, std::int64_t first) const {
    const auto count = std::min(batch_, samples() - first);
    bool random = false;
    const auto output = output_at_start([&](const variable_list& in) { return output_at(module, in[0]); }, module.start,
                                        {x_.narrow(0, first, count)}, orders_, false, random);
    if (random) {
      throw InputError(
          "module: its forward draws random numbers (dropout in training mode does), so that it is another function at "
          "every call");
    }
    return {module, first, count, orders_, output};
  }

  void check_points_are_independent() const {
    const at::NoGradGuard no_grad;
    const SerialTorch serial;
    const auto together = output_at(modules_[0], x_.narrow(0, 0, std::min<std::int64_t>(batch_, 8)));
    const auto alone = output_at(modules_[0], x_.narrow(0, 0, 1));
    const double off = (together[0] - alone[0]).abs().item<double>(), size = together.abs().max().item<double>();
    if (!(off > 1e-3 * size)) return;
    throw InputError(
        "module: its output at a point depends on the other points (as with batch_norm in training mode), so that it "
        "is "
        "no function of points");
  }

  /// A copy of the module for each worker.
  const std::vector<PointModule>& for_workers() const {
    const std::lock_guard lock(mutex_);
    while (static_cast<int>(modules_.size()) < threads()) modules_.push_back(modules_[0].copy());
    return modules_;
  }

  ModuleStartKind kind_;
  Copies copies_;
  mutable std::vector<PointModule> modules_;
  mutable std::mutex mutex_;
  bool alone_;
  std::int64_t batches_ = 1, batch_ = 1;
};

}  // namespace

at::Tensor forward_at(const PointModule& module, const at::Tensor& x) {
  try {
    return module.forward(x);
  } catch (const c10::OutOfMemoryError&) {
    throw;
  } catch (const c10::Error& e) {
    const std::string what = e.what_without_backtrace();
    throw InputError(fmt::format("module: its forward failed at points of shape {}: {}", fmt::streamed(x.sizes()),
                                 what.substr(0, what.find('\n'))));
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
                                                       const at::Tensor& x, int orders) {
  kernels::check_constant("x", x);
  if (orders < 1 || orders > kernels::max_orders) {
    throw InputError(fmt::format("orders: expected 1 to {}, got {}", kernels::max_orders, orders));
  }
  const Differentiating recording;
  return std::make_shared<ModulePrimitive>(module, kind, recordable(x.detach()), orders);
}

}  // namespace entk
