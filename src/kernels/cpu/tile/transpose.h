// Transposition between rows of W and a tile's columns.
#pragma once

#include "entk/kernels/cpu/tile/vectors.h"

namespace entk::kernels::ENTK_ISA {
namespace {

template <class T, int s>
ENTK_INLINE void swap_blocks(Vec<T>& a, Vec<T>& b) {
  constexpr Mask<T> low = lane_numbers<T>([](int l) { return l & s ? lanes<T> + l - s : l; });
  constexpr Mask<T> high = lane_numbers<T>([](int l) { return l & s ? lanes<T> + l : l + s; });
  const Vec<T> first = __builtin_shuffle(a, b, low), second = __builtin_shuffle(a, b, high);
  a = first;
  b = second;
}

/// Square block of L×L entries, transposed in registers.
template <class T, int s = lanes<T> / 2>
ENTK_INLINE void transpose_square(Vec<T> (&v)[lanes<T>]) {
  unrolled<lanes<T>>([&](auto i) {
    if constexpr ((i & s) == 0) swap_blocks<T, s>(v[i], v[i + s]);
  });
  if constexpr (s > 1) transpose_square<T, s / 2>(v);
}

/// to[j·to_stride + i] = from[i·from_stride + j], i < rows, j < columns.
template <class T>
void transpose(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to, int64_t to_stride) {
  constexpr int L = lanes<T>;
  int64_t i = 0;
  for (; i + L <= rows; i += L) {
    int64_t j = 0;
    for (; j + L <= columns; j += L) {
      Vec<T> block[L];
      unrolled<L>([&](auto l) { block[l] = load<T>(from + (i + l) * from_stride + j); });
      transpose_square<T>(block);
      unrolled<L>([&](auto l) { store<T>(to + (j + l) * to_stride + i, block[l]); });
    }
    for (; j < columns; ++j) {
      for (int l = 0; l < L; ++l) to[j * to_stride + i + l] = from[(i + l) * from_stride + j];
    }
  }
  for (; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) to[j * to_stride + i] = from[i * from_stride + j];
  }
}

template <class T>
void rows_to_tile(const T* rows, int64_t stride, int count, int64_t features, T* weights, int columns, int first) {
  transpose<T>(rows, stride, count, features, weights + first, columns);
}

template <class T>
void tile_to_rows(const T* weights, int columns, int first, int count, int64_t features, T* rows, int64_t stride) {
  transpose<T>(weights + first, columns, features, count, rows, stride);
}

}  // namespace
}  // namespace entk::kernels::ENTK_ISA
