// A module's output at some points as the graph of operations that autograd recorded, with rules of its own for what an
// expansion to second order takes: products, convolutions, what acts on each entry alone, and linear operations.
//
//   b    an operation's adjoint: the derivative of each point's output in the operation's output, at θ0
//   t    its tangent along δ;  c = D b[δ]
//   t_1  the output's tangent,   t_2 = ½ Σ_operations ⟨b, D²op[t, t]⟩, point by point
//   ∇f: a ⊗ b at each use of a weight, a what it multiplies;   D²f[δ, ·]: t_a ⊗ b + a ⊗ c
//
// b, a and the operations' derivatives belong to the points; δ costs two products a weight forward and two back, and
// a gradient two more, where differentiating twice by reverse mode takes some twenty.
#pragma once

#include <torch/csrc/autograd/variable.h>

#include <optional>
#include <vector>

#include "entk/models/module_start.h"

namespace entk {

/// Internal to the library: module_primitive.h and empirical_ntk.h are made of it.
class PointGraph {
 public:
  using Tensors = std::vector<at::Tensor>;

  /// Of an output with a graph: a vector of n numbers, or n×O. None where an operation has no rule here, or a parameter
  /// enters otherwise than through linear operations and products with points. Rows of what belongs to points are
  /// assumed to be those of one point after another: whoever asks compares with autograd once.
  static std::optional<PointGraph> of(const at::Tensor& output, const ModuleStart& start);

  /// What a displacement moves at each use of a parameter.
  struct Motion {
    Tensors operands;  ///< t_a
    Tensors adjoints;  ///< c
    at::Tensor terms;  ///< t_1 and t_2: 2×n
    std::int64_t bytes() const;
  };

  /// b where the output's is ones, and what else the functions below need, but for factors(): of order 1
  /// linear_term() and add_gradient() of ∇f alone. The output: n numbers.
  void fix(int order = 2);
  /// t_1: n. parts: δ, one tensor a parameter.
  at::Tensor linear_term(const Tensors& parts) const;
  /// (t_1, t_2): 2×n.
  at::Tensor terms(const Tensors& parts) const { return moved(parts, false).terms; }
  Motion motion(const Tensors& parts) const { return moved(parts, true); }
  /// (Df[v], D²f[δ, v]) at each point for the motion of δ: 2×n.
  at::Tensor terms_along(const Motion& motion, const Tensors& parts) const;

  /// A motion and the weight of D²f[δ, ·] at each point.
  struct Weighted {
    const Motion* motion;
    at::Tensor weights;
  };
  /// sum += Σ_x first(x) ∇f(x) + Σ_x weight(x) D²f(x)[δ, ·] over the motions. sum: all parameters as one vector.
  void add_gradient(const at::Tensor& first, const std::vector<Weighted>& second, const at::Tensor& sum) const;

  /// A parameter's gradient at each point as a product: scale aᵀb, a: n×T×i (undefined for ones at one place), b:
  /// n×T×o.
  struct Factor {
    at::Tensor a, b;
    double scale;
  };
  /// Those of ⟨cotangent, output⟩ for all parameters; none where a parameter is used twice or is no such product.
  std::optional<std::vector<Factor>> factors(const at::Tensor& cotangent) const;

  /// Of what is held beside the parameters.
  std::int64_t bytes() const;

 private:
  enum class Kind { parameter, linear, entrywise, product, convolution };
  using NodePointer = std::decay_t<decltype(std::declval<const at::Tensor&>().grad_fn())>;
  struct Operation {
    Kind kind = Kind::linear;
    NodePointer node{};
    std::vector<int> inputs{};              ///< the operations that they are of; −1: held fixed
    bool of_points = false;                 ///< depends on the points, not on parameters alone
    bool uses = false;                      ///< of points, and an input is parameters' alone
    bool keeps_size = true;                 ///< linear, of parameters alone: an isometry up to a factor
    std::int64_t parameter = 0, first = 0;  ///< its number, and its place among all
    at::Tensor a{}, b{};                    ///< operands of a product
    bool vector = false;                    ///< b is one
    double alpha = 1, beta = 1;             ///< α a b + β c
    at::Tensor unit{};                      ///< linear: any v,
    Tensors pulled{};                       ///< and the transpose applied to it, whose own transpose it is
    at::Tensor slope{}, curvature{};        ///< entrywise: σ', and σ'' (b∘σ'' once fixed)
    at::Tensor adjoint{};                   ///< b, where used
  };

  bool read(Operation& op);
  void prepare(Operation& op, int order) const;
  Tensors moved_parameters(const Tensors& parts) const;
  Motion moved(const Tensors& parts, bool with_adjoints) const;
  Tensors adjoints(const at::Tensor& cotangent) const;
  void pull_points(const Operation& op, const at::Tensor& bar, Tensors& bars) const;
  Tensors pull(const Operation& op, const at::Tensor& bar) const;
  at::Tensor linear(const Operation& op, const Tensors& t, bool points_too) const;
  at::Tensor shifted(const Operation& op, const Tensors& t) const;
  at::Tensor apply(const Operation& op, const at::Tensor& a, const at::Tensor& b) const;
  at::Tensor to_points(const Operation& op, const at::Tensor& bar, const at::Tensor& b) const;
  at::Tensor to_weight(const Operation& op, const at::Tensor& a, const at::Tensor& bar) const;
  at::Tensor weighted(const at::Tensor& t, const at::Tensor& weights) const;
  at::Tensor inner(const at::Tensor& a, const at::Tensor& b) const;
  at::Tensor place(int index, const at::Tensor& sum) const;
  at::Tensor for_all_points(const at::Tensor& bar, at::IntArrayRef sizes) const;
  std::optional<double> scale_of(int index, std::vector<bool>& used) const;

  std::vector<Operation> operations_;  // inputs first; the output last
  std::int64_t points_ = 0;
};

}  // namespace entk
