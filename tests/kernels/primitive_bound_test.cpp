// The primitive in float32, tables of its own included, against the naive form in float64, entry by entry.
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>

#include "entk/kernels/reference.h"
#include "entk/kernels/taylor_primitive.h"
#include "tests/support/testing.h"

namespace entk::primitive_bound_test {
namespace {

using kernels::Isa;

constexpr double eps = 0x1p-24;          // half a unit in the last place of 1
constexpr double smallest = 0x1p-149;    // float32's smallest subnormal
constexpr double activation_error = 16;  // roundings of σ' and σ'' on an exact argument, in eps

Activation shifted_sigmoid() {
  Activation f;
  f.derivative = [](const at::Tensor& z, int order) {
    const auto s = torch::sigmoid(z - 1.0), one = s * (1 - s);
    return order == 1 ? one : one * (1 - 2 * s);
  };
  f.kind = kernels::KernelActivation::sigmoid;
  f.parameters = {1.0};
  return f;
}

struct Problem {
  torch::Tensor x, w0, a, w, g;
};

Problem problem(int n, int d, int m, bool twins, double size_of_w) {
  torch::manual_seed(1000 * n + 10 * d + m);
  Problem p;
  p.x = torch::randn({n, d});
  p.w0 = torch::randn({m, d});
  p.w0 /= p.w0.norm(2, 1, true);
  p.a = torch::randn({m}).sign();
  if (twins) {
    p.w0 = torch::cat({p.w0.slice(0, 0, m / 2), p.w0.slice(0, 0, m / 2)}).contiguous();
    p.a = torch::cat({torch::ones({m / 2}), -torch::ones({m / 2})});
  }
  p.w = size_of_w * torch::randn({m, d});
  p.g = torch::randn({2, n});
  return p;
}

/// What float32 may do to an entry: 4(L + log2 m + 8) eps Σ|terms|, L = d forward and d + log2 n for the
/// pull-back; tables add the error of their argument times |σ^(p+1)| ≤ 1/4, and σ's own roundings.
struct Bounds {
  torch::Tensor terms, pull_back;
};

Bounds bounds(const Problem& p) {
  const auto type = torch::kFloat64;
  const auto x = p.x.to(type).abs(), w = p.w.to(type).abs(), w0 = p.w0.to(type).abs(), g = p.g.to(type).abs();
  const double n = static_cast<double>(x.size(0)), d = static_cast<double>(x.size(1)),
               m = static_cast<double>(w.size(0));
  const auto z = x.mm(w.t());  // at least |Z|
  const auto z0 = p.x.to(type).mm(p.w0.to(type).t());
  const auto s1 = shifted_sigmoid().derivative(z0, 1).abs() / std::sqrt(m);
  const auto s2 = shifted_sigmoid().derivative(z0, 2).abs() / std::sqrt(m);
  const auto of_tables = eps * (4 * (d + 8) * x.mm(w0.t()) / 4 + activation_error * 0.25) / std::sqrt(m);
  const double forward = 4 * (d + std::log2(m) + 8) * eps, backward = 4 * (d + std::log2(n) + std::log2(m) + 8) * eps;
  const auto first = (forward * s1 + of_tables) * z, second = (forward * s2 + of_tables) * z * z;
  const auto in_g =
      g[0].unsqueeze(1) * (backward * s1 + of_tables) + g[1].unsqueeze(1) * (backward * s2 + of_tables) * z;
  return {torch::stack({first.sum(1), second.sum(1)}) + m * d * smallest, in_g.t().mm(x) + n * d * smallest};
}

::testing::AssertionResult within(const torch::Tensor& got, const torch::Tensor& want, const torch::Tensor& bound) {
  const auto excess = ((got.to(torch::kFloat64) - want).abs() / bound).nan_to_num(INFINITY, INFINITY);
  const double worst = excess.max().item<double>();
  if (worst <= 1) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << fmt::format("entry {} is {:.3g} bounds away",
                                                      excess.argmax().item<std::int64_t>(), worst);
}

struct Case {
  KernelMode mode;
  Isa isa;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (isa > kernels::best_isa()) continue;
    all.push_back({KernelMode::keep, isa});
    all.push_back({KernelMode::recompute, isa});
  }
  return all;
}

template <class F>
void for_each_case(const Problem& p, F&& check) {
  for (const auto& c : cases()) {
    SCOPED_TRACE(
        fmt::format("n={} d={} m={} {} {}", p.x.size(0), p.x.size(1), p.w.size(0), mode_name(c.mode), isa_name(c.isa)));
    check(*make_primitive(p.x, p.w0, p.a, shifted_sigmoid(), {.mode = c.mode, .isa = c.isa}));
  }
}

void expect_within_bounds(const Problem& p) {
  const SerialTorch serial;
  const auto type = torch::kFloat64;
  const auto x = p.x.to(type), w0 = p.w0.to(type), a = p.a.to(type), w = p.w.to(type), g = p.g.to(type);
  const auto bound = bounds(p);
  const auto terms = reference_terms(x, w0, a, shifted_sigmoid(), w, 2);
  const auto pulled = reference_pull_back(x, w0, a, shifted_sigmoid(), w, g);
  for_each_case(p, [&](const TaylorPrimitive& primitive) {
    EXPECT_TRUE(within(primitive.terms(p.w), terms, bound.terms));
    EXPECT_TRUE(within(primitive.pull_back(p.w, p.g), pulled, bound.pull_back));
    // A step: the rounding of the update itself comes on top.
    auto stepped = p.w.clone();
    primitive.stepper(stepped)->step(stepped, p.g, {.learning_rate = 0.5});
    EXPECT_TRUE(within(stepped, w - 0.5 * pulled, 0.5 * bound.pull_back + 3 * eps * (w.abs() + 0.5 * pulled.abs())));
  });
}

TEST(PrimitiveBound, EveryEntryStaysWithinFloat32sBoundAtOddShapes) {
  for (const auto& [n, d, m] : std::vector<std::array<int, 3>>{{1, 1, 1},
                                                               {2, 1, 2},
                                                               {1, 3, 3},
                                                               {3, 2, 2},
                                                               {5, 7, 31},
                                                               {6, 15, 32},
                                                               {7, 16, 33},
                                                               {95, 17, 63},
                                                               {96, 6, 64},
                                                               {97, 5, 65},
                                                               {193, 101, 127},
                                                               {211, 13, 514}}) {
    for (const bool twins : {false, true}) {
      if (!twins || m % 2 == 0) expect_within_bounds(problem(n, d, m, twins, 1.0));
    }
  }
}

TEST(PrimitiveBound, TinySubnormalAndLargeDisplacementsStayWithinTheBound) {
  for (const double size : {1e-42, 1e-38, 1e-20, 1e6, 1e12}) expect_within_bounds(problem(37, 11, 70, true, size));
}

TEST(PrimitiveBound, ProductsWithTensorFloatsFailTheBound) {
  // Where sums are short the bound tells float32 from inputs rounded to ten bits of mantissa.
  const auto p = problem(7, 3, 64, true, 1.0);
  const auto type = torch::kFloat64;
  const auto rounded = [](const torch::Tensor& t) {
    return (t.view(torch::kInt).add(0x1000).bitwise_and(~0x1fff)).view(torch::kFloat32).to(torch::kFloat64);
  };
  const auto g = p.g.to(type);
  const auto exact = reference_pull_back(p.x.to(type), p.w0.to(type), p.a.to(type), shifted_sigmoid(), p.w.to(type), g);
  const auto coarse =
      reference_pull_back(rounded(p.x), p.w0.to(type), p.a.to(type), shifted_sigmoid(), rounded(p.w), g);
  EXPECT_FALSE(within(coarse, exact, bounds(p).pull_back));
}

TEST(PrimitiveBound, ManyTilesAddedUpInGroupsHaveTheBitsOfOneTree) {
  // 157 tiles: two groups of 128 tiles on one thread, one of 256 on nine (not two of 16·9) and on sixteen.
  const auto p = problem(4000, 2, 10000, false, 1.0);
  const auto primitive = make_primitive(p.x, p.w0, p.a, shifted_sigmoid(), {.mode = KernelMode::recompute});
  const auto terms = [&](int threads) {
    const testing::ThreadCount count(threads);
    return primitive->terms(p.w);
  };
  const auto one = terms(1);
  for (const int threads : {9, 16}) EXPECT_TRUE(testing::identical(terms(threads), one)) << threads;
}

TEST(PrimitiveBound, NotANumberReachesItsOwnSampleAndEveryGradient) {
  auto p = problem(50, 9, 70, true, 1.0);
  p.x[17][3] = NAN;
  for_each_case(p, [&](const TaylorPrimitive& primitive) {
    const auto bad = primitive.terms(p.w).isnan();
    EXPECT_TRUE(bad.select(1, 17).all().item<bool>());
    EXPECT_EQ(bad.sum().item<std::int64_t>(), 2);
    EXPECT_TRUE(primitive.pull_back(p.w, p.g).isnan().any(1).all().item<bool>());
  });
}

}  // namespace
}  // namespace entk::primitive_bound_test
