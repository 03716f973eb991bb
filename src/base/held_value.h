// A value of any type carried through an autograd node.
#pragma once

#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <utility>

namespace entk {

template <class T>
struct HeldValue : torch::CustomClassHolder {
  explicit HeldValue(T of) : value(std::move(of)) {}
  T value;
};

/// Keeps it for the node's pull-back.
template <class T>
void hold(torch::autograd::AutogradContext* ctx, T value) {
  ctx->saved_data["held"] = c10::IValue::make_capsule(c10::make_intrusive<HeldValue<T>>(std::move(value)));
}
/// What was kept; it lives as long as the node.
template <class T>
const T& held(torch::autograd::AutogradContext* ctx) {
  return c10::static_intrusive_pointer_cast<HeldValue<T>>(ctx->saved_data["held"].toCapsule())->value;
}

}  // namespace entk
