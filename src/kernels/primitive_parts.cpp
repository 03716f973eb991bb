#include "entk/kernels/primitive_parts.h"

#include "entk/base/check.h"
#include "entk/kernels/noise.h"
#include "entk/kernels/shard.h"

namespace entk::kernels {

namespace {

class PlainStepper final : public Stepper {
 public:
  PlainStepper(std::shared_ptr<const Primitive> primitive, const at::Tensor& w)
      : primitive_(std::move(primitive)), terms_(primitive_->terms(w)) {}

  at::Tensor terms() const override { return terms_; }

  void step(const at::Tensor& w, const at::Tensor& cotangents, const Update& update) override {
    check_update(update, *primitive_);
    const at::NoGradGuard no_grad;
    descend(w, primitive_->pull_back(w, cotangents), update);  // which checks both
    terms_ = primitive_->terms(w);
  }

 private:
  std::shared_ptr<const Primitive> primitive_;
  at::Tensor terms_;
};

}  // namespace

at::Tensor tree_sum(std::vector<at::Tensor> parts) {
  for (std::size_t stride = 1; stride < parts.size(); stride *= 2) {
    for (std::size_t i = 0; i + stride < parts.size(); i += 2 * stride) parts[i] += parts[i + stride];
  }
  return parts[0];
}

void descend(const at::Tensor& w, at::Tensor gradient, const Update& update) {
  if (update.extra.defined()) gradient += update.extra;
  if (update.noise) gradient += noise_like(w, *update.noise);
  w.sub_(gradient, update.learning_rate);
  if (update.signs) w.mul_(neuron_signs(w.size(0), *update.signs).to(w.options()).unsqueeze(1));
}

std::unique_ptr<Stepper> plain_stepper(std::shared_ptr<const Primitive> primitive, const at::Tensor& w) {
  return std::make_unique<PlainStepper>(std::move(primitive), w);
}

void check_constant(const std::string& name, const at::Tensor& t) {
  if (!t.requires_grad() || !at::GradMode::is_enabled()) return;
  throw InputError(name + ": it requires a gradient, and is held fixed here: pass " + name +
                   ".detach(); a model's forward(x) can be differentiated in x and W, the regularizers' terms in W");
}

void check_activation(const Activation& activation) {
  if (!activation.derivative) throw InputError("activation: expected one with its derivatives, got none");
}

void check_start(const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a, const Activation& activation) {
  check_matrix("x", x, -1, -1);
  check_matrix("w0", w0, -1, x.size(1));
  check_vector("a", a, w0.size(0));
  check_floating("x", x);
  check_like("w0", w0, "x", x);
  check_like("a", a, "x", x);
  check_activation(activation);
}

void check_weights(const char* name, const at::Tensor& t, const Primitive& primitive) {
  check_sizes(name, t, primitive.displacement_sizes());
  check_like(name, t, "x", primitive.points());
}

void check_cotangents(const at::Tensor& g, std::int64_t rows, const Primitive& primitive) {
  check_matrix("cotangents", g, rows, primitive.samples());
  check_like("cotangents", g, "x", primitive.points());
}

void check_update(const Update& update, const Primitive& primitive) {
  if (update.extra.defined()) check_weights("extra", update.extra, primitive);
  if (update.signs && primitive.displacement_sizes().size() != 2) {
    throw InputError("signs: they are those of neurons, rows of W, which a module's vector of parameters has not");
  }
}

}  // namespace entk::kernels
