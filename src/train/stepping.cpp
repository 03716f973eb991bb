#include "entk/train/stepping.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/optim/adam.h>
#include <torch/optim/sgd.h>
#include <torch/serialize/archive.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>
#include <utility>

#include "entk/base/error.h"
#include "entk/base/group.h"
#include "entk/kernels/noise.h"
#include "entk/kernels/primitive_parts.h"

namespace entk {

namespace {

/// Steps done the ordinary way before one is recorded: libraries set themselves up meanwhile.
constexpr std::int64_t steps_before_recording = 3;

/// What several processes exchange goes by way of the host.
bool can_be_recorded(const Objective& objective) {
  return group().size() == 1 && objective.loss.recordable &&
         std::all_of(objective.terms.begin(), objective.terms.end(),
                     [](const Term& term) { return term.weight == 0 || term.recordable; });
}

[[noreturn]] void refuse_state(const std::string& why) {
  throw InputError("the optimizer's state is not that of this rule: " + why);
}

at::Tensor bytes_of(const void* data, std::size_t size) {
  auto bytes = at::empty({static_cast<std::int64_t>(size)}, at::kByte);
  std::memcpy(bytes.mutable_data_ptr(), data, size);
  return bytes;
}

/// What is remembered of each entry of W, and of how many steps, 0 being none; SGD does not count them: 1.
struct OptimizerMemory {
  std::vector<at::Tensor> rows;
  std::int64_t steps = 0;
};

using torch::optim::AdamParamState;
using torch::optim::SGDParamState;

bool is_of_entries(const torch::optim::Optimizer& optimizer) {
  return dynamic_cast<const torch::optim::SGD*>(&optimizer) || dynamic_cast<const torch::optim::Adam*>(&optimizer);
}

OptimizerMemory memory_of(const torch::optim::Optimizer& optimizer) {
  OptimizerMemory memory;
  if (optimizer.state().empty()) return memory;
  auto* state = optimizer.state().begin()->second.get();
  if (const auto* sgd = dynamic_cast<SGDParamState*>(state)) memory = {{sgd->momentum_buffer()}, 1};
  if (const auto* adam = dynamic_cast<AdamParamState*>(state)) {
    memory = {{adam->exp_avg(), adam->exp_avg_sq(), adam->max_exp_avg_sq()}, adam->step()};
  }
  std::erase_if(memory.rows, [](const at::Tensor& t) { return !t.defined(); });
  return memory;
}

void remember(torch::optim::Optimizer& optimizer, const at::Tensor& w, const OptimizerMemory& memory) {
  const auto& [rows, steps] = memory;
  auto& state = optimizer.state()[w.unsafeGetTensorImpl()];
  const auto copy = [&](std::size_t i) {
    if (rows[i].sizes() != w.sizes()) refuse_state("its tensors are not like W");
    return rows[i].to(w.options(), false, true).detach();
  };
  if (dynamic_cast<torch::optim::SGD*>(&optimizer)) {
    if (rows.size() != 1) refuse_state(fmt::format("{} tensors like W", rows.size()));
    auto sgd = std::make_unique<SGDParamState>();
    sgd->momentum_buffer(copy(0));
    state = std::move(sgd);
  } else {
    if (rows.size() < 2 || rows.size() > 3) refuse_state(fmt::format("{} tensors like W", rows.size()));
    auto adam = std::make_unique<AdamParamState>();
    adam->step(steps);
    adam->exp_avg(copy(0));
    adam->exp_avg_sq(copy(1));
    if (rows.size() == 3) adam->max_exp_avg_sq(copy(2));
    state = std::move(adam);
  }
}

void load_state(torch::optim::Optimizer& optimizer, const at::Tensor& w, const TrainState& from) {
  const auto& bytes = from.optimizer;
  const auto size = static_cast<std::size_t>(bytes.numel());
  if (is_of_entries(optimizer) && size == sizeof(std::int64_t)) {
    OptimizerMemory memory{from.optimizer_rows};
    std::memcpy(&memory.steps, bytes.const_data_ptr(), size);
    if (memory.steps > 0) remember(optimizer, w, memory);
    return;
  }
  try {
    torch::serialize::InputArchive archive;
    archive.load_from(reinterpret_cast<const char*>(bytes.const_data_ptr<std::uint8_t>()), size, w.device());
    optimizer.load(archive);
  } catch (const c10::Error& e) {
    refuse_state(e.what_without_backtrace());
  }
}

}  // namespace

Stepping::Stepping(const BoundObjective& bound, at::Tensor w, const DescentOptions& descent, double learning_rate,
                   GraphRecorder graphs, const TrainState& from)
    : bound_(bound),
      w_(std::move(w)),
      descent_(descent),
      rate_(learning_rate),
      graphs_(std::move(graphs)),
      first_recorded_(from.step + steps_before_recording) {
  const auto& rule = descent_.update;
  if (rule.batch > 0) {
    const auto samples = bound_.samples();
    if (rule.batch > samples) {
      throw InputError(
          fmt::format("update: expected a batch of at most {} points, all of them, got {}", samples, rule.batch));
    }
    batches_.emplace(samples, rule.batch, descent_.seed);
    by_batches_ = bound_.primitive_at(batches_->at(0).to(w_.device())) != nullptr;
  }
  if (rule.optimizer) {
    parameter_ = w_.detach().requires_grad_(true);
    optimizer_ = rule.optimizer(parameter_);
    if (!optimizer_) throw InputError("update: its maker gave no optimizer");
    const auto& groups = optimizer_->param_groups();
    if (groups.size() != 1 || groups[0].params().size() != 1 || !groups[0].params()[0].is_same(parameter_)) {
      throw InputError("update: expected an optimizer of the parameter that its maker is given, W, and of no other");
    }
    for (auto& group : optimizer_->param_groups()) own_rates_.push_back(group.options().get_lr());
    if (from.optimizer.defined()) load_state(*optimizer_, parameter_, from);
  }
  renew();
  if (!optimizer_ && !batches_ && graphs_ && can_be_recorded(bound_.objective()) && descent_.perturbation.radius == 0) {
    recordable_ = dynamic_cast<RecordableStepper*>(stepper_.get());
  }
}

at::Tensor Stepping::terms() const {
  if (stepper_) return stepper_->terms();
  if (!terms_.defined()) terms_ = bound_.primitive()->terms(w_);
  return terms_;
}

void Stepping::renew() {
  if (optimizer_ || by_batches_) {
    terms_.reset();
  } else {
    stepper_ = bound_.primitive()->stepper(w_);
    const auto objective = batches_ ? std::nullopt : bound_.as_square();
    square_ = objective ? dynamic_cast<RecordableStepper*>(stepper_.get()) : nullptr;
    if (square_ && !square_->set_objective(*objective)) square_ = nullptr;
  }
}

Evaluation Stepping::evaluate(std::int64_t step) {
  if (!batches_) return evaluate_whole(step);
  batch_ = batches_->at(step).to(w_.device());
  if (by_batches_) there_ = bound_.primitive_at(batch_);
  return evaluate_batch(step);
}

/// Of batch_, all points where it is undefined.
Evaluation Stepping::evaluate_batch(std::int64_t step) {
  if (there_) return bound_.evaluate_at(batch_, there_->terms(w_));
  return bound_.evaluate(terms(), w_, step, batch_);
}

at::Tensor Stepping::gradient(const Evaluation& evaluation) const {
  return there_ ? there_->pull_back(w_, evaluation.cotangents) : bound_.gradient(w_, evaluation);
}

Update Stepping::update_at(std::int64_t step) const {
  Update update;
  update.learning_rate = learning_rate_at(descent_.schedule, rate_, step);
  if (!std::isfinite(update.learning_rate)) {
    throw InputError(
        fmt::format("schedule: expected a finite factor of the learning rate {}, got a rate of {} at step {}", rate_,
                    update.learning_rate, step));
  }
  if (descent_.noise_variance > 0) {
    const double deviation = std::sqrt(descent_.noise_variance / entries_);
    update.noise = kernels::NoiseCode{descent_.seed, static_cast<std::uint32_t>(step), deviation};
  }
  // The next step is descent at S W, whose gradient in W is S times that in S W: descent on W under S and
  // descent on S W itself are the same, and fresh signs times fresh signs are fresh signs.
  if (descent_.random_signs) {
    update.signs = RandomStream(Purpose::signs, descent_.seed, static_cast<std::uint32_t>(step));
  }
  return update;
}

void Stepping::take(std::int64_t step, const Evaluation& evaluation) {
  if (optimizer_) return optimize(step, evaluation);
  Update update = update_at(step);
  update.extra = evaluation.extra;
  if (there_) {
    kernels::descend(w_, gradient(evaluation), update);
    return renew();
  }
  stepper_->step(w_, evaluation.cotangents, update);
}

void Stepping::optimize(std::int64_t step, const Evaluation& evaluation) {
  const Update update = update_at(step);
  for (std::size_t i = 0; i < own_rates_.size(); ++i) {
    optimizer_->param_groups()[i].options().set_lr(own_rates_[i] * update.learning_rate);
  }
  const auto noise = update.noise ? kernels::noise_like(w_, *update.noise) : at::Tensor();
  bool first = true;
  // Asked once by most; the first time W is where it was evaluated.
  optimizer_->step([&]() -> at::Tensor {
    if (!first) renew();
    const auto here = std::exchange(first, false) ? evaluation : evaluate_batch(step);
    auto gradient = this->gradient(here);
    if (noise.defined()) gradient += noise;
    parameter_.mutable_grad() = gradient;
    return here.regularized;
  });
  renew();
}

bool Stepping::play(std::int64_t step, Latch& latch) {
  if (!recordable_ || step < first_recorded_) return false;
  recordable_->prepare(update_at(step));
  if (!graph_) {
    graph_ = graphs_(w_.device(), [this, &latch, step] {
      const auto evaluation = evaluate_whole(step);
      latch.see_recorded(evaluation.regularized);
      recordable_->take(w_, evaluation.cotangents, evaluation.extra);
    });
    if (!graph_) {
      recordable_ = nullptr;
      return false;
    }
  }
  latch.set(step);
  graph_->play();
  return true;
}

void Stepping::save_optimizer(TrainState& state) const {
  if (!optimizer_) return;
  if (is_of_entries(*optimizer_)) {
    const auto memory = memory_of(*optimizer_);
    state.optimizer = bytes_of(&memory.steps, sizeof memory.steps);
    state.optimizer_rows = memory.rows;
    return;
  }
  torch::serialize::OutputArchive archive;
  optimizer_->save(archive);
  std::ostringstream stream;
  archive.save_to(stream);
  const auto text = stream.str();
  state.optimizer = bytes_of(text.data(), text.size());
}

}  // namespace entk
