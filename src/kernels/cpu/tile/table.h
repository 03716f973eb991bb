// The tile kernels of one instruction set: included once for each, with ENTK_ISA naming the namespace. Everything in
// tile/ is inline in that namespace, and nothing of the standard library's inline code is used, so that no function
// compiled for one instruction set is linked into another.
#include "entk/kernels/cpu/tile/activation.h"
#include "entk/kernels/cpu/tile/forward.h"
#include "entk/kernels/cpu/tile/noise.h"
#include "entk/kernels/cpu/tile/pull_back.h"
#include "entk/kernels/cpu/tile/relu.h"
#include "entk/kernels/cpu/tile/transpose.h"
#include "entk/kernels/cpu/tile/update.h"
#include "entk/kernels/cpu/tile_kernels.h"

namespace entk::kernels::ENTK_ISA {
namespace {

/// 24 independent chains of fused multiply-adds where the processor has them.
template <class T>
double peak_probe(int64_t iterations, T* sink) {
  constexpr int chains = sample_block * vectors_wide;
  Vec<T> acc[chains];
  const Vec<T> factor = broadcast<T>(*sink);
  unrolled<chains>([&](auto i) { acc[i] = broadcast<T>(T(i)); });
  for (int64_t i = 0; i < iterations; ++i) {
    unrolled<chains>([&](auto c) { acc[c] = acc[c] * factor + factor; });
  }
  Vec<T> total{};
  unrolled<chains>([&](auto i) { total += acc[i]; });
  *sink = total[0];
  return 2.0 * chains * lanes<T> * static_cast<double>(iterations);
}

}  // namespace

template <class T>
const TileKernels<T>& table() {
  static constexpr TileKernels<T> kernels{Isa::ENTK_ISA,   product<T>,      forward<T>,     form<T>,
                                          form_along<T>,   sums_along<T>,   pull<T>,        rows_to_tile<T>,
                                          tile_to_rows<T>, activate<T>,     update<T>,      add<T>,
                                          noise<T>,        relu_outputs<T>, relu_slopes<T>, peak_probe<T>};
  return kernels;
}
template const TileKernels<float>& table<float>();
template const TileKernels<double>& table<double>();

}  // namespace entk::kernels::ENTK_ISA
