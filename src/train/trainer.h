// Perturbed gradient descent (21) on the regularized loss:
//
//   W^{t+1} = W^t − η_t (∇L_λ(W^t) + Ξ_t),   entries of Ξ_t i.i.d. N(0, σ²/(md))
//
// and the other form, of Jin, Ge, Netrapalli, Kakade and Jordan (ICML 2017), Algorithm 2: where the
// gradient is small, W is first moved to a uniform point of a ball around it.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "entk/base/device.h"
#include "entk/kernels/gpu/device_graph.h"
#include "entk/train/learning_rate.h"
#include "entk/train/observable.h"
#include "entk/train/record.h"
#include "entk/train/schedule.h"
#include "entk/train/update_rule.h"

namespace entk {

/// The record with the least test loss, of those that a run has.
struct BestRecord {
  std::int64_t step = -1;  ///< −1: none yet
  double test_loss = 0;    ///< there
  at::Tensor w;            ///< W there
};

/// Where a run stands: everything that is not a pure function of its configuration. What on_checkpoint is given,
/// tensors copied if they are kept, fit() goes on from, to the same bits.
struct TrainState {
  std::int64_t step = 0;  ///< steps taken
  at::Tensor w{};         ///< undefined for fit(): the model's own
  /// η, an automatic one too; for fit() 0 where it is to be chosen.
  double learning_rate = 0;
  at::Tensor optimizer{};  ///< what a torch optimizer remembers, as bytes; undefined: nothing
  /// What torch's SGD or Adam remembers of each entry of W, in place of bytes: tensors like W.
  std::vector<at::Tensor> optimizer_rows{};
  BestRecord best{};              ///< of TrainerHooks::keep_best
  std::vector<Record> records{};  ///< up to that step
};

/// Noise only where the gradient is small. The gradient is looked at every `interval` steps and at no
/// other (so two perturbations are at least that far apart, and nothing needs remembering); where
/// ‖∇L_λ(W)‖ ≤ threshold, W becomes W + ξ, ξ uniform in the ball of this radius in R^{md}.
struct SmallGradientPerturbation {
  double radius = 0.0;          ///< 0: none
  double threshold = 1e-3;      ///< a gradient of at most this norm is small
  std::int64_t interval = 100;  ///< steps between looks
};

/// What moves W. Values that cannot be are refused when the trainer is made.
struct DescentOptions {
  std::optional<double> learning_rate = 1.0;  ///< η; none: automatic_rate's
  std::int64_t steps = 20000;                 ///< in all, those before a resumption too
  double noise_variance = 0.0;                ///< σ² of (21)
  SmallGradientPerturbation perturbation{};   ///< none by default
  /// Bai and Lee's sign randomisation, of two-layer networks: each step's loss is at SW, S fresh random signs of the
  /// neurons. f_Q(SW) = f_Q(W), and f_L(SW) is zero on average. W holds S W.
  bool random_signs = false;
  Schedule schedule{};                   ///< of η
  UpdateRule update{};                   ///< descent (21) by default
  SettledCriterion stop_when_settled{};  ///< never by default
  std::uint64_t seed = 1;                ///< of noise, signs and minibatches
};

/// How the work is done.
struct KernelOptions {
  KernelMode mode = KernelMode::automatic;                      ///< of the primitive
  std::int64_t memory_limit = PrimitiveOptions{}.memory_limit;  ///< bytes for kept tables
  bool tf32 = false;  ///< PrimitiveOptions::tf32; the result says what it costs
  /// Where primitives come from: a study shares those of runs on the same points.
  PrimitiveFactory primitives{};
  /// On CUDA a step whose loss and terms are all `recordable`, as the paper's own are, is recorded once
  /// and played again.
  GraphRecorder graphs = record_graph;
};

/// Whoever stops a run does not wait for a step longer than this; where steps are, on_checkpoint is called as often as
/// it takes a twentieth of the time, so that little is lost.
constexpr double long_step_seconds = 1;

/// Who is told, and asked.
struct TrainerHooks {
  /// Called at every record; false stops the run after it.
  std::function<bool(const Record&, const Timing&)> on_record{};
  /// Asked at the end of every step; a positive answer (a signal's number) stops the run there.
  std::function<int()> interrupted{};
  /// Called every `checkpoint_seconds` between steps, at the end and where a run is interrupted, never
  /// with a state that is not finite.
  std::function<void(const TrainState&)> on_checkpoint{};
  double checkpoint_seconds = 60;  ///< between calls of on_checkpoint, at most: see long_step_seconds
  /// Measured at every record.
  std::vector<Observable> observables{};
  /// Whether the W of the record with the least test loss is kept: TrainState::best, TrainResult::best.
  bool keep_best = false;
};

/// @throws InputError naming the option that is out of range, or another than it excludes.
void check_descent(const DescentOptions& options);

/// How a run ended.
enum class TrainOutcome {
  finished,     ///< all steps are taken
  settled,      ///< by DescentOptions::stop_when_settled
  stopped,      ///< by the callback
  interrupted,  ///< by a signal
  diverged,     ///< a loss was not finite
};

/// What a run leaves; W is in the model.
struct TrainResult {
  TrainOutcome outcome = TrainOutcome::finished;  ///< how it ended
  std::int64_t step = 0;                          ///< steps taken
  Record last;                                    ///< at that step, whether or not it is a record step
  std::vector<Record> records;                    ///< in the order of their steps
  std::vector<Timing> timings;                    ///< one a record
  BestRecord best;                                ///< of TrainerHooks::keep_best
  std::string message;                            ///< for a diverged run: at which step, and what to try
  int signal = 0;                                 ///< that interrupted it; 0: none
  double learning_rate = 0;                       ///< η, an automatic one too
  std::int64_t perturbations = 0;                 ///< made at small gradients, since the run started or resumed
  std::vector<std::string> notices;               ///< what a user should know, as terms that take the slow way
  std::string kernel;                             ///< mode and instruction set that ran
};

/// Trains a model's W in place.
class Trainer {
 public:
  /// @throws InputError for options out of range.
  Trainer(TaylorModel model, Objective objective, DescentOptions descent = {}, TrainerHooks hooks = {},
          KernelOptions kernel = {});

  /// Moves model and data to the device, takes the steps and leaves W there; goes on from `from`. The data takes the
  /// model's floating type. @throws InputError before the first step for what does not fit or is not
  /// finite.
  TrainResult fit(const DataSet& data, c10::Device device = c10::kCPU, const TrainState& from = {});

 private:
  TaylorModel model_;
  Objective objective_;
  DescentOptions descent_;
  TrainerHooks hooks_;
  KernelOptions kernel_;
};

}  // namespace entk
