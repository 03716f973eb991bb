#include "entk/models/expanded_module.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ostream.h>

#include <algorithm>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/models/cloned_module.h"
#include "entk/models/module_primitive.h"

namespace entk {

PointModule point_module(const torch::nn::AnyModule& module) {
  if (module.is_empty()) throw InputError("module: expected one, got none");
  auto own = module;
  bool is_copy = false;
  try {
    const Differentiating recording;
    const auto copy = module.clone();
    is_copy = copy.ptr() != nullptr && freeze_alike(*copy.ptr(), *module.ptr());  // none: of another type
    if (is_copy) own = copy;
  } catch (const c10::Error&) {
    // Not Cloneable: held.
  }
  return {ModuleStart(own.ptr(), own.ptr()->parameters(), is_copy),
          [own](const at::Tensor& x) mutable { return own.forward<at::Tensor>(x); },
          [own] { return point_module(own); }};
}

ExpandedModuleImpl::ExpandedModuleImpl(PointModule module, ModuleStartKind kind)
    : module_(std::move(module)), kind_(kind) {
  const auto& start = module_.start;
  std::int64_t first = 0;
  for (std::size_t i = 0; i < start.parameters().size(); ++i) {
    const auto& t = start.parameters()[i];
    check_floating("module: its parameter " + start.names()[i], t);
    check_like("module: its parameter " + start.names()[i], t, start.names()[0], start.parameters()[0]);
    parts_.push_back({start.names()[i], first, t.sizes().vec()});
    first += t.numel();
  }
  displacement_ = register_parameter("displacement", at::zeros({kind == ModuleStartKind::pair ? 2 * first : first},
                                                               start.parameters()[0].options().requires_grad(false)));
}

at::Tensor ExpandedModuleImpl::Part::of(const at::Tensor& displacement) const {
  const auto count = c10::multiply_integers(sizes);
  check_vector("displacement", displacement, -1);
  if (displacement.size(0) < first + count) {
    throw InputError(fmt::format("displacement: expected all of the module's, at least {} numbers, got {}",
                                 first + count, displacement.size(0)));
  }
  return displacement.narrow(0, first, count).view(sizes);
}

std::vector<std::pair<std::string, at::Tensor>> ExpandedModuleImpl::start() const {
  module_.start.check_unchanged();
  std::vector<std::pair<std::string, at::Tensor>> values;
  for (const auto& item : module_.start.module()->named_parameters()) values.emplace_back(item.key(), item.value());
  for (const auto& item : module_.start.module()->named_buffers()) values.emplace_back(item.key(), item.value());
  return values;
}

std::shared_ptr<Expandable> ExpandedModuleImpl::same_start() const {
  return std::make_shared<ExpandedModuleImpl>(module_.start.is_copy() ? module_.copy() : module_, kind_);
}

std::shared_ptr<Expandable> ExpandedModuleImpl::exact() const {
  auto same = std::static_pointer_cast<ExpandedModuleImpl>(same_start());
  if (module_.start.is_copy()) same->to(at::kDouble);
  return same;
}

void ExpandedModuleImpl::check_points(const std::string& name, const at::Tensor& x) const {
  if (!x.defined() || x.dim() < 1 || x.numel() == 0) {
    throw InputError(fmt::format("{}: expected points, a row each, got {}", name,
                                 x.defined() ? fmt::format("shape {}", fmt::streamed(x.sizes())) : "nothing"));
  }
  check_floating(name, x);
}

at::Tensor ExpandedModuleImpl::initial_output(const at::Tensor& x) const {
  check_points("x", x);
  check_like("x", x, "W", displacement_);
  kernels::check_constant("x", x);
  module_.start.check_unchanged();
  if (kind_ == ModuleStartKind::pair) return at::zeros({x.size(0)}, x.options().requires_grad(false));
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  constexpr std::int64_t at_once = 1024;
  std::vector<at::Tensor> pieces;
  for (std::int64_t from = 0; from < x.size(0); from += at_once) {
    pieces.push_back(output_at(module_, x.narrow(0, from, std::min(at_once, x.size(0) - from))));
  }
  return at::cat(pieces);
}

std::shared_ptr<const Primitive> ExpandedModuleImpl::primitive(const at::Tensor& x,
                                                               const PrimitiveOptions& options) const {
  check_points("x", x);
  return make_module_primitive(module_, kind_, x.to(displacement_.device(), displacement_.scalar_type()), options);
}

TermsAtPoints ExpandedModuleImpl::reference(const at::Tensor& x, int orders) const {
  const auto terms = module_terms(module_, kind_, x, orders, displacement_);
  return {terms.narrow(0, 1, orders), terms[0]};
}

void ExpandedModuleImpl::reset() {
  // Also called by clone(), which then copies its values over these.
  if (module_.start.is_copy()) module_ = module_.copy();
  displacement_ = register_parameter("displacement", at::zeros_like(displacement_.detach()));
}

std::shared_ptr<torch::nn::Module> ExpandedModuleImpl::clone(const std::optional<torch::Device>& device) const {
  auto copy = Cloneable::clone();
  if (device) copy->to(*device);
  return copy;
}

void ExpandedModuleImpl::train(bool on) {
  Module::train(on);
  module_.start.module()->train(on);
}

void ExpandedModuleImpl::to(torch::Device device, torch::Dtype dtype, bool non_blocking) {
  Module::to(device, dtype, non_blocking);
  module_.start.to(device, dtype, non_blocking);
}
void ExpandedModuleImpl::to(torch::Dtype dtype, bool non_blocking) {
  Module::to(dtype, non_blocking);
  module_.start.to(dtype, non_blocking);
}
void ExpandedModuleImpl::to(torch::Device device, bool non_blocking) {
  Module::to(device, non_blocking);
  module_.start.to(device, non_blocking);
}

}  // namespace entk
