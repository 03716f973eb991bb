// An objective bound to a model and a training sample: values and gradients of L_λ.
//
// J(W) = D(u) + E(W), u = (t_1 … t_P) at the training points and at the terms' own points, all in one
// primitive: ∂J/∂W = pull_back(W, ∂D/∂u) + ∂E/∂W.
#pragma once

#include <optional>

#include "entk/data/dataset.h"
#include "entk/kernels/gpu/recordable_stepper.h"
#include "entk/train/objective.h"

namespace entk {

/// Values of L_λ and its parts at one W, all 0-dimensional, and what its gradient is made of.
struct Evaluation {
  at::Tensor loss;                ///< E_n ℓ(y, f)
  at::Tensor regularized;         ///< L_λ
  std::vector<at::Tensor> terms;  ///< R_i, unweighted; undefined where it was not asked for
  at::Tensor cotangents;          ///< ∂D/∂u: P×ñ
  at::Tensor extra;               ///< ∂E/∂W, or undefined
};

/// Makes the primitive of a model on points; TaylorModelImpl::primitive by default.
using PrimitiveFactory = std::function<std::shared_ptr<const Primitive>(
    const TaylorModelImpl& model, const at::Tensor& x, const PrimitiveOptions& options)>;

/// @throws InputError for targets that are no labels where the loss needs them, or whose loss at f = 0 is beyond their
/// type.
void check_targets(const std::string& name, const Loss& loss, const at::Tensor& y);

/// @throws InputError where shapes, types, devices or labels do not fit.
class BoundObjective {
 public:
  /// `factory` makes the primitives; empty: make_primitive.
  BoundObjective(TaylorModel model, Objective objective, const Samples& train, const PrimitiveOptions& options,
                 const PrimitiveFactory& factory = {});

  /// The primitive on the training points and all own points of terms with a nonzero weight.
  const std::shared_ptr<const Primitive>& primitive() const { return primitive_; }
  const Objective& objective() const { return objective_; }  ///< as it was given
  TaylorModel model() const { return model_; }               ///< a handle to the model
  std::int64_t samples() const { return samples_; }          ///< n, training points

  /// L_λ from the primitive's terms at w, with what its gradient is made of. Terms of weight zero are
  /// left out. `step`: the run's, for terms that draw points of their own. `batch`: the training points whose loss it
  /// is (int64), all where it is undefined; terms keep theirs. @throws InputError naming a loss or term that has no
  /// gradient.
  Evaluation evaluate(const at::Tensor& terms, const at::Tensor& w, std::int64_t step = 0,
                      const at::Tensor& batch = {}) const;
  /// The primitive at a batch, where a step takes its points alone: no term has a weight. Null where all points are
  /// taken anyway, or cost no more.
  std::shared_ptr<const Primitive> primitive_at(const at::Tensor& batch) const;
  /// evaluate() of a batch from that primitive's terms.
  Evaluation evaluate_at(const at::Tensor& batch, const at::Tensor& terms) const;
  /// The objective in the form that devices have kernels of their own for, where it has it: the square loss with R1
  /// or R3 of one projector made by the training points.
  std::optional<SquareObjective> as_square() const;
  /// evaluate() from what such kernels made.
  Evaluation evaluation_of(const RecordableStepper::Square& square) const;
  /// L_λ as a differentiable expression of the primitive's terms (P×ñ) and of W, for second
  /// derivatives. @throws InputError for a term that goes through the whole model.
  at::Tensor expression(const at::Tensor& terms, const at::Tensor& w) const;
  /// All terms' values, those of weight zero too; no gradient.
  Evaluation values(const at::Tensor& terms, const at::Tensor& w, std::int64_t step = 0) const;
  /// What a user should know of the gradients of the loss and of each term with a weight, at a run's first W: those
  /// that are exactly 0. @throws InputError naming the loss or term whose gradient is not finite.
  std::vector<std::string> check_gradients(const at::Tensor& terms, const at::Tensor& w, std::int64_t step) const;
  /// ∇L_λ(W), like W.
  at::Tensor gradient(const at::Tensor& w, const Evaluation& evaluation) const;
  /// The loss of an output at other points. @throws InputError for targets of another length, or labels that are none.
  double loss_of(const at::Tensor& output, const at::Tensor& targets, const char* name = "targets") const;
  /// Terms, output and targets at the training points, from the primitive's terms (P×ñ).
  TermInputs training_inputs(const at::Tensor& terms) const { return inputs_from(terms, 0); }

  /// Terms that take the slow way, by name: for a notice.
  std::vector<std::string> slow_terms() const;

 private:
  /// evaluate() of some parts: 0 is the loss, i + 1 the i-th term. At least one.
  Evaluation evaluate_parts(const at::Tensor& terms, const at::Tensor& w, std::int64_t step, const at::Tensor& batch,
                            const std::function<bool(std::size_t part)>& wanted) const;
  struct OwnPoints {
    std::int64_t first = 0, count = 0;          // columns of the primitive's terms
    std::shared_ptr<const Primitive> separate;  // for terms of weight zero: evaluated at records
  };
  at::Tensor term_value(std::size_t index, TermInputs inputs, const at::Tensor& all_terms, const at::Tensor& w) const;
  TermInputs inputs_from(const at::Tensor& all_terms, std::int64_t step) const;

  TaylorModel model_;
  Objective objective_;
  std::int64_t samples_;
  at::Tensor targets_, initial_;
  std::vector<std::optional<OwnPoints>> own_;  // one a term
  std::shared_ptr<const Primitive> primitive_;
};

}  // namespace entk
