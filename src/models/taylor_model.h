// The model that the paper trains: f(·;0) + f_L + f_Q (7)(11), and its shorter and longer relatives; of a two-layer
// network or of any torch::nn module.
#pragma once

#include "entk/models/expanded_module.h"
#include "entk/models/linear_term.h"
#include "entk/models/quadratic_term.h"

namespace entk {

/// Which terms a model has.
struct TaylorModelOptions {
  int order = 2;               ///< terms 1 … order, up to 4
  bool linear_term = true;     ///< without f_L: the QuadNTK alone
  bool initial_output = true;  ///< without f(·;0): f_L + f_Q as in (28), for starts that are not symmetric
  /// Of a module alone: two copies with opposite signs, both trained, so that f(·;0) = 0 as (8)(9) make it.
  bool pair = false;
  bool whole_network = false;  ///< t_2 = f − f(·;0) − f_L in place of f_Q: the model is the network itself
};

/// f(x;0) + Σ_{p ≤ order} t_p(x;W), t_1 = f_L, t_2 = f_Q. One parameter, W, registered once; `linear` and `quadratic`
/// are unregistered views of the same.
class TaylorModelImpl : public torch::nn::Cloneable<TaylorModelImpl> {
 public:
  /// @throws InputError unless 1 ≤ order ≤ 4, order ≥ 2 without the linear term, and order = 2 for the
  /// whole network.
  explicit TaylorModelImpl(const Network& of, const TaylorModelOptions& options = {});
  /// @throws InputError also where `pair` is not `of`'s kind.
  explicit TaylorModelImpl(const ExpandedModule& of, const TaylorModelOptions& options = {});

  /// x: n×d; length n. Differentiable in W and x to any order, together too: where x requires a gradient, by
  /// ordinary autograd on n×m arrays, slower; otherwise by entk's kernels.
  at::Tensor forward(const at::Tensor& x);
  /// (t_1 … t_order): order×n.
  at::Tensor terms(const at::Tensor& x);
  /// The model's output from its terms and f(x;0).
  at::Tensor output(const at::Tensor& terms, const at::Tensor& initial) const;

  void reset() override;  ///< torch's: registers W again

  const TaylorModelOptions& options() const { return options_; }  ///< as it was made with
  /// What is expanded.
  const Expandable& expanded() const { return *of_; }
  /// W.
  const at::Tensor& displacement() const { return of_->displacement(); }
  /// The network, for `what` reads its neurons. @throws InputError where the model is of a module.
  const NetworkImpl& two_layer(const std::string& what) const;
  /// The primitive of the model's terms on x; options.orders is the model's own.
  std::shared_ptr<const Primitive> primitive(const at::Tensor& x, PrimitiveOptions options) const;

  Network network{nullptr};          ///< with W, W0, a and σ; empty where the model is of a module
  ExpandedModule module{nullptr};    ///< empty where the model is of a Network
  LinearTerm linear{nullptr};        ///< f_L
  QuadraticTerm quadratic{nullptr};  ///< f_Q

 private:
  void check() const;
  TermsAtPoints at(const at::Tensor& x);

  std::shared_ptr<Expandable> of_;
  TaylorModelOptions options_;
  ExpansionCache cache_;
};

/// Holds one as torch's modules are held.
class TaylorModel : public torch::nn::ModuleHolder<TaylorModelImpl> {
 public:
  /// None.
  TaylorModel(std::nullptr_t) : ModuleHolder(nullptr) {}  // NOLINT: as torch's holders
  /// A handle to this one.
  TaylorModel(std::shared_ptr<TaylorModelImpl> model) : ModuleHolder(std::move(model)) {}  // NOLINT
  /// As TaylorModelImpl.
  explicit TaylorModel(const Network& of, const TaylorModelOptions& options = {})
      : ModuleHolder(std::make_shared<TaylorModelImpl>(of, options)) {}
  /// As TaylorModelImpl.
  explicit TaylorModel(const ExpandedModule& of, const TaylorModelOptions& options = {})
      : ModuleHolder(std::make_shared<TaylorModelImpl>(of, options)) {}
  /// Around the parameters that the module has now; it is copied and stays as it is (ModuleStart says what of one that
  /// cannot be).
  template <ModuleOfPoints M>
    requires(!std::same_as<M, NetworkImpl> && !std::same_as<M, TaylorModelImpl>)
  explicit TaylorModel(const std::shared_ptr<M>& of, const TaylorModelOptions& options = {})
      : TaylorModel(point_module(of), options) {}
  /// The same.
  template <ModuleOfPoints M>
  explicit TaylorModel(const torch::nn::ModuleHolder<M>& of, const TaylorModelOptions& options = {})
      : TaylorModel(of.ptr(), options) {}
  /// The same.
  explicit TaylorModel(const torch::nn::AnyModule& of, const TaylorModelOptions& options = {})
      : TaylorModel(point_module(of), options) {}

 private:
  TaylorModel(PointModule of, TaylorModelOptions options);
};

}  // namespace entk
