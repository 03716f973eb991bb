// The compiler's own vectors (vector_size), so that one source serves AVX-512, AVX2, SSE2 and NEON.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <utility>

#define ENTK_INLINE inline __attribute__((always_inline))

namespace entk::kernels::ENTK_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
constexpr int vectors_wide = 4;  // 4×6 accumulators, 4 weights and an input: 29 of 32 registers
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
constexpr int vectors_wide = 2;  // 2×6 + 2 + 1: 15 of 16 registers
#elif defined(__aarch64__)
constexpr int vector_bytes = 16;
constexpr int vectors_wide = 4;
#else
constexpr int vector_bytes = 16;
constexpr int vectors_wide = 2;
#endif

template <class T>
struct Lanes;
template <>
struct Lanes<float> {
  typedef float Vector __attribute__((vector_size(vector_bytes)));
  typedef int32_t Mask __attribute__((vector_size(vector_bytes)));
  typedef float Unaligned __attribute__((vector_size(vector_bytes), aligned(4), may_alias));
  typedef int32_t Integer;
};
template <>
struct Lanes<double> {
  typedef double Vector __attribute__((vector_size(vector_bytes)));
  typedef int64_t Mask __attribute__((vector_size(vector_bytes)));
  typedef double Unaligned __attribute__((vector_size(vector_bytes), aligned(8), may_alias));
  typedef int64_t Integer;
};
template <class T>
using Vec = typename Lanes<T>::Vector;
template <class T>
using Mask = typename Lanes<T>::Mask;
template <class T>
constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

template <class T>
ENTK_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename Lanes<T>::Unaligned*>(p);
}
template <class T>
ENTK_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename Lanes<T>::Unaligned*>(p) = v;
}
template <class T>
ENTK_INLINE Vec<T> broadcast(T x) {
  return x - Vec<T>{};  // x itself: x + 0 would cost an addition, for the sake of −0
}

/// Calls f(index constant) for 0 … count−1: arrays of vectors stay in registers only where every
/// index is a constant before the optimiser starts.
template <int I>
struct Index {
  static constexpr int value = I;
  constexpr operator int() const { return I; }
};
template <int count, int i = 0, class F>
ENTK_INLINE void unrolled(F&& f) {
  if constexpr (i < count) {
    f(Index<i>{});
    unrolled<count, i + 1>(f);
  }
}

/// f(orders, twins) as constants, for orders 1 … 4.
template <class F>
ENTK_INLINE void with_constants(int orders, bool twins, F&& f) {
  unrolled<4>([&](auto i) {
    if (orders != i + 1) return;
    if (twins) {
      f(Index<i + 1>{}, Index<1>{});
    } else {
      f(Index<i + 1>{}, Index<0>{});
    }
  });
}

/// The constant vector {f(0), f(1), …} of lane numbers.
template <class T, class F, int... i>
ENTK_INLINE constexpr Mask<T> lane_numbers(F f, std::integer_sequence<int, i...>) {
  return Mask<T>{f(i)...};
}
template <class T, class F>
ENTK_INLINE constexpr Mask<T> lane_numbers(F f) {
  return lane_numbers<T>(f, std::make_integer_sequence<int, lanes<T>>{});
}

}  // namespace
}  // namespace entk::kernels::ENTK_ISA
