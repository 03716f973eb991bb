#include "entk/train/trainer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string_view>

#include "entk/base/check.h"
#include "entk/base/differentiation.h"
#include "entk/base/norm.h"
#include "entk/base/sphere.h"
#include "entk/base/threads.h"
#include "entk/kernels/gpu/recordable_stepper.h"

namespace entk {

namespace {

/// Steps between looks at the latch, at most.
constexpr std::int64_t look_every = 500;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Finds the first step whose loss was not finite. On a device losses are kept there until somebody looks:
/// seeing one costs two small launches in a recorded step, and no synchronisation.
class Latch {
 public:
  explicit Latch(const at::TensorOptions& options)
      : losses_(at::zeros({look_every + 1}, options)), place_(at::zeros({1}, options.dtype(at::kLong))) {
    if (losses_.is_cpu()) return;
    see_recorded(at::zeros({}, options));  // so that no kernel is loaded while a step is recorded
    place_.zero_();
  }
  void see(const at::Tensor& loss, std::int64_t step) {
    if (loss.is_cpu()) {
      if (!std::isfinite(loss.item<double>()) && read() < 0) first_ = step;
      return;
    }
    append(step);
    losses_.select(0, kept_ - 1).copy_(loss);
  }
  /// The recorded look that is played next is at `step`.
  void set(std::int64_t step) {
    append(step);
    if (place_now_ != kept_ - 1) place_.fill_(kept_ - 1);
    place_now_ = kept_;
  }
  /// see() for a recording, which counts its steps itself.
  void see_recorded(const at::Tensor& loss) {
    losses_.index_copy_(0, place_, loss.to(losses_.scalar_type()).view({1}));
    place_.add_(1);
  }
  /// −1 where every loss was finite.
  std::int64_t read() {
    if (first_ < 0 && kept_ > 0) {
      const auto losses = losses_.narrow(0, 0, kept_).cpu().to(at::kDouble);
      const double* values = losses.const_data_ptr<double>();
      const double* wrong = std::find_if_not(values, values + kept_, [](double v) { return std::isfinite(v); });
      if (wrong != values + kept_) first_ = first_kept_ + (wrong - values);
    }
    kept_ = 0;
    return first_;
  }
  bool is_free_to_read() const { return losses_.is_cpu(); }

 private:
  void append(std::int64_t step) {
    if (kept_ == losses_.size(0)) read();
    if (kept_ == 0) first_kept_ = step;
    ++kept_;
  }

  at::Tensor losses_, place_;  // of steps first_kept_, first_kept_ + 1, …; where a recording puts the next one
  std::int64_t kept_ = 0, first_kept_ = 0, place_now_ = 0, first_ = -1;
};

bool is_recordable(const Objective& objective) {
  return objective.loss.recordable && std::all_of(objective.terms.begin(), objective.terms.end(),
                                                  [](const Term& term) { return term.weight == 0 || term.recordable; });
}

class Run {
 public:
  Run(TaylorModel model, const Objective& objective, const TrainerOptions& options, const DataSet& data)
      : options_(options),
        model_(std::move(model)),
        bound_(model_, objective, data.train,
               {.mode = options.kernel, .memory_limit = options.memory_limit, .tf32 = options.tf32},
               options.primitives),
        w_(model_->network->w.detach()),
        latch_(w_.options()),
        history_(options.earlier) {
    check_finite("W", w_);
    if (data.test.x.defined()) {
      check_matrix("X_test", data.test.x, -1, model_->network->dimension());
      check_vector("y_test", data.test.y, data.test.x.size(0));
      check_like("y_test", data.test.y, "X_test", data.test.x);
      check_finite("X_test", data.test.x);
      check_finite("y_test", data.test.y);
      check_like("X_test", data.test.x, "X", data.train.x);
      test_ = {model_->primitive(data.test.x, {.mode = KernelMode::recompute}),
               model_->network->initial_output(data.test.x)};
      test_targets_ = data.test.y;
    } else if (options_.stop_when_settled.training_loss > 0) {
      throw InputError("stop_when_settled: it looks at the test loss; expected test points, got none");
    }
  }

  TrainResult run() {
    const auto& primitive = *bound_.primitive();
    result_.kernel = fmt::format("{} {}", mode_name(primitive.mode()), primitive.backend());
    for (const auto& name : bound_.slow_terms()) {
      result_.notices.push_back(fmt::format("{} goes through the whole model by ordinary autograd: slower", name));
    }
    for (const auto& term : bound_.objective().terms) {
      if (term.weight != 0 && !term.note.empty()) result_.notices.push_back(term.note);
    }
    if (!model_->options().whole_network) {
      if (auto notice = vanishing_terms(model_->network->activation(), model_->options().order, primitive.points(),
                                        model_->network->w0);
          !notice.empty()) {
        result_.notices.push_back(std::move(notice));
      }
    }
    started_ = interval_started_ = saved_ = now();
    choose_rate();
    stepper_ = primitive.stepper(w_);
    if (options_.start_step == 0 && options_.steps > 0) {
      for (auto& notice : bound_.check_gradients(stepper_->terms(), w_, 0))
        result_.notices.push_back(std::move(notice));
    }
    if (options_.graphs && is_recordable(bound_.objective()) && options_.perturbation.radius == 0) {
      recordable_ = dynamic_cast<RecordableStepper*>(stepper_.get());
    }
    std::int64_t step = options_.start_step;
    for (; step < options_.steps; ++step) {
      if (play_step(step)) {
        if (const int signal = options_.interrupted ? options_.interrupted() : 0; signal > 0) {
          result_.signal = signal;
          return finish(step + 1, Outcome::interrupted);
        }
        continue;
      }
      auto evaluation = bound_.evaluate(stepper_->terms(), w_, step);
      latch_.see(evaluation.regularized, step);
      const bool look = latch_.is_free_to_read() || step % look_every == 0 || is_record_step(step);
      if (look && latch_.read() >= 0) return diverged(step, evaluation);
      if (to_be_recorded(step) && !record(step, evaluation)) return finish(step, Outcome::stopped);
      if (is_record_step(step) && is_settled(options_.stop_when_settled, history_)) {
        result_.notices.push_back(fmt::format(
            "settled at step {}: training loss {:.2g} of its first value, test loss within {:.2g} since step {}", step,
            history_.back().train_loss / history_.front().train_loss, options_.stop_when_settled.test_change,
            (step + 1) / 2));
        return finish(step, Outcome::settled);
      }
      if (options_.on_checkpoint && now() - saved_ > options_.checkpoint_seconds) {
        if (latch_.read() >= 0) return diverged(step, evaluation);
        save(step);
      }
      if (is_perturbation_step(step) && perturb(step, evaluation)) {
        evaluation = bound_.evaluate(stepper_->terms(), w_, step);
      }
      take_step(step, evaluation);
      if (options_.interrupted) {
        if (const int signal = options_.interrupted(); signal > 0) {
          result_.signal = signal;
          return finish(step + 1, Outcome::interrupted);
        }
      }
    }
    return finish(step, Outcome::finished);
  }

 private:
  void choose_rate() {
    if (options_.learning_rate) {
      result_.learning_rate = *options_.learning_rate;
      return;
    }
    const auto found = automatic_rate(bound_, options_.seed);
    result_.learning_rate = found.rate;
    result_.notices.push_back(fmt::format(
        "learning rate {}: {} of 2/lambda_max, above which descent diverges at W = 0; lambda_max = {:.4g}, from {} "
        "products with the Hessian",
        found.rate, rate_fraction, found.curvature, found.products));
  }

  /// A resumed run has the record of its first step already: it was written before the checkpoint.
  bool to_be_recorded(std::int64_t step) const {
    return is_record_step(step) && (step > options_.start_step || step == 0);
  }
  bool is_recorded(std::int64_t step) const { return !result_.records.empty() && result_.records.back().step == step; }

  bool is_perturbation_step(std::int64_t step) const {
    return options_.perturbation.radius > 0 && step % options_.perturbation.interval == 0;
  }

  /// Moves W to a uniform point of the ball around it if the gradient is small; whether it did.
  bool perturb(std::int64_t step, const Evaluation& evaluation) {
    const auto& p = options_.perturbation;
    if (!(frobenius_norm(bound_.gradient(w_, evaluation)) <= p.threshold)) return false;
    w_ += uniform_in_ball(w_.size(0), w_.size(1), p.radius,
                          RandomStream(Purpose::ball, options_.seed, static_cast<std::uint32_t>(step)))
              .to(w_.device(), w_.scalar_type());
    stepper_ = bound_.primitive()->stepper(w_);
    ++result_.perturbations;
    return true;
  }

  /// Rate, noise and signs of a step.
  Update update_at(std::int64_t step) const {
    Update update;
    update.learning_rate = learning_rate_at(options_.schedule, result_.learning_rate, step);
    if (options_.noise_variance > 0) {
      const double deviation = std::sqrt(options_.noise_variance / static_cast<double>(w_.numel()));
      update.noise = kernels::NoiseCode{options_.seed, static_cast<std::uint32_t>(step), deviation};
    }
    // The next step is descent at S W, whose gradient in W is S times that in S W: descent on W under S and
    // descent on S W itself are the same, and fresh signs times fresh signs are fresh signs.
    if (options_.random_signs) {
      update.signs = RandomStream(Purpose::signs, options_.seed, static_cast<std::uint32_t>(step));
    }
    return update;
  }

  void take_step(std::int64_t step, const Evaluation& evaluation) {
    Update update = update_at(step);
    update.extra = evaluation.extra;
    stepper_->step(w_, evaluation.cotangents, update);
    ++steps_since_record_;
  }

  /// Steps done the ordinary way before one is recorded: libraries set themselves up meanwhile.
  static constexpr std::int64_t steps_before_recording = 3;

  /// A step played from its recording. False where the step is to be done the ordinary way: nothing can
  /// be recorded, or the host wants to look.
  bool play_step(std::int64_t step) {
    if (!recordable_ || step < options_.start_step + steps_before_recording || step % look_every == 0 ||
        is_record_step(step) || (options_.on_checkpoint && now() - saved_ > options_.checkpoint_seconds)) {
      return false;
    }
    recordable_->prepare(update_at(step));
    if (!graph_) {
      graph_ = options_.graphs(w_.device(), [this] {
        const auto evaluation = bound_.evaluate(stepper_->terms(), w_);
        latch_.see_recorded(evaluation.regularized);
        recordable_->take(w_, evaluation.cotangents, evaluation.extra);
      });
      if (!graph_) {
        recordable_ = nullptr;
        return false;
      }
      result_.kernel += ", recorded";
    }
    latch_.set(step);
    graph_->play();
    ++steps_since_record_;
    return true;
  }

  Record measure(std::int64_t step, const Evaluation& evaluation) {
    Record r;
    r.step = step;
    const auto values = bound_.values(stepper_->terms(), w_, step);
    r.train_loss = values.loss.item<double>();
    Observation seen;
    seen.step = step;
    seen.w = w_;
    r.test_loss = test_.primitive ? test_loss(seen) : NAN;
    for (const auto& term : values.terms) r.terms.push_back(term.item<double>());
    r.regularized_loss = values.regularized.item<double>();
    r.norm_w = frobenius_norm(w_);
    r.norm_gradient = frobenius_norm(bound_.gradient(w_, evaluation));
    if (!options_.observables.empty()) observe(seen, r);
    return r;
  }

  /// The loss at the test points, whose terms and output it leaves in `seen`.
  double test_loss(Observation& seen) const {
    const SerialTorch serial;
    const at::NoGradGuard no_grad;
    seen.test_terms = test_.primitive->terms(w_);
    seen.test_output = model_->output(seen.test_terms, test_.initial);
    seen.test_targets = test_targets_;
    return bound_.loss_of(seen.test_output, test_targets_);
  }

  void observe(Observation& seen, Record& r) {
    const SerialTorch serial;
    const at::NoGradGuard no_grad;
    const auto in = bound_.training_inputs(stepper_->terms());
    seen.terms = in.terms;
    seen.output = in.output;
    seen.targets = in.targets;
    seen.model = model_.ptr().get();
    for (const auto& o : options_.observables) {
      const auto values = o.values(seen);
      if (values.size() != o.columns.size()) {
        throw InputError(fmt::format("observable {}: expected {} numbers, one a column, got {}",
                                     fmt::join(o.columns, ", "), o.columns.size(), values.size()));
      }
      r.observables.insert(r.observables.end(), values.begin(), values.end());
    }
  }

  /// False where the callback wants to stop.
  bool record(std::int64_t step, const Evaluation& evaluation) {
    const double from = now();
    const auto r = measure(step, evaluation);
    Timing t;
    t.step = step;
    const double to = now();
    t.seconds = to - started_;
    t.record_seconds = to - from;
    t.seconds_per_step = steps_since_record_ ? (from - interval_started_) / steps_since_record_ : 0;
    result_.records.push_back(r);
    history_.push_back(r);
    result_.timings.push_back(t);
    const bool go_on = !options_.on_record || options_.on_record(r, t);
    steps_since_record_ = 0;
    interval_started_ = now();
    return go_on;
  }

  void save(std::int64_t step) {
    options_.on_checkpoint({step, w_, result_.learning_rate});
    saved_ = now();
  }

  TrainResult finish(std::int64_t step, Outcome outcome) {
    const auto evaluation = bound_.evaluate(stepper_->terms(), w_, step);
    latch_.see(evaluation.regularized, step);
    if (latch_.read() >= 0) return diverged(step, evaluation);
    if (to_be_recorded(step) && !is_recorded(step)) record(step, evaluation);
    if (options_.tf32) result_.notices.push_back(tf32_notice());
    result_.last = is_recorded(step) ? result_.records.back() : measure(step, evaluation);
    result_.step = step;
    result_.outcome = outcome;
    if (options_.on_checkpoint) save(step);
    return std::move(result_);
  }

  /// What products in TF32 cost, at the last W.
  std::string tf32_notice() const {
    const auto& primitive = *bound_.primitive();
    if (!std::string_view(primitive.backend()).ends_with("tf32")) {
      return fmt::format("tf32: no part of {}; products had the accuracy of {}", result_.kernel,
                         c10::toString(w_.scalar_type()));
    }
    const auto exact = make_primitive(*model_->network, primitive.points(),
                                      {.orders = primitive.orders(), .mode = KernelMode::recompute})
                           ->terms(w_);
    const auto off = at::linalg_norm(stepper_->terms() - exact) / at::linalg_norm(exact);
    return fmt::format("tf32: the terms at the last W are off by {:.1e} (relative to their norm) from those in float32",
                       off.item<double>());
  }

  TrainResult diverged(std::int64_t step, const Evaluation& evaluation) {
    const std::int64_t first = latch_.read();
    std::string largest = "the loss";
    double size = std::fabs(evaluation.loss.item<double>());
    const auto& terms = bound_.objective().terms;
    for (std::size_t i = 0; i < terms.size(); ++i) {
      if (!evaluation.terms[i].defined()) continue;
      const double value = std::fabs(terms[i].weight * evaluation.terms[i].item<double>());
      if (!(value <= size)) {
        largest = terms[i].name;
        size = value;
      }
      if (std::isnan(value)) break;
    }
    result_.last.step = first;
    result_.last.train_loss = evaluation.loss.item<double>();
    result_.last.regularized_loss = evaluation.regularized.item<double>();
    result_.last.test_loss = result_.last.norm_w = result_.last.norm_gradient = NAN;
    result_.step = step;
    result_.outcome = Outcome::diverged;
    const double rate = learning_rate_at(options_.schedule, result_.learning_rate, first);
    result_.message = fmt::format(
        "diverged: the regularized loss was not finite at step {} (learning rate {}); the largest term is {}. Try a "
        "learning rate of {} or less{}",
        first, rate, largest, rate / 4,
        largest == "the loss" ? "" : fmt::format(", or a smaller weight of {}", largest));
    return std::move(result_);
  }

  TrainerOptions options_;
  TaylorModel model_;
  BoundObjective bound_;
  at::Tensor w_;
  Latch latch_;
  std::vector<Record> history_;  // the records of steps that W took before, too
  ExpansionAt test_;
  at::Tensor test_targets_;
  std::unique_ptr<Stepper> stepper_;
  RecordableStepper* recordable_ = nullptr;  // stepper_ where steps are recorded
  std::unique_ptr<DeviceGraph> graph_;
  TrainResult result_;
  double started_ = 0, interval_started_ = 0, saved_ = 0;
  std::int64_t steps_since_record_ = 0;
};

void check_options(const TrainerOptions& o) {
  const auto fail = [](const char* name, const std::string& wanted, auto got) {
    throw InputError(fmt::format("{}: expected {}, got {}", name, wanted, got));
  };
  if (o.learning_rate && (!(*o.learning_rate > 0) || !std::isfinite(*o.learning_rate))) {
    fail("learning_rate", "a finite number above 0", *o.learning_rate);
  }
  const auto& settled = o.stop_when_settled;
  if (!(settled.training_loss >= 0 && settled.training_loss < 1)) {
    fail("stop_when_settled.training_loss", "0 or more, below 1", settled.training_loss);
  }
  if (!(settled.test_change > 0)) fail("stop_when_settled.test_change", "a number above 0", settled.test_change);
  if (o.steps < 0 || o.steps > std::int64_t{0xffffffff}) fail("steps", "0 to 4294967295", o.steps);
  if (!(o.noise_variance >= 0) || !std::isfinite(o.noise_variance)) {
    fail("noise_variance", "a finite number of at least 0", o.noise_variance);
  }
  const auto& p = o.perturbation;
  if (!(p.radius >= 0) || !std::isfinite(p.radius))
    fail("perturbation.radius", "a finite number of at least 0", p.radius);
  if (!(p.threshold >= 0) || !std::isfinite(p.threshold)) {
    fail("perturbation.threshold", "a finite number of at least 0", p.threshold);
  }
  if (p.interval < 1) fail("perturbation.interval", "at least 1", p.interval);
  if (o.schedule.horizon < 1) fail("schedule.horizon", "at least 1", o.schedule.horizon);
  if (o.start_step < 0 || o.start_step > o.steps) {
    fail("start_step", fmt::format("0 to {} (steps)", o.steps), o.start_step);
  }
}

}  // namespace

Trainer::Trainer(TaylorModel model, Objective objective, const TrainerOptions& options)
    : model_(std::move(model)), objective_(std::move(objective)), options_(options) {
  check_options(options_);
}

TrainResult Trainer::fit(const DataSet& data, c10::Device device) {
  const SerialTorch serial;
  const Differentiating outside_inference;
  model_->to(device);
  auto moved = data.to(device, model_->network->w.scalar_type());
  // A term may differentiate the model at points that the caller holds; here they are fixed.
  for (auto* t : {&moved.train.x, &moved.train.y, &moved.test.x, &moved.test.y}) {
    if (t->defined()) *t = recordable(t->detach());
  }
  return Run(model_, objective_, options_, moved).run();
}

}  // namespace entk
