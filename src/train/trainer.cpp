#include "entk/train/trainer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/device.h"
#include "entk/base/differentiation.h"
#include "entk/base/sphere.h"
#include "entk/base/threads.h"
#include "entk/kernels/shard.h"
#include "entk/train/meter.h"
#include "entk/train/stepping.h"

namespace entk {

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

class Run {
 public:
  Run(const TaylorModel& model, const Objective& objective, const DescentOptions& descent, const TrainerHooks& hooks,
      const KernelOptions& kernel, const DataSet& data, const TrainState& from)
      : descent_(descent),
        hooks_(hooks),
        kernel_(kernel),
        from_(from),
        model_(model),
        bound_(model, objective, data.train,
               {.mode = kernel.mode, .memory_limit = kernel.memory_limit, .tf32 = kernel.tf32}, kernel.primitives),
        w_(model->displacement().detach()),
        meter_(bound_, data.test, hooks.observables),
        latch_(w_.options()) {
    check_finite("W", w_);
    if (descent.random_signs) model->two_layer("random_signs");
    if (meter_.has_test_points()) return;
    if (descent.stop_when_settled.training_loss > 0) {
      throw InputError("stop_when_settled: it looks at the test loss; expected test points, got none");
    }
    if (hooks.keep_best) throw InputError("keep_best: it looks at the test loss; expected test points, got none");
  }

  TrainResult run() {
    begin();
    for (std::int64_t step = from_.step; step < descent_.steps; ++step) {
      const double from = now();
      if (const auto end = take(step)) return finish(step, *end);
      step_seconds_ = now() - from;
      if (is_interrupted()) return finish(step + 1, TrainOutcome::interrupted);
    }
    return finish(descent_.steps, TrainOutcome::finished);
  }

 private:
  void begin() {
    const auto& primitive = *bound_.primitive();
    result_.kernel = fmt::format("{} {}", mode_name(primitive.mode()), primitive.backend());
    for (const auto& name : bound_.slow_terms()) {
      tell(fmt::format("{} goes through the whole model by ordinary autograd: slower", name));
    }
    for (const auto& term : bound_.objective().terms) {
      if (term.weight != 0) tell(term.note);
    }
    if (!model_->options().whole_network) {
      tell(model_->expanded().vanishing_terms(model_->options().order, primitive.points()));
    }
    started_ = interval_started_ = saved_ = now();
    state_.records = from_.records;
    state_.best = from_.best;
    choose_rate();
    stepping_ = std::make_unique<Stepping>(bound_, w_, descent_, state_.learning_rate, kernel_.graphs, from_);
    if (from_.step == 0 && descent_.steps > 0) {
      for (const auto& notice : bound_.check_gradients(stepping_->terms(), w_, 0)) tell(notice);
    }
  }

  void choose_rate() {
    if (from_.learning_rate > 0 || descent_.learning_rate) {
      state_.learning_rate = descent_.learning_rate.value_or(from_.learning_rate);
      return;
    }
    const auto found = automatic_rate(bound_, descent_.seed);
    state_.learning_rate = found.rate;
    tell(
        fmt::format("learning rate {}: {} of 2/lambda_max, above which descent diverges at W = 0; lambda_max = {:.4g}, "
                    "from {} products with the Hessian",
                    found.rate, rate_fraction, found.curvature, found.products));
  }

  void tell(std::string notice) {
    if (!notice.empty()) result_.notices.push_back(std::move(notice));
  }

  /// Takes a step, or says how the run ends before it.
  std::optional<TrainOutcome> take(std::int64_t step) {
    if (nobody_looks_at(step) && stepping_->play(step, latch_)) {
      ++steps_since_record_;
      return {};
    }
    auto evaluation = stepping_->evaluate(step);
    latch_.see(evaluation.regularized, step);
    const bool save_now = save_is_due();
    const bool look = latch_.is_free_to_read() || save_now || step % Latch::look_every == 0 || is_record_step(step);
    if (look && latch_.read() >= 0) return TrainOutcome::diverged;
    if (to_be_recorded(step) && !record(step, whole(step, evaluation))) return TrainOutcome::stopped;
    if (is_record_step(step) && has_settled(step)) return TrainOutcome::settled;
    if (save_now) save(step);
    if (is_perturbation_step(step) && perturb(step, whole(step, evaluation))) evaluation = stepping_->evaluate(step);
    stepping_->take(step, evaluation);
    ++steps_since_record_;
    return {};
  }

  bool is_interrupted() {
    if (hooks_.interrupted) result_.signal = std::max(0, hooks_.interrupted());
    return result_.signal > 0;
  }

  /// Nor the host, so that a recorded step will do.
  bool nobody_looks_at(std::int64_t step) const {
    return step % Latch::look_every != 0 && !is_record_step(step) && !save_is_due();
  }
  /// By the clock of process 0.
  bool save_is_due() const {
    return hooks_.on_checkpoint && agreed(std::int64_t{now() - saved_ > checkpoint_interval()}) != 0;
  }
  double checkpoint_interval() const {
    constexpr double times_its_cost = 20;
    if (step_seconds_ <= long_step_seconds) return hooks_.checkpoint_seconds;
    return std::min(hooks_.checkpoint_seconds, times_its_cost * save_seconds_);
  }

  /// A resumed run has the record of its first step already: it was written before the checkpoint.
  bool to_be_recorded(std::int64_t step) const { return is_record_step(step) && (step > from_.step || step == 0); }
  bool is_recorded(std::int64_t step) const { return !result_.records.empty() && result_.records.back().step == step; }

  bool has_settled(std::int64_t step) {
    const auto& records = state_.records;
    if (!is_settled(descent_.stop_when_settled, records)) return false;
    tell(fmt::format(
        "settled at step {}: training loss {:.2g} of its first value, test loss within {:.2g} since step {}", step,
        records.back().train_loss / records.front().train_loss, descent_.stop_when_settled.test_change,
        (step + 1) / 2));
    return true;
  }

  bool is_perturbation_step(std::int64_t step) const {
    return descent_.perturbation.radius > 0 && step % descent_.perturbation.interval == 0;
  }

  /// Moves W to a uniform point of the ball around it if the gradient is small; whether it did.
  bool perturb(std::int64_t step, const Evaluation& evaluation) {
    const auto& p = descent_.perturbation;
    if (!(neuron_norm(bound_.gradient(w_, evaluation)) <= p.threshold)) return false;
    w_ += uniform_in_ball(w_.size(0), w_.numel() / w_.size(0), p.radius,
                          RandomStream(Purpose::ball, descent_.seed, static_cast<std::uint32_t>(step)))
              .view(w_.sizes())
              .to(w_.device(), w_.scalar_type());
    stepping_->renew();
    ++result_.perturbations;
    return true;
  }

  /// The objective of all points, of which a step may have taken a part.
  Evaluation whole(std::int64_t step, const Evaluation& evaluation) const {
    return stepping_->takes_all_points() ? evaluation : stepping_->evaluate_whole(step);
  }

  /// False where the callback wants to stop.
  bool record(std::int64_t step, const Evaluation& evaluation) {
    const double from = now();
    const auto r = meter_.record(step, w_, stepping_->terms(), evaluation);
    if (auto& best = state_.best; hooks_.keep_best && (best.step < 0 || r.test_loss < best.test_loss)) {
      best = {step, r.test_loss, w_.clone()};
    }
    Timing t;
    t.step = step;
    const double to = now();
    t.seconds = to - started_;
    t.record_seconds = to - from;
    t.seconds_per_step = steps_since_record_ ? (from - interval_started_) / steps_since_record_ : 0;
    result_.records.push_back(r);
    result_.timings.push_back(t);
    state_.records.push_back(r);
    const bool go_on = !hooks_.on_record || hooks_.on_record(r, t);
    steps_since_record_ = 0;
    interval_started_ = now();
    return go_on;
  }

  void save(std::int64_t step) {
    const double from = now();
    state_.step = step;
    state_.w = w_;
    stepping_->save_optimizer(state_);
    hooks_.on_checkpoint(state_);
    saved_ = now();
    save_seconds_ = saved_ - from;
  }

  TrainResult finish(std::int64_t step, TrainOutcome outcome) {
    if (stepping_->is_recorded()) result_.kernel += ", recorded";
    const auto evaluation = stepping_->evaluate_whole(step);
    latch_.see(evaluation.regularized, step);
    result_.step = step;
    result_.learning_rate = state_.learning_rate;
    if (latch_.read() >= 0) return diverged(evaluation);
    if (to_be_recorded(step) && !is_recorded(step)) record(step, evaluation);
    if (kernel_.tf32) tell(tf32_notice());
    result_.last = is_recorded(step) ? result_.records.back() : meter_.record(step, w_, stepping_->terms(), evaluation);
    result_.outcome = outcome;
    result_.best = state_.best;
    if (hooks_.on_checkpoint) save(step);
    return std::move(result_);
  }

  /// What products in TF32 cost, at the last W.
  std::string tf32_notice() const {
    const auto& primitive = *bound_.primitive();
    if (!primitive.in_tf32()) {
      return fmt::format("tf32: no part of {}; products had the accuracy of {}", result_.kernel,
                         c10::toString(w_.scalar_type()));
    }
    const auto exact = model_->primitive(primitive.points(), {.mode = KernelMode::recompute})->terms(w_);
    const auto off = at::linalg_norm(stepping_->terms() - exact) / at::linalg_norm(exact);
    return fmt::format("tf32: the terms at the last W are off by {:.1e} (relative to their norm) from those in float32",
                       off.item<double>());
  }

  TrainResult diverged(const Evaluation& evaluation) {
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
    result_.best = state_.best;
    result_.outcome = TrainOutcome::diverged;
    const double rate = learning_rate_at(descent_.schedule, state_.learning_rate, first);
    result_.message = fmt::format(
        "diverged: the regularized loss was not finite at step {} (learning rate {}); the largest term is {}. Try a "
        "learning rate of {} or less{}",
        first, rate, largest, rate / 4,
        largest == "the loss" ? "" : fmt::format(", or a smaller weight of {}", largest));
    return std::move(result_);
  }

  const DescentOptions& descent_;
  const TrainerHooks& hooks_;
  const KernelOptions& kernel_;
  const TrainState& from_;
  TaylorModel model_;
  BoundObjective bound_;
  at::Tensor w_;
  Meter meter_;
  Latch latch_;
  std::unique_ptr<Stepping> stepping_;
  TrainState state_;
  TrainResult result_;
  double started_ = 0, interval_started_ = 0, saved_ = 0, save_seconds_ = 0, step_seconds_ = 0;
  std::int64_t steps_since_record_ = 0;
};

template <class T>
void refuse(const char* name, const std::string& wanted, T got) {
  throw InputError(fmt::format("{}: expected {}, got {}", name, wanted, got));
}

void check_update(const DescentOptions& o) {
  const auto& rule = o.update;
  if (rule.batch < 0) refuse("update.batch", "at least 0", rule.batch);
  if (!o.learning_rate && rule.kind != UpdateKind::gradient) {
    throw InputError("learning_rate: auto is for steps along gradients; expected a number for this update");
  }
  if (rule.optimizer && o.random_signs) {
    throw InputError("random_signs: expected descent, whose steps they are part of, got another update");
  }
  if (rule.kind == UpdateKind::search && (o.noise_variance > 0 || rule.batch > 0)) {
    throw InputError("update: one that searches along lines takes one function a step: expected no noise, all points");
  }
}

}  // namespace

void check_descent(const DescentOptions& o) {
  if (o.learning_rate && (!(*o.learning_rate > 0) || !std::isfinite(*o.learning_rate))) {
    refuse("learning_rate", "a finite number above 0", *o.learning_rate);
  }
  if (o.steps < 0 || o.steps > std::int64_t{0xffffffff}) refuse("steps", "0 to 4294967295", o.steps);
  if (!(o.noise_variance >= 0) || !std::isfinite(o.noise_variance)) {
    refuse("noise_variance", "a finite number of at least 0", o.noise_variance);
  }
  const auto& p = o.perturbation;
  if (!(p.radius >= 0) || !std::isfinite(p.radius))
    refuse("perturbation.radius", "a finite number of at least 0", p.radius);
  if (!(p.threshold >= 0) || !std::isfinite(p.threshold)) {
    refuse("perturbation.threshold", "a finite number of at least 0", p.threshold);
  }
  if (p.interval < 1) refuse("perturbation.interval", "at least 1", p.interval);
  if (o.schedule.horizon < 1) refuse("schedule.horizon", "at least 1", o.schedule.horizon);
  const auto& settled = o.stop_when_settled;
  if (!(settled.training_loss >= 0 && settled.training_loss < 1)) {
    refuse("stop_when_settled.training_loss", "0 or more, below 1", settled.training_loss);
  }
  if (!(settled.test_change > 0)) refuse("stop_when_settled.test_change", "a number above 0", settled.test_change);
  check_update(o);
}

Trainer::Trainer(TaylorModel model, Objective objective, DescentOptions descent, TrainerHooks hooks,
                 KernelOptions kernel)
    : model_(std::move(model)),
      objective_(std::move(objective)),
      descent_(std::move(descent)),
      hooks_(std::move(hooks)),
      kernel_(std::move(kernel)) {
  check_descent(descent_);
}

TrainResult Trainer::fit(const DataSet& data, c10::Device device, const TrainState& from) {
  const SerialTorch serial;
  const Differentiating outside_inference;
  if (model_.is_empty()) throw InputError("model: expected one, got none");
  device = pick_device(device.str());
  if (from.step < 0 || from.step > descent_.steps) {
    refuse("the state's step", fmt::format("0 to {} (steps)", descent_.steps), from.step);
  }
  model_->to(device);
  if (from.w.defined()) {
    const at::NoGradGuard no_grad;
    const auto& w = model_->displacement();
    if (from.w.sizes() != w.sizes() || from.w.scalar_type() != w.scalar_type()) {
      throw InputError(
          fmt::format("the state's W: expected the model's, {}, got {}", shape_text(w), shape_text(from.w)));
    }
    w.copy_(from.w);
  }
  auto moved = data.to(device, model_->displacement().scalar_type());
  // A term may differentiate the model at points that the caller holds; here they are fixed.
  for (auto* t : {&moved.train.x, &moved.train.y, &moved.test.x, &moved.test.y}) {
    if (t->defined()) *t = recordable(t->detach());
  }
  return Run(model_, objective_, descent_, hooks_, kernel_, moved, from).run();
}

}  // namespace entk
