#include "entk/kernels/cpu/relu_descent.h"

#include <torch/csrc/autograd/autograd.h>

#include <array>

#include "entk/base/error.h"
#include "tests/support/testing.h"

namespace entk::relu_descent_test {
namespace {

using testing::close;
using testing::identical;

struct Problem {
  torch::Tensor x, y;
  ReluWeights start;
};
Problem problem(std::int64_t n, std::int64_t d, std::int64_t m, torch::ScalarType dtype) {
  torch::manual_seed(3);
  auto p = Problem{torch::randn({n, d}, dtype), torch::randn({n}, dtype), relu_start(d, m, 4)};
  p.start.b = torch::randn({m}, torch::kFloat64) / 4;
  p.start.c = torch::full({1}, 0.3, torch::kFloat64);
  for (auto* t : {&p.start.w, &p.start.b, &p.start.a, &p.start.c}) *t = t->to(dtype);
  return p;
}

void expect_close(const ReluWeights& got, const ReluWeights& want, double tolerance) {
  EXPECT_TRUE(close(got.w, want.w, tolerance)) << "w";
  EXPECT_TRUE(close(got.b, want.b, tolerance)) << "b";
  EXPECT_TRUE(close(got.a, want.a, tolerance)) << "a";
  EXPECT_TRUE(close(got.c, want.c, tolerance)) << "c";
}

/// The reference in float64 from float32's problem.
ReluWeights reference_in_double(const Problem& p, int steps) {
  const auto exact = [](const torch::Tensor& t) { return t.to(torch::kFloat64); };
  const auto descent = make_reference_relu_descent(
      exact(p.x), exact(p.y), {exact(p.start.w), exact(p.start.b), exact(p.start.a), exact(p.start.c)}, 0.05);
  for (int step = 0; step < steps; ++step) descent->step();
  return descent->weights();
}

TEST(ReluDescent, TheReferenceStepIsAutogradsGradient) {
  const auto p = problem(20, 3, 7, torch::kFloat64);
  auto leaf = p.start;
  for (auto* t : {&leaf.w, &leaf.b, &leaf.a, &leaf.c}) *t = t->clone().requires_grad_(true);
  const auto loss = (relu_output(p.x, leaf) - p.y).square().mean();
  const auto gradient = torch::autograd::grad({loss}, {leaf.w, leaf.b, leaf.a, leaf.c});
  const auto descent = make_reference_relu_descent(p.x, p.y, p.start, 0.1);
  descent->step();
  EXPECT_NEAR(descent->loss(), loss.item<double>(), 1e-13);
  expect_close(descent->weights(),
               {p.start.w - 0.1 * gradient[0], p.start.b - 0.1 * gradient[1], p.start.a - 0.1 * gradient[2],
                p.start.c - 0.1 * gradient[3]},
               1e-13);
}

TEST(ReluDescent, FusedTilesAreTheReferenceOverOddSizes) {
  for (const auto& [n, d, m] :
       {std::array<std::int64_t, 3>{1, 1, 1}, {5, 2, 3}, {6, 5, 64}, {47, 6, 65}, {49, 7, 100}, {997, 13, 130}}) {
    const auto p = problem(n, d, m, torch::kFloat64);
    const auto fused = make_relu_descent(p.x, p.y, p.start, 0.05),
               reference = make_reference_relu_descent(p.x, p.y, p.start, 0.05);
    for (int step = 0; step < 20; ++step) {
      fused->step();
      reference->step();
    }
    EXPECT_NEAR(fused->loss(), reference->loss(), 1e-11 * (1 + reference->loss())) << n << "x" << d << "x" << m;
    expect_close(fused->weights(), reference->weights(), 1e-10);
    const auto single = problem(n, d, m, torch::kFloat32);
    const auto in_single = make_relu_descent(single.x, single.y, single.start, 0.05);
    for (int step = 0; step < 20; ++step) in_single->step();
    expect_close(in_single->weights(), reference_in_double(single, 20), 2e-4);
  }
}

TEST(ReluDescent, HasTheSameBitsForAnyNumberOfThreads) {
  const auto p = problem(3000, 9, 70, torch::kFloat32);
  const auto run = [&](int threads) {
    const testing::ThreadCount count(threads);
    const auto descent = make_relu_descent(p.x, p.y, p.start, 0.05);
    for (int step = 0; step < 30; ++step) descent->step();
    return descent->weights();
  };
  const auto one = run(1), three = run(3);
  EXPECT_TRUE(identical(three.w, one.w));
  EXPECT_TRUE(identical(three.a, one.a));
  EXPECT_TRUE(identical(three.c, one.c));
}

TEST(ReluDescent, ADivergingRunShowsInTheLoss) {
  const auto p = problem(30, 3, 7, torch::kFloat32);
  const auto descent = make_relu_descent(p.x, p.y, p.start, 1e6);
  for (int step = 0; step < 60; ++step) descent->step();
  EXPECT_FALSE(std::isfinite(descent->loss()));
}

TEST(ReluDescent, StartsUniformInItsBoundsAndRefusesWhatDoesNotFit) {
  const auto start = relu_start(50, 100, 1);
  EXPECT_LE(start.w.abs().max().item<double>(), std::sqrt(1.5 / 50));
  EXPECT_NEAR(start.w.square().mean().item<double>(), 0.5 / 50, 0.5 / 50 * 0.05);
  EXPECT_LE(start.a.abs().max().item<double>(), std::sqrt(1.5 / 100));
  EXPECT_FALSE(identical(relu_start(50, 100, 2).w, start.w));
  auto p = problem(5, 2, 3, torch::kFloat64);
  EXPECT_THROW(make_relu_descent(p.x, p.y.narrow(0, 0, 4), p.start, 0.1), InputError);
  EXPECT_THROW(make_relu_descent(p.x, p.y, p.start, 0.0), InputError);
  p.x[1][0] = NAN;
  EXPECT_THROW(make_relu_descent(p.x, p.y, p.start, 0.1), InputError);
  EXPECT_THROW(relu_start(0, 3, 1), InputError);
}

}  // namespace
}  // namespace entk::relu_descent_test
