#include "entk/kernels/shard.h"

#include <cmath>

#include "entk/base/error.h"
#include "entk/kernels/primitive_parts.h"
#include "tests/support/testing.h"

namespace entk::shard_test {
namespace {

// The additions themselves: a sum is written as text, with its parentheses.
TEST(Shard, HoweverPartsAreSharedOutTheirSumIsMadeByTheSameAdditions) {
  for (std::int64_t total = 1; total <= 70; ++total) {
    std::vector<std::string> parts;
    for (std::int64_t i = 0; i < total; ++i) parts.push_back(std::to_string(i));
    const auto tree = [](std::vector<std::string> values) {
      for (std::size_t stride = 1; stride < values.size(); stride *= 2) {
        for (std::size_t i = 0; i + stride < values.size(); i += 2 * stride)
          values[i] = "(" + values[i] + "+" + values[i + stride] + ")";
      }
      return values[0];
    };
    const auto whole = tree(parts);
    for (int size = 1; size <= std::min<std::int64_t>(total, 9); ++size) {
      std::vector<TreeNode> nodes;
      std::vector<std::string> sums;
      for (int rank = 0; rank < size; ++rank) {
        const auto part = share_of(total, rank, size);
        for (const auto& node : tree_nodes(part.first, part.first + part.count, total)) {
          nodes.push_back(node);
          sums.push_back(tree({parts.begin() + node.first, parts.begin() + std::min(node.first + node.count, total)}));
        }
      }
      climb(nodes, [&](std::size_t to, std::size_t from) { sums[to] = "(" + sums[to] + "+" + sums[from] + ")"; });
      ASSERT_EQ(sums[0], whole) << total << " parts, " << size << " processes";
    }
  }
}

TEST(Shard, ProcessesShareOutEveryGroupOfPairsOnce) {
  for (const std::int64_t width : {1024, 4296, 10000, 5 * 512, 1000002, 100000000}) {
    for (int size = 1; size <= std::min<std::int64_t>(shard_of(width, 0, 1).blocks(), 12); ++size) {
      std::int64_t next = 0;
      for (int rank = 0; rank < size; ++rank) {
        const auto shard = shard_of(width, rank, size);
        EXPECT_EQ(shard.first, next);
        EXPECT_EQ(shard.first % shard.block(), 0);
        EXPECT_EQ(shard.block() % pair_group, 0);
        EXPECT_GT(shard.count, 0);
        EXPECT_EQ(shard.row(1), width / 2 + shard.first);
        next += shard.count;
      }
      EXPECT_EQ(next, width / 2);
    }
  }
  EXPECT_EQ(shard_of(100000, 0, 1).block(), 512);
  EXPECT_EQ(shard_of(100000000, 0, 1).blocks(), 3052);
  EXPECT_THROW(shard_of(2048, 0, 3), InputError);
}

TEST(Shard, SumsOverNeuronsAreThoseOfPlainLoopsAndDifferentiable) {
  torch::manual_seed(1);
  for (const std::int64_t rows : {1, 7, 40, 1024, 1026, 4297, 5000}) {
    const auto w = torch::randn({rows, 3}, at::kDouble).requires_grad_(true);
    const auto sum = neuron_sum(w.square().sum(1).square());
    EXPECT_NEAR(sum.item<double>(), w.square().sum(1).square().sum().item<double>(), 1e-9 * sum.item<double>());
    EXPECT_NEAR(neuron_norm(w), w.norm().item<double>(), 1e-12 * neuron_norm(w));
    const auto gradient = torch::autograd::grad({sum.square()}, {w}, {}, true, true)[0];
    const auto want = 2 * sum * 4 * w.square().sum(1, true) * w;
    EXPECT_TRUE(testing::close(gradient, want, 1e-12));
    // And once more.
    const auto v = torch::randn_like(w);
    const auto second = torch::autograd::grad({(gradient * v).sum()}, {w})[0];
    const auto step = 1e-5;
    const auto slope = [&](double at) {
      const auto moved = (w.detach() + at * v).requires_grad_(true);
      return torch::autograd::grad({neuron_sum(moved.square().sum(1).square()).square()}, {moved})[0];
    };
    EXPECT_TRUE(testing::close(second, (slope(step) - slope(-step)) / (2 * step), 1e-6)) << rows;
  }
}

TEST(Shard, NormsAreSummedInFloat64WhateverTheTypeAndTheStrides) {
  const auto a = at::full({1000, 700}, 0.1, at::kFloat);
  EXPECT_NEAR(neuron_norm(a), static_cast<double>(0.1F) * std::sqrt(700000.0), 1e-10);
  EXPECT_NEAR(neuron_norm(a.to(at::kDouble).t()), static_cast<double>(0.1F) * std::sqrt(700000.0), 1e-10);
  EXPECT_EQ(neuron_norm(at::full({3, 3}, 1e30, at::kFloat)), 3 * static_cast<double>(1e30F));
  EXPECT_TRUE(std::isnan(neuron_norm(at::full({1}, NAN, at::kFloat))));
}

}  // namespace
}  // namespace entk::shard_test
