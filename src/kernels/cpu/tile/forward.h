// Products Z = X Wᵀ of a tile, and the terms' sums over its columns.
#pragma once

#include "entk/kernels/cpu/tile/vectors.h"
#include "entk/kernels/cpu/tile_kernels.h"

namespace entk::kernels::ENTK_ISA {
namespace {

/// Column of vector a in group `group`: half of a group's vectors in each half of the tile, so that
/// a neuron and its twin are in one group. `half` is half of the columns.
template <class T, int A>
ENTK_INLINE constexpr int column_of(int a, int group, int half) {
  return (a < A / 2 ? 0 : half) + (group * (A / 2) + a % (A / 2)) * lanes<T>;
}

/// Accumulators of 6 samples by A vectors of columns: Σ_k x[k][j] w[k][column].
template <class T, int A>
ENTK_INLINE void multiply(int64_t features, const T* x, const T* w, int64_t stride, int group, int half,
                          Vec<T> (&z)[sample_block * A]) {
  unrolled<sample_block * A>([&](auto i) { z[i] = Vec<T>{}; });
  for (int64_t k = 0; k < features; ++k) {
    Vec<T> weights[A];
    unrolled<A>([&](auto a) { weights[a] = load<T>(w + column_of<T, A>(a, group, half)); });
    unrolled<sample_block>([&](auto j) {
      const Vec<T> value = broadcast<T>(x[j]);
      unrolled<A>([&](auto a) { z[j * A + a] += value * weights[a]; });
    });
    x += sample_block;
    w += stride;
  }
}

template <class T, int columns>
void product_columns(int64_t sample_blocks, int64_t features, const T* x, const T* w, T* z) {
  constexpr int A = vectors_wide * lanes<T> <= columns ? vectors_wide : columns / lanes<T>;
  constexpr int groups = columns / (A * lanes<T>);
  for (int64_t block = 0; block < sample_blocks; ++block) {
    for (int group = 0; group < groups; ++group) {
      Vec<T> acc[sample_block * A];
      multiply<T, A>(features, x, w, columns, group, columns / 2, acc);
      unrolled<sample_block>([&](auto j) {
        unrolled<A>(
            [&](auto a) { store<T>(z + j * columns + column_of<T, A>(a, group, columns / 2), acc[j * A + a]); });
      });
    }
    x += sample_block * features;
    z += sample_block * columns;
  }
}

template <class T>
void product(int64_t sample_blocks, int64_t features, const T* x, const T* w, int columns, T* z) {
  if (columns == tile_columns) {
    product_columns<T, tile_columns>(sample_blocks, features, x, w, z);
  } else {
    product_columns<T, tile_columns / 2>(sample_blocks, features, x, w, z);
  }
}

/// Lanes of two vectors, each block of 2s lanes folded in half: blocks of s from a and b in turn.
template <class T, int s>
ENTK_INLINE Vec<T> fold_pair(Vec<T> a, Vec<T> b) {
  struct From {
    constexpr int operator()(int l) const { return l / s / 2 * 2 * s + l % s + (l / s % 2 ? lanes<T> : 0) + shift; }
    int shift;
  };
  constexpr Mask<T> low = lane_numbers<T>(From{0}), high = lane_numbers<T>(From{s});
  return __builtin_shuffle(a, b, low) + __builtin_shuffle(a, b, high);
}

/// sum[i] = Σ over lanes of v[i]: as many vectors as a vector has lanes, by a tree.
template <class T, int count>
ENTK_INLINE Vec<T> fold_all(const Vec<T>* v) {
  if constexpr (count == 1) {
    return v[0];
  } else {
    Vec<T> half[count / 2];
    unrolled<count / 2>([&](auto i) { half[i] = fold_pair<T, count / 2>(v[i], v[i + count / 2]); });
    return fold_all<T, count / 2>(half);
  }
}

/// out[i] = Σ over lanes of v[i], i < count.
template <class T, int count>
ENTK_INLINE void lane_sums(const Vec<T> (&v)[count], T* out) {
  constexpr int L = lanes<T>;
  unrolled<(count + L - 1) / L>([&](auto chunk) {
    Vec<T> part[L];
    unrolled<L>([&](auto i) {
      constexpr int from = chunk * L + i;
      if constexpr (from < count) {
        part[i] = v[from];
      } else {
        part[i] = Vec<T>{};
      }
    });
    const Vec<T> sums = fold_all<T, L>(part);
    unrolled<L>([&](auto i) {
      if constexpr (chunk * L + i < count) out[chunk * L + i] = sums[i.value];
    });
  });
}

/// Adds one group's sums of 6 samples; the first group sets them.
template <class T, int orders>
ENTK_INLINE void add_sums(const Vec<T> (&partial)[orders * sample_block], bool first, T* sums, int64_t stride) {
  T out[orders * sample_block];
  lane_sums<T, orders * sample_block>(partial, out);
  for (int p = 0; p < orders; ++p) {
    for (int j = 0; j < sample_block; ++j) {
      T* to = sums + p * stride + j;
      *to = first ? out[p * sample_block + j] : *to + out[p * sample_block + j];
    }
  }
}

template <class T, int orders, bool twins>
void forward_tile(int64_t sample_blocks, int64_t features, const T* x, const T* w, const T* tables, T* z, T* sums,
                  int64_t sums_stride) {
  constexpr int A = vectors_wide, L = lanes<T>;
  constexpr int half = tile_columns / 2;
  constexpr int groups = tile_columns / (A * L);
  constexpr int width = twins ? half : tile_columns;  // columns of a table
  for (int64_t block = 0; block < sample_blocks; ++block) {
    for (int group = 0; group < groups; ++group) {
      Vec<T> acc[sample_block * A];
      multiply<T, A>(features, x, w, tile_columns, group, half, acc);
      Vec<T> partial[orders * sample_block];
      unrolled<sample_block>([&](auto j) {
        if (z) {
          unrolled<A>(
              [&](auto a) { store<T>(z + j * tile_columns + column_of<T, A>(a, group, half), acc[j * A + a]); });
        }
        const T* row = tables + j * orders * width;
        unrolled<orders>([&](auto p) { partial[p * sample_block + j] = Vec<T>{}; });
        unrolled<twins ? A / 2 : A>([&](auto a) {
          const int column = column_of<T, A>(a, group, half);
          Vec<T> power = acc[j * A + a], twin{};
          if constexpr (twins) twin = acc[j * A + a + A / 2];
          unrolled<orders>([&](auto p) {
            const Vec<T> s = load<T>(row + p * width + column);
            if constexpr (twins) {
              partial[p * sample_block + j] += s * (power - twin);
            } else {
              partial[p * sample_block + j] += s * power;
            }
            if constexpr (p + 1 < orders) {
              power *= acc[j * A + a];
              if constexpr (twins) twin *= acc[j * A + a + A / 2];
            }
          });
        });
      });
      add_sums<T, orders>(partial, group == 0, sums, sums_stride);
    }
    x += sample_block * features;
    tables += sample_block * orders * width;
    if (z) z += sample_block * tile_columns;
    sums += sample_block;
  }
}

template <class T>
void forward(int64_t sample_blocks, int64_t features, const T* x, const T* w, int orders, bool twins, const T* tables,
             T* z, T* sums, int64_t stride) {
  with_constants(orders, twins, [&](auto p, auto t) {
    forward_tile<T, p, t != 0>(sample_blocks, features, x, w, tables, z, sums, stride);
  });
}

template <class T, bool twins>
void sums_along_tile(int64_t samples, const T* tables, const T* z, const T* v, T* sums, int64_t stride) {
  constexpr int L = lanes<T>;
  constexpr int half = tile_columns / 2;
  constexpr int width = twins ? half : tile_columns;
  for (int64_t i = 0; i < samples; ++i) {
    Vec<T> partial[2] = {Vec<T>{}, Vec<T>{}};
    for (int column = 0; column < width; column += L) {
      Vec<T> first = load<T>(v + column), second = first * load<T>(z + column);
      if constexpr (twins) {
        const Vec<T> twin = load<T>(v + half + column);
        first -= twin;
        second -= twin * load<T>(z + half + column);
      }
      partial[0] += load<T>(tables + column) * first;
      partial[1] += load<T>(tables + width + column) * second;
    }
    T out[2];
    lane_sums<T, 2>(partial, out);
    sums[i] = out[0];
    sums[stride + i] = out[1];
    tables += 2 * width;
    z += tile_columns;
    v += tile_columns;
  }
}

template <class T>
void sums_along(int64_t samples, bool twins, const T* tables, const T* z, const T* v, T* sums, int64_t stride) {
  if (twins) {
    sums_along_tile<T, true>(samples, tables, z, v, sums, stride);
  } else {
    sums_along_tile<T, false>(samples, tables, z, v, sums, stride);
  }
}

}  // namespace
}  // namespace entk::kernels::ENTK_ISA
