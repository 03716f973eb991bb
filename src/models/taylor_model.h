// The model that the paper trains: f(·;0) + f_L + f_Q (7)(11), and its shorter and longer relatives.
#pragma once

#include "entk/models/linear_term.h"
#include "entk/models/quadratic_term.h"

namespace entk {

/// Which terms a model has.
struct TaylorModelOptions {
  int order = 2;               ///< terms 1 … order, up to 4
  bool linear_term = true;     ///< without f_L: the QuadNTK alone
  bool initial_output = true;  ///< without f(·;0): f_L + f_Q as in (28), for starts that are not symmetric
  bool whole_network = false;  ///< t_2 = f − f(·;0) − f_L in place of f_Q: the model is the network (1) itself
};

/// f(x;0) + Σ_{p ≤ order} t_p(x;W), t_1 = f_L, t_2 = f_Q. One parameter: the network's W, registered
/// once; `linear` and `quadratic` are unregistered views of the same network.
class TaylorModelImpl : public torch::nn::Cloneable<TaylorModelImpl> {
 public:
  /// @throws InputError unless 1 ≤ order ≤ 4, order ≥ 2 without the linear term, and order = 2 for the
  /// whole network.
  explicit TaylorModelImpl(Network of, const TaylorModelOptions& options = {});

  /// x: n×d; length n. Differentiable in W and x to any order, together too: where x requires a gradient, by
  /// ordinary autograd on n×m arrays, slower; otherwise by entk's kernels.
  at::Tensor forward(const at::Tensor& x);
  /// (t_1 … t_order): order×n.
  at::Tensor terms(const at::Tensor& x);
  /// The model's output from its terms and f(x;0).
  at::Tensor output(const at::Tensor& terms, const at::Tensor& initial) const;

  void reset() override;  ///< torch's: registers W again

  const TaylorModelOptions& options() const { return options_; }  ///< as it was made with
  /// The primitive of the model's terms on x; options.orders is the model's own.
  std::shared_ptr<const TaylorPrimitive> primitive(const at::Tensor& x, PrimitiveOptions options) const;

  Network network;                   ///< with W, W0, a and σ
  LinearTerm linear{nullptr};        ///< f_L
  QuadraticTerm quadratic{nullptr};  ///< f_Q

 private:
  TaylorModelOptions options_;
  ExpansionCache cache_;
};
TORCH_MODULE(TaylorModel);

}  // namespace entk
