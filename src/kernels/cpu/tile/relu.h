// The hidden layer of Figure 2's ReLU network (relu_descent.h).
#pragma once

#include "entk/kernels/cpu/tile/forward.h"

namespace entk::kernels::ENTK_ISA {
namespace {

/// max(z, 0); NaN stays NaN.
template <class T>
ENTK_INLINE Vec<T> rectified(Vec<T> z) {
  return z < T(0) ? Vec<T>{} : z;
}

template <class T>
void relu_outputs(int64_t rows, int64_t tiles, int64_t tile_stride, const T* z, const T* a, T* out) {
  for (int64_t i = 0; i < rows; ++i) {
    Vec<T> sum[1] = {Vec<T>{}};
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const T* row = z + tile * tile_stride + i * tile_columns;
      for (int column = 0; column < tile_columns; column += lanes<T>) {
        sum[0] += rectified<T>(load<T>(row + column)) * load<T>(a + tile * tile_columns + column);
      }
    }
    lane_sums<T, 1>(sum, out + i);
  }
}

template <class T>
void relu_slopes(int64_t rows, T* z, const T* a, const T* g, T* gradient_a) {
  for (int column = 0; column < tile_columns; column += lanes<T>) {
    const Vec<T> factor = load<T>(a + column);
    Vec<T> sum = load<T>(gradient_a + column);
    T* at = z + column;
    for (int64_t i = 0; i < rows; ++i, at += tile_columns) {
      const Vec<T> value = load<T>(at);
      sum += rectified<T>(value) * g[i];
      store<T>(at, value > T(0) ? factor * g[i] : Vec<T>{});
    }
    store<T>(gradient_a + column, sum);
  }
}

}  // namespace
}  // namespace entk::kernels::ENTK_ISA
