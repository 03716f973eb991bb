// A thousand steps beside ordinary autograd's.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "entk/base/threads.h"
#include "entk/kernels/reference.h"
#include "entk/regularizers/regularizers.h"
#include "entk/train/trainer.h"
#include "tests/support/testing.h"

namespace entk::trajectory_test {
namespace {

using entk::testing::relative_error;

constexpr std::int64_t dimension = 8, width = 120, steps = 1000;
// Figure 1 scaled down is not chaotic: float32 after 1000 steps stays this close to float64, in the norm of
// W and relative to the initial training loss. Products of ten bits end some hundred times as far away.
constexpr double of_w = 1e-4, of_loss = 1e-6;

struct End {
  torch::Tensor w;
  double loss;
};

struct Fixture {
  DataSet data = sphere_data({.dimension = dimension, .samples = 60, .test_samples = 1, .seed = 1},
                             figure1_target(dimension, InputLaw::sphere, 1));
  SigmaProjector sigma = SigmaProjector::from_features(network(torch::kFloat64), data.train.x, dimension + 1);

  static Network network(torch::ScalarType type) {
    return Network(NetworkOptions{.dimension = dimension, .width = width, .seed = 2, .dtype = type});
  }

  /// By hand: the naive terms and torch's autograd. `x` stands for X in the products alone.
  End by_autograd(const torch::Tensor& x) const {
    const SerialTorch serial;
    const auto start = network(torch::kFloat64);
    auto w = torch::zeros({width, dimension}, torch::kFloat64);
    torch::Tensor fit;
    for (std::int64_t step = 0; step <= steps; ++step) {
      w = w.detach().requires_grad_(true);
      const auto t = reference_terms(x, start->w0, start->a, start->activation(), w, 2);
      fit = (t[0] + t[1] - data.train.y).square().mean();
      if (step == steps) break;
      const auto loss = fit + 10.0 * sigma.high(t[0]).square().mean();
      w = w.detach() - 0.3 * torch::autograd::grad({loss}, {w})[0];
    }
    return {w.detach(), fit.item<double>()};
  }

  End by_trainer(KernelMode mode) const {
    const auto start = network(torch::kFloat32);
    const auto own = SigmaProjector::from_features(start, data.train.x.to(torch::kFloat32), dimension + 1);
    const auto result = Trainer(TaylorModel(start), square_loss() + 10.0 * R3(own),
                                {.learning_rate = 0.3, .steps = steps}, {}, {.mode = mode})
                            .fit(data);
    return {start->w.detach().clone(), result.last.train_loss};
  }
};

TEST(Trajectory, AThousandFloat32StepsStayWithinTheBoundOfAutogradsInFloat64) {
  const Fixture f;
  const auto want = f.by_autograd(f.data.train.x);
  const double initial = f.data.train.y.square().mean().item<double>();
  for (const auto mode : {KernelMode::keep, KernelMode::recompute}) {
    const auto got = f.by_trainer(mode);
    EXPECT_LE(relative_error(got.w, want.w), of_w) << mode_name(mode);
    EXPECT_NEAR(got.loss, want.loss, of_loss * initial) << mode_name(mode);
  }
  // The bound tells them from products that round their inputs to ten bits.
  const auto coarse = f.data.train.x.to(torch::kFloat32)
                          .view(torch::kInt)
                          .add(0x1000)
                          .bitwise_and(~0x1fff)
                          .view(torch::kFloat32)
                          .to(torch::kFloat64);
  const auto far = f.by_autograd(coarse);
  EXPECT_GT(relative_error(far.w, want.w), of_w);
}

}  // namespace
}  // namespace entk::trajectory_test
