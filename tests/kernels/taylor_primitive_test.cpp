#include "entk/kernels/taylor_primitive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "entk/base/sphere.h"
#include "entk/kernels/noise.h"
#include "entk/kernels/reference.h"
#include "entk/kernels/taylor_function.h"
#include "tests/support/kernel_bounds.h"
#include "tests/support/testing.h"

namespace entk::taylor_primitive_test {
namespace {

using kernels::Isa;
using testing::close;
using testing::identical;
using testing::ThreadCount;

/// sigmoid(z − 1); with its kernel code unless `plain`.
Activation shifted_sigmoid(bool plain = false) {
  auto f = testing::smooth_activation();
  if (!plain) {
    f.kind = kernels::KernelActivation::sigmoid;
    f.parameters = {1.0};
  }
  return f;
}

struct Problem {
  torch::Tensor x, w0, a, w, v, g;
};

Problem problem(int n, int d, int m, bool twins, torch::ScalarType type, int orders = 2) {
  torch::manual_seed(100 * n + 10 * d + m);
  const auto options = torch::dtype(torch::kFloat64);
  Problem p;
  p.x = torch::randn({n, d}, options);
  p.w0 = torch::randn({m, d}, options);
  p.w0 /= p.w0.norm(2, 1, true);
  p.a = torch::randn({m}, options).sign();
  if (twins) {
    p.w0 = torch::cat({p.w0.slice(0, 0, m / 2), p.w0.slice(0, 0, m / 2)});
    p.a = torch::cat({torch::ones({m / 2}, options), -torch::ones({m / 2}, options)});
  }
  p.w = torch::randn({m, d}, options);
  p.v = torch::randn({m, d}, options);
  p.g = torch::randn({std::max(orders, 3), n}, options);
  for (auto* t : {&p.x, &p.w0, &p.a, &p.w, &p.v, &p.g}) *t = t->to(type);
  return p;
}

struct Case {
  KernelMode mode;
  std::optional<Isa> isa;
};

std::vector<Case> cases() {
  std::vector<Case> all{{KernelMode::reference, std::nullopt}};
  for (Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (isa > kernels::best_isa()) continue;
    all.push_back({KernelMode::keep, isa});
    all.push_back({KernelMode::recompute, isa});
  }
  return all;
}

std::string name(const Case& c) {
  const char* modes[] = {"automatic", "keep", "recompute", "reference"};
  return fmt::format("{} {}", modes[static_cast<int>(c.mode)], c.isa ? kernels::isa_name(*c.isa) : "aten");
}

std::shared_ptr<const TaylorPrimitive> make(const Problem& p, const Case& c, int orders, bool plain = false) {
  return make_primitive(p.x, p.w0, p.a, shifted_sigmoid(plain), {.orders = orders, .mode = c.mode, .isa = c.isa});
}

const std::vector<std::array<int, 3>> odd_shapes = {{1, 1, 1},    {1, 1, 2},     {2, 3, 2},    {3, 2, 5},
                                                    {7, 5, 62},   {6, 6, 64},    {13, 11, 66}, {101, 17, 130},
                                                    {97, 7, 257}, {192, 16, 128}};

// In float64 every back end agrees with the naive form far below what float32 could show.
constexpr double double_tolerance = 1e-12;

TEST(TaylorPrimitive, TermsAndPullBackMatchTheNaiveFormAtOddShapesInFloat64) {
  for (const auto& [n, d, m] : odd_shapes) {
    for (bool twins : {false, true}) {
      if (twins && m % 2) continue;
      for (int orders = 1; orders <= 4; ++orders) {
        const auto p = problem(n, d, m, twins, torch::kFloat64, orders);
        const auto g = p.g.slice(0, 0, orders).contiguous();
        const auto terms = reference_terms(p.x, p.w0, p.a, shifted_sigmoid(), p.w, orders);
        const auto pulled = reference_pull_back(p.x, p.w0, p.a, shifted_sigmoid(), p.w, g);
        for (const auto& c : cases()) {
          SCOPED_TRACE(fmt::format("n={} d={} m={} twins={} orders={} {}", n, d, m, twins, orders, name(c)));
          const auto primitive = make(p, c, orders);
          ASSERT_TRUE(close(primitive->terms(p.w), terms, double_tolerance));
          ASSERT_TRUE(close(primitive->pull_back(p.w, g), pulled, double_tolerance));
        }
      }
    }
  }
}

TEST(TaylorPrimitive, PullBackIsTheAutogradGradientOfTheTerms) {
  const auto p = problem(31, 9, 70, false, torch::kFloat64);
  const auto w = p.w.clone().requires_grad_(true);
  const auto g = p.g.slice(0, 0, 2).contiguous();
  (reference_terms(p.x, p.w0, p.a, shifted_sigmoid(), w, 2) * g).sum().backward();
  for (const auto& c : cases()) {
    SCOPED_TRACE(name(c));
    EXPECT_TRUE(close(make(p, c, 2)->pull_back(p.w, g), w.grad(), double_tolerance));
  }
}

TEST(TaylorPrimitive, ActivationsWithoutKernelCodeGiveTheSame) {
  for (bool twins : {false, true}) {
    const auto p = problem(2500, 5, 70, twins, torch::kFloat64);  // more rows than one ATen block
    for (const auto& c : cases()) {
      SCOPED_TRACE(name(c));
      const auto with = make(p, c, 2), without = make(p, c, 2, true);
      const auto g = p.g.slice(0, 0, 2).contiguous();
      EXPECT_TRUE(close(without->terms(p.w), with->terms(p.w), double_tolerance));
      EXPECT_TRUE(close(without->pull_back(p.w, g), with->pull_back(p.w, g), double_tolerance));
    }
  }
}

TEST(TaylorPrimitive, DirectionalFormsMatchTheNaiveOnes) {
  for (bool twins : {false, true}) {
    const auto p = problem(101, 7, 134, twins, torch::kFloat64);
    const auto f = shifted_sigmoid();
    const auto z0 = p.x.mm(p.w0.t()), z = p.x.mm(p.w.t()), zv = p.x.mm(p.v.t());
    const auto scale = p.a / std::sqrt(134.0);
    const auto s1 = scale * f.derivative(z0, 1), s2 = scale * f.derivative(z0, 2);
    const auto along = torch::stack({(s1 * zv).sum(1), (s2 * z * zv).sum(1)});
    const auto pulled =
        (p.g[0].unsqueeze(1) * s1 + p.g[1].unsqueeze(1) * s2 * z + p.g[2].unsqueeze(1) * s2 * zv).t().mm(p.x);
    for (const auto& c : cases()) {
      // Tables of any number of orders hold S1 and S2; of one, the second is made where it is asked for.
      for (int orders = 1; orders <= 4; ++orders) {
        SCOPED_TRACE(fmt::format("{} orders={}", name(c), orders));
        const auto primitive = make(p, c, orders);
        EXPECT_TRUE(close(primitive->terms_along(p.w, p.v), along, double_tolerance));
        EXPECT_TRUE(close(primitive->pull_back_along(p.w, p.v, p.g), pulled, double_tolerance));
      }
    }
  }
}

TEST(TaylorPrimitive, Float32StaysCloseToFloat64) {
  // 1e-6 relative in norm: a few tens of float32 roundings; TF32 products would give 1e-3.
  for (bool twins : {false, true}) {
    const auto exact = problem(203, 33, 514, twins, torch::kFloat64);
    const auto rounded = problem(203, 33, 514, twins, torch::kFloat32);
    const auto g = exact.g.slice(0, 0, 2).contiguous();
    const auto terms = reference_terms(exact.x, exact.w0, exact.a, shifted_sigmoid(), exact.w, 2);
    const auto pulled = reference_pull_back(exact.x, exact.w0, exact.a, shifted_sigmoid(), exact.w, g);
    for (const auto& c : cases()) {
      SCOPED_TRACE(name(c));
      const auto primitive = make(rounded, c, 2);
      EXPECT_TRUE(close(primitive->terms(rounded.w), terms, 1e-6));
      EXPECT_TRUE(close(primitive->pull_back(rounded.w, g.to(torch::kFloat32)), pulled, 1e-6));
    }
  }
}

TEST(TaylorPrimitive, StridedInputsAreReadByTheirStrides) {
  const auto p = problem(19, 6, 66, false, torch::kFloat64);
  Problem strided = p;
  strided.x = p.x.t().contiguous().t();
  strided.w0 = torch::stack({p.w0, p.w0}, 2).select(2, 1);
  strided.w = p.w.t().contiguous().t();
  const auto g = p.g.slice(0, 0, 2).t().contiguous().t();
  for (const auto& c : cases()) {
    SCOPED_TRACE(name(c));
    const auto plain = make(p, c, 2), other = make(strided, c, 2);
    EXPECT_TRUE(close(other->terms(strided.w), plain->terms(p.w), double_tolerance));
    EXPECT_TRUE(close(other->pull_back(strided.w, g), plain->pull_back(p.w, g.contiguous()), double_tolerance));
  }
}

TEST(TaylorPrimitive, StepperTakesTheStepsOfTheUpdateRule) {
  for (int orders : {1, 2, 3}) {
    for (bool twins : {false, true}) {
      const auto p = problem(101, 7, 134, twins, torch::kFloat64, orders);
      const auto g = p.g.slice(0, 0, orders).contiguous();
      for (const auto& c : cases()) {
        SCOPED_TRACE(fmt::format("{} orders {} twins {}", name(c), orders, twins));
        const auto primitive = make(p, c, orders);
        auto w = p.w.clone(), want = p.w.clone();
        const auto stepper = primitive->stepper(w);
        EXPECT_TRUE(close(stepper->terms(), primitive->terms(w), double_tolerance));
        for (std::uint32_t step = 0; step < 3; ++step) {
          Update update{.learning_rate = 0.1, .extra = p.v, .noise = kernels::NoiseCode{3, step, 0.5}};
          const auto noise = kernels::noise_like(w, *update.noise);
          want -= 0.1 * (reference_pull_back(p.x, p.w0, p.a, shifted_sigmoid(), want, g) + p.v + noise);
          if (step > 0) {
            update.signs = RandomStream(Purpose::signs, 4, step);
            want *= random_signs(134, *update.signs).unsqueeze(1);
          }
          stepper->step(w, g, update);
          ASSERT_TRUE(close(w, want, double_tolerance));
          ASSERT_TRUE(close(stepper->terms(), reference_terms(p.x, p.w0, p.a, shifted_sigmoid(), want, orders),
                            double_tolerance));
        }
      }
    }
  }
}

TEST(TaylorPrimitive, KeepingAndRecomputingGiveTheSameBits) {
  for (bool twins : {false, true}) {
    const auto p = problem(1203, 7, 134, twins, torch::kFloat32);
    const auto g = p.g.slice(0, 0, 2).contiguous();
    const Case kept{KernelMode::keep, std::nullopt}, recomputed{KernelMode::recompute, std::nullopt};
    const auto one = make(p, kept, 2), two = make(p, recomputed, 2);
    EXPECT_TRUE(identical(one->terms(p.w), two->terms(p.w)));
    EXPECT_TRUE(identical(one->pull_back(p.w, g), two->pull_back(p.w, g)));
    auto first = p.w.clone(), second = p.w.clone();
    const auto s1 = one->stepper(first), s2 = two->stepper(second);
    for (int step = 0; step < 5; ++step) {
      s1->step(first, g, {.learning_rate = 0.01});
      s2->step(second, g, {.learning_rate = 0.01});
    }
    EXPECT_TRUE(identical(first, second));
    EXPECT_TRUE(identical(s1->terms(), s2->terms()));
  }
}

TEST(TaylorPrimitive, AStepperStartedInTheMiddleContinuesWithTheSameBits) {
  const auto p = problem(203, 9, 300, true, torch::kFloat32);
  const auto g = p.g.slice(0, 0, 2).contiguous();
  for (const auto& c : cases()) {
    SCOPED_TRACE(name(c));
    const auto primitive = make(p, c, 2);
    auto whole = p.w.clone(), split = p.w.clone();
    const auto stepper = primitive->stepper(whole);
    for (int step = 0; step < 6; ++step) stepper->step(whole, g, {.learning_rate = 0.01});
    for (int part = 0; part < 3; ++part) {
      const auto again = primitive->stepper(split);
      for (int step = 0; step < 2; ++step) again->step(split, g, {.learning_rate = 0.01});
    }
    EXPECT_TRUE(identical(split, whole));
  }
}

TEST(TaylorPrimitive, BitsDoNotDependOnTheNumberOfThreads) {
  for (bool plain : {false, true}) {
    const auto p = problem(203, 31, 1026, true, torch::kFloat32);
    const auto g = p.g.slice(0, 0, 2).contiguous();
    for (const auto& c : cases()) {
      SCOPED_TRACE(name(c));
      std::vector<torch::Tensor> first;
      for (int count : {1, 2, 3, 5}) {
        const ThreadCount threads(count);
        const auto primitive = make(p, c, 2, plain);
        auto w = p.w.clone();
        const auto stepper = primitive->stepper(w);
        for (std::uint32_t step = 0; step < 3; ++step) {
          stepper->step(w, g, {.learning_rate = 0.01, .noise = kernels::NoiseCode{1, step, 0.1}});
        }
        const std::vector<torch::Tensor> now = {primitive->terms(p.w),
                                                primitive->pull_back(p.w, g),
                                                primitive->terms_along(p.w, p.v),
                                                primitive->pull_back_along(p.w, p.v, p.g),
                                                w,
                                                stepper->terms()};
        if (first.empty()) first = now;
        for (std::size_t i = 0; i < now.size(); ++i) ASSERT_TRUE(identical(now[i], first[i])) << i;
      }
    }
  }
}

TEST(TaylorFunction, FirstAndSecondDerivativesMatchOrdinaryAutograd) {
  for (int orders : {1, 2, 3}) {
    const auto p = problem(17, 5, 22, false, torch::kFloat64, orders);
    const auto objective = [&](const torch::Tensor& terms) {  // something with mixed second derivatives
      return (terms.sum(0) - p.g[0]).pow(2).mean() + 0.3 * terms[0].pow(3).sum() + terms.sin().sum();
    };
    const auto derivatives = [&](const std::function<torch::Tensor(const torch::Tensor&)>& terms) {
      const auto w = p.w.clone().requires_grad_(true);
      const auto gradient = torch::autograd::grad({objective(terms(w))}, {w}, {}, true, true)[0];
      const auto product = torch::autograd::grad({(gradient * p.v).sum()}, {w}, {}, true, true)[0];
      const auto third = torch::autograd::grad({(product * p.v).sum()}, {w})[0];
      return std::vector<torch::Tensor>{gradient, product, third};
    };
    const auto want = derivatives(
        [&](const torch::Tensor& w) { return reference_terms(p.x, p.w0, p.a, shifted_sigmoid(), w, orders); });
    for (const auto& c : cases()) {
      SCOPED_TRACE(fmt::format("{} orders {}", name(c), orders));
      const auto primitive = make(p, c, orders);
      const auto got = derivatives([&](const torch::Tensor& w) { return taylor_terms(primitive, w); });
      for (int i = 0; i < 3; ++i) EXPECT_TRUE(close(got[i], want[i], 1e-11)) << "derivative " << i + 1;
    }
  }
}

TEST(TaylorPrimitive, AutomaticModeKeepsWhatFitsTheLimit) {
  const auto p = problem(30, 4, 64, true, torch::kFloat32);
  EXPECT_EQ(make_primitive(p.x, p.w0, p.a, shifted_sigmoid())->mode(), KernelMode::keep);
  EXPECT_EQ(make_primitive(p.x, p.w0, p.a, shifted_sigmoid(), {.memory_limit = 1000})->mode(), KernelMode::recompute);
}

TEST(TaylorPrimitive, BadArgumentsAreNamed) {
  const auto p = problem(5, 4, 6, false, torch::kFloat32);
  const auto message = [&](auto&& call) {
    try {
      call();
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("nothing thrown");
  };
  const auto f = shifted_sigmoid();
  EXPECT_THAT(message([&] { make_primitive(p.x[0], p.w0, p.a, f); }), ::testing::HasSubstr("x: expected a matrix"));
  EXPECT_THAT(message([&] { make_primitive(p.x, p.w0.slice(1, 0, 3), p.a, f); }), ::testing::HasSubstr("w0: expected"));
  EXPECT_THAT(message([&] { make_primitive(p.x, p.w0, p.a.slice(0, 1), f); }), ::testing::HasSubstr("a: expected"));
  EXPECT_THAT(message([&] { make_primitive(p.x.to(torch::kInt), p.w0, p.a, f); }),
              ::testing::HasSubstr("float32 or float64"));
  EXPECT_THAT(message([&] { make_primitive(p.x, p.w0.to(torch::kFloat64), p.a, f); }),
              ::testing::HasSubstr("w0: expected the type"));
  EXPECT_THAT(message([&] { make_primitive(p.x, p.w0, p.a, f, {.orders = 5}); }),
              ::testing::HasSubstr("orders: expected 1 to 4"));
  EXPECT_THAT(message([&] { make_primitive(p.x.slice(0, 0, 0), p.w0, p.a, f); }),
              ::testing::HasSubstr("at least one entry"));
}

}  // namespace
}  // namespace entk::taylor_primitive_test
