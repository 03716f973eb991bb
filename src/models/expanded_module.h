// Any torch::nn module at its start θ0, with the displacement of all its parameters as one vector.
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/modules/container/any.h>
#include <torch/nn/pimpl.h>

#include <concepts>
#include <functional>

#include "entk/models/expandable.h"
#include "entk/models/module_start.h"

namespace entk {

/// A module type whose forward takes points, a row each, and gives one number for each: [n] or [n, 1].
template <class M>
concept ModuleOfPoints = std::derived_from<M, torch::nn::Module> && requires(M& module, const at::Tensor& x) {
  { module.forward(x) } -> std::convertible_to<at::Tensor>;
};

/// Such a module at its start, whatever its type.
struct PointModule {
  ModuleStart start;                                       ///< θ0
  std::function<at::Tensor(const at::Tensor& x)> forward;  ///< at θ0
  std::function<PointModule()> copy;                       ///< shares nothing with it, where start.is_copy()
};
/// Of a module at its parameters.
template <ModuleOfPoints M>
PointModule point_module(const std::shared_ptr<M>& module) {
  const ModuleStart start(module, module ? module->parameters() : std::vector<at::Tensor>());
  const auto own = std::static_pointer_cast<M>(start.module());
  return {start, [own](const at::Tensor& x) -> at::Tensor { return own->forward(x); },
          [own] { return point_module(own); }};
}
/// The same.
PointModule point_module(const torch::nn::AnyModule& module);

/// How a displacement becomes the model's.
enum class ModuleStartKind {
  plain,  ///< δ: t_p(x;δ), and f(x;0) is the module's output at θ0
  pair,   ///< (δ, δ'): (t_p(x;δ) − t_p(x;δ'))/√2 of two copies with opposite signs, as (8)(9), so that f(·;0) = 0
};

/// A module's start and its displacement δ = θ − θ0: one parameter "displacement" of length p, the number of trainable
/// parameters, in the order of parts(); for a pair 2p.
class ExpandedModuleImpl : public torch::nn::Cloneable<ExpandedModuleImpl>, public Expandable {
 public:
  /// At δ = 0.
  explicit ExpandedModuleImpl(PointModule module, ModuleStartKind kind = ModuleStartKind::plain);

  /// Where a parameter's entries lie in the displacement (its first copy's).
  struct Part {
    std::string name;                 ///< of the parameter
    std::int64_t first;               ///< its first entry
    std::vector<std::int64_t> sizes;  ///< its shape
    /// That part of a displacement, in the parameter's shape: a view.
    at::Tensor of(const at::Tensor& displacement) const;
  };
  const std::vector<Part>& parts() const { return parts_; }  ///< of the displacement
  const PointModule& module() const { return module_; }      ///< at its start
  ModuleStartKind kind() const { return kind_; }             ///< plain or a pair

  const at::Tensor& displacement() const override { return displacement_; }
  std::vector<std::pair<std::string, at::Tensor>> start() const override;
  std::shared_ptr<Expandable> same_start() const override;
  std::shared_ptr<Expandable> exact() const override;
  void check_points(const std::string& name, const at::Tensor& x) const override;
  at::Tensor initial_output(const at::Tensor& x) const override;
  std::shared_ptr<const Primitive> primitive(const at::Tensor& x, const PrimitiveOptions& options) const override;
  TermsAtPoints reference(const at::Tensor& x, int orders) const override;
  std::string vanishing_terms(int, const at::Tensor&) const override { return {}; }

  void reset() override;  ///< torch's: registers the displacement again
  /// With a module of its own.
  std::shared_ptr<torch::nn::Module> clone(const std::optional<torch::Device>& device = std::nullopt) const override;
  void train(bool on = true) override;                                                    ///< the module too
  void to(torch::Device device, torch::Dtype dtype, bool non_blocking = false) override;  ///< the module too
  void to(torch::Dtype dtype, bool non_blocking = false) override;                        ///< the module too
  void to(torch::Device device, bool non_blocking = false) override;                      ///< the module too

 private:
  PointModule module_;
  ModuleStartKind kind_;
  std::vector<Part> parts_;
  at::Tensor displacement_;
};
TORCH_MODULE(ExpandedModule);

}  // namespace entk
