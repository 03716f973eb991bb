#include "entk/kernels/taylor_primitive.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "entk/base/check.h"
#include "entk/kernels/aten_primitive.h"
#include "entk/kernels/cpu_primitive.h"
#include "entk/kernels/reference.h"

namespace entk {

at::Tensor TaylorPrimitive::reference_pull_back(const at::Tensor& w, const at::Tensor& cotangents) const {
  return entk::reference_pull_back(x_, w0_, a_, activation_, w, cotangents);
}

bool has_twins(const at::Tensor& w0, const at::Tensor& a) {
  const auto m = a.size(0);
  if (m % 2 != 0) return false;
  return at::equal(a.narrow(0, 0, m / 2), -a.narrow(0, m / 2, m / 2)) &&
         at::equal(w0.narrow(0, 0, m / 2), w0.narrow(0, m / 2, m / 2));
}

std::int64_t primitive_bytes(std::int64_t samples, std::int64_t dimension, std::int64_t width, bool twins,
                             int orders, int element_size, KernelMode mode) {
  if (mode == KernelMode::reference) return 5 * samples * 256 * element_size;
  const std::int64_t neurons = twins ? width / 2 : width;
  std::int64_t entries = 2 * samples * dimension;                // X packed twice
  entries += (neurons / 32 + 1) * orders * samples;              // sums of tiles
  if (mode == KernelMode::keep) entries += samples * (orders * neurons + width);
  return entries * element_size;
}

std::shared_ptr<const TaylorPrimitive> make_primitive(const at::Tensor& x, const at::Tensor& w0,
                                                      const at::Tensor& a,
                                                      const ActivationFunctions& activation,
                                                      const PrimitiveOptions& options) {
  check_matrix("x", x, -1, -1);
  check_matrix("w0", w0, -1, x.size(1));
  check_vector("a", a, w0.size(0));
  check_floating("x", x);
  check_like("w0", w0, "x", x);
  check_like("a", a, "x", x);
  if (options.orders < 1 || options.orders > kernels::max_orders) {
    throw InputError(fmt::format("orders: expected 1 to {}, got {}", kernels::max_orders, options.orders));
  }
  if (!activation.derivative) throw InputError("activation: it has no derivatives");
  const at::Tensor points = x.detach(), start = w0.detach(), signs = a.detach();
  if (options.mode == KernelMode::reference || !x.is_cpu()) {
    return kernels::make_aten_primitive(points, start, signs, activation, options.orders);
  }
  KernelMode mode = options.mode;
  if (mode == KernelMode::automatic) {
    const auto bytes =
        primitive_bytes(x.size(0), x.size(1), w0.size(0), has_twins(start, signs), options.orders,
                        static_cast<int>(x.element_size()), KernelMode::keep);
    mode = bytes <= options.memory_limit ? KernelMode::keep : KernelMode::recompute;
  }
  return kernels::make_cpu_primitive(points, start, signs, activation, options.orders, mode,
                                     options.isa.value_or(kernels::selected_isa()));
}

}  // namespace entk
