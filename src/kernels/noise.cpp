#include "entk/kernels/noise.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "entk/base/check.h"
#include "entk/base/threads.h"

namespace entk::kernels {

namespace {

template <class T>
void fill(const NoiseCode& code, at::Tensor& out) {
  const auto& kernels = tile_kernels<T>(selected_isa());
  T* values = out.mutable_data_ptr<T>();
  constexpr std::int64_t chunk = 1 << 14;
  const std::int64_t count = out.numel();
  parallel_for((count + chunk - 1) / chunk, [&](std::int64_t part) {
    const std::int64_t from = part * chunk;
    kernels.noise(code, static_cast<std::uint64_t>(from), std::min(chunk, count - from), values + from);
  });
}

}  // namespace

at::Tensor noise_like(const at::Tensor& w, const NoiseCode& code) {
  w.defined() && w.dim() == 2 ? check_matrix("w", w, -1, -1) : check_vector("w", w, -1);
  check_floating("w", w);
  auto out = at::empty(w.sizes(), w.options().device(at::kCPU).requires_grad(false));
  if (w.scalar_type() == at::kDouble) {
    fill<double>(code, out);
  } else {
    fill<float>(code, out);
  }
  return out.to(w.device());
}

}  // namespace entk::kernels
