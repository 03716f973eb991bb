#include "entk/models/whole_module_primitive.h"

#include <ATen/ATen.h>

#include <cmath>

#include "entk/base/check.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/kernels/row_primitive.h"
#include "entk/models/expansion_terms.h"
#include "entk/models/module_primitive.h"

namespace entk {

namespace {

/// f(x;θ0+δ) = Σ of these: the copies' factors, one for a plain start.
std::vector<double> copy_factors(ModuleStartKind kind) {
  if (kind == ModuleStartKind::plain) return {1.0};
  return {std::sqrt(0.5), -std::sqrt(0.5)};
}

std::int64_t parameters_of(const PointModule& module) {
  std::int64_t count = 0;
  for (const auto& t : module.start.parameters()) count += t.numel();
  return count;
}

void check_can_be_copied(const PointModule& module) {
  if (module.start.is_copy()) return;
  throw InputError(
      "whole_network: a module is moved from its start in copies, and this one cannot be copied; derive it from "
      "torch::nn::Cloneable");
}

/// For a module of one step: ordinary autograd, without a look at whether rules agree with it.
constexpr PrimitiveOptions once{.orders = 1, .mode = KernelMode::reference};

/// A copy with its parameters at θ0 + δ: as values or, where `differentiable`, as expressions of δ.
PointModule moved_by(const PointModule& module, const at::Tensor& displacement, bool differentiable) {
  auto moved = module.copy();
  std::int64_t first = 0;
  for (std::size_t i = 0; i < moved.start.parameters().size(); ++i) {
    auto t = moved.start.parameters()[i];
    const auto by = displacement.narrow(0, first, t.numel()).view(t.sizes());
    first += t.numel();
    if (differentiable) t.requires_grad_(false);  // from a leaf to what copy_ records
    const at::AutoGradMode recording(differentiable);
    t.copy_(module.start.parameters()[i].detach() + by);
  }
  return moved;
}

class WholeModulePrimitive final : public RowPrimitive, public std::enable_shared_from_this<WholeModulePrimitive> {
 public:
  WholeModulePrimitive(const PointModule& module, ModuleStartKind kind, const at::Tensor& x,
                       std::shared_ptr<const Primitive> linear)
      : RowPrimitive(x, linear->displacement_sizes(), 2),
        module_(module.copy()),
        kind_(kind),
        factors_(copy_factors(kind)),
        linear_(std::move(linear)),
        initial_(kind == ModuleStartKind::pair ? at::zeros({x.size(0)}, x.options()) : output_of(module_.copy())) {}

  KernelMode mode() const override { return KernelMode::recompute; }
  const char* backend() const override {
    return kind_ == ModuleStartKind::pair ? "module, pair, whole network" : "module, whole network";
  }

  at::Tensor terms(const at::Tensor& w) const override {
    const auto linear = linear_->terms(w)[0];
    const at::NoGradGuard no_grad;
    auto rest = -initial_ - linear;
    for (std::size_t c = 0; c < factors_.size(); ++c) rest.add_(output_of(moved(w, c)), factors_[c]);
    return at::stack({linear, rest});
  }

  at::Tensor pull_back(const at::Tensor& w, const at::Tensor& cotangents) const override {
    kernels::check_weights("w", w, *this);
    kernels::check_cotangents(cotangents, 2, *this);
    const auto g = cotangents.detach();
    auto gradient = linear_->pull_back(w, (g[0] - g[1]).unsqueeze(0));
    for (std::size_t c = 0; c < factors_.size(); ++c) {
      const auto at_w = make_module_primitive(moved(w, c), ModuleStartKind::plain, x_, once);
      part(gradient, c).add_(at_w->pull_back(at::zeros_like(part(w, c)), g[1].unsqueeze(0)), factors_[c]);
    }
    return gradient;
  }

  at::Tensor terms_along(const at::Tensor& w, const at::Tensor& v) const override {
    kernels::check_weights("w", w, *this);
    kernels::check_weights("v", v, *this);
    const auto linear = linear_->terms(v)[0];
    auto rest = -linear;
    for (std::size_t c = 0; c < factors_.size(); ++c) {
      const auto at_w = make_module_primitive(moved(w, c), ModuleStartKind::plain, x_, once);
      rest.add_(at_w->terms(part(v, c))[0], factors_[c]);
    }
    return at::stack({linear, rest});
  }

  at::Tensor pull_back_along(const at::Tensor& w, const at::Tensor& v, const at::Tensor& cotangents) const override {
    kernels::check_weights("w", w, *this);
    kernels::check_weights("v", v, *this);
    kernels::check_cotangents(cotangents, 3, *this);
    const auto g = cotangents.detach();
    auto gradient = linear_->pull_back(w, (g[0] - g[1]).unsqueeze(0));
    for (std::size_t c = 0; c < factors_.size(); ++c) {
      // Around θ0 + δ, ⟨g_2, ∂t_2/∂v⟩ = ⟨g_2, D²f[v, ·]⟩.
      const auto at_w = make_module_primitive(moved(w, c), ModuleStartKind::plain, x_, {.orders = 2});
      part(gradient, c).add_(at_w->pull_back(part(v, c).contiguous(), g.narrow(0, 1, 2)), factors_[c]);
    }
    return gradient;
  }

  at::Tensor reference_pull_back(const at::Tensor& w, const at::Tensor& cotangents) const override {
    kernels::check_weights("w", w, *this);
    kernels::check_cotangents(cotangents, 2, *this);
    const Differentiating recording;
    const auto at = w.requires_grad() ? w : recordable(w.detach()).requires_grad_(true);
    const auto linear = module_terms(module_, kind_, x_, 1, at)[1];
    const auto rest = whole_module_output(module_, kind_, x_, at) - initial_ - linear;
    return torch::autograd::grad({at::stack({linear, rest})}, {at}, {cotangents}, true, true)[0];
  }

  std::shared_ptr<const Primitive> at_rows(const at::Tensor& rows) const override {
    return std::shared_ptr<const Primitive>(
        new WholeModulePrimitive(*this, entk::at_rows(*linear_, rows), initial_.index_select(0, rows)));
  }

  std::unique_ptr<Stepper> stepper(const at::Tensor& w) const override {
    return kernels::plain_stepper(shared_from_this(), w);
  }

 private:
  WholeModulePrimitive(const WholeModulePrimitive& of, std::shared_ptr<const Primitive> linear, at::Tensor initial)
      : RowPrimitive(linear->points(), linear->displacement_sizes(), 2),
        module_(of.module_),
        kind_(of.kind_),
        factors_(of.factors_),
        linear_(std::move(linear)),
        initial_(std::move(initial)) {}

  /// Copy c's part: a view.
  at::Tensor part(const at::Tensor& w, std::size_t c) const {
    const auto length = w.size(0) / static_cast<std::int64_t>(factors_.size());
    return w.narrow(0, static_cast<std::int64_t>(c) * length, length);
  }
  PointModule moved(const at::Tensor& w, std::size_t c) const { return moved_by(module_, part(w.detach(), c), false); }
  at::Tensor output_of(PointModule module) const { return ExpandedModuleImpl(std::move(module)).initial_output(x_); }

  PointModule module_;
  ModuleStartKind kind_;
  std::vector<double> factors_;
  std::shared_ptr<const Primitive> linear_;
  at::Tensor initial_;
};

}  // namespace

std::shared_ptr<const Primitive> make_whole_module_primitive(const PointModule& module, ModuleStartKind kind,
                                                             const at::Tensor& x) {
  check_can_be_copied(module);
  auto linear = make_module_primitive(module, kind, x, {.orders = 1});
  const auto points = linear->points();
  return std::make_shared<WholeModulePrimitive>(module, kind, points, std::move(linear));
}

at::Tensor whole_module_output(const PointModule& module, ModuleStartKind kind, const at::Tensor& x,
                               const at::Tensor& displacement) {
  check_can_be_copied(module);
  const auto factors = copy_factors(kind);
  const auto length = parameters_of(module);
  check_vector("displacement", displacement, static_cast<std::int64_t>(factors.size()) * length);
  check_like("displacement", displacement, "the module's parameters", module.start.parameters()[0]);
  at::Tensor sum;
  for (std::size_t c = 0; c < factors.size(); ++c) {
    const auto by = displacement.narrow(0, static_cast<std::int64_t>(c) * length, length);
    const auto own = factors[c] * output_at(moved_by(module, by, at::GradMode::is_enabled()), x);
    sum = sum.defined() ? sum + own : own;
  }
  return sum;
}

}  // namespace entk
