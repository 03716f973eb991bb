// The fused kernels, written once for two machines: a GPU (cuda/cuda_kernels.cu) and an emulation on
// the host that runs every lane of a block (tests/support/emulated_device.h), so that what a GPU runs
// is tested where there is none.
//
// A machine M gives a body its place and the collective operations of a block of 128 threads:
//   thread(), block_x(), block_y(), block_z()     place
//   shared()                                      the block's shared memory
//   barrier()                                     of the whole block
//   mma(c, a, b)                                  a warp's c += a b on 16×8×8 TF32 fragments
//   shuffle_xor(value, mask)                      within a warp
//   copy(to, from, valid)                         16 bytes, global → shared, later; zeros, and nothing read, if not
//   valid commit(), wait_all_but_one(), wait_all()      groups of copies
//
// Fragments of mma.m16n8k8 for lane = 4 g + t:
//   a[0…3] = A[g][t], A[g+8][t], A[g][t+4], A[g+8][t+4]      b[0…1] = B[t][g], B[t+4][g]
//   c[0…3] = C[g][2t], C[g][2t+1], C[g+8][2t], C[g+8][2t+1]
#pragma once

#include <cmath>

#include "entk/base/philox_round.h"
#include "entk/kernels/gpu/fused_layout.h"

#if defined(__CUDACC__)
#define ENTK_KERNEL_BODY __device__ __forceinline__
#define ENTK_UNROLL _Pragma("unroll")
#define ENTK_NO_UNROLL _Pragma("unroll 1")
#else
#define ENTK_KERNEL_BODY inline
#define ENTK_UNROLL
#define ENTK_NO_UNROLL
#endif

namespace entk::kernels::fused {

/// What a step needs to know that changes from step to step: on the device, so that a recorded graph
/// reads the present values.
struct StepState {
  /// Of a RandomStream: what its counters and key have beside the block's number.
  struct Stream {
    std::uint32_t step = 0, seed_low = 0, seed_high = 0;
    bool operator==(const Stream&) const = default;
  };
  float learning_rate = 0, deviation = 0;  ///< deviation 0: no noise
  std::uint32_t has_signs = 0;
  Stream noise, signs;
  bool operator==(const StepState&) const = default;
};

/// Tiles first … first + count − 1. Arrays of tables and z begin at the first tile; weights and sums
/// hold all tiles.
struct TileRange {
  std::int64_t first = 0, count = 0;
};

struct PackArgs {
  Layout layout;
  const float* w;  ///< m×d
  float* weights;
};

struct ForwardArgs {
  Layout layout;
  TileRange range;
  const float *points, *weights, *tables;  ///< tables: null where only z is wanted
  float *z, *sums;                         ///< either may be null
};

struct ReduceArgs {
  Layout layout;
  TileRange range;  ///< a node of the tree over leaves of leaf_tiles tiles
  const float* sums;
  float* terms;     ///< orders × n, rounded; or null
  bool factorials;  ///< 1/p! for row p − 1 of terms
  double* node;     ///< orders × n: the sum as it is; or null
};

struct AlongArgs {
  Layout layout;
  TileRange range;
  const float *tables, *z, *z_along;
  const float* cotangents;  ///< 3×n: form G over z_along; null: sums
  float *g, *sums;          ///< sums: [tile][2][row] of all tiles
};

struct PullArgs {
  Layout layout;
  PullPlan plan;
  TileRange range;
  const float *points, *tables, *z;
  const float* cotangents;  ///< orders × n; null: z holds G itself
  float* gradients;
};

struct UpdateArgs {
  Layout layout;
  TileRange range;
  std::int64_t chunks;
  const float* gradients;
  const StepState* state;                      ///< null: only `out` is written
  const float* extra;                          ///< m×d, or null
  float* out;                                  ///< m×d, gradient; or null
  float *w, *weights;                          ///< updated where state is not null
  std::int64_t first_row = 0, first_twin = 0;  ///< of all processes' rows, which noise and signs are numbered by
};

/// The paper's own objective at the samples: mean (Σ_p t_p − y)² + weight · mean (t_1 − P t_1)², P the projector
/// U_k U_kᵀ. Rows of first … orders make the output.
struct ObjectiveArgs {
  Layout layout;
  const float* terms;      ///< orders × n
  const float* targets;    ///< n: y − f(·;0)
  const float* projector;  ///< n×n, symmetric; null where weight is 0
  float weight;
  int first;          ///< first row of the output: 0, or 1 where f_L is no part of it
  float* cotangents;  ///< orders × n
  float* squares;     ///< 2×n: of the residuals, and of t_1 − P t_1
};

struct ValueArgs {
  Layout layout;
  const float* squares;
  float weight;
  float* values;  ///< loss, mean (t_1 − P t_1)², and loss + weight times it
};

/// Blocks of a launch, and the shared memory of each.
struct Grid {
  std::int64_t x = 1, y = 1, z = 1;
  std::int64_t shared_floats = 0;
};
inline Grid pack_grid(const PackArgs& a) {
  return {(a.layout.tiles * a.layout.tile_weights() + threads - 1) / threads};
}
inline Grid forward_grid(const ForwardArgs& a) {
  return {a.range.count, a.layout.rows / forward_rows, 1, forward_shared};
}
inline Grid reduce_grid(const ReduceArgs& a) { return {a.layout.rows / reduce_rows, a.layout.orders, 1, 2 * threads}; }
inline Grid objective_grid(const ObjectiveArgs& a) { return {(a.layout.samples + 3) / 4}; }
inline Grid value_grid(const ValueArgs&) { return {1, 1, 1, 4 * threads}; }
inline Grid along_grid(const AlongArgs& a) { return {a.layout.rows / 4, a.range.count}; }
inline Grid pull_grid(const PullArgs& a) {
  return {a.range.count, a.plan.chunks, a.plan.feature_tiles, pull_shared(a.layout, a.plan.fragments)};
}
inline Grid update_grid(const UpdateArgs& a) {
  return {(a.range.count * a.layout.tile_weights() + threads - 1) / threads};
}

/// Floats that lie at a multiple of their own size, read and written at once.
template <int count>
struct alignas(4 * count) Floats {
  float value[count];
};
template <int count>
ENTK_KERNEL_BODY const Floats<count>& floats_at(const float* p) {
  return *reinterpret_cast<const Floats<count>*>(p);
}
template <int count>
ENTK_KERNEL_BODY Floats<count>& floats_at(float* p) {
  return *reinterpret_cast<Floats<count>*>(p);
}

/// −1 for the columns of twins, whose tables differ by sign alone.
ENTK_KERNEL_BODY float table_sign(const Layout& l, int column) { return column < l.table_columns() ? 1.0f : -1.0f; }

/// c += A B for `wide` fragments of columns: at float32 accuracy from three products, the small ones
/// first, or by one product of numbers rounded to TF32.
template <bool split, int tall, int wide, class M, class LoadA, class LoadB>
ENTK_KERNEL_BODY void multiply(M& m, float (&c)[tall][wide][4], LoadA&& load_a, LoadB&& load_b) {
  std::uint32_t high_a[tall][4], low_a[tall][4];
  ENTK_UNROLL
  for (int i = 0; i < tall; ++i) {
    ENTK_UNROLL
    for (int e = 0; e < 4; ++e) {
      const float value = load_a(i, e);
      if constexpr (split) {
        const SplitFloat parts = split_tf32(value);
        high_a[i][e] = parts.high;
        low_a[i][e] = parts.low;
      } else {
        high_a[i][e] = float_bits(round_to_tf32(value));
      }
    }
  }
  ENTK_UNROLL
  for (int j = 0; j < wide; ++j) {
    std::uint32_t high_b[2], low_b[2];
    ENTK_UNROLL
    for (int e = 0; e < 2; ++e) {
      const float value = load_b(j, e);
      if constexpr (split) {
        const SplitFloat parts = split_tf32(value);
        high_b[e] = parts.high;
        low_b[e] = parts.low;
      } else {
        high_b[e] = float_bits(round_to_tf32(value));
      }
    }
    // Tensor cores round their sums towards zero: sums of eight by them, the rest by ordinary additions.
    float part[tall][4];
    ENTK_UNROLL
    for (int i = 0; i < tall; ++i) {
      ENTK_UNROLL
      for (int e = 0; e < 4; ++e) part[i][e] = 0.0f;
    }
    if constexpr (split) {
      ENTK_UNROLL
      for (int i = 0; i < tall; ++i) m.mma(part[i], low_a[i], high_b);
      ENTK_UNROLL
      for (int i = 0; i < tall; ++i) m.mma(part[i], high_a[i], low_b);
    }
    ENTK_UNROLL
    for (int i = 0; i < tall; ++i) m.mma(part[i], high_a[i], high_b);
    ENTK_UNROLL
    for (int i = 0; i < tall; ++i) {
      ENTK_UNROLL
      for (int e = 0; e < 4; ++e) c[i][j][e] += part[i][e];
    }
  }
}

/// weights[tile][column][feature] from rows of W. One entry a thread.
template <class M>
ENTK_KERNEL_BODY void pack_body(M& m, const PackArgs& a) {
  const Layout& l = a.layout;
  const std::int64_t entry = m.block_x() * threads + m.thread();
  if (entry >= l.tiles * l.tile_weights()) return;
  const std::int64_t k = entry % l.features, place = entry / l.features;
  const std::int64_t r = l.neuron(place / tile_columns, static_cast<int>(place % tile_columns));
  a.weights[entry] = r >= 0 && k < l.dimension ? a.w[r * l.dimension + k] : 0.0f;
}

/// Z = X Wᵀ for 128 samples and 64 columns; from its accumulators Σ_r S_p Z^p of every sample, and Z
/// itself where it is kept. Block (tile of the range, 128 samples); a warp has 32 samples.
template <bool split, class M>
ENTK_KERNEL_BODY void forward_body(M& m, const ForwardArgs& a) {
  const Layout& l = a.layout;
  const int thread = m.thread(), warp = thread / 32, lane = thread % 32, g = lane / 4, t = lane % 4;
  const std::int64_t local = m.block_x(), tile = a.range.first + local, first_row = m.block_y() * forward_rows;
  const float* points = a.points + first_row * l.features;
  const float* weights = a.weights + tile * l.tile_weights();

  // A thread copies the same 16 bytes of every sixteenth row: a step from row to row is all it computes.
  constexpr int pieces = forward_features / 4, apart = threads / pieces;
  const int staged_row = thread / pieces, k = thread % pieces * 4;
  const std::int64_t to_next = apart * l.features;
  const auto stage = [&](std::int64_t from, int buffer) {
    const bool valid = from + k < l.features;
    const std::int64_t place = staged_row * l.features + from + k;
    float* to = m.shared() + buffer * forward_stage + staged_row * forward_stride + k;
    const float* source = points + place;
    ENTK_UNROLL
    for (int i = 0; i < forward_rows / apart; ++i, source += to_next)
      m.copy(to + i * apart * forward_stride, source, valid);
    to += forward_rows * forward_stride;
    source = weights + place;
    ENTK_UNROLL
    for (int i = 0; i < tile_columns / apart; ++i, source += to_next)
      m.copy(to + i * apart * forward_stride, source, valid);
  };

  float z[2][8][4];
  ENTK_UNROLL
  for (int i = 0; i < 2; ++i) {
    ENTK_UNROLL
    for (int j = 0; j < 8; ++j) {
      ENTK_UNROLL
      for (int e = 0; e < 4; ++e) z[i][j][e] = 0.0f;
    }
  }
  stage(0, 0);
  m.commit();
  int buffer = 0;
  ENTK_NO_UNROLL
  for (std::int64_t from = 0; from < l.features; from += forward_features) {
    if (from + forward_features < l.features) stage(from + forward_features, 1 - buffer);
    m.commit();
    m.wait_all_but_one();
    m.barrier();
    const float* x = m.shared() + buffer * forward_stage + (warp * 32) * forward_stride;
    const float* w = m.shared() + buffer * forward_stage + forward_rows * forward_stride;
    const std::int64_t left = l.features - from;
    const int steps = left < forward_features ? static_cast<int>(left / 8) : forward_features / 8;
    ENTK_NO_UNROLL
    for (int step = 0; step < steps; ++step) {
      multiply<split>(
          m, z,
          [&](int i, int e) { return x[(16 * i + g + 8 * (e & 1)) * forward_stride + 8 * step + t + 2 * (e & 2)]; },
          [&](int j, int e) { return w[(8 * j + g) * forward_stride + 8 * step + t + 4 * e]; });
    }
    m.barrier();
    buffer = 1 - buffer;
  }

  // A row's 64 columns lie with the four lanes of one g: lane t has columns 8j + 2t and 8j + 2t + 1. Two rows at a
  // time: their tables come from far, and are waited for together.
  ENTK_UNROLL
  for (int i = 0; i < 2; ++i) {
    const std::int64_t row = first_row + warp * 32 + 16 * i + g;  // and row + 8
    if (a.z) {
      float* to = a.z + local * l.tile_z() + row * tile_columns + 2 * t;
      ENTK_UNROLL
      for (int half = 0; half < 2; ++half) {
        ENTK_UNROLL
        for (int j = 0; j < 8; ++j) {
          floats_at<2>(to + half * 8 * tile_columns + 8 * j) = {z[i][j][2 * half], z[i][j][2 * half + 1]};
        }
      }
    }
    if (!a.sums) continue;
    float power[8][4];
    ENTK_UNROLL
    for (int j = 0; j < 8; ++j) {
      ENTK_UNROLL
      for (int e = 0; e < 4; ++e) power[j][e] = z[i][j][e];
    }
    const float* table = a.tables + local * l.tile_tables() + row * l.table_columns() + 2 * t;
    float* sums = a.sums + tile * l.orders * l.rows + row;
    ENTK_NO_UNROLL
    for (int p = 0; p < l.orders; ++p) {
      Floats<2> first[2][4], second[2][4];
      ENTK_UNROLL
      for (int half = 0; half < 2; ++half) {
        ENTK_UNROLL
        for (int j = 0; j < 4; ++j) {
          const float* at = table + half * 8 * l.table_columns() + 8 * j;
          first[half][j] = floats_at<2>(at);
          if (!l.twins) second[half][j] = floats_at<2>(at + tile_columns / 2);
        }
      }
      ENTK_UNROLL
      for (int half = 0; half < 2; ++half) {
        float sum = 0.0f;
        ENTK_UNROLL
        for (int j = 0; j < 4; ++j) {
          ENTK_UNROLL
          for (int e = 0; e < 2; ++e) {
            const float one = power[j][2 * half + e], other = power[j + 4][2 * half + e];
            if (l.twins) {
              sum += first[half][j].value[e] * (one - other);
            } else {
              sum += first[half][j].value[e] * one + second[half][j].value[e] * other;
            }
          }
        }
        sum += m.shuffle_xor(sum, 1);
        sum += m.shuffle_xor(sum, 2);
        if (t == 0) sums[8 * half] = sum;
      }
      table += l.rows * l.table_columns();
      sums += l.rows;
      ENTK_UNROLL
      for (int j = 0; j < 8; ++j) {
        ENTK_UNROLL
        for (int e = 0; e < 4; ++e) power[j][e] *= z[i][j][e];
      }
    }
  }
}

/// terms[p][i] = 1/p! Σ_tiles sums: of a leaf's tiles in order, of leaves by the tree of kernels/shard.h. Block (8
/// samples, order); a thread has one of 16 parts of the leaves, each a node of the tree.
template <class M>
ENTK_KERNEL_BODY void reduce_body(M& m, const ReduceArgs& a) {
  const Layout& l = a.layout;
  constexpr int parts = threads / reduce_rows;
  const int within = m.thread() % reduce_rows, part = m.thread() / reduce_rows;
  const std::int64_t row = m.block_x() * reduce_rows + within, p = m.block_y();
  const std::int64_t leaves = (a.range.count + leaf_tiles - 1) / leaf_tiles, end = a.range.first + a.range.count;
  std::int64_t each = 1;
  while (each * parts < leaves) each *= 2;
  double open[40];  // nodes that wait for what is right of them
  int waiting = 0;
  for (std::int64_t i = 0; i < each && part * each + i < leaves; ++i) {
    const std::int64_t first = a.range.first + (part * each + i) * leaf_tiles;
    double sum = 0;
    for (std::int64_t tile = first; tile < first + leaf_tiles && tile < end; ++tile) {
      sum += a.sums[(tile * l.orders + p) * l.rows + row];
    }
    for (std::int64_t done = i + 1; done % 2 == 0; done /= 2) sum = open[--waiting] + sum;
    open[waiting++] = sum;
  }
  double sum = 0;  // none is −0: what is missing may be added as 0
  while (waiting > 0) sum = open[--waiting] + sum;
  auto* shared = reinterpret_cast<double*>(m.shared());
  shared[m.thread()] = sum;
  m.barrier();
  if (part != 0 || row >= l.samples) return;
  double node[parts];
  ENTK_UNROLL
  for (int q = 0; q < parts; ++q) node[q] = shared[q * reduce_rows + within];
  ENTK_UNROLL
  for (int stride = 1; stride < parts; stride *= 2) {
    ENTK_UNROLL
    for (int q = 0; q + stride < parts; q += 2 * stride) node[q] += node[q + stride];
  }
  sum = node[0];
  if (a.node) a.node[p * l.samples + row] = sum;
  if (!a.terms) return;
  if (a.factorials) {
    for (int q = 2; q <= p + 1; ++q) sum /= q;
  }
  a.terms[p * l.samples + row] = static_cast<float>(sum);
}

/// ∂D/∂t_p and the squares whose means D is: with r the residual and h = (I − P) t_1, which is its own projection,
/// ∂D/∂t_1 = 2/n (r + weight h) and ∂D/∂t_p = 2/n r. A warp has one sample's row of P.
template <class M>
ENTK_KERNEL_BODY void objective_body(M& m, const ObjectiveArgs& a) {
  const Layout& l = a.layout;
  const int lane = m.thread() % 32, n = static_cast<int>(l.samples);
  const std::int64_t row = m.block_x() * 4 + m.thread() / 32;
  if (row >= l.samples) return;
  float low[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  if (a.projector) {
    const float* projector = a.projector + row * l.samples;
    int j = lane;
    for (; j + 96 < n; j += 128) {
      ENTK_UNROLL
      for (int k = 0; k < 4; ++k) low[k] += projector[j + 32 * k] * a.terms[j + 32 * k];
    }
    for (int k = 0; j < n; j += 32, ++k) low[k] += projector[j] * a.terms[j];
  }
  float sum = (low[0] + low[1]) + (low[2] + low[3]);
  ENTK_UNROLL
  for (int mask = 16; mask > 0; mask /= 2) sum += m.shuffle_xor(sum, mask);
  if (lane != 0) return;
  float residual = -a.targets[row];
  for (int p = a.first; p < l.orders; ++p) residual += a.terms[p * l.samples + row];
  const float high = a.projector ? a.terms[row] - sum : 0.0f, scale = 2.0f / static_cast<float>(n);
  for (int p = 0; p < l.orders; ++p) {
    const float of_output = p >= a.first ? residual : 0.0f;
    a.cotangents[p * l.samples + row] = scale * (p == 0 ? of_output + a.weight * high : of_output);
  }
  a.squares[row] = residual * residual;
  a.squares[l.samples + row] = high * high;
}

/// The means of the squares, in a fixed order. One block.
template <class M>
ENTK_KERNEL_BODY void value_body(M& m, const ValueArgs& a) {
  const std::int64_t n = a.layout.samples;
  auto* parts = reinterpret_cast<double*>(m.shared());
  for (int which = 0; which < 2; ++which) {
    double sum = 0;
    for (std::int64_t i = m.thread(); i < n; i += threads) sum += a.squares[which * n + i];
    parts[which * threads + m.thread()] = sum;
  }
  for (int half = threads / 2; half > 0; half /= 2) {
    m.barrier();
    if (m.thread() >= half) continue;
    for (int which = 0; which < 2; ++which) {
      parts[which * threads + m.thread()] += parts[which * threads + m.thread() + half];
    }
  }
  if (m.thread() != 0) return;
  const double loss = parts[0] / static_cast<double>(n), high = parts[threads] / static_cast<double>(n);
  a.values[0] = static_cast<float>(loss);
  a.values[1] = static_cast<float>(high);
  a.values[2] = static_cast<float>(loss + a.weight * high);
}

/// Forms along V for Hessian products, order 2: either sums[0] = Σ_r S1 Z_V, sums[1] = Σ_r S2 Z Z_V,
/// or G = g_0 S1 + (g_1 Z + g_2 Z_V) S2. A warp has one row of a tile.
template <class M>
ENTK_KERNEL_BODY void along_body(M& m, const AlongArgs& a) {
  const Layout& l = a.layout;
  const int lane = m.thread() % 32, warp = m.thread() / 32;
  const std::int64_t row = m.block_x() * 4 + warp, local = m.block_y();
  const std::int64_t tile = a.range.first + local;
  const float* first = a.tables + local * l.tile_tables() + row * l.table_columns();
  const float* second = first + l.rows * l.table_columns();
  const std::int64_t at = local * l.tile_z() + row * tile_columns;
  float linear = 0, mixed = 0;
  for (int column = lane; column < tile_columns; column += 32) {
    const int entry = column % l.table_columns();
    const float sign = table_sign(l, column), s1 = sign * first[entry];
    const float s2 = l.orders > 1 ? sign * second[entry] : 0.0f;
    const float z = a.z[at + column], along = a.z_along[at + column];
    if (a.cotangents) {
      const bool inside = row < l.samples;
      const float g0 = inside ? a.cotangents[row] : 0, g1 = inside ? a.cotangents[l.samples + row] : 0,
                  g2 = inside ? a.cotangents[2 * l.samples + row] : 0;
      a.g[at + column] = g0 * s1 + (g1 * z + g2 * along) * s2;
    } else {
      linear += s1 * along;
      mixed += s2 * z * along;
    }
  }
  if (a.cotangents) return;
  for (int mask = 16; mask > 0; mask /= 2) {
    linear += m.shuffle_xor(linear, mask);
    mixed += m.shuffle_xor(mixed, mask);
  }
  if (lane == 0) {
    a.sums[(tile * 2) * l.rows + row] = linear;
    a.sums[(tile * 2 + 1) * l.rows + row] = mixed;
  }
}

/// Gᵀ X for 64 columns, a range of samples and a tile of features; G = Σ_p g_p S_p Z^(p−1)/(p−1)! is
/// formed in shared memory, 32 samples at a time. Block (tile of the range, chunk, feature tile);
/// warp (w % 2, w / 2) has 32 columns and every second fragment of features.
template <bool split, int fragments, class M>
ENTK_KERNEL_BODY void pull_body(M& m, const PullArgs& a) {
  const Layout& l = a.layout;
  const int thread = m.thread(), warp = thread / 32, lane = thread % 32, g = lane / 4, t = lane % 4;
  const int first_column = warp % 2 * 32, odd = warp / 2;
  const std::int64_t local = m.block_x(), first_feature = m.block_z() * (16 * fragments);
  constexpr int x_stride = points_stride(fragments);
  const int table_columns = l.table_columns(), stage_size = pull_stage(l, fragments);
  const std::int64_t blocks = l.rows / pull_rows;
  const std::int64_t begin = m.block_y() * a.plan.chunk_blocks;
  const std::int64_t end = begin + a.plan.chunk_blocks < blocks ? begin + a.plan.chunk_blocks : blocks;
  const float* z = a.z + local * l.tile_z();
  const float* tables = a.tables + local * l.tile_tables();
  float* g_block = m.shared() + 2 * stage_size;
  float* staged_cotangents = g_block + pull_rows * g_stride;  // [buffer][order][32]

  // A stage: Z [32][64], tables [order][32][table column], X [32][x_stride].
  const int points_row = thread / 4, points_piece = thread % 4 * 4;
  const int points_left = static_cast<int>(l.features - first_feature) - points_piece;
  const auto stage = [&](std::int64_t block, int buffer) {
    float* to = m.shared() + buffer * stage_size;
    const std::int64_t row = block * pull_rows;
    const float* from = z + row * tile_columns + 4 * thread;
    ENTK_UNROLL
    for (int i = 0; i < pull_rows * tile_columns; i += 4 * threads) m.copy(to + i + 4 * thread, from + i, true);
    to += pull_rows * tile_columns;
    if (a.cotangents) {
      from = tables + row * table_columns + 4 * thread;
      ENTK_NO_UNROLL
      for (int p = 0; p < l.orders; ++p, from += l.rows * table_columns, to += pull_rows * table_columns) {
        ENTK_UNROLL
        for (int i = 0; i < pull_rows * tile_columns; i += 4 * threads) {
          if (i < pull_rows * table_columns) m.copy(to + i + 4 * thread, from + i, true);
        }
      }
    } else {
      to += l.orders * pull_rows * table_columns;
    }
    // Four threads share a row of X.
    from = a.points + (row + points_row) * l.features + first_feature + points_piece;
    to += points_row * x_stride + points_piece;
    ENTK_UNROLL
    for (int j = 0; j < fragments; ++j) {
      m.copy(to + 16 * j, from + 16 * j, 16 * j < points_left);
    }
  };

  // g_p/(p−1)! of a stage's rows: a warp has an order, a lane a row. Read a stage ahead of its use, since it comes from
  // far; zero beyond the samples.
  static_assert(threads / 32 == 4, "a warp for each of at most four orders");
  const bool has_cotangent = a.cotangents && warp < l.orders;
  const float inverse_factorial = warp < 2 ? 1.0f : warp == 2 ? 0.5f : 1.0f / 6.0f;
  const auto cotangent = [&](std::int64_t block) {
    const std::int64_t row = block * pull_rows + lane;
    return has_cotangent && row < l.samples ? inverse_factorial * a.cotangents[warp * l.samples + row] : 0.0f;
  };
  const auto keep_cotangent = [&](float value, int buffer) {
    if (has_cotangent) staged_cotangents[buffer * l.orders * pull_rows + thread] = value;
  };

  // Four neighbouring entries of G in each of four rows.
  constexpr int parts = pull_rows * tile_columns / (4 * threads), part_rows = pull_rows / parts;
  const int form_row = thread / 16, form_column = thread % 16 * 4;
  const auto form = [&](int buffer) {
    const float* from = m.shared() + buffer * stage_size;
    float* out = g_block + form_row * g_stride + form_column;
    Floats<4> zs[parts];
    ENTK_UNROLL
    for (int part = 0; part < parts; ++part) {
      zs[part] = floats_at<4>(from + (part * part_rows + form_row) * tile_columns + form_column);
    }
    if (!a.cotangents) {
      ENTK_UNROLL
      for (int part = 0; part < parts; ++part) floats_at<4>(out + part * part_rows * g_stride) = zs[part];
      return;
    }
    const float* table = from + pull_rows * tile_columns + form_row * table_columns + form_column % table_columns;
    const float* scale = staged_cotangents + buffer * l.orders * pull_rows + form_row;
    const float sign = table_sign(l, form_column);
    Floats<4> value[parts], power[parts];
    ENTK_UNROLL
    for (int part = 0; part < parts; ++part) {
      const Floats<4> s = floats_at<4>(table + part * part_rows * table_columns);
      const float scaled = sign * scale[part * part_rows];
      ENTK_UNROLL
      for (int e = 0; e < 4; ++e) value[part].value[e] = scaled * s.value[e];
      power[part] = zs[part];
    }
    ENTK_NO_UNROLL
    for (int p = 1; p < l.orders; ++p) {
      table += pull_rows * table_columns;
      scale += pull_rows;
      ENTK_UNROLL
      for (int part = 0; part < parts; ++part) {
        const Floats<4> s = floats_at<4>(table + part * part_rows * table_columns);
        const float scaled = sign * scale[part * part_rows];
        ENTK_UNROLL
        for (int e = 0; e < 4; ++e) {
          value[part].value[e] += scaled * s.value[e] * power[part].value[e];
          power[part].value[e] *= zs[part].value[e];
        }
      }
    }
    ENTK_UNROLL
    for (int part = 0; part < parts; ++part) floats_at<4>(out + part * part_rows * g_stride) = value[part];
  };

  float total[2][fragments][4];
  ENTK_UNROLL
  for (int i = 0; i < 2; ++i) {
    ENTK_UNROLL
    for (int j = 0; j < fragments; ++j) {
      ENTK_UNROLL
      for (int e = 0; e < 4; ++e) total[i][j][e] = 0.0f;
    }
  }

  stage(begin, 0);
  m.commit();
  keep_cotangent(cotangent(begin), 0);
  float next = begin + 1 < end ? cotangent(begin + 1) : 0.0f;
  int buffer = 0;
  ENTK_NO_UNROLL
  for (std::int64_t block = begin; block < end; ++block) {
    m.wait_all();
    m.barrier();  // the stage is full, and nobody reads the other one or G any more
    if (block + 1 < end) {
      stage(block + 1, 1 - buffer);
      keep_cotangent(next, 1 - buffer);
      if (block + 2 < end) next = cotangent(block + 2);
    }
    m.commit();
    form(buffer);
    m.barrier();
    const float* x = m.shared() + buffer * stage_size + pull_rows * (tile_columns + l.orders * table_columns);
    ENTK_NO_UNROLL
    for (int step = 0; step < pull_rows / 8; ++step) {
      const int k = 8 * step + t;
      multiply<split>(
          m, total,
          [&](int i, int e) { return g_block[(k + 2 * (e & 2)) * g_stride + first_column + 16 * i + g + 8 * (e & 1)]; },
          [&](int j, int e) { return x[(k + 4 * e) * x_stride + 8 * (2 * j + odd) + g]; });
    }
    buffer = 1 - buffer;
  }
  float* out = a.gradients + (m.block_y() * a.range.count + local) * l.tile_weights();
  ENTK_UNROLL
  for (int j = 0; j < fragments; ++j) {
    const std::int64_t feature = first_feature + 8 * (2 * j + odd) + 2 * t;
    if (feature >= l.features) continue;
    ENTK_UNROLL
    for (int i = 0; i < 2; ++i) {
      ENTK_UNROLL
      for (int e = 0; e < 4; ++e) {
        out[(first_column + 16 * i + 8 * (e / 2) + g) * l.features + feature + e % 2] = total[i][j][e];
      }
    }
  }
}

/// The four words of a block of RandomStream (base/philox.h).
struct Words {
  std::uint32_t word[4];
};
ENTK_KERNEL_BODY Words words_at(const StepState::Stream& s, Purpose purpose, std::uint64_t block) {
  std::uint32_t c0 = static_cast<std::uint32_t>(block), c1 = static_cast<std::uint32_t>(block >> 32);
  std::uint32_t c2 = s.step, c3 = static_cast<std::uint32_t>(purpose);
  std::uint32_t k0 = s.seed_low, k1 = s.seed_high;
  ENTK_UNROLL
  for (int round = 0; round < 10; ++round) {
    philox_round(c0, c1, c2, c3, k0, k1);
    philox_next_key(k0, k1);
  }
  return {{c0, c1, c2, c3}};
}

/// The normal number of entry `index`: the counters of the CPU's noise, 24 bits of each word (see
/// cpu/tile/noise.h).
ENTK_KERNEL_BODY float normal_at(const StepState::Stream& s, std::uint64_t index) {
  const Words w = words_at(s, Purpose::noise, index / 4);
  const bool second_pair = index % 4 >= 2;
  constexpr float unit = 1.0f / 16777216.0f;
  const float u = static_cast<float>(((second_pair ? w.word[2] : w.word[0]) >> 8) + 1) * unit;  // (0, 1]
  const float v = static_cast<float>((second_pair ? w.word[3] : w.word[1]) >> 8) * unit;        // [0, 1)
  const float radius = sqrtf(-2.0f * logf(u));
#if defined(__CUDA_ARCH__)
  return radius * (index % 2 == 0 ? cospif(2.0f * v) : sinpif(2.0f * v));
#else
  const double angle = 2.0 * 3.14159265358979323846 * v;
  return radius * static_cast<float>(index % 2 == 0 ? std::cos(angle) : std::sin(angle));
#endif
}

/// Whether the sign of neuron r is −1: RandomStream::sign.
ENTK_KERNEL_BODY bool is_negative_at(const StepState::Stream& s, std::uint64_t r) {
  const Words w = words_at(s, Purpose::signs, r / 128);
  // No index but a constant: the words stay in registers.
  const std::uint32_t low = r / 32 % 2 ? w.word[1] : w.word[0], high = r / 32 % 2 ? w.word[3] : w.word[2];
  return ((r / 64 % 2 ? high : low) >> (r % 32) & 1u) == 0;
}

/// The gradient from its chunks, in order; then either out = gradient, or
/// w ← S (w − rate (gradient + extra + noise)) (21), in W and in its packed copy. One entry a thread.
template <class M>
ENTK_KERNEL_BODY void update_body(M& m, const UpdateArgs& a) {
  const Layout& l = a.layout;
  const std::int64_t entry = m.block_x() * threads + m.thread(), size = a.range.count * l.tile_weights();
  if (entry >= size) return;
  const std::int64_t k = entry % l.features, place = entry / l.features;
  const std::int64_t r = l.neuron(a.range.first + place / tile_columns, static_cast<int>(place % tile_columns));
  if (r < 0 || k >= l.dimension) return;
  float gradient = a.gradients[entry];
  for (std::int64_t chunk = 1; chunk < a.chunks; ++chunk) gradient += a.gradients[chunk * size + entry];
  const std::int64_t index = r * l.dimension + k;
  if (a.out) a.out[index] = gradient;
  if (!a.state) return;
  const StepState s = *a.state;
  const std::int64_t row = r < l.neurons ? a.first_row + r : a.first_twin + r - l.neurons;
  if (a.extra) gradient += a.extra[index];
  if (s.deviation != 0.0f) {
    gradient += s.deviation * normal_at(s.noise, static_cast<std::uint64_t>(row * l.dimension + k));
  }
  float updated = a.w[index] - s.learning_rate * gradient;
  if (s.has_signs && is_negative_at(s.signs, static_cast<std::uint64_t>(row))) updated = -updated;
  a.w[index] = updated;
  a.weights[a.range.first * l.tile_weights() + entry] = updated;
}

}  // namespace entk::kernels::fused
