// Exponential, logarithm, square root, sine and cosine of vectors.
#pragma once

#include "entk/kernels/cpu/tile/vectors.h"

namespace entk::kernels::ENTK_ISA {
namespace {

template <class T>
struct Bits;
template <>
struct Bits<float> {
  static constexpr int mantissa = 23, bias = 127, exp_terms = 7, log_terms = 9, sine_terms = 9;
  static constexpr float lowest = -87.0f, highest = 88.0f;
  static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
};
template <>
struct Bits<double> {
  static constexpr int mantissa = 52, bias = 1023, exp_terms = 13, log_terms = 23, sine_terms = 19;
  static constexpr double lowest = -708.0, highest = 709.0;
  static constexpr double ln2_high = 0x1.62e42fefa38p-1, ln2_low = 0x1.ef35793c7673p-45;
};

template <class T>
ENTK_INLINE Vec<T> select(Mask<T> condition, Vec<T> yes, Vec<T> no) {
  return condition ? yes : no;
}

/// e^x, relative error below 2 units in the last place; 0 where it would be subnormal, so that a large factor times
/// it is 0 too; NaN stays NaN.
template <class T>
ENTK_INLINE Vec<T> exponential(Vec<T> x) {
  using B = Bits<T>;
  const Mask<T> vanishes = x < B::lowest;
  x = select<T>(vanishes, broadcast<T>(B::lowest), x);
  x = select<T>(x > B::highest, broadcast<T>(B::highest), x);
  // Adding 1.5·2^mantissa rounds to an integer and leaves it in the low bits.
  constexpr T magic = T(1.5) * static_cast<T>(int64_t{1} << B::mantissa);
  const Vec<T> shifted = x * T(1.4426950408889634074) + magic;
  const Vec<T> k = shifted - magic;
  const Vec<T> r = (x - k * B::ln2_high) - k * B::ln2_low;
  Vec<T> value = broadcast<T>(T(1));
  unrolled<B::exp_terms>([&](auto i) {
    constexpr T inverse = T(1) / T(B::exp_terms - i);
    value = value * (r * inverse) + T(1);
  });
  const Mask<T> power = (Mask<T>)shifted << B::mantissa;
  return select<T>(vanishes, Vec<T>{}, (Vec<T>)((Mask<T>)value + power));
}

template <class T>
ENTK_INLINE Vec<T> absolute(Vec<T> x) {
  return select<T>(x < T(0), -x, x);
}

/// log u for u in (0, 1], by atanh as in base/philox.cpp.
template <class T>
ENTK_INLINE Vec<T> logarithm(Vec<T> u) {
  using B = Bits<T>;
  using I = typename Lanes<T>::Integer;
  // Exponent such that the mantissa lies in [1/√2, √2).
  constexpr I root_half = sizeof(T) == 4 ? I(0x3f3504f3) : I(0x3fe6a09e667f3bcd);
  const Mask<T> bits = (Mask<T>)u;
  const Mask<T> exponent = (bits - root_half) >> B::mantissa;
  const Vec<T> m = (Vec<T>)(bits - (exponent << B::mantissa));
  constexpr T magic = T(1.5) * static_cast<T>(int64_t{1} << B::mantissa);
  const Vec<T> k = (Vec<T>)(exponent + (Mask<T>)broadcast<T>(magic)) - magic;
  const Vec<T> s = (m - T(1)) / (m + T(1));
  const Vec<T> s2 = s * s;
  Vec<T> tail{};
  unrolled<(B::log_terms - 1) / 2>([&](auto i) {
    constexpr T inverse = T(1) / T(B::log_terms - 2 * i);
    tail = (tail + inverse) * s2;
  });
  return k * B::ln2_high + (T(2) * s + (T(2) * s * tail + k * B::ln2_low));
}

template <class T>
ENTK_INLINE Vec<T> square_root(Vec<T> x) {
  Vec<T> r;
  unrolled<lanes<T>>(
      [&](auto l) { r[l.value] = sizeof(T) == 4 ? __builtin_sqrtf(x[l.value]) : __builtin_sqrt(x[l.value]); });
  return r;
}

/// sin and cos of 2πu for u in [0, 1).
template <class T>
ENTK_INLINE void sincos2pi(Vec<T> u, Vec<T>& sine, Vec<T>& cosine) {
  using B = Bits<T>;
  constexpr T magic = T(1.5) * static_cast<T>(int64_t{1} << B::mantissa);
  const Vec<T> shifted = u * T(4) + magic;
  const Vec<T> quarter = shifted - magic;
  const Vec<T> t = (u - quarter * T(0.25)) * T(6.283185307179586476925);
  const Vec<T> t2 = t * t;
  Vec<T> s{}, c{};
  unrolled<(B::sine_terms - 1) / 2>([&](auto i) {
    constexpr int k = B::sine_terms - 2 * i;
    constexpr T odd = T(-1) / T(k * (k - 1));
    constexpr T even = T(-1) / T((k - 1) * (k - 2 > 0 ? k - 2 : 1));
    s = (T(1) + s) * (t2 * odd);
    c = (T(1) + c) * (t2 * even);
  });
  s = t + t * s;
  c = T(1) + c;
  const Mask<T> q = (Mask<T>)shifted;
  const Mask<T> swap = -(q & 1);  // all ones in odd quarters
  const Vec<T> first = select<T>(swap, c, s), second = select<T>(swap, s, c);
  sine = select<T>(-((q >> 1) & 1), -first, first);
  cosine = select<T>(-(((q + 1) >> 1) & 1), -second, second);
}

}  // namespace
}  // namespace entk::kernels::ENTK_ISA
