// Differentiation inside entk, whatever its caller has switched off.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>

namespace entk {

/// While it lives, operations are recorded for differentiation, within NoGradGuard and c10::InferenceMode too.
class Differentiating {
  c10::InferenceMode recording_{false};
};

/// t, or a copy of it where it was made under c10::InferenceMode, which autograd does not record. To be called
/// where Differentiating lives.
inline at::Tensor recordable(const at::Tensor& t) { return t.defined() && t.is_inference() ? t.clone() : t; }

}  // namespace entk
