// The update of W, entry by entry.
#pragma once

#include "entk/kernels/cpu/tile/vectors.h"

namespace entk::kernels::ENTK_ISA {
namespace {

template <class T>
ENTK_INLINE Vec<T> or_zero(const T* p, int64_t at) {
  return p ? load<T>(p + at) : Vec<T>{};
}

template <class T>
void update(int64_t count, T rate, const T* gradient, const T* extra, const T* noise, T* w) {
  int64_t j = 0;
  for (; j + lanes<T> <= count; j += lanes<T>) {
    const Vec<T> total = (load<T>(gradient + j) + or_zero<T>(extra, j)) + or_zero<T>(noise, j);
    store<T>(w + j, load<T>(w + j) - rate * total);
  }
  for (; j < count; ++j) {
    // The same operations in the same order as above: an entry's bits do not depend on its place.
    const T total = (gradient[j] + (extra ? extra[j] : T(0))) + (noise ? noise[j] : T(0));
    w[j] = w[j] - rate * total;
  }
}

template <class T>
void add(int64_t count, const T* from, T* to) {
  int64_t j = 0;
  for (; j + lanes<T> <= count; j += lanes<T>) store<T>(to + j, load<T>(to + j) + load<T>(from + j));
  for (; j < count; ++j) to[j] += from[j];
}

}  // namespace
}  // namespace entk::kernels::ENTK_ISA
