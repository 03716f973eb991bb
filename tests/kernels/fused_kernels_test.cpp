// The fused kernels, run lane by lane on the host, against float64.
#include "entk/kernels/gpu/fused_kernels.h"

#include <gtest/gtest.h>

#include <random>

#include "entk/base/error.h"
#include "entk/base/sphere.h"
#include "entk/kernels/gpu/recordable_stepper.h"
#include "entk/kernels/noise.h"
#include "entk/kernels/reference.h"
#include "entk/kernels/shard.h"
#include "entk/models/activation.h"
#include "tests/support/emulated_device.h"
#include "tests/support/kernel_bounds.h"
#include "tests/support/processes.h"
#include "tests/support/testing.h"

#if defined(__SANITIZE_THREAD__)
#define ENTK_SKIP_UNDER_TSAN GTEST_SKIP() << "ThreadSanitizer does not follow fibers"
#else
#define ENTK_SKIP_UNDER_TSAN static_cast<void>(0)
#endif

namespace entk::fused_kernels_test {
namespace {

using kernels::fused::FusedOptions;
using testing::BoundedProblem;
using testing::close;
using testing::EmulatedLauncher;
using testing::identical;

struct Shape {
  int n, d, m;
};

const std::vector<Shape> odd_shapes = {{1, 1, 1}, {3, 2, 5}, {33, 13, 66}, {131, 37, 34}, {5, 131, 2}};

std::shared_ptr<const TaylorPrimitive> emulated(const BoundedProblem& p, const FusedOptions& options, bool tf32 = false,
                                                std::int64_t slots = 4, bool reversed = false) {
  return kernels::fused::make_fused_primitive(std::make_shared<EmulatedLauncher>(tf32, slots, reversed), p.x, p.w0, p.a,
                                              testing::smooth_activation(), options);
}

TEST(SplitFloat, HighAndLowMissAtMostHalfAUnitOfFloat32) {
  std::mt19937 random(1);
  for (int i = 0; i < 100000; ++i) {
    const float x =
        std::ldexp(static_cast<float>(random()) / 4294967296.0f + 0.5f, static_cast<int>(random() % 160) - 80);
    const auto parts = kernels::split_tf32(x);
    const double high = kernels::float_of(parts.high), low = kernels::float_of(parts.low & kernels::tf32_mask);
    ASSERT_EQ(parts.high & ~kernels::tf32_mask, 0u);
    ASSERT_LE(std::fabs(x - high), std::fabs(x) * 0x1p-11);
    ASSERT_LE(std::fabs(x - high - low), std::fabs(x) * 0x1p-23) << x;
  }
}

TEST(SplitFloat, NanStaysNan) {
  for (std::uint32_t bits : {0x7fffffffu, 0x7f800001u, 0xffffffffu, 0x7fc00000u}) {
    const auto parts = kernels::split_tf32(kernels::float_of(bits));
    EXPECT_TRUE(std::isnan(kernels::float_of(parts.high)) || std::isnan(kernels::float_of(parts.low)));
    EXPECT_TRUE(std::isnan(kernels::round_to_tf32(kernels::float_of(bits))));
  }
}

TEST(FusedLayout, PlansCoverEverySampleAndFeatureOnce) {
  for (std::int64_t n : {1, 127, 1000, 8000}) {
    for (std::int64_t d : {1, 8, 100, 104, 129, 400}) {
      const auto layout = kernels::fused::make_layout(n, d, 10000, 2, true);
      for (std::int64_t slots : {1, 264, 10000}) {
        const auto plan = kernels::fused::plan_pull(layout, slots);
        const std::int64_t blocks = layout.rows / kernels::fused::pull_rows;
        EXPECT_GE(plan.chunks * plan.chunk_blocks, blocks);
        EXPECT_LT((plan.chunks - 1) * plan.chunk_blocks, blocks) << "an empty chunk would leave its gradient unset";
        EXPECT_GE(plan.feature_tiles * plan.tile_features(), layout.features);
        EXPECT_LT((plan.feature_tiles - 1) * plan.tile_features(), layout.features);
      }
    }
  }
}

TEST(FusedKernels, TermsAndPullBackKeepTheBoundAtOddShapes) {
  ENTK_SKIP_UNDER_TSAN;
  for (const Shape& s : odd_shapes) {
    for (bool twins : {false, true}) {
      if (twins && s.m % 2) continue;
      for (int orders : {1, 2, 4}) {
        if (orders != 2 && s.n != 3 && s.n != 1) continue;
        SCOPED_TRACE(fmt::format("n={} d={} m={} twins={} orders={}", s.n, s.d, s.m, twins, orders));
        const BoundedProblem p(s.n, s.d, s.m, twins, orders);
        const auto primitive = emulated(p, {.orders = orders});
        ASSERT_TRUE(p.terms_within_bound(primitive->terms(p.w)));
        ASSERT_TRUE(p.pull_back_within_bound(primitive->pull_back(p.w, p.g)));
      }
    }
  }
}

TEST(FusedKernels, BitsDoNotDependOnTheOrderOfLanes) {
  ENTK_SKIP_UNDER_TSAN;
  const BoundedProblem p(131, 9, 34, true, 2);
  const auto one = emulated(p, {}), other = emulated(p, {}, false, 4, true);
  EXPECT_TRUE(identical(one->terms(p.w), other->terms(p.w)));
  EXPECT_TRUE(identical(one->pull_back(p.w, p.g), other->pull_back(p.w, p.g)));
}

// Not bit for bit: ATen's σ^(p), of which tables are made, rounds an entry by its place in its tensor.
TEST(FusedKernels, KeepingAndRecomputingInGroupsOfTilesGiveTheSameUpToTheTablesRounding) {
  ENTK_SKIP_UNDER_TSAN;
  const BoundedProblem p(40, 9, 1100, true, 2);
  const auto kept = emulated(p, {}), recomputed = emulated(p, {.mode = KernelMode::recompute, .workspace = 1});
  EXPECT_EQ(recomputed->mode(), KernelMode::recompute);
  EXPECT_TRUE(close(recomputed->terms(p.w), kept->terms(p.w), 1e-6));
  EXPECT_TRUE(close(recomputed->pull_back(p.w, p.g), kept->pull_back(p.w, p.g), 1e-6));
  EXPECT_TRUE(close(recomputed->terms_along(p.w, p.v), kept->terms_along(p.w, p.v), 1e-6));
}

TEST(FusedKernels, PlainTf32ErrsByAThousandthAndNoLess) {
  ENTK_SKIP_UNDER_TSAN;
  const BoundedProblem p(33, 40, 66, true, 2);
  const auto exact = p.reference_terms();
  const double split = testing::relative_error(emulated(p, {})->terms(p.w), exact);
  const double plain = testing::relative_error(emulated(p, {}, true)->terms(p.w), exact);
  RecordProperty("split", fmt::format("{:.2e}", split));
  RecordProperty("tf32", fmt::format("{:.2e}", plain));
  EXPECT_LT(split, 1e-6);
  EXPECT_LT(plain, 3e-3);
  EXPECT_GT(plain, 1e-5) << "TF32's rounding has gone: is the low part used?";
}

// Tensor cores round towards zero: sums that they make over all of d, or over all samples, are biased by some 3e-6 at
// d = 100, the size of the tests on a GPU, and by 1e-5 at d = 400.
TEST(FusedKernels, LongSumsAreNotBiasedByTheRoundingOfTensorCores) {
  ENTK_SKIP_UNDER_TSAN;
  for (const Shape& s : {Shape{256, 100, 64}, Shape{64, 400, 64}}) {
    SCOPED_TRACE(fmt::format("n={} d={} m={}", s.n, s.d, s.m));
    const BoundedProblem p(s.n, s.d, s.m, true, 2);
    const auto primitive = emulated(p, {});
    const double terms = testing::relative_error(primitive->terms(p.w), p.reference_terms());
    const double gradient = testing::relative_error(primitive->pull_back(p.w, p.g), p.reference_pull_back(p.w));
    RecordProperty(fmt::format("relative errors at n={} d={} m={}", s.n, s.d, s.m),
                   fmt::format("terms {:.2e}, pull-back {:.2e}", terms, gradient));
    EXPECT_LT(terms, 4e-7);
    EXPECT_LT(gradient, 4e-7);
  }
}

TEST(FusedKernels, DirectionalFormsMatchTheNaiveOnes) {
  ENTK_SKIP_UNDER_TSAN;
  for (bool twins : {false, true}) {
    const BoundedProblem p(37, 9, 66, twins, 2);
    const auto x = p.x.to(torch::kFloat64), w = p.w.to(torch::kFloat64), v = p.v.to(torch::kFloat64);
    const auto g = p.directional_g.to(torch::kFloat64);
    const auto z = x.mm(w.t()), zv = x.mm(v.t()), s1 = p.table(1), s2 = p.table(2);
    const auto along = torch::stack({(s1 * zv).sum(1), (s2 * z * zv).sum(1)});
    const auto pulled = (g[0].unsqueeze(1) * s1 + g[1].unsqueeze(1) * s2 * z + g[2].unsqueeze(1) * s2 * zv).t().mm(x);
    const auto primitive = emulated(p, {});
    EXPECT_TRUE(close(primitive->terms_along(p.w, p.v), along, 1e-6));
    EXPECT_TRUE(close(primitive->pull_back_along(p.w, p.v, p.directional_g), pulled, 1e-6));
  }
}

TEST(FusedKernels, TheStepperTakesTheStepsOfTheUpdateRule) {
  ENTK_SKIP_UNDER_TSAN;
  for (bool twins : {false, true}) {
    const BoundedProblem p(37, 9, 66, twins, 2);
    for (KernelMode mode : {KernelMode::keep, KernelMode::recompute}) {
      const auto primitive = emulated(p, {.mode = mode, .workspace = 100000});
      auto w = p.w.clone();
      auto want = p.w.to(torch::kFloat64);
      const auto stepper = primitive->stepper(w);
      EXPECT_TRUE(identical(stepper->terms(), primitive->terms(w)));
      const void* address = stepper->terms().data_ptr();
      for (std::uint32_t step = 0; step < 2; ++step) {
        Update update{
            .learning_rate = 0.1, .extra = p.v, .noise = kernels::NoiseCode{std::uint64_t{3} << 33, step, 0.5}};
        const auto noise = kernels::noise_like(want, *update.noise);
        want -= 0.1 * (p.reference_pull_back(want) + p.v.to(torch::kFloat64) + noise);
        if (step > 0) {
          update.signs = RandomStream(Purpose::signs, std::uint64_t{5} << 33, step);
          want *= random_signs(66, *update.signs).unsqueeze(1);
        }
        stepper->step(w, p.g, update);
        ASSERT_TRUE(close(w, want, 3e-6));
        ASSERT_TRUE(close(stepper->terms(), p.reference_terms(want), 3e-6));
        EXPECT_EQ(stepper->terms().data_ptr(), address) << "a recorded graph would read the old terms";
      }
      EXPECT_TRUE(identical(primitive->stepper(w)->terms(), stepper->terms()));
    }
  }
}

TEST(FusedKernels, AStepRefusesWhatDoesNotFit) {
  ENTK_SKIP_UNDER_TSAN;
  const BoundedProblem p(19, 6, 66, false, 2);
  const auto stepper = emulated(p, {})->stepper(p.w);
  const auto said = [&](const torch::Tensor& w, const torch::Tensor& g, const Update& update) -> std::string {
    try {
      stepper->step(w, g, update);
    } catch (const InputError& e) {
      return e.what();
    }
    return "";
  };
  const auto starts = [](const std::string& text, const char* with) { return text.starts_with(with) ? "" : text; };
  EXPECT_EQ(starts(said(p.w.t().contiguous(), p.g, {}), "w: expected"), "");
  EXPECT_EQ(starts(said(p.w.t().contiguous().t(), p.g, {}), "w: a step needs its rows"), "");
  EXPECT_EQ(starts(said(p.w.clone(), p.g.narrow(1, 0, 18), {}), "cotangents: expected"), "");
  EXPECT_EQ(starts(said(p.w.clone(), p.g, {.extra = p.v.to(torch::kFloat64)}), "extra: expected"), "");
}

// What decides the bits: the tree over tiles, noise and signs by rows of all, the shapes of products that make tables,
// and the pull-back's ranges of samples, which with 40 slots are other ones for 34 tiles than for 12.
TEST(FusedKernels, NeuronsSharedOutAmongProcessesGiveTheBitsOfOne) {
  ENTK_SKIP_UNDER_TSAN;
  const BoundedProblem p(70, 5, 2 * (2 * pair_group + 40), true, 2);
  struct Taken {
    at::Tensor terms, gradient, along, gradient_along, w, stepped;
  };
  const auto take = [&](KernelMode mode) {
    const auto launcher = std::make_shared<EmulatedLauncher>(false, 40);
    const auto primitive = kernels::fused::make_fused_primitive(
        launcher, p.x, own_rows(p.w0), own_rows(p.a), polynomial({0, 1, 1, 1}), {.mode = mode, .workspace = 1});
    auto w = own_rows(p.w).clone();
    const auto v = own_rows(p.v);
    Taken t{primitive->terms(w),
            gather_rows(primitive->pull_back(w, p.g)),
            primitive->terms_along(w, v),
            gather_rows(primitive->pull_back_along(w, v, p.directional_g)),
            {},
            {}};
    const auto stepper = primitive->stepper(w);
    for (std::uint32_t step = 0; step < 2; ++step) {
      stepper->step(w, p.g,
                    {.learning_rate = 0.1,
                     .extra = v,
                     .noise = kernels::NoiseCode{7, step, 0.5},
                     .signs = RandomStream(Purpose::signs, 5, step)});
    }
    t.w = gather_rows(w);
    t.stepped = stepper->terms().clone();
    return t;
  };
  for (const auto& [mode, size] : {std::pair{KernelMode::keep, 3}, {KernelMode::recompute, 2}}) {
    SCOPED_TRACE(fmt::format("{} processes, {}", size, mode_name(mode)));
    const auto alone = take(mode);
    const auto shared = testing::as_processes(size, [&, mode = mode] { return take(mode); });
    EXPECT_TRUE(identical(shared.terms, alone.terms));
    EXPECT_TRUE(identical(shared.gradient, alone.gradient));
    EXPECT_TRUE(identical(shared.along, alone.along));
    EXPECT_TRUE(identical(shared.gradient_along, alone.gradient_along));
    EXPECT_TRUE(identical(shared.w, alone.w));
    EXPECT_TRUE(identical(shared.stepped, alone.stepped));
  }
}

// A thread of the kernel has one part of the leaves, a process one part of the tiles: the additions stay the same.
TEST(FusedKernels, TilesAreSummedUpByOneTreeWhicheverNodeIsAskedFor) {
  ENTK_SKIP_UNDER_TSAN;
  const auto layout = kernels::fused::make_layout(5, 3, kernels::tile_columns * 700, 1, false);
  const EmulatedLauncher launcher(false, 4);
  // Of magnitudes so far apart that float64 rounds: in another order the additions have other bits.
  const auto sums = torch::randn({layout.tiles, layout.rows}) *
                    torch::pow(10.0, torch::linspace(0, 1000, layout.tiles).sin() * 12).unsqueeze(1);
  const auto node = [&](std::int64_t first, std::int64_t last) {
    auto out = torch::empty({layout.samples}, torch::kFloat64);
    launcher.reduce(
        {layout, {first, last - first}, sums.const_data_ptr<float>(), nullptr, false, out.mutable_data_ptr<double>()});
    return out;
  };
  const auto all = node(0, 700);
  EXPECT_TRUE(close(all, sums.narrow(1, 0, layout.samples).to(torch::kFloat64).sum(0), 1e-12));
  EXPECT_TRUE(identical(all, node(0, 512) + node(512, 700)));
  EXPECT_TRUE(identical(node(0, 512), (node(0, 128) + node(128, 256)) + (node(256, 384) + node(384, 512))));
  EXPECT_TRUE(identical(node(512, 700), node(512, 640) + (node(640, 672) + node(672, 700))));
  EXPECT_TRUE(identical(node(672, 700), node(672, 688) + node(688, 700)));
}

TEST(FusedKernels, TheObjectiveAndItsCotangentsAreThoseOfAutograd) {
  ENTK_SKIP_UNDER_TSAN;
  for (const int n : {1, 5, 37, 131, 260}) {
    for (const bool linear_term : {true, false}) {
      for (const bool projector : {true, false}) {
        SCOPED_TRACE(fmt::format("n={} linear_term={} projector={}", n, linear_term, projector));
        const BoundedProblem p(n, 3, 10, true, 2);
        const auto stepper = emulated(p, {})->stepper(p.w);
        auto* recordable = dynamic_cast<RecordableStepper*>(stepper.get());
        ASSERT_NE(recordable, nullptr);
        const int rank = std::min(n, 3);
        const auto basis = std::get<0>(at::linalg_qr(at::randn({n, rank}, at::kDouble)));
        const auto y = at::randn({n}, at::kDouble).to(at::kFloat);
        SquareObjective objective{.targets = y, .linear_term = linear_term};
        if (projector) objective.weight = 10, objective.basis = basis.to(at::kFloat);
        ASSERT_TRUE(recordable->set_objective(objective));
        const auto square = recordable->evaluate();

        const auto u = stepper->terms().to(at::kDouble).requires_grad_(true);
        const auto f = linear_term ? u[0] + u[1] : u[1];
        const auto loss = (f - y.to(at::kDouble)).square().mean();
        const auto high = (u[0] - basis.mv(basis.t().mv(u[0]))).square().mean();
        const auto total = projector ? loss + 10 * high : loss;
        const auto want = torch::autograd::grad({total}, {u})[0];
        EXPECT_TRUE(close(square.cotangents, want, 1e-6));
        EXPECT_NEAR(square.values[0].item<double>(), loss.item<double>(), 1e-6 * loss.item<double>());
        if (projector) {
          EXPECT_NEAR(square.values[1].item<double>(), high.item<double>(), 1e-6 + 1e-5 * high.item<double>());
        }
        EXPECT_NEAR(square.values[2].item<double>(), total.item<double>(), 2e-6 * total.item<double>());
      }
    }
  }
}

TEST(FusedKernels, SignsAreThoseOfTheStream) {
  const RandomStream stream(Purpose::signs, std::uint64_t{5} << 33 | 7, 3);
  for (std::uint64_t r = 0; r < 600; ++r) {
    ASSERT_EQ(kernels::fused::is_negative_at({3, 7, 10}, r), stream.sign(r) < 0) << r;
  }
}

TEST(FusedKernels, StridedInputsAndANanAreReadRight) {
  ENTK_SKIP_UNDER_TSAN;
  BoundedProblem p(19, 6, 66, false, 2);
  const auto primitive = emulated(p, {});
  const auto strided = p.w.t().contiguous().t();
  EXPECT_TRUE(identical(primitive->terms(strided), primitive->terms(p.w)));
  auto broken = p.w.clone();
  broken[65][2] = NAN;
  EXPECT_TRUE(primitive->terms(broken).isnan().all().item<bool>());
  const auto gradient = primitive->pull_back(broken, p.g);
  EXPECT_TRUE(gradient[65].isnan().all().item<bool>());
  EXPECT_FALSE(gradient.narrow(0, 0, 65).isnan().any().item<bool>());
}

}  // namespace
}  // namespace entk::fused_kernels_test
