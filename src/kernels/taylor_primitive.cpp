#include "entk/kernels/taylor_primitive.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "entk/base/check.h"
#include "entk/kernels/aten_primitive.h"
#include "entk/kernels/cpu/cpu_primitive.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/kernels/reference.h"
#include "entk/kernels/shard.h"
#if ENTK_HAS_CUDA
#include "entk/kernels/gpu/cuda_primitive.h"
#endif

namespace entk {

at::Tensor TaylorPrimitive::reference_pull_back(const at::Tensor& w, const at::Tensor& cotangents) const {
  kernels::check_weights("w", w, *this);
  kernels::check_cotangents(cotangents, orders_, *this);
  return entk::reference_pull_back(x_, w0_, a_, activation_, w, cotangents);
}

bool has_twins(const at::Tensor& w0, const at::Tensor& a) {
  const auto m = a.size(0);
  if (m % 2 != 0) return false;
  return at::equal(a.narrow(0, 0, m / 2), -a.narrow(0, m / 2, m / 2)) &&
         at::equal(w0.narrow(0, 0, m / 2), w0.narrow(0, m / 2, m / 2));
}

std::int64_t primitive_bytes(const PrimitiveSizes& s, KernelMode mode) {
  if (mode == KernelMode::reference) return 5 * s.samples * 256 * s.element_size;
  const std::int64_t neurons = s.twins ? s.width / 2 : s.width;
  std::int64_t entries = 2 * s.samples * s.dimension;                                 // X packed twice
  entries += std::min(neurons / 32 + 1, 64 + neurons / 2048) * s.orders * s.samples;  // sums of tiles
  if (mode == KernelMode::keep) entries += s.samples * (s.orders * neurons + s.width);
  return entries * s.element_size;
}

KernelMode resolved_mode(const PrimitiveSizes& sizes, KernelMode mode, std::int64_t memory_limit) {
  if (mode != KernelMode::automatic) return mode;
  return primitive_bytes(sizes, KernelMode::keep) <= memory_limit ? KernelMode::keep : KernelMode::recompute;
}

const char* mode_name(KernelMode mode) {
  switch (mode) {
    case KernelMode::keep:
      return "keep";
    case KernelMode::recompute:
      return "recompute";
    case KernelMode::reference:
      return "reference";
    default:
      return "automatic";
  }
}

std::shared_ptr<const TaylorPrimitive> make_primitive(const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a,
                                                      const Activation& activation, const PrimitiveOptions& options) {
  kernels::check_start(x, w0, a, activation);
  kernels::check_constant("x", x);
  kernels::check_constant("w0", w0);
  kernels::check_constant("a", a);
  if (options.orders < 1 || options.orders > kernels::max_orders) {
    throw InputError(fmt::format("orders: expected 1 to {}, got {}", kernels::max_orders, options.orders));
  }
  const at::Tensor points = x.detach(), start = w0.detach(), signs = a.detach();
  if (group().size() > 1 && !has_twins(start, signs)) {
    throw InputError("a network is shared out among processes from a symmetric start alone");
  }
  const auto plain = [&] {
    if (group().size() > 1) {
      throw InputError(
          "a network is shared out among processes with entk's own kernels alone: on a GPU those of float32, for "
          "compute "
          "capability 8 and later");
    }
    return kernels::make_aten_primitive(points, start, signs, activation, options.orders);
  };
  if (options.mode == KernelMode::reference || !(x.is_cpu() || (ENTK_HAS_CUDA && x.is_cuda()))) return plain();
  // Of several processes the one with the most neurons decides for all, that none waits for another's slower way.
  const auto width = static_cast<std::int64_t>(largest_of_all(static_cast<double>(w0.size(0))));
  const PrimitiveSizes sizes{
      x.size(0), x.size(1), width, has_twins(start, signs), options.orders, static_cast<int>(x.element_size())};
  const KernelMode mode = resolved_mode(sizes, options.mode, options.memory_limit);
#if ENTK_HAS_CUDA
  if (x.is_cuda()) {
    auto primitive = kernels::make_cuda_primitive(points, start, signs, activation, options.orders, mode, options.tf32);
    return primitive ? primitive : plain();
  }
#endif
  return kernels::make_cpu_primitive(points, start, signs, activation, options.orders, mode,
                                     options.isa.value_or(kernels::selected_isa()));
}

}  // namespace entk
