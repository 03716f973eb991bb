#include "entk/kernels/shard.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "entk/base/error.h"
#include "entk/base/sphere.h"

namespace entk {

namespace {

/// Σ over each group of a process's pairs: one number a group.
at::Tensor group_sums(const at::Tensor& values, const Shard& shard) {
  const auto groups = shard.own_groups();
  // Zeros behind the last pair: every group is summed alike.
  auto parts =
      at::constant_pad_nd(values.reshape({shard.halves(), shard.count}), {0, groups * pair_group - shard.count})
          .reshape({shard.halves(), groups, pair_group});
  if (parts.is_cpu()) return parts.sum(2).sum(0);
  // A GPU's order in sum() depends on how many sums there are, additions entry by entry do not.
  for (auto left = pair_group; left > 1; left /= 2)
    parts = parts.narrow(2, 0, left / 2) + parts.narrow(2, left / 2, left / 2);
  parts = parts.squeeze(2);
  return shard.halves() == 2 ? parts[0] + parts[1] : parts[0];
}

/// Memory of the host like these rows, but so many.
at::Tensor on_host(const at::Tensor& like, std::int64_t rows) {
  auto sizes = like.sizes().vec();
  sizes[0] = rows;
  return at::empty(sizes, like.options().device(at::kCPU).pinned_memory(like.is_cuda()));
}

// On the host not at::dot: MKL's sums in an order that the processor and the place in memory decide.
double sum_of_products(const at::Tensor& v, const at::Tensor& w) {
  if (!v.is_cpu()) return at::dot(v, w).item<double>();
  const double *a = v.const_data_ptr<double>(), *b = w.const_data_ptr<double>();
  std::array<double, 8> lanes{};
  for (std::int64_t i = 0; i < v.numel(); ++i) lanes[static_cast<std::size_t>(i % 8)] += a[i] * b[i];
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/// The sum of parts first … last−1 by the tree.
at::Tensor sum_of_parts(std::int64_t first, std::int64_t last, const std::function<at::Tensor(std::int64_t)>& make,
                        const std::function<void(const at::Tensor&, const at::Tensor&)>& add) {
  std::vector<std::pair<std::int64_t, at::Tensor>> open;
  const auto join = [&] {
    const auto from = open.back();
    open.pop_back();
    add(open.back().second, from.second);
    open.back().first += from.first;
  };
  for (auto i = first; i < last; ++i) {
    open.emplace_back(1, make(i));
    while (open.size() > 1 && open[open.size() - 2].first == open.back().first) join();
  }
  while (open.size() > 1) join();
  return open[0].second;
}

/// One number for every neuron of all processes, and their sum: each the other's derivative.
struct ForEachNeuron : torch::autograd::Function<ForEachNeuron> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& number, std::int64_t rows) {
    return number.expand({rows}).contiguous();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& g);
};
struct NeuronSum : torch::autograd::Function<NeuronSum> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& values) {
    context->saved_data["count"] = values.size(0);
    const auto shard = shard_with(values.size(0));
    return sum_of_groups(group_sums(values, shard), shard);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& g) {
    return {ForEachNeuron::apply(g[0], context->saved_data["count"].toInt())};
  }
};
torch::autograd::variable_list ForEachNeuron::backward(torch::autograd::AutogradContext*,
                                                       const torch::autograd::variable_list& g) {
  return {NeuronSum::apply(g[0]), at::Tensor()};
}

}  // namespace

std::int64_t Shard::block() const {
  std::int64_t of = pair_group;
  while (of * of < 4 * pairs()) of *= 2;
  return of;
}

Shard shard_of(std::int64_t width, int rank, int size) {
  Shard shard{.width = width};
  if (shard.blocks() < size) {
    throw InputError(fmt::format(
        "model.width: {} neurons are {} blocks of {}, the least that a process takes; expected at most {} processes, "
        "got {}",
        width, shard.blocks(), shard.block() * shard.halves(), shard.blocks(), size));
  }
  const auto mine = share_of(shard.blocks(), rank, size);
  shard.first = mine.first * shard.block();
  shard.count = std::min(shard.pairs(), (mine.first + mine.count) * shard.block()) - shard.first;
  return shard;
}

Shard own_shard(std::int64_t width) { return shard_of(width, group().rank(), group().size()); }

Shard shard_with(std::int64_t rows) {
  const auto shard = own_shard(sum_of_all(rows));
  if (shard.count * shard.halves() != rows) {
    throw RunError(fmt::format("process {}: expected its {} rows of {}, got {}", group().rank(),
                               shard.count * shard.halves(), shard.width, rows));
  }
  return shard;
}

std::vector<TreeNode> tree_nodes(std::int64_t first, std::int64_t last, std::int64_t total) {
  std::vector<TreeNode> nodes;
  for (std::int64_t at = first; at < last;) {
    std::int64_t count = 1;
    while (at % (2 * count) == 0 && at + count < total && std::min(at + 2 * count, total) <= last) count *= 2;
    nodes.push_back({at, count});
    at += count;
  }
  return nodes;
}

void climb(std::vector<TreeNode> nodes, const std::function<void(std::size_t to, std::size_t from)>& add) {
  std::vector<std::size_t> open;  // nodes that wait for what is right of them, larger ones first
  const auto join = [&] {
    const auto right = open.back();
    open.pop_back();
    add(open.back(), right);
    nodes[open.back()].count *= 2;
  };
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    open.push_back(i);
    while (open.size() > 1 && nodes[open[open.size() - 2]].count == nodes[open.back()].count) join();
  }
  while (open.size() > 1) join();  // nothing is right of the last one
}

SharedTree shared_tree(const Shard& shard, std::int64_t pairs_each, std::int64_t own) {
  if (group().size() == 1) return {{{0, own}}, {{0, own}}, {1}};
  const auto parts_in = [&](std::int64_t pairs) { return (pairs + pairs_each - 1) / pairs_each; };
  SharedTree tree;
  for (int r = 0; r < group().size(); ++r) {
    const auto part = shard_of(shard.width, r, group().size());
    const auto first = part.first / pairs_each;
    const auto nodes = tree_nodes(first, first + parts_in(part.count), parts_in(shard.pairs()));
    tree.counts.push_back(static_cast<std::int64_t>(nodes.size()));
    tree.all.insert(tree.all.end(), nodes.begin(), nodes.end());
    if (r != group().rank()) continue;
    // The last node of all may reach beyond the last part.
    for (const auto& node : nodes)
      tree.own.push_back({node.first - first, std::min(node.count, own - (node.first - first))});
  }
  return tree;
}

at::Tensor gathered(const at::Tensor& own, const std::vector<std::int64_t>& counts) {
  if (group().size() == 1) return own;
  auto sent = own.contiguous();
  if (!own.is_cpu()) sent = on_host(own, own.size(0)).copy_(own);
  const auto rows = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  const auto all = on_host(own, rows);
  std::vector<std::int64_t> bytes;
  for (const auto count : counts) bytes.push_back(count * static_cast<std::int64_t>(all.nbytes()) / rows);
  group().all_gather(sent.const_data_ptr(), all.mutable_data_ptr(), bytes);
  return all.to(own.device());
}

void spread(const at::Tensor& tensor, int root) {
  if (group().size() == 1) return;
  const auto sent = tensor.is_cpu() ? tensor : tensor.cpu();
  group().broadcast(sent.mutable_data_ptr(), static_cast<std::int64_t>(sent.nbytes()), root);
  if (!tensor.is_cpu()) tensor.copy_(sent);
}

at::Tensor neuron_sum(const at::Tensor& values) { return NeuronSum::apply(values); }

at::Tensor Shard::group_rows(const at::Tensor& of, std::int64_t half, std::int64_t g) const {
  const auto from = g * pair_group;
  return of.narrow(0, half * count + from, std::min(pair_group, count - from));
}

at::Tensor Shard::group_rows(const at::Tensor& of, std::int64_t g) const {
  std::vector<at::Tensor> rows;
  for (std::int64_t half = 0; half < halves(); ++half) rows.push_back(group_rows(of, half, g));
  return at::cat(rows);
}

at::Tensor sum_of_groups(const at::Tensor& own, const Shard& shard) {
  std::vector<std::int64_t> counts;
  for (int r = 0; r < group().size(); ++r) counts.push_back(shard_of(shard.width, r, group().size()).own_groups());
  auto parts = gathered(own, counts);
  // Those beside each other, then those sums, and so on.
  while (parts.size(0) > 1) {
    const auto pairs = parts.size(0) / 2;
    const auto whole = parts.narrow(0, 0, 2 * pairs).unflatten(0, std::vector<std::int64_t>{pairs, 2});
    auto sums = whole.select(1, 0) + whole.select(1, 1);
    if (parts.size(0) % 2 != 0) sums = at::cat({sums, parts.narrow(0, 2 * pairs, 1)});
    parts = sums;
  }
  return parts.squeeze(0);
}

at::Tensor sum_of_groups(const Shard& shard, std::int64_t own, const std::function<at::Tensor(std::int64_t g)>& make,
                         const std::function<void(const at::Tensor& to, const at::Tensor& from)>& add) {
  if (group().size() == 1) return sum_of_parts(0, own, make, add);
  const auto tree = shared_tree(shard, pair_group, own);
  std::vector<at::Tensor> mine;
  for (const auto& node : tree.own) mine.push_back(sum_of_parts(node.first, node.first + node.count, make, add));
  auto total = at::empty_like(mine[0]);
  for (std::int64_t i = 0; i < total.size(0); ++i) {
    std::vector<at::Tensor> lines;
    for (const auto& matrix : mine) lines.push_back(matrix.select(0, i));
    const auto all = gathered(at::stack(lines), tree.counts);
    climb(tree.all, [&](std::size_t to, std::size_t from) {
      all.select(0, static_cast<std::int64_t>(to)).add_(all.select(0, static_cast<std::int64_t>(from)));
    });
    total.select(0, i).copy_(all.select(0, 0));
  }
  return total;
}

double neuron_dot(const at::Tensor& v, const at::Tensor& w) {
  if (!v.defined() || !w.defined()) throw InputError("norm: expected a tensor, got nothing");
  const at::NoGradGuard no_grad;
  const auto shard = shard_with(w.size(0));
  auto sums = at::zeros({shard.own_groups()}, w.options().dtype(at::kDouble));
  const auto entries = [&](const at::Tensor& of, std::int64_t half, std::int64_t g) {
    return shard.group_rows(of, half, g).reshape({-1}).to(at::kDouble).contiguous();
  };
  for (std::int64_t g = 0; g < shard.own_groups(); ++g) {
    for (std::int64_t half = 0; half < shard.halves(); ++half) {
      const auto values = entries(v, half, g);
      sums.select(0, g) += sum_of_products(values, v.is_same(w) ? values : entries(w, half, g));
    }
  }
  return sum_of_groups(sums, shard).item<double>();
}

double neuron_norm(const at::Tensor& w) { return std::sqrt(neuron_dot(w, w)); }

at::Tensor neuron_signs(std::int64_t rows, const RandomStream& stream) {
  const auto shard = shard_with(rows);
  auto signs = at::empty({shard.halves(), shard.count}, at::kDouble);
  for (std::int64_t half = 0; half < shard.halves(); ++half) {
    double* values = signs[half].mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < shard.count; ++i)
      values[i] = stream.sign(static_cast<std::uint64_t>(shard.row(half) + i));
  }
  return signs.view(-1);
}

at::Tensor uniform_in_ball(std::int64_t rows, std::int64_t dimension, double radius, const RandomStream& stream) {
  const auto shard = shard_with(rows);
  std::vector<at::Tensor> halves;
  for (std::int64_t half = 0; half < shard.halves(); ++half)
    halves.push_back(gaussian_points(shard.count, dimension, stream, shard.row(half)));
  auto point = at::cat(halves);
  // The distance has the law of U^(1/count); U's index is behind those of the normals. 1 − U > 0.
  const auto count = shard.width * dimension;
  const double u = 1.0 - stream.uniform(static_cast<std::uint64_t>(count + count % 2));
  return point.mul_(radius * std::pow(u, 1.0 / static_cast<double>(count)) / neuron_norm(point));
}

at::Tensor gather_rows(const at::Tensor& rows) {
  if (group().size() == 1) return rows;
  const auto shard = shard_with(rows.size(0));
  const auto own = rows.contiguous();
  const auto like = [&](std::int64_t count) {
    auto sizes = own.sizes().vec();
    sizes[0] = count;
    return at::empty(sizes, own.options());
  };
  auto all = leads() ? like(shard.width) : at::Tensor();
  // A group of pairs at a time.
  const auto passing = like(pair_group);
  for (int root = 0; root < group().size(); ++root) {
    const auto from = shard_of(shard.width, root, group().size());
    for (std::int64_t half = 0; half < shard.halves(); ++half) {
      for (std::int64_t i = 0; i < from.count; i += pair_group) {
        const auto count = std::min(pair_group, from.count - i);
        auto block = passing.narrow(0, 0, count);
        if (root == group().rank()) block.copy_(own.narrow(0, half * from.count + i, count));
        spread(block, root);
        if (leads()) all.narrow(0, from.row(half) + i, count).copy_(block);
      }
    }
  }
  return all;
}

at::Tensor own_rows(const at::Tensor& all) {
  if (group().size() == 1) return all;
  const auto shard = own_shard(all.size(0));
  std::vector<at::Tensor> halves;
  for (std::int64_t half = 0; half < shard.halves(); ++half)
    halves.push_back(all.narrow(0, shard.row(half), shard.count));
  return at::cat(halves);
}

at::Tensor rows_of_block(const at::Tensor& rows, const Shard& shard, std::int64_t i) {
  auto sizes = rows.sizes().vec();
  sizes[0] = shard.count;
  sizes.insert(sizes.begin(), shard.halves());
  const auto from = i * shard.block();
  return rows.reshape(sizes).narrow(1, from - shard.first, std::min(shard.block(), shard.pairs() - from));
}

}  // namespace entk
