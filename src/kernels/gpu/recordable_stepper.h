// A stepper whose steps can be recorded once and played again, as a CUDA graph does.
#pragma once

#include "entk/kernels/taylor_primitive.h"

namespace entk {

/// D = mean (Σ_p t_p − y)² + weight · mean (t_1 − U Uᵀ t_1)² on all of a primitive's points: the square loss with R1
/// or R3 of a projector made by the same points.
struct SquareObjective {
  at::Tensor targets;       ///< y − f(·;0): n
  bool linear_term = true;  ///< whether t_1 is part of the output
  double weight = 0;        ///< of R1 or R3, or of both
  at::Tensor basis{};       ///< U: n×r; undefined where weight is 0
};

/// step() in two parts: what changes from step to step goes to the device by prepare(); what is
/// recorded is take(). terms() has one address for the stepper's life.
class RecordableStepper : public Stepper {
 public:
  virtual void prepare(const Update& update) = 0;  ///< to be called before each take()
  /// w: m×d, contiguous, updated in place. cotangents: P×n. extra: E of Update, or undefined; that of
  /// prepare() is not read. Launches work on the device and waits for nothing.
  virtual void take(const at::Tensor& w, const at::Tensor& cotangents, const at::Tensor& extra) = 0;

  /// Whether it has kernels of its own for this objective, which it holds from then on.
  virtual bool set_objective(const SquareObjective&) { return false; }
  /// An objective's cotangents, P×n, and its values: loss, mean (t_1 − U Uᵀ t_1)² and D. Both have one address for
  /// life.
  struct Square {
    at::Tensor cotangents;  ///< ∂D/∂t_p
    at::Tensor values;      ///< the three
  };
  /// Of the objective set, at the present terms. Launches work and waits for nothing.
  virtual Square evaluate() { return {}; }

  void step(const at::Tensor& w, const at::Tensor& cotangents, const Update& update) final {
    prepare(update);
    take(w, cotangents, update.extra);
  }
};

}  // namespace entk
