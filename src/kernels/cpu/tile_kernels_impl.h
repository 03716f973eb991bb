// Bodies of the tile kernels, included once for each instruction set with ENTK_ISA naming the
// namespace. Everything here is inline in that namespace and nothing of the standard library's
// inline code is used, so that no function compiled for one instruction set is linked into another.
//
// Vectors are the compiler's own (vector_size), so one source serves AVX-512, AVX2, SSE2 and NEON.
#include <stddef.h>
#include <stdint.h>

#include <utility>

#include "entk/base/philox_round.h"
#include "entk/kernels/cpu/tile_kernels.h"

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
  return Vec<T>{} + x;
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

/// The constant vector {f(0), f(1), …} of lane numbers.
template <class T, class F, int... i>
ENTK_INLINE constexpr Mask<T> lane_numbers(F f, std::integer_sequence<int, i...>) {
  return Mask<T>{f(i)...};
}
template <class T, class F>
ENTK_INLINE constexpr Mask<T> lane_numbers(F f) {
  return lane_numbers<T>(f, std::make_integer_sequence<int, lanes<T>>{});
}

// ---------------------------------------------------------------------------------------------
// Products

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

// ---------------------------------------------------------------------------------------------
// Sums over a tile's columns

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
  switch (orders * 2 + twins) {
    case 2:
      return forward_tile<T, 1, false>(sample_blocks, features, x, w, tables, z, sums, stride);
    case 3:
      return forward_tile<T, 1, true>(sample_blocks, features, x, w, tables, z, sums, stride);
    case 4:
      return forward_tile<T, 2, false>(sample_blocks, features, x, w, tables, z, sums, stride);
    case 5:
      return forward_tile<T, 2, true>(sample_blocks, features, x, w, tables, z, sums, stride);
    case 6:
      return forward_tile<T, 3, false>(sample_blocks, features, x, w, tables, z, sums, stride);
    case 7:
      return forward_tile<T, 3, true>(sample_blocks, features, x, w, tables, z, sums, stride);
    case 8:
      return forward_tile<T, 4, false>(sample_blocks, features, x, w, tables, z, sums, stride);
    case 9:
      return forward_tile<T, 4, true>(sample_blocks, features, x, w, tables, z, sums, stride);
  }
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

// ---------------------------------------------------------------------------------------------
// The pull-back

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
  switch (orders * 2 + twins) {
    case 2:
      return form_tile<T, 1, false>(samples, tables, z, cotangents, stride, g);
    case 3:
      return form_tile<T, 1, true>(samples, tables, z, cotangents, stride, g);
    case 4:
      return form_tile<T, 2, false>(samples, tables, z, cotangents, stride, g);
    case 5:
      return form_tile<T, 2, true>(samples, tables, z, cotangents, stride, g);
    case 6:
      return form_tile<T, 3, false>(samples, tables, z, cotangents, stride, g);
    case 7:
      return form_tile<T, 3, true>(samples, tables, z, cotangents, stride, g);
    case 8:
      return form_tile<T, 4, false>(samples, tables, z, cotangents, stride, g);
    case 9:
      return form_tile<T, 4, true>(samples, tables, z, cotangents, stride, g);
  }
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

// ---------------------------------------------------------------------------------------------
// Transposition between rows of W and a tile's columns

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

// ---------------------------------------------------------------------------------------------
// The update

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

// ---------------------------------------------------------------------------------------------
// Activations

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
ENTK_INLINE Derivatives<T> derivatives(const ActivationCode& code, Vec<T> z) {
  if constexpr (kind == KernelActivation::sigmoid) {
    return sigmoid_derivatives<T>(z - static_cast<T>(code.shift));
  } else if constexpr (kind == KernelActivation::tanh) {
    // tanh(z) = 2 sigmoid(2z) − 1.
    const auto s = sigmoid_derivatives<T>(T(2) * (z - static_cast<T>(code.shift)));
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
    for (int j = code.degree; j >= 0; --j) {
      second = second * z + T(2) * first;
      first = first * z + value;
      value = value * z + static_cast<T>(code.coefficients[j]);
    }
    return {first, second};
  }
}

template <class T, KernelActivation kind>
void activate_kind(const ActivationCode& code, int64_t samples, int columns, int orders, const T* z, const T* scale,
                   T* tables) {
  for (int64_t i = 0; i < samples; ++i) {
    for (int column = 0; column < columns; column += lanes<T>) {
      const auto s = derivatives<T, kind>(code, load<T>(z + column));
      const Vec<T> factor = load<T>(scale + column);
      store<T>(tables + column, factor * s.first);
      if (orders == 2) store<T>(tables + columns + column, factor * s.second);
    }
    z += columns;
    tables += orders * columns;
  }
}

template <class T>
void activate(const ActivationCode& code, int64_t samples, int columns, int orders, const T* z, const T* scale,
              T* tables) {
  using K = KernelActivation;
  switch (code.kind) {
    case K::sigmoid:
      return activate_kind<T, K::sigmoid>(code, samples, columns, orders, z, scale, tables);
    case K::tanh:
      return activate_kind<T, K::tanh>(code, samples, columns, orders, z, scale, tables);
    case K::softplus:
      return activate_kind<T, K::softplus>(code, samples, columns, orders, z, scale, tables);
    case K::silu:
      return activate_kind<T, K::silu>(code, samples, columns, orders, z, scale, tables);
    case K::relu:
      return activate_kind<T, K::relu>(code, samples, columns, orders, z, scale, tables);
    case K::erf:
      return activate_kind<T, K::erf>(code, samples, columns, orders, z, scale, tables);
    case K::polynomial:
      return activate_kind<T, K::polynomial>(code, samples, columns, orders, z, scale, tables);
  }
}

// ---------------------------------------------------------------------------------------------
// Noise

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

constexpr int noise_blocks = 64 / 4;  // counter blocks at a time, whatever the lanes

/// Sixteen counter blocks: 64 words each of which 24 bits are used, exact in float and double.
template <class T>
ENTK_INLINE void noise_chunk(const NoiseCode& code, uint64_t first_block, T* out) {
  uint32_t c0[noise_blocks], c1[noise_blocks], c2[noise_blocks], c3[noise_blocks];
  for (int l = 0; l < noise_blocks; ++l) {
    c0[l] = static_cast<uint32_t>(first_block + l);
    c1[l] = static_cast<uint32_t>((first_block + l) >> 32);
    c2[l] = code.step;
    c3[l] = static_cast<uint32_t>(Purpose::noise);
  }
  uint32_t k0 = static_cast<uint32_t>(code.seed), k1 = static_cast<uint32_t>(code.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int l = 0; l < noise_blocks; ++l) philox_round(c0[l], c1[l], c2[l], c3[l], k0, k1);
    philox_next_key(k0, k1);
  }
  T u[4][noise_blocks];
  constexpr T unit = T(1) / T(1 << 24);
  for (int l = 0; l < noise_blocks; ++l) {
    u[0][l] = static_cast<T>(static_cast<int32_t>(c0[l] >> 8) + 1) * unit;  // (0, 1]
    u[1][l] = static_cast<T>(static_cast<int32_t>(c1[l] >> 8)) * unit;      // [0, 1)
    u[2][l] = static_cast<T>(static_cast<int32_t>(c2[l] >> 8) + 1) * unit;
    u[3][l] = static_cast<T>(static_cast<int32_t>(c3[l] >> 8)) * unit;
  }
  const T deviation = static_cast<T>(code.deviation);
  for (int pair = 0; pair < 4; pair += 2) {
    for (int l = 0; l < noise_blocks; l += lanes<T>) {
      const Vec<T> radius = deviation * square_root<T>(T(-2) * logarithm<T>(load<T>(&u[pair][l])));
      Vec<T> sine, cosine;
      sincos2pi<T>(load<T>(&u[pair + 1][l]), sine, cosine);
      store<T>(&u[pair][l], radius * cosine);
      store<T>(&u[pair + 1][l], radius * sine);
    }
  }
  for (int l = 0; l < noise_blocks; ++l) {
    for (int word = 0; word < 4; ++word) out[4 * l + word] = u[word][l];
  }
}

template <class T>
void noise(const NoiseCode& code, uint64_t first, int64_t count, T* values) {
  T chunk[4 * noise_blocks];
  uint64_t entry = first / 4 * 4;
  const uint64_t end = first + static_cast<uint64_t>(count);
  while (entry < end) {
    if (entry >= first && entry + 4 * noise_blocks <= end) {
      noise_chunk<T>(code, entry / 4, values + (entry - first));
    } else {
      noise_chunk<T>(code, entry / 4, chunk);
      for (int j = 0; j < 4 * noise_blocks; ++j) {
        if (entry + j >= first && entry + j < end) values[entry + j - first] = chunk[j];
      }
    }
    entry += 4 * noise_blocks;
  }
}

// ---------------------------------------------------------------------------------------------

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
  static constexpr TileKernels<T> kernels{Isa::ENTK_ISA, product<T>, forward<T>,      form<T>,         form_along<T>,
                                          sums_along<T>, pull<T>,    rows_to_tile<T>, tile_to_rows<T>, activate<T>,
                                          update<T>,     add<T>,     noise<T>,        peak_probe<T>};
  return kernels;
}
template const TileKernels<float>& table<float>();
template const TileKernels<double>& table<double>();

}  // namespace entk::kernels::ENTK_ISA
