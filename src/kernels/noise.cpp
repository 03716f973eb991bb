#include "entk/kernels/noise.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/kernels/shard.h"

namespace entk::kernels {

namespace {

/// Entries `first` … of all processes' matrix.
template <class T>
void fill(const NoiseCode& code, std::int64_t first, at::Tensor out) {
  const auto& kernels = tile_kernels<T>(selected_isa());
  T* values = out.mutable_data_ptr<T>();
  constexpr std::int64_t chunk = 1 << 14;
  const std::int64_t count = out.numel();
  parallel_for((count + chunk - 1) / chunk, [&](std::int64_t part) {
    const std::int64_t from = part * chunk;
    kernels.noise(code, static_cast<std::uint64_t>(first + from), std::min(chunk, count - from), values + from);
  });
}

}  // namespace

at::Tensor noise_like(const at::Tensor& w, const NoiseCode& code) {
  w.defined() && w.dim() == 2 ? check_matrix("w", w, -1, -1) : check_vector("w", w, -1);
  check_floating("w", w);
  auto out = at::empty(w.sizes(), w.options().device(at::kCPU).requires_grad(false));
  const auto shard = shard_with(w.size(0));
  for (std::int64_t half = 0; half < shard.halves(); ++half) {
    const auto first = shard.row(half) * (w.numel() / w.size(0));
    const auto rows = out.narrow(0, half * shard.count, shard.count);
    w.scalar_type() == at::kDouble ? fill<double>(code, first, rows) : fill<float>(code, first, rows);
  }
  return out.to(w.device());
}

}  // namespace entk::kernels
