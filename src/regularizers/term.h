// A term of the regularized loss L_λ (20): a small differentiable expression of the vectors
// (f_L, f_Q, …) at some points, or of W.
//
// A term says what it reads. One that reads vectors costs next to nothing: the trainer differentiates
// it on the detached vectors and pulls back once for all terms (kernels/taylor_primitive.h). One that
// reads W is differentiated by autograd in W. Anything else goes through the whole model: slower,
// never wrong, and the run says so.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

#include "entk/models/taylor_model.h"

namespace entk {

/// What a term may look at. Vectors carry gradients.
struct TermInputs {
  at::Tensor terms;                  ///< (t_1 … t_P) at the training points: P×n; rows 0 and 1 are f_L and f_Q
  at::Tensor output;                 ///< the model's output there: length n
  at::Tensor targets;                ///< y: length n
  at::Tensor own_terms;              ///< (t_1 … t_P) at the term's own points: P×N, undefined where it has none
  at::Tensor w;                      ///< W, for terms that read it: m×d, or a module's parameters as one vector
  TaylorModelImpl* model = nullptr;  ///< for terms that go through the whole model
  std::int64_t step = 0;             ///< of the run: for terms that draw points of their own

  const at::Tensor f_linear() const { return terms[0]; }     ///< f_L there: n
  const at::Tensor f_quadratic() const { return terms[1]; }  ///< f_Q there: n
};

/// What a term's value is made from.
enum class TermReads {
  vectors,       ///< of TermInputs, the vectors alone
  displacement,  ///< W, and the vectors too if it likes
  model,         ///< the model itself
};

/// λR: a name, what it reads, a differentiable scalar, a weight.
struct Term {
  std::string name;                      ///< a column of the records
  TermReads reads = TermReads::vectors;  ///< decides what it costs
  /// A scalar.
  std::function<at::Tensor(const TermInputs&)> value;
  double weight = 1.0;           ///< λ; 0: recorded alone
  at::Tensor own_points{};       ///< N×d, or undefined; shared with the training points if equal
  at::Tensor training_points{};  ///< for which alone the value is right, or undefined: others are an error
  std::string note{};            ///< what a user should know of its scale
  /// The value is the same device operations on the same memory at every step, with no look at the step, the
  /// host or a generator: its steps may be recorded once and played again (a CUDA graph).
  bool recordable = false;
  /// The value is a function of sums over neurons that are made by neuron_sum (kernels/shard.h) or by a primitive: one
  /// run over many processes takes it. Without a meaning for terms of the vectors, which always are.
  bool sums_over_neurons = false;
  bool of_neurons = false;  ///< reads W's rows: refused where W has none, NaN there with weight 0
  /// U (N×r) where the value is mean (t_1 − U Uᵀ t_1)² at own_points: devices have kernels of their own for it.
  at::Tensor high_of{};
  bool flat_at_zero = false;  ///< its gradient at W = 0 is 0 by its form, as R1's to R4's is: nothing to tell
};

/// A term of that many times the weight.
inline Term operator*(double weight, Term term) {
  term.weight *= weight;
  return term;
}

/// A user's own regularizer of W: a lambda that returns a scalar. It may differentiate inside
/// (torch::autograd::grad with create_graph), as a penalty on a gradient does; so may model_regularizer's.
Term regularizer(std::string name, std::function<at::Tensor(const at::Tensor& w)> value);
/// One that is a sum over neurons, or of a module over parameters: a lambda that returns their summands, one a row of
/// W. One run over many processes takes it.
Term neuron_regularizer(std::string name, std::function<at::Tensor(const at::Tensor& w)> summands);
/// A user's own regularizer of the vectors at the training points.
Term vector_regularizer(std::string name, std::function<at::Tensor(const TermInputs&)> value);
/// A user's own regularizer of anything else, through ordinary autograd on the whole model.
Term model_regularizer(std::string name, std::function<at::Tensor(TaylorModelImpl& model)> value);

}  // namespace entk
