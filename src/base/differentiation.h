// Differentiation inside entk, whatever its caller has switched off or on.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

namespace entk {

/// While it lives, operations have the type of what they are given, within autocast too: it would round each order's
/// derivatives to 16 bits.
class WithoutAutocast {
  c10::impl::ExcludeDispatchKeyGuard guard_{c10::autocast_dispatch_keyset};
};

/// While it lives, operations are recorded for differentiation, within NoGradGuard and c10::InferenceMode too, and
/// WithoutAutocast.
class Differentiating {
  c10::InferenceMode recording_{false};
  WithoutAutocast in_full_;
};

/// t, or a copy of it where it was made under c10::InferenceMode, which autograd does not record. To be called
/// where Differentiating lives.
inline at::Tensor recordable(const at::Tensor& t) { return t.defined() && t.is_inference() ? t.clone() : t; }

}  // namespace entk
