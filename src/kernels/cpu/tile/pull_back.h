// The pull-back: G from Z and the cotangents, and Gᵀ X.
#pragma once

#include "entk/kernels/cpu/tile/vectors.h"
#include "entk/kernels/cpu/tile_kernels.h"

namespace entk::kernels::ENTK_ISA {
namespace {

template <class T, int orders, bool twins>
void form_tile(int64_t samples, const T* tables, const T* z, const T* cotangents, int64_t stride, T* g) {
  constexpr int L = lanes<T>;
  constexpr int half = tile_columns / 2;
  constexpr int width = twins ? half : tile_columns;
  constexpr T inverse_factorial[max_orders] = {T(1), T(1), T(0.5), T(1.0 / 6.0)};
  for (int64_t i = 0; i < samples; ++i) {
    Vec<T> weight[orders];
    unrolled<orders>([&](auto p) { weight[p] = broadcast<T>(cotangents[p * stride + i] * inverse_factorial[p]); });
    for (int column = 0; column < width; column += L) {
      Vec<T> s[orders];
      unrolled<orders>([&](auto p) { s[p] = weight[p] * load<T>(tables + p * width + column); });
      const auto horner = [&](Vec<T> at) {
        Vec<T> value = s[orders - 1];
        unrolled<orders - 1>([&](auto p) { value = value * at + s[orders - 2 - p]; });
        return value;
      };
      store<T>(g + column, horner(load<T>(z + column)));
      if constexpr (twins) store<T>(g + half + column, -horner(load<T>(z + half + column)));
    }
    tables += orders * width;
    z += tile_columns;
    g += tile_columns;
  }
}

template <class T>
void form(int64_t samples, int orders, bool twins, const T* tables, const T* z, const T* cotangents, int64_t stride,
          T* g) {
  with_constants(orders, twins,
                 [&](auto p, auto t) { form_tile<T, p, t != 0>(samples, tables, z, cotangents, stride, g); });
}

template <class T, bool twins>
void form_along_tile(int64_t samples, const T* tables, const T* z, const T* v, const T* cotangents, int64_t stride,
                     T* g) {
  constexpr int L = lanes<T>;
  constexpr int half = tile_columns / 2;
  constexpr int width = twins ? half : tile_columns;
  for (int64_t i = 0; i < samples; ++i) {
    const Vec<T> along1 = broadcast<T>(cotangents[i]);
    const Vec<T> along2 = broadcast<T>(cotangents[stride + i]);
    const Vec<T> second = broadcast<T>(cotangents[2 * stride + i]);
    for (int column = 0; column < width; column += L) {
      const Vec<T> s1 = along1 * load<T>(tables + column);
      const Vec<T> s2 = load<T>(tables + width + column);
      const auto value = [&](int at) { return s1 + s2 * (along2 * load<T>(z + at) + second * load<T>(v + at)); };
      store<T>(g + column, value(column));
      if constexpr (twins) store<T>(g + half + column, -value(half + column));
    }
    tables += 2 * width;
    z += tile_columns;
    v += tile_columns;
    g += tile_columns;
  }
}

template <class T>
void form_along(int64_t samples, bool twins, const T* tables, const T* z, const T* v, const T* cotangents,
                int64_t stride, T* g) {
  if (twins) {
    form_along_tile<T, true>(samples, tables, z, v, cotangents, stride, g);
  } else {
    form_along_tile<T, false>(samples, tables, z, v, cotangents, stride, g);
  }
}

/// `B` features of the gradient, all columns of the tile.
template <class T, int B>
ENTK_INLINE void pull_features(int64_t samples, const T* g, const T* x, T* gradient) {
  constexpr int A = vectors_wide, L = lanes<T>;
  for (int group = 0; group < tile_columns / (A * L); ++group) {
    const T* columns = g + group * A * L;
    Vec<T> acc[B * A];
    unrolled<B * A>([&](auto i) { acc[i] = Vec<T>{}; });
    for (int64_t i = 0; i < samples; ++i) {
      Vec<T> row[A];
      unrolled<A>([&](auto a) { row[a] = load<T>(columns + i * tile_columns + a * L); });
      unrolled<B>([&](auto b) {
        const Vec<T> value = broadcast<T>(x[i * feature_block + b]);
        unrolled<A>([&](auto a) { acc[b * A + a] += value * row[a]; });
      });
    }
    unrolled<B>([&](auto b) {
      unrolled<A>([&](auto a) {
        T* to = gradient + b * tile_columns + (group * A + a) * L;
        store<T>(to, load<T>(to) + acc[b * A + a]);
      });
    });
  }
}

template <class T>
void pull(int64_t samples, int64_t features, const T* g, const T* x, int64_t x_stride, T* gradient,
          const Prefetch& ahead) {
  const int64_t pieces = (features + feature_block - 1) / feature_block;
  int64_t k = 0;
  for (int64_t piece = 0; k + feature_block <= features; k += feature_block, ++piece) {
    for (const auto& part : ahead.part) {
      const int64_t bytes = (part.bytes / pieces + 64) & ~int64_t{63};
      const char* from = static_cast<const char*>(part.from) + piece * bytes;
      const char* end = static_cast<const char*>(part.from) + part.bytes;
      for (int64_t at = 0; at < bytes && from + at < end; at += 64) __builtin_prefetch(from + at, 0, 2);
    }
    pull_features<T, feature_block>(samples, g, x, gradient + k * tile_columns);
    x += x_stride;
  }
  T* rest = gradient + k * tile_columns;
  switch (features - k) {
    case 1:
      return pull_features<T, 1>(samples, g, x, rest);
    case 2:
      return pull_features<T, 2>(samples, g, x, rest);
    case 3:
      return pull_features<T, 3>(samples, g, x, rest);
    case 4:
      return pull_features<T, 4>(samples, g, x, rest);
    case 5:
      return pull_features<T, 5>(samples, g, x, rest);
  }
}

}  // namespace
}  // namespace entk::kernels::ENTK_ISA
