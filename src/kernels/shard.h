// Neurons shared out among the processes of a group, and sums over all of them by one fixed tree: the same bits for any
// number of processes.
//
// In a group of more than one, a network has the rows of its own neurons alone. Pairs of neurons are what is shared
// out: neuron r and, of an even number, neuron r + m/2, which in the symmetric start is its twin. A process's rows are
// its pairs' first ones and behind them their second ones.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "entk/base/group.h"
#include "entk/base/philox.h"

namespace entk {

/// Pairs are summed up in groups of this many.
constexpr std::int64_t pair_group = 512;

struct Shard {
  std::int64_t width = 0;             ///< m, of all processes
  std::int64_t first = 0, count = 0;  ///< pairs of this one

  std::int64_t halves() const { return width % 2 == 0 ? 2 : 1; }
  std::int64_t pairs() const { return width / halves(); }
  std::int64_t groups() const { return (pairs() + pair_group - 1) / pair_group; }
  std::int64_t own_groups() const { return (count + pair_group - 1) / pair_group; }
  /// What is shared out, whole, and above one_file_width saved in a file of its own: so many pairs, groups times a
  /// power of two that grows like the root of m. There are then some √m/4 blocks, enough for even shares and not too
  /// many files.
  std::int64_t block() const;
  std::int64_t blocks() const { return (pairs() + block() - 1) / block(); }
  /// This process's.
  Share own_blocks() const { return {first / block(), (count + block() - 1) / block()}; }
  /// Row, of all m, of the first of a half's own rows.
  std::int64_t row(std::int64_t half) const { return half * pairs() + first; }
  /// Of a matrix of its own rows, or of a vector: those of its g-th group in a half.
  at::Tensor group_rows(const at::Tensor& of, std::int64_t half, std::int64_t g) const;
  /// A copy of both halves' ones.
  at::Tensor group_rows(const at::Tensor& of, std::int64_t g) const;
};

/// A checkpoint of more neurons is saved in blocks.
constexpr std::int64_t one_file_width = std::int64_t{1} << 18;

/// What process `rank` of `size` has of m neurons. @throws InputError where some would have none.
Shard shard_of(std::int64_t width, int rank, int size);
/// This process's of m neurons.
Shard own_shard(std::int64_t width);
/// This process's, where it has so many rows. Asks the others.
Shard shard_with(std::int64_t rows);

/// A node of the tree over parts in a row: the sum of `count` parts, a power of two, from part `first` on; those behind
/// the last part are none.
struct TreeNode {
  std::int64_t first, count;
};
/// The fewest nodes that make up parts first … last−1 of `total`.
std::vector<TreeNode> tree_nodes(std::int64_t first, std::int64_t last, std::int64_t total);
/// Finishes the tree over nodes that are all parts in order: add(i, j) adds node j to node i. The sum is then node 0,
/// by the additions of kernels::tree_sum over the parts.
void climb(std::vector<TreeNode> nodes, const std::function<void(std::size_t to, std::size_t from)>& add);

/// Parts of all processes in a row, and which nodes of the tree over them each process makes of its own.
struct SharedTree {
  std::vector<TreeNode> own;         ///< this process's, by the place among its own parts
  std::vector<TreeNode> all;         ///< those of all, in order
  std::vector<std::int64_t> counts;  ///< how many nodes each process has
};
/// A part is `pairs_each` pairs, of which a group is a multiple. `own`: this process's parts; alone it has any number.
SharedTree shared_tree(const Shard& shard, std::int64_t pairs_each, std::int64_t own);

/// The rows of all processes, counts[r] of process r: by way of the host's memory where they lie on a GPU.
at::Tensor gathered(const at::Tensor& own, const std::vector<std::int64_t>& counts);
/// What process `root` has, to the others' contiguous tensors, in the same way.
void spread(const at::Tensor& tensor, int root = 0);

/// Σ over all processes' neurons of one number each (a vector, one entry a row): 0-dimensional, by the tree over groups
/// of pairs. Differentiable, its derivatives too.
at::Tensor neuron_sum(const at::Tensor& values);
/// Σ over the groups of all processes, by that tree, of what this one has of each of its own: own groups×….
at::Tensor sum_of_groups(const at::Tensor& own, const Shard& shard);
/// The same of a matrix a group: make(g) gives this process's g-th, in order, and add(to, from) adds up two. Alone a
/// process has any number of them, else its groups of pairs. As many sums are held as the tree is high, and what others
/// have comes a row at a time.
at::Tensor sum_of_groups(const Shard& shard, std::int64_t own, const std::function<at::Tensor(std::int64_t g)>& make,
                         const std::function<void(const at::Tensor& to, const at::Tensor& from)>& add);
/// The inner product over the rows of all processes, in float64 by that tree; and ‖W‖_F. @throws InputError for no
/// tensor
double neuron_dot(const at::Tensor& v, const at::Tensor& w);
double neuron_norm(const at::Tensor& w);
/// A sign ±1 for each of this process's neurons, float64 on the CPU.
at::Tensor neuron_signs(std::int64_t rows, const RandomStream& stream);
/// One uniform point of the ball of this radius in R^{md}: this process's rows of it, float64 on the CPU.
at::Tensor uniform_in_ball(std::int64_t rows, std::int64_t dimension, double radius, const RandomStream& stream);
/// The rows (of a matrix, or a vector's entries) of all processes at process 0; elsewhere undefined. Nobody else holds
/// more than its own.
at::Tensor gather_rows(const at::Tensor& rows);
/// This process's of the rows of all.
at::Tensor own_rows(const at::Tensor& all);
/// The rows of block i, which this process has: halves×pairs×….
at::Tensor rows_of_block(const at::Tensor& rows, const Shard& shard, std::int64_t i);

}  // namespace entk
