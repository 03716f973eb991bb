#include "entk/regularizers/term.h"

#include <ATen/core/grad_mode.h>

#include "entk/base/check.h"
#include "entk/base/differentiation.h"
#include "entk/kernels/shard.h"

namespace entk {

namespace {

/// A user's value may differentiate inside, as a gradient penalty does: it finds the same world where its number
/// alone is asked for as where its gradient is.
template <class F>
at::Tensor with_gradients(F&& value) {
  const bool wanted = at::GradMode::is_enabled();
  const Differentiating recording;
  const auto v = value();
  return wanted || !v.defined() ? v : v.detach();
}

template <class F>
void check_given(const std::string& name, const F& f) {
  if (!f) throw InputError(name + ": expected a function, got none");
}

}  // namespace

Term regularizer(std::string name, std::function<at::Tensor(const at::Tensor&)> value) {
  check_given(name, value);
  return {std::move(name), TermReads::displacement, [value = std::move(value)](const TermInputs& in) {
            return with_gradients(
                [&] { return value(in.w.requires_grad() ? in.w : recordable(in.w.detach()).requires_grad_(true)); });
          }};
}

Term neuron_regularizer(std::string name, std::function<at::Tensor(const at::Tensor&)> summands) {
  check_given(name, summands);
  const auto value = [name, summands = std::move(summands)](const at::Tensor& w) {
    const auto each = summands(w);
    check_vector(name + ": its summands", each, w.size(0));
    return neuron_sum(each);
  };
  auto term = regularizer(name, value);
  term.sums_over_neurons = true;
  return term;
}

Term vector_regularizer(std::string name, std::function<at::Tensor(const TermInputs&)> value) {
  return {std::move(name), TermReads::vectors, std::move(value)};
}

Term model_regularizer(std::string name, std::function<at::Tensor(TaylorModelImpl&)> value) {
  check_given(name, value);
  return {std::move(name), TermReads::model, [value = std::move(value)](const TermInputs& in) {
            return with_gradients([&] { return value(*in.model); });
          }};
}

}  // namespace entk
