#include "entk/train/bound_objective.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "entk/base/check.h"
#include "entk/base/differentiation.h"
#include "entk/base/group.h"
#include "entk/base/representable.h"
#include "entk/base/threads.h"
#include "entk/base/users_code.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/kernels/row_primitive.h"

namespace entk {

namespace {

void check_labels(const std::string& name, const Loss& loss, const at::Tensor& y) {
  if (!loss.classification) return;
  const auto wrong = at::ne(y.abs(), 1);
  if (!wrong.any().item<bool>()) return;
  const auto first = wrong.to(at::kInt).argmax().item<std::int64_t>();
  throw InputError(fmt::format("{}: the {} loss needs labels −1 and +1; entry [{}] is {}", name, loss.name, first,
                               y[first].item<double>()));
}

/// While a user's function reads tensors: none of them may be changed in place.
class Untouched {
 public:
  explicit Untouched(std::vector<std::pair<const char*, at::Tensor>> read) {
    for (auto& [name, t] : read) {
      if (t.defined() && !t.is_inference()) read_.push_back({name, t, t._version()});
    }
  }
  /// @throws InputError naming who changed what.
  void check(const std::string& by) const {
    for (const auto& r : read_) {
      if (r.values._version() == r.version) continue;
      throw InputError(fmt::format("{}: it changes {} in place, which it is to read alone", by, r.name));
    }
  }

 private:
  struct Read {
    const char* name;
    at::Tensor values;
    std::int64_t version;
  };
  std::vector<Read> read_;
};

/// The scalar that a user's function gives.
template <class F>
at::Tensor scalar_of(const std::string& name, F&& f) {
  const auto value = of_user(name + ": its value cannot be made", f);
  if (!value.defined()) throw InputError(name + ": expected a scalar, got nothing");
  if (value.numel() != 1) throw InputError(fmt::format("{}: expected a scalar, got {} numbers", name, value.numel()));
  if (value.is_complex()) throw InputError(name + ": expected a real number, got a complex one");
  return value.reshape({});
}

at::Tensor value_of(const Loss& loss, const at::Tensor& output, const at::Tensor& targets) {
  const auto name = "loss " + loss.name;
  const Untouched untouched({{"the output", output}, {"the targets", targets}});
  const auto value = scalar_of(name, [&] { return loss.mean(output, targets); });
  untouched.check(name);
  return value;
}

/// @throws InputError unless it is int64, on the CPU within the points.
void check_batch(const at::Tensor& batch, std::int64_t samples) {
  if (!batch.defined()) return;
  check_vector("batch", batch, -1);
  if (batch.scalar_type() != at::kLong) {
    throw InputError(fmt::format("batch: expected Long, got {}", toString(batch.scalar_type())));
  }
  if (!batch.is_cpu()) return;
  const auto [least, greatest] = at::aminmax(batch);
  if (least.item<std::int64_t>() >= 0 && greatest.item<std::int64_t>() < samples) return;
  throw InputError(fmt::format("batch: expected points 0 to {}, got {} to {}", samples - 1, least.item<std::int64_t>(),
                               greatest.item<std::int64_t>()));
}

void check_terms(const at::Tensor& terms, const Primitive& primitive) {
  check_matrix("terms", terms, primitive.orders(), primitive.samples());
  check_like("terms", terms, "X", primitive.points());
}

/// @throws InputError for targets whose squares, as a loss sums them, are beyond the type.
void check_loss_fits(const std::string& name, const Loss& loss, const at::Tensor& output, const at::Tensor& y) {
  if (std::isfinite(value_of(loss, output, y).item<double>()))
    return;  // asked first: a loss checks its own parameters too
  const double largest = y.abs().max().item<double>(), most = largest_of(y.scalar_type());
  if (largest * std::sqrt(static_cast<double>(y.numel())) <= std::sqrt(most)) return;
  throw InputError(fmt::format("{}: entry [{}] is {}: the {} loss of it is beyond the largest of {}, {:.2g}", name,
                               y.abs().argmax().item<std::int64_t>(), largest, loss.name, toString(y.scalar_type()),
                               most));
}

/// @throws InputError for a value that autograd cannot follow to the vectors or W.
void check_has_gradient(const std::string& name, const at::Tensor& value) {
  if (value.requires_grad()) return;
  throw InputError(fmt::format(
      "{}: it has no gradient: its value ({}) is no differentiable expression of what it reads (detached, an "
      "integer, a comparison?)",
      name, toString(value.scalar_type())));
}

void check_can_be_trained(const TaylorModel& model) {
  if (model.is_empty()) throw InputError("model: expected one, got none");
  if (!model->displacement().is_inference()) return;
  throw InputError("W: the network was made under c10::InferenceMode, and cannot be differentiated: make it outside");
}

/// @throws InputError where a term is right at other points than the training points, or of another type.
void check_made_for(const Term& term, const at::Tensor& x) {
  const auto type = term.own_points.defined() ? term.own_points.scalar_type() : x.scalar_type();
  if (type != x.scalar_type()) {
    throw InputError(
        fmt::format("{}: its projector was made in {}, the training inputs are {}: make it again from them", term.name,
                    toString(type), toString(x.scalar_type())));
  }
  const auto points = term.training_points.to(x.options().requires_grad(false));
  if (points.sizes() == x.sizes() && at::equal(points, x)) return;
  throw InputError(
      fmt::format("{}: it was made for other points than the training inputs: expected these, of shape [{}], got [{}]",
                  term.name, fmt::join(x.sizes(), ", "), fmt::join(points.sizes(), ", ")));
}

/// Columns of all terms; all of them without a slice, whose derivative is a matrix of zeros and a copy.
at::Tensor columns(const at::Tensor& terms, std::int64_t first, std::int64_t count) {
  return first == 0 && count == terms.size(1) ? terms : terms.narrow(1, first, count);
}

}  // namespace

void check_targets(const std::string& name, const Loss& loss, const at::Tensor& y) {
  check_labels(name, loss, y);
  check_loss_fits(name, loss, at::zeros_like(y), y);
}

BoundObjective::BoundObjective(TaylorModel model, Objective objective, const Samples& train,
                               const PrimitiveOptions& options, const PrimitiveFactory& factory)
    : model_(std::move(model)), objective_(std::move(objective)) {
  const Differentiating outside_inference;  // what is made here may be kept by autograd
  const at::NoGradGuard no_grad;
  check_can_be_trained(model_);
  const auto& expanded = model_->expanded();
  if (!objective_.loss.mean) {
    throw InputError(fmt::format("loss {}: expected a function of output and targets, got none", objective_.loss.name));
  }
  expanded.check_points("X", train.x);
  check_like("X", train.x, "W", model_->displacement());
  check_vector("y", train.y, train.x.size(0));
  check_like("y", train.y, "X", train.x);
  check_finite("X", train.x);
  check_finite("y", train.y);
  for (const auto& [name, values] : expanded.start()) check_finite(name, values);
  check_labels("y", objective_.loss, train.y);
  samples_ = train.x.size(0);
  targets_ = recordable(train.y);

  // Point sets in the primitive: the training points, then each different set of own points once.
  std::vector<at::Tensor> sets{train.x};
  std::vector<std::int64_t> offsets{0};
  std::int64_t total = samples_;
  own_.resize(objective_.terms.size());
  for (std::size_t i = 0; i < objective_.terms.size(); ++i) {
    const Term& term = objective_.terms[i];
    if (!std::isfinite(term.weight)) {
      throw InputError(fmt::format("weight of {}: expected a finite number, got {}", term.name, term.weight));
    }
    if (!term.value) throw InputError(term.name + ": expected a function that gives its value, got none");
    check_representable("weight of " + term.name, term.weight, train.x.scalar_type());
    if (term.of_neurons && term.weight != 0) model_->two_layer(term.name);
    if (term.training_points.defined()) check_made_for(term, train.x);
    if (!term.own_points.defined()) continue;
    expanded.check_points("points of " + term.name, term.own_points);
    const auto points = term.own_points.to(train.x.options());
    const auto equal = [&](const at::Tensor& set) { return set.sizes() == points.sizes() && at::equal(set, points); };
    std::size_t set = 0;
    while (set < sets.size() && !equal(sets[set])) ++set;
    if (set == sets.size()) {
      if (term.weight == 0) {
        own_[i] = OwnPoints{0, points.size(0), model_->primitive(points, {.mode = KernelMode::recompute})};
        continue;
      }
      sets.push_back(points);
      offsets.push_back(total);
      total += points.size(0);
    }
    own_[i] = OwnPoints{offsets[set], sets[set].size(0), nullptr};
  }
  auto primitive_options = options;
  primitive_options.orders = model_->options().order;
  const auto points = sets.size() == 1 ? train.x : at::cat(sets);
  primitive_ = factory ? factory(*model_, points, primitive_options) : model_->primitive(points, primitive_options);
  initial_ = expanded.initial_output(train.x);
  check_loss_fits("y", objective_.loss, initial_, targets_);
}

TermInputs BoundObjective::inputs_from(const at::Tensor& all_terms, std::int64_t step) const {
  check_terms(all_terms, *primitive_);
  TermInputs in;
  in.step = step;
  in.terms = columns(all_terms, 0, samples_);
  in.output = model_->output(in.terms, initial_);
  in.targets = targets_;
  return in;
}

at::Tensor BoundObjective::term_value(std::size_t index, TermInputs in, const at::Tensor& all_terms,
                                      const at::Tensor& w) const {
  const Term& term = objective_.terms[index];
  if (term.of_neurons && model_->network.is_empty()) return at::full({}, NAN, w.options());  // only with weight 0
  if (const auto& own = own_[index]) {
    in.own_terms = own->separate ? own->separate->terms(w) : columns(all_terms, own->first, own->count);
  }
  in.w = w;
  in.model = model_.ptr().get();
  const Untouched untouched({{"the terms", all_terms},
                             {"the output", in.output},
                             {"the targets", in.targets},
                             {"W", term.reads == TermReads::model ? at::Tensor() : w}});
  const auto value = scalar_of(term.name, [&] { return term.value(in); });
  untouched.check(term.name);
  return value;
}

std::optional<SquareObjective> BoundObjective::as_square() const {
  const auto& model = model_->options();
  if (!objective_.loss.square || model.whole_network || primitive_->samples() != samples_) return std::nullopt;
  SquareObjective square{.targets = model.initial_output ? targets_ - initial_ : targets_,
                         .linear_term = model.linear_term};
  for (const auto& term : objective_.terms) {
    if (term.weight == 0) continue;
    // All points are the training points: so are the term's own.
    if (!term.high_of.defined() || (square.basis.defined() && !square.basis.is_same(term.high_of))) return std::nullopt;
    square.basis = term.high_of;
    square.weight += term.weight;
  }
  return square;
}

Evaluation BoundObjective::evaluation_of(const RecordableStepper::Square& square) const {
  Evaluation result;
  result.loss = square.values[0];
  result.regularized = square.values[2];
  for (const auto& term : objective_.terms) {
    result.terms.push_back(term.weight == 0 ? at::Tensor() : square.values[1]);
  }
  result.cotangents = square.cotangents;
  return result;
}

Evaluation BoundObjective::evaluate(const at::Tensor& terms, const at::Tensor& w, std::int64_t step,
                                    const at::Tensor& batch) const {
  return evaluate_parts(terms, w, step, batch, [](std::size_t) { return true; });
}

Evaluation BoundObjective::evaluate_parts(const at::Tensor& terms, const at::Tensor& w, std::int64_t step,
                                          const at::Tensor& batch,
                                          const std::function<bool(std::size_t part)>& wanted) const {
  kernels::check_weights("w", w, *primitive_);
  check_terms(terms, *primitive_);
  check_batch(batch, samples_);
  const SerialTorch serial;
  const Differentiating recording;
  Evaluation result;
  // Leaves: the vectors and, where a term reads it, W.
  const auto vectors = recordable(terms.detach()).requires_grad_(true);
  at::Tensor displacement, total;
  const auto in = inputs_from(vectors, step);
  const auto add = [&](const at::Tensor& value, double weight) {
    total = total.defined() ? total.add(value, weight) : weight == 1 ? value : weight * value;
  };
  if (wanted(0)) {
    const auto of_batch = [&](const at::Tensor& t) { return batch.defined() ? t.index_select(0, batch) : t; };
    result.loss = value_of(objective_.loss, of_batch(in.output), of_batch(in.targets));
    check_has_gradient("loss " + objective_.loss.name, result.loss);
    add(result.loss, 1);
  }
  result.terms.resize(objective_.terms.size());
  for (std::size_t i = 0; i < objective_.terms.size(); ++i) {
    const Term& term = objective_.terms[i];
    if (term.weight == 0 || !wanted(i + 1)) continue;
    at::Tensor value;
    if (term.reads == TermReads::model) {
      value = term_value(i, in, vectors, w);  // differentiated in the model's own W
      check_has_gradient(term.name, value);
      const auto grad = torch::autograd::grad({value}, {model_->displacement()}, {}, std::nullopt, false, true)[0];
      if (!grad.defined()) check_has_gradient(term.name, value.detach());
      result.extra = result.extra.defined() ? result.extra + term.weight * grad : term.weight * grad;
      value = value.detach();
    } else {
      if (term.reads == TermReads::displacement && !displacement.defined()) {
        displacement = recordable(w.detach()).requires_grad_(true);
      }
      value = term_value(i, in, vectors, term.reads == TermReads::displacement ? displacement : w.detach());
      check_has_gradient(term.name, value);
    }
    result.terms[i] = value.detach();
    add(value, term.weight);
  }
  std::vector<at::Tensor> leaves{vectors};
  if (displacement.defined()) leaves.push_back(displacement);
  std::vector<at::Tensor> grads(leaves.size());
  if (total.requires_grad()) grads = torch::autograd::grad({total}, leaves, {}, std::nullopt, false, true);
  if (!result.extra.defined() &&
      std::none_of(grads.begin(), grads.end(), [](const at::Tensor& g) { return g.defined(); })) {
    std::size_t part = 0;
    while (part < objective_.terms.size() && !wanted(part)) ++part;
    throw InputError(fmt::format("{}: it has no gradient: its value depends neither on the vectors nor on W",
                                 part == 0 ? "loss " + objective_.loss.name : objective_.terms[part - 1].name));
  }
  result.cotangents = grads[0].defined() ? grads[0] : at::zeros_like(terms);
  if (displacement.defined() && grads[1].defined()) {
    result.extra = result.extra.defined() ? result.extra + grads[1] : grads[1];
  }
  if (result.loss.defined()) result.loss = result.loss.detach();
  result.regularized = total.detach();
  return result;
}

std::shared_ptr<const Primitive> BoundObjective::primitive_at(const at::Tensor& batch) const {
  check_batch(batch, samples_);
  for (const auto& term : objective_.terms) {
    if (term.weight != 0) return nullptr;
  }
  return at_rows(*primitive_, batch);
}

Evaluation BoundObjective::evaluate_at(const at::Tensor& batch, const at::Tensor& terms) const {
  const SerialTorch serial;
  const Differentiating recording;
  const auto vectors = recordable(terms.detach()).requires_grad_(true);
  const auto output = model_->output(vectors, initial_.index_select(0, batch));
  const auto loss = value_of(objective_.loss, output, targets_.index_select(0, batch));
  check_has_gradient("loss " + objective_.loss.name, loss);
  Evaluation result;
  result.loss = result.regularized = loss.detach();
  result.terms.resize(objective_.terms.size());
  result.cotangents = torch::autograd::grad({loss}, {vectors})[0];
  return result;
}

std::vector<std::string> BoundObjective::check_gradients(const at::Tensor& terms, const at::Tensor& w,
                                                         std::int64_t step) const {
  kernels::check_weights("w", w, *primitive_);
  const SerialTorch serial;
  // By the extremes, NaN included: nothing of W's size is made beside the gradient.
  const auto extremes = [](const at::Tensor& t) {
    const auto [least, greatest] = at::aminmax(t);
    return std::pair{-largest_of_all(-least.item<double>()), largest_of_all(greatest.item<double>())};
  };
  const bool at_zero = extremes(w) == std::pair{0.0, 0.0};
  std::vector<std::string> notices;
  bool moves = false;
  for (std::size_t part = 0; part <= objective_.terms.size(); ++part) {
    const auto name = part == 0 ? "the loss " + objective_.loss.name : objective_.terms[part - 1].name;
    if (part > 0 && (objective_.terms[part - 1].weight == 0 || (at_zero && objective_.terms[part - 1].flat_at_zero)))
      continue;
    const auto evaluation = evaluate_parts(terms, w, step, {}, [part](std::size_t p) { return p == part; });
    if (const double value = evaluation.regularized.item<double>(); !std::isfinite(value)) {
      throw InputError(
          fmt::format("{}: expected a finite value at the first W{}, got {}", name, at_zero ? ", 0" : "", value));
    }
    const auto slope = gradient(w, evaluation);
    const auto [least, greatest] = extremes(slope);
    if (!std::isfinite(least) || !std::isfinite(greatest)) {
      throw InputError(fmt::format(
          "{}: its value at the first W{} is {}, but its gradient is not finite there (as a root's is at 0)", name,
          at_zero ? ", 0," : "", evaluation.regularized.item<double>()));
    }
    if (least != 0 || greatest != 0) {
      moves = true;
    } else {
      notices.push_back(fmt::format("{}: its gradient at the first W{} is exactly 0", name, at_zero ? ", 0," : ""));
    }
  }
  if (!moves)
    notices.push_back(
        "the gradient of the whole objective is exactly 0 at the first W: descent alone does not leave it");
  return notices;
}

Evaluation BoundObjective::values(const at::Tensor& terms, const at::Tensor& w, std::int64_t step) const {
  kernels::check_weights("w", w, *primitive_);
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  Evaluation result;
  const auto in = inputs_from(terms, step);
  result.loss = value_of(objective_.loss, in.output, in.targets);
  result.regularized = result.loss;
  for (std::size_t i = 0; i < objective_.terms.size(); ++i) {
    result.terms.push_back(term_value(i, in, terms, w.detach()));
    const double weight = objective_.terms[i].weight;
    if (weight != 0) result.regularized = result.regularized.add(result.terms.back(), weight);
  }
  return result;
}

at::Tensor BoundObjective::expression(const at::Tensor& terms, const at::Tensor& w) const {
  if (const auto slow = slow_terms(); !slow.empty()) {
    throw InputError(
        fmt::format("{}: it goes through the whole model, so it is no expression of its terms and W", slow[0]));
  }
  kernels::check_weights("w", w, *primitive_);
  const auto in = inputs_from(terms, 0);
  auto total = value_of(objective_.loss, in.output, in.targets);
  if (terms.requires_grad()) check_has_gradient("loss " + objective_.loss.name, total);
  for (std::size_t i = 0; i < objective_.terms.size(); ++i) {
    const double weight = objective_.terms[i].weight;
    if (weight == 0) continue;
    const auto value = term_value(i, in, terms, w);
    if (terms.requires_grad()) check_has_gradient(objective_.terms[i].name, value);
    total = total.add(value, weight);
  }
  return total;
}

at::Tensor BoundObjective::gradient(const at::Tensor& w, const Evaluation& evaluation) const {
  kernels::check_weights("w", w, *primitive_);
  auto gradient = primitive_->pull_back(w.detach(), evaluation.cotangents);
  if (evaluation.extra.defined()) gradient += evaluation.extra;
  return gradient;
}

double BoundObjective::loss_of(const at::Tensor& output, const at::Tensor& targets, const char* name) const {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  check_vector("output", output, -1);
  check_vector(name, targets, output.size(0));
  check_labels(name, objective_.loss, targets);
  const double loss = value_of(objective_.loss, output, targets).item<double>();
  if (!std::isfinite(loss)) check_loss_fits(name, objective_.loss, at::zeros_like(targets), targets);
  return loss;
}

std::vector<std::string> BoundObjective::slow_terms() const {
  std::vector<std::string> names;
  for (const auto& term : objective_.terms) {
    if (term.reads == TermReads::model && term.weight != 0) names.push_back(term.name);
  }
  return names;
}

}  // namespace entk
