// Takes the steps of a run.
#pragma once

#include "entk/base/group.h"
#include "entk/kernels/gpu/recordable_stepper.h"
#include "entk/train/latch.h"
#include "entk/train/trainer.h"

namespace entk {

/// W and what is kept between steps: a stepper's tables, a recorded graph, an optimizer's memory.
class Stepping {
 public:
  /// w: the model's, moved in place. @throws InputError for a batch of more points than there are, or a state that is
  /// not this rule's.
  Stepping(const BoundObjective& bound, at::Tensor w, const DescentOptions& descent, double learning_rate,
           GraphRecorder graphs, const TrainState& from);

  /// The primitive's terms at W.
  at::Tensor terms() const;
  /// L_λ at W, of all points, and as the step takes it.
  Evaluation evaluate_whole(std::int64_t step) const {
    return square_ ? bound_.evaluation_of(square_->evaluate()) : bound_.evaluate(terms(), w_, step);
  }
  Evaluation evaluate(std::int64_t step);
  bool takes_all_points() const { return !batches_; }
  /// Moves W from what evaluate() gave.
  void take(std::int64_t step, const Evaluation& evaluation);
  /// The step from its recording, which is made first where there is none. False where steps are not recorded.
  bool play(std::int64_t step, Latch& latch);
  bool is_recorded() const { return graph_ != nullptr; }
  /// W was moved by somebody else.
  void renew();
  /// What the optimizer remembers; nothing where the rule has none.
  void save_optimizer(TrainState& state) const;

 private:
  Update update_at(std::int64_t step) const;
  Evaluation evaluate_batch(std::int64_t step);
  at::Tensor gradient(const Evaluation& evaluation) const;
  void optimize(std::int64_t step, const Evaluation& evaluation);

  const BoundObjective& bound_;
  at::Tensor w_;
  const double entries_ = static_cast<double>(sum_of_all(w_.numel()));  // m d, of all processes
  const DescentOptions& descent_;
  double rate_;
  GraphRecorder graphs_;
  std::optional<Minibatches> batches_;
  bool by_batches_ = false;                  // a step takes its batch alone
  at::Tensor batch_;                         // of the step that was evaluated last,
  std::shared_ptr<const Primitive> there_;   // and the primitive at it where by_batches_
  std::unique_ptr<Stepper> stepper_;         // where the terms at all points are kept from step to step
  RecordableStepper* recordable_ = nullptr;  // stepper_ where steps are recorded
  RecordableStepper* square_ = nullptr;      // stepper_ where it has kernels of its own for the objective
  std::unique_ptr<DeviceGraph> graph_;
  std::int64_t first_recorded_;
  std::shared_ptr<torch::optim::Optimizer> optimizer_;
  std::vector<double> own_rates_;  // of its groups
  at::Tensor parameter_;           // of the optimizer: W
  mutable at::Tensor terms_;       // at W where there is no stepper, once asked for
};

}  // namespace entk
