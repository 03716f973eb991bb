// Derivatives of the activations that the kernels know.
#pragma once

#include "entk/kernels/cpu/tile/functions.h"
#include "entk/kernels/cpu/tile_kernels.h"

namespace entk::kernels::ENTK_ISA {
namespace {

/// σ' and σ'' at one vector of arguments.
template <class T>
struct Derivatives {
  Vec<T> first, second;
};

/// Of sigmoid at z: e/(1+e)² and −sign(z) (1−e)/(1+e) σ', e = exp(−|z|); no cancellation anywhere.
template <class T>
ENTK_INLINE Derivatives<T> sigmoid_derivatives(Vec<T> z) {
  const Vec<T> e = exponential<T>(-absolute<T>(z));
  const Vec<T> inverse = T(1) / (T(1) + e);
  const Vec<T> first = e * inverse * inverse;
  const Vec<T> slope = (T(1) - e) * inverse;
  return {first, first * select<T>(z < T(0), slope, -slope)};
}

template <class T, KernelActivation kind>
ENTK_INLINE Derivatives<T> derivatives(const double* parameters, int count, Vec<T> z) {
  if constexpr (kind == KernelActivation::sigmoid) {
    return sigmoid_derivatives<T>(z - static_cast<T>(parameters[0]));
  } else if constexpr (kind == KernelActivation::tanh) {
    // tanh(z) = 2 sigmoid(2z) − 1.
    const auto s = sigmoid_derivatives<T>(T(2) * (z - static_cast<T>(parameters[0])));
    return {T(4) * s.first, T(8) * s.second};
  } else if constexpr (kind == KernelActivation::softplus) {
    const Vec<T> e = exponential<T>(-absolute<T>(z));
    const Vec<T> inverse = T(1) / (T(1) + e);
    return {select<T>(z < T(0), e * inverse, inverse), e * inverse * inverse};
  } else if constexpr (kind == KernelActivation::silu) {
    // (zs)' = s + z s', (zs)'' = 2 s' + z s''.
    const auto s = sigmoid_derivatives<T>(z);
    const Vec<T> e = exponential<T>(-absolute<T>(z));
    const Vec<T> inverse = T(1) / (T(1) + e);
    const Vec<T> value = select<T>(z < T(0), e * inverse, inverse);
    return {value + z * s.first, T(2) * s.first + z * s.second};
  } else if constexpr (kind == KernelActivation::relu) {
    // 0 at 0, as torch::relu's derivative; NaN stays NaN.
    const Vec<T> zero = z - z;
    return {select<T>(z > T(0), broadcast<T>(T(1)), zero), zero};
  } else if constexpr (kind == KernelActivation::erf) {
    const Vec<T> first = T(1.1283791670955125739) * exponential<T>(-(z * z));
    return {first, T(-2) * z * first};
  } else {
    Vec<T> value = z - z, first = value, second = value;
    for (int j = count - 1; j >= 0; --j) {
      second = second * z + T(2) * first;
      first = first * z + value;
      value = value * z + static_cast<T>(parameters[j]);
    }
    return {first, second};
  }
}

template <class T, KernelActivation kind>
void activate_kind(const double* parameters, int count, int64_t samples, int columns, int orders, const T* z,
                   const T* scale, T* tables) {
  for (int64_t i = 0; i < samples; ++i) {
    for (int column = 0; column < columns; column += lanes<T>) {
      const auto s = derivatives<T, kind>(parameters, count, load<T>(z + column));
      const Vec<T> factor = load<T>(scale + column);
      store<T>(tables + column, factor * s.first);
      if (orders == 2) store<T>(tables + columns + column, factor * s.second);
    }
    z += columns;
    tables += orders * columns;
  }
}

template <class T>
void activate(KernelActivation kind, const double* parameters, int count, int64_t samples, int columns, int orders,
              const T* z, const T* scale, T* tables) {
  using K = KernelActivation;
  switch (kind) {
    case K::sigmoid:
      return activate_kind<T, K::sigmoid>(parameters, count, samples, columns, orders, z, scale, tables);
    case K::tanh:
      return activate_kind<T, K::tanh>(parameters, count, samples, columns, orders, z, scale, tables);
    case K::softplus:
      return activate_kind<T, K::softplus>(parameters, count, samples, columns, orders, z, scale, tables);
    case K::silu:
      return activate_kind<T, K::silu>(parameters, count, samples, columns, orders, z, scale, tables);
    case K::relu:
      return activate_kind<T, K::relu>(parameters, count, samples, columns, orders, z, scale, tables);
    case K::erf:
      return activate_kind<T, K::erf>(parameters, count, samples, columns, orders, z, scale, tables);
    case K::polynomial:
      return activate_kind<T, K::polynomial>(parameters, count, samples, columns, orders, z, scale, tables);
  }
}

}  // namespace
}  // namespace entk::kernels::ENTK_ISA
