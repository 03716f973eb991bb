// The fused kernels on a GPU. Each test skips, by name, where there is none.
#include "entk/kernels/taylor_primitive.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include "entk/base/device.h"
#include "entk/base/sphere.h"
#include "entk/kernels/gpu/device_graph.h"
#include "entk/kernels/gpu/recordable_stepper.h"
#include "entk/kernels/noise.h"
#include "entk/kernels/shard.h"
#include "entk/regularizers/regularizers.h"
#include "entk/train/trainer.h"
#include "tests/support/kernel_bounds.h"
#include "tests/support/processes.h"
#include "tests/support/testing.h"

#define ENTK_NEEDS_GPU                                                                                       \
  if (!build_info().cuda_kernels) GTEST_SKIP() << "not measured: entk's CUDA kernels are not in this build"; \
  if (build_info().cuda_devices == 0) GTEST_SKIP() << "not measured: no CUDA device here"

namespace entk::cuda_primitive_test {
namespace {

using testing::BoundedProblem;
using testing::close;
using testing::identical;
using testing::relative_error;

const c10::Device gpu(c10::kCUDA, 0);

/// Torch's permission to multiply in TF32, for one scope.
struct AllowTf32 {
  AllowTf32() { at::globalContext().setAllowTF32CuBLAS(true); }
  ~AllowTf32() { at::globalContext().setAllowTF32CuBLAS(false); }
};

std::shared_ptr<const TaylorPrimitive> make(const BoundedProblem& p, KernelMode mode, bool native = false) {
  auto activation = testing::smooth_activation();
  if (native) {
    activation.kind = kernels::KernelActivation::sigmoid;
    activation.parameters = {1.0};
  }
  return make_primitive(p.x, p.w0, p.a, activation, {.orders = p.orders, .mode = mode});
}

TEST(CudaPrimitive, TermsAndPullBackKeepTheBoundAtOddShapes) {
  ENTK_NEEDS_GPU;
  const std::vector<std::array<int, 3>> shapes = {{1, 1, 1},     {2, 3, 2},       {3, 2, 5},        {31, 5, 62},
                                                  {33, 13, 66},  {128, 8, 64},    {131, 37, 70},    {257, 100, 514},
                                                  {97, 131, 34}, {509, 251, 386}, {1000, 100, 2000}};
  for (const auto& [n, d, m] : shapes) {
    for (bool twins : {false, true}) {
      if (twins && m % 2) continue;
      for (int orders = 1; orders <= 4; ++orders) {
        for (KernelMode mode : {KernelMode::keep, KernelMode::recompute}) {
          SCOPED_TRACE(fmt::format("n={} d={} m={} twins={} orders={} {}", n, d, m, twins, orders, mode_name(mode)));
          const BoundedProblem p(n, d, m, twins, orders, gpu);
          const auto primitive = make(p, mode);
          ASSERT_STREQ(primitive->backend(), "cuda");
          ASSERT_TRUE(p.terms_within_bound(primitive->terms(p.w)));
          ASSERT_TRUE(p.pull_back_within_bound(primitive->pull_back(p.w, p.g)));
        }
      }
    }
  }
}

TEST(CudaPrimitive, DirectionalFormsMatchThePlainOnes) {
  ENTK_NEEDS_GPU;
  for (bool twins : {false, true}) {
    const BoundedProblem p(131, 37, 134, twins, 2, gpu);
    const auto plain = make(p, KernelMode::reference), fused = make(p, KernelMode::keep);
    EXPECT_TRUE(close(fused->terms_along(p.w, p.v), plain->terms_along(p.w, p.v), 2e-6));
    EXPECT_TRUE(close(fused->pull_back_along(p.w, p.v, p.directional_g),
                      plain->pull_back_along(p.w, p.v, p.directional_g), 2e-6));
  }
}

TEST(CudaPrimitive, Float64FallsBackToThePlainForm) {
  ENTK_NEEDS_GPU;
  const auto options = torch::dtype(torch::kFloat64).device(gpu);
  const auto x = torch::randn({5, 3}, options), w0 = torch::randn({4, 3}, options), a = torch::ones({4}, options);
  EXPECT_STREQ(make_primitive(x, w0, a, testing::smooth_activation())->backend(), "aten");
}

TEST(CudaPrimitive, RepeatsBitForBit) {
  ENTK_NEEDS_GPU;
  const BoundedProblem p(1000, 100, 2000, true, 2, gpu);
  for (KernelMode mode : {KernelMode::keep, KernelMode::recompute}) {
    std::vector<torch::Tensor> first;
    for (int repeat = 0; repeat < 5; ++repeat) {
      const auto primitive = make(p, mode);
      auto w = p.w.clone();
      const auto stepper = primitive->stepper(w);
      for (std::uint32_t step = 0; step < 20; ++step) {
        stepper->step(w, p.g, {.learning_rate = 1e-3, .extra = p.v, .noise = kernels::NoiseCode{1, step, 0.1}});
      }
      const std::vector<torch::Tensor> now = {primitive->terms(p.w), primitive->pull_back(p.w, p.g), w,
                                              stepper->terms()};
      if (first.empty()) first = now;
      for (std::size_t i = 0; i < now.size(); ++i) ASSERT_TRUE(identical(now[i], first[i])) << i;
    }
  }
}

// The threads share one GPU; what they exchange goes by way of the host, as between machines.
TEST(CudaPrimitive, NeuronsSharedOutAmongProcessesGiveTheBitsOfOne) {
  ENTK_NEEDS_GPU;
  const BoundedProblem p(500, 100, 2 * (5 * pair_group + 40), true, 2, gpu);
  for (KernelMode mode : {KernelMode::keep, KernelMode::recompute}) {
    const auto take = [&] {
      const auto primitive = make_primitive(p.x, own_rows(p.w0), own_rows(p.a), testing::smooth_activation(),
                                            {.orders = p.orders, .mode = mode});
      auto w = own_rows(p.w).clone();
      const auto stepper = primitive->stepper(w);
      for (std::uint32_t step = 0; step < 5; ++step) {
        stepper->step(w, p.g,
                      {.learning_rate = 1e-3, .extra = own_rows(p.v), .noise = kernels::NoiseCode{1, step, 0.1}});
      }
      return std::vector<torch::Tensor>{stepper->terms().clone(), gather_rows(w)};
    };
    const auto alone = take();
    for (const int size : {2, 5}) {
      SCOPED_TRACE(fmt::format("{} processes, {}", size, mode_name(mode)));
      const auto shared = testing::as_processes(size, take);
      for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_TRUE(identical(shared[i], alone[i])) << i;
    }
  }
}

TEST(CudaPrimitive, StepsFollowTheUpdateRuleWithTheNoiseOfTheSameCounters) {
  ENTK_NEEDS_GPU;
  const BoundedProblem p(131, 37, 134, true, 2, gpu);
  auto w = p.w.clone();
  auto want = p.w.cpu().to(torch::kFloat64);
  const auto stepper = make(p, KernelMode::keep)->stepper(w);
  for (std::uint32_t step = 0; step < 5; ++step) {
    Update update{.learning_rate = 0.1, .extra = p.v, .noise = kernels::NoiseCode{std::uint64_t{7} << 33, step, 0.5}};
    const auto noise = kernels::noise_like(want, *update.noise);
    want -= 0.1 * (p.reference_pull_back(want) + p.v.cpu().to(torch::kFloat64) + noise);
    if (step > 1) {
      update.signs = RandomStream(Purpose::signs, std::uint64_t{5} << 33, step);
      want *= random_signs(want.size(0), *update.signs).unsqueeze(1);
    }
    stepper->step(w, p.g, update);
    ASSERT_TRUE(close(w, want, 5e-6));
    ASSERT_TRUE(close(stepper->terms(), p.reference_terms(want), 5e-6));
  }
}

TEST(CudaPrimitive, ARecordedStepHasTheBitsOfAnOrdinaryOne) {
  ENTK_NEEDS_GPU;
  const BoundedProblem p(257, 100, 514, true, 2, gpu);
  for (KernelMode mode : {KernelMode::keep, KernelMode::recompute}) {
    const auto primitive = make(p, mode);
    auto plain = p.w.clone(), recorded = p.w.clone();
    const auto one = primitive->stepper(plain), two = primitive->stepper(recorded);
    auto* recordable = dynamic_cast<RecordableStepper*>(two.get());
    ASSERT_NE(recordable, nullptr);
    std::unique_ptr<DeviceGraph> graph;
    for (std::uint32_t step = 0; step < 10; ++step) {
      const Update update{.learning_rate = 1e-3 * (1 + step), .noise = kernels::NoiseCode{1, step, 0.1}};
      one->step(plain, p.g, update);
      if (step < 3) {
        two->step(recorded, p.g, update);
        continue;
      }
      recordable->prepare(update);
      if (!graph) graph = record_graph(gpu, [&] { recordable->take(recorded, p.g, {}); });
      ASSERT_NE(graph, nullptr);
      graph->play();
      ASSERT_TRUE(identical(recorded, plain)) << "step " << step;
    }
    EXPECT_TRUE(identical(two->terms(), one->terms()));
  }
}

TEST(CudaPrimitive, WorkThatWaitsForTheDeviceIsNotRecorded) {
  ENTK_NEEDS_GPU;
  auto t = torch::ones({3}, torch::device(gpu));
  EXPECT_EQ(record_graph(gpu, [&] { t += t.sum().item<float>(); }), nullptr);
  EXPECT_EQ(t.sum().item<float>(), 3.0f) << "the device works on";
}

TEST(CudaPrimitive, AFailedRecordingLeavesTorchsAllocatorAndGeneratorAsTheyWere) {
  ENTK_NEEDS_GPU;
  auto t = torch::ones({3}, torch::device(gpu));
  for (int repeat = 0; repeat < 3; ++repeat) {
    EXPECT_EQ(record_graph(gpu, [&] { t += torch::ones({1 << 20}, t.options()).sum().item<float>(); }), nullptr);
    EXPECT_EQ(torch::randn({100}, t.options()).isfinite().all().item<bool>(), true);
    // More than there is in all: the allocator must give back what it keeps, which it does not while it believes
    // that a recording is under way.
    for (std::int64_t part = 1; part <= 8; ++part) ASSERT_NO_THROW(torch::empty({part << 30}, t.options()));
    t.fill_(1);
    const auto graph = record_graph(gpu, [&] { t.mul_(2); });
    ASSERT_NE(graph, nullptr);
    for (int play = 0; play < 3; ++play) graph->play();
    EXPECT_EQ(t.sum().item<float>(), 24.0f);
  }
}

TEST(CudaPrimitive, PlainTf32CostsAThousandth) {
  ENTK_NEEDS_GPU;
  const BoundedProblem p(1000, 100, 2000, true, 2, gpu);
  const auto exact = p.reference_terms(), gradient = p.reference_pull_back(p.w);
  const double split = relative_error(make(p, KernelMode::keep)->terms(p.w), exact);
  const double split_gradient = relative_error(make(p, KernelMode::keep)->pull_back(p.w, p.g), gradient);
  {
    const AllowTf32 allowed;
    EXPECT_STREQ(make(p, KernelMode::keep)->backend(), "cuda-tf32");
  }
  const auto primitive = make_primitive(p.x, p.w0, p.a, testing::smooth_activation(),
                                        {.orders = p.orders, .mode = KernelMode::keep, .tf32 = true});
  EXPECT_STREQ(primitive->backend(), "cuda-tf32");
  const double plain = relative_error(primitive->terms(p.w), exact);
  const double plain_gradient = relative_error(primitive->pull_back(p.w, p.g), gradient);
  RecordProperty("relative errors", fmt::format("terms {:.2e} split, {:.2e} TF32; pull-back {:.2e} split, {:.2e} TF32",
                                                split, plain, split_gradient, plain_gradient));
  EXPECT_LT(split, 1e-6);
  EXPECT_LT(split_gradient, 1e-6);
  EXPECT_LT(plain, 3e-3);
  EXPECT_LT(plain_gradient, 3e-3);
  EXPECT_GT(plain, 1e-5) << "that is not TF32";
}

/// A short run of Figure 1's objective scaled down.
std::pair<TrainResult, torch::Tensor> run(c10::Device device, bool recorded) {
  const auto data = sphere_data({.dimension = 20, .samples = 200, .test_samples = 200, .seed = 1},
                                figure1_target(20, InputLaw::sphere, 1))
                        .to(device, torch::kFloat32);
  Network network(NetworkOptions{.dimension = 20, .width = 1000, .seed = 2});
  network->to(device);
  const auto sigma = SigmaProjector::from_features(network, data.train.x, 21);
  KernelOptions kernel;
  if (!recorded) kernel.graphs = {};
  TaylorModel model(network);
  auto result = Trainer(model, square_loss() + 0.1 * R3(sigma),
                        {.learning_rate = 0.5, .steps = 1000, .noise_variance = 0.01}, {}, kernel)
                    .fit(data, device);
  return {std::move(result), network->w.detach().clone()};
}

TEST(CudaTrainer, RecordedAndOrdinaryRunsAgreeBitForBit) {
  ENTK_NEEDS_GPU;
  const auto [recorded, w] = run(gpu, true);
  const auto [ordinary, v] = run(gpu, false);
  EXPECT_NE(recorded.kernel.find("recorded"), std::string::npos) << recorded.kernel;
  EXPECT_TRUE(identical(w, v));
}

TEST(CudaTrainer, ARunFollowsTheCpuOverAThousandSteps) {
  ENTK_NEEDS_GPU;
  const auto [cuda, w] = run(gpu, true);
  const auto [cpu, v] = run(c10::kCPU, false);
  // As float32 against float64 at this size, with room for another order of sums.
  EXPECT_LT(relative_error(w, v), 1e-4);
  EXPECT_NEAR(cuda.last.test_loss, cpu.last.test_loss, 1e-5 * cpu.last.test_loss);
}

}  // namespace
}  // namespace entk::cuda_primitive_test
