// Sizes and addresses of the fused kernels' arrays. Everything is padded with zeros, so that the
// kernels' inner loops know neither odd sizes nor missing neurons.
//
//   points    [row][feature]                     rows: n padded to 128; features: d padded to 8
//   weights   [tile][column 0…63][feature]       a column is a neuron, or a twin of one
//   tables    [tile][order][row][table column]   m^(-1/2) a_r σ^(p)(w0_r·x)
//   z         [tile][row][64]
//   sums      [tile][order][row]
//   gradients [chunk][tile][64][feature]         one chunk for each range of samples
//
// For a symmetric start columns 0…31 of a tile are neurons, columns 32…63 their twins, and tables
// have 32 columns, as in tile_kernels.h.
#pragma once

#include <initializer_list>

#include "entk/kernels/gpu/split_tf32.h"
#include "entk/kernels/cpu/tile_kernels.h"

namespace entk::kernels::fused {

inline constexpr int threads = 128;          ///< of every block
inline constexpr int forward_rows = 128;     ///< samples of a forward block
inline constexpr int forward_features = 32;  ///< staged at a time
inline constexpr int pull_rows = 32;         ///< samples staged at a time by the pull-back
inline constexpr int reduce_rows = 8;        ///< samples of a block that sums up tiles
inline constexpr int leaf_tiles = 16;        ///< of a leaf of the tree by which they are summed up

struct Layout {
  std::int64_t samples = 0, dimension = 0, width = 0;
  std::int64_t neurons = 0;  ///< with tables of their own: width or width/2
  std::int64_t rows = 0, features = 0, tiles = 0;
  int orders = 0;
  bool twins = false;

  ENTK_HOST_DEVICE int table_columns() const { return twins ? tile_columns / 2 : tile_columns; }
  /// The neuron of a column, or −1 where the tile has none there.
  ENTK_HOST_DEVICE std::int64_t neuron(std::int64_t tile, int column) const {
    const int within = column % table_columns();
    const std::int64_t r = tile * table_columns() + within;
    if (r >= neurons) return -1;
    return column == within ? r : r + neurons;
  }
  ENTK_HOST_DEVICE std::int64_t tile_weights() const { return tile_columns * features; }
  ENTK_HOST_DEVICE std::int64_t tile_tables() const { return orders * rows * table_columns(); }
  ENTK_HOST_DEVICE std::int64_t tile_z() const { return rows * tile_columns; }
};

inline std::int64_t round_up(std::int64_t value, std::int64_t to) { return (value + to - 1) / to * to; }

inline Layout make_layout(std::int64_t n, std::int64_t d, std::int64_t m, int orders, bool twins) {
  Layout l;
  l.samples = n;
  l.dimension = d;
  l.width = m;
  l.neurons = twins ? m / 2 : m;
  l.rows = round_up(n, forward_rows);
  l.features = round_up(d, 8);
  l.orders = orders;
  l.twins = twins;
  l.tiles = (l.neurons + l.table_columns() - 1) / l.table_columns();
  return l;
}

/// How the pull-back's sum over samples and its features are shared out.
struct PullPlan {
  int fragments = 8;  ///< of 8 features, for each of two warps: 2, 4, 7 or 8
  std::int64_t feature_tiles = 1;
  std::int64_t chunks = 1;        ///< ranges of samples
  std::int64_t chunk_blocks = 1;  ///< blocks of pull_rows samples in each
  ENTK_HOST_DEVICE int tile_features() const { return 16 * fragments; }
};

/// The fewest wasted features; then as many chunks as fill `slots` blocks at a time well.
inline PullPlan plan_pull(const Layout& l, std::int64_t slots) {
  PullPlan plan;
  std::int64_t least = -1;
  for (int fragments : {8, 7, 4, 2}) {
    const std::int64_t tiles = (l.features + 16 * fragments - 1) / (16 * fragments);
    // A further tile of features forms G again: as dear as some 32 features.
    const std::int64_t cost = tiles * (16 * fragments + 32);
    if (least < 0 || cost < least) {
      least = cost;
      plan.fragments = fragments;
      plan.feature_tiles = tiles;
    }
  }
  const std::int64_t blocks = l.rows / pull_rows;
  double cheapest = 0;
  for (std::int64_t chunks = 1; chunks <= 16 && chunks <= blocks; ++chunks) {
    const std::int64_t each = (blocks + chunks - 1) / chunks;
    const std::int64_t waves = (l.tiles * plan.feature_tiles * chunks + slots - 1) / slots;
    // Two blocks' time for filling and emptying a chunk's pipeline and its share of the final sum.
    const double cost = static_cast<double>(waves) * static_cast<double>(each + 2);
    if (chunks == 1 || cost < 0.98 * cheapest) {
      cheapest = cost;
      plan.chunks = (blocks + each - 1) / each;
      plan.chunk_blocks = each;
    }
  }
  return plan;
}

/// Row strides in shared memory, in floats. A lane (g, t) = (lane / 4, lane % 4) of a fragment reads
/// either [g][t] or [t][g]: with strides of 4, and of 8 or 24, modulo 32 all 32 lanes meet different banks.
inline constexpr int forward_stride = forward_features + 4;
inline constexpr int g_stride = tile_columns + 8;
ENTK_HOST_DEVICE constexpr int points_stride(int fragments) { return 16 * fragments + 8; }

/// Shared memory in floats.
inline constexpr int forward_stage = (forward_rows + tile_columns) * forward_stride;
inline constexpr int forward_shared = 2 * forward_stage;
ENTK_HOST_DEVICE int pull_stage(const Layout& l, int fragments) {
  return pull_rows * (tile_columns + l.orders * l.table_columns() + points_stride(fragments));
}
ENTK_HOST_DEVICE int pull_shared(const Layout& l, int fragments) {
  return 2 * (pull_stage(l, fragments) + l.orders * pull_rows) + pull_rows * g_stride;
}

}  // namespace entk::kernels::fused
