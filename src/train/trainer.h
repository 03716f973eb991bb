// Perturbed gradient descent (21) on the regularized loss:
//
//   W^{t+1} = W^t − η_t (∇L_λ(W^t) + Ξ_t),   entries of Ξ_t i.i.d. N(0, σ²/(md))
//
// and the other form, of Jin, Ge, Netrapalli, Kakade and Jordan (ICML 2017), Algorithm 2: where the
// gradient is small, W is first moved to a uniform point of a ball around it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

#include "entk/base/device.h"
#include "entk/kernels/gpu/device_graph.h"
#include "entk/train/learning_rate.h"
#include "entk/train/observable.h"
#include "entk/train/record.h"
#include "entk/train/schedule.h"

namespace entk {

/// Where a run stands: everything that is not a pure function of its configuration.
struct TrainState {
  std::int64_t step = 0;     ///< steps taken
  at::Tensor w;              ///< m×d
  double learning_rate = 0;  ///< η, an automatic one too
};

/// Noise only where the gradient is small. The gradient is looked at every `interval` steps and at no
/// other (so two perturbations are at least that far apart, and nothing needs remembering); where
/// ‖∇L_λ(W)‖ ≤ threshold, W becomes W + ξ, ξ uniform in the ball of this radius in R^{md}.
struct SmallGradientPerturbation {
  double radius = 0.0;          ///< 0: none
  double threshold = 1e-3;      ///< a gradient of at most this norm is small
  std::int64_t interval = 100;  ///< steps between looks
};

/// How a run goes. Values that cannot be are refused when the trainer is made.
struct TrainerOptions {
  std::optional<double> learning_rate = 1.0;  ///< none: automatic_rate's
  std::int64_t steps = 20000;                 ///< in all, those of start_step among them
  double noise_variance = 0.0;                ///< σ² of (21)
  SmallGradientPerturbation perturbation{};   ///< none by default
  /// Bai and Lee's sign randomisation: each step's loss is at SW, S fresh random signs of the neurons.
  /// f_Q(SW) = f_Q(W), and f_L(SW) is zero on average. W holds S W.
  bool random_signs = false;
  Schedule schedule{};                                ///< of η
  std::uint64_t seed = 1;                             ///< of the noise
  KernelMode kernel = KernelMode::automatic;          ///< of the primitive
  std::int64_t memory_limit = std::int64_t{4} << 30;  ///< bytes for kept tables
  bool tf32 = false;                                  ///< PrimitiveOptions::tf32; the result says what it costs
  std::int64_t start_step = 0;                        ///< steps that W has already taken
  std::vector<Record> earlier{};                      ///< a resumed run's records up to start_step
  SettledCriterion stop_when_settled{};               ///< never by default
  /// Where primitives come from: a study shares those of runs on the same points.
  PrimitiveFactory primitives{};
  /// On CUDA a step whose loss and terms are all `recordable`, as the paper's own are, is recorded once
  /// and played again.
  GraphRecorder graphs = record_graph;
  /// Measured at every record.
  std::vector<Observable> observables{};

  /// Called at every record; false stops the run after it.
  std::function<bool(const Record&, const Timing&)> on_record{};
  /// Asked at the end of every step; a positive answer (a signal's number) stops the run there.
  std::function<int()> interrupted{};
  /// Called every `checkpoint_seconds` between steps, at the end and where a run is interrupted, never
  /// with a state that is not finite.
  std::function<void(const TrainState&)> on_checkpoint{};
  double checkpoint_seconds = 60;  ///< between calls of on_checkpoint
};

/// How a run ended.
enum class Outcome {
  finished,
  settled,      ///< by TrainerOptions::stop_when_settled
  stopped,      ///< by the callback
  interrupted,  ///< by a signal
  diverged,     ///< a loss was not finite
};

/// What a run leaves; W is in the model.
struct TrainResult {
  Outcome outcome = Outcome::finished;  ///< how it ended
  std::int64_t step = 0;                ///< steps taken
  Record last;                          ///< at that step, whether or not it is a record step
  std::vector<Record> records;          ///< in the order of their steps
  std::vector<Timing> timings;          ///< one a record
  std::string message;                  ///< for a diverged run: at which step, and what to try
  int signal = 0;                       ///< that interrupted it; 0: none
  double learning_rate = 0;             ///< η, an automatic one too
  std::int64_t perturbations = 0;       ///< made at small gradients, since the run started or resumed
  std::vector<std::string> notices;     ///< what a user should know, as terms that take the slow way
  std::string kernel;                   ///< mode and instruction set that ran
};

/// Trains a model's W in place.
class Trainer {
 public:
  /// @throws InputError for options out of range.
  Trainer(TaylorModel model, Objective objective, const TrainerOptions& options = {});

  /// Moves model and data to the device, takes the steps and leaves W there. The data takes the
  /// model's floating type. @throws InputError before the first step for what does not fit or is not
  /// finite.
  TrainResult fit(const DataSet& data, c10::Device device = c10::kCPU);

 private:
  TaylorModel model_;
  Objective objective_;
  TrainerOptions options_;
};

}  // namespace entk
