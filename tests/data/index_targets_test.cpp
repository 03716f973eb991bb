// Single-index, multi-index, staircase and parity targets against their formulas written out.
#include "entk/data/index_targets.h"

#include <ATen/ATen.h>

#include "entk/base/error.h"
#include "tests/support/testing.h"

namespace entk::index_targets_test {
namespace {

constexpr std::int64_t d = 6;

at::Tensor inputs(InputLaw law = InputLaw::gaussian, std::int64_t rows = 50) {
  return draw_inputs(law, rows, d, Purpose::probe, 3);
}

at::Tensor row(const std::vector<double>& beta) { return at::tensor(beta, at::kDouble); }

TEST(IndexTargets, SingleIndexIsItsHermiteSeries) {
  const auto x = inputs();
  const auto target = single_index_target(d, InputLaw::gaussian, 5, {0.5, -1, 2, 0.25});
  ASSERT_EQ(target.directions.size(), 1u);
  const auto t = x.mv(row(target.directions[0]));
  const auto want = 0.5 - t + 2 * (t * t - 1) / std::sqrt(2.0) + 0.25 * (t * t * t - 3 * t) / std::sqrt(6.0);
  EXPECT_TRUE(testing::close(target.value(x), want, 1e-13));
  EXPECT_NEAR(row(target.directions[0]).norm().item<double>(), 1, 1e-14);
  EXPECT_DOUBLE_EQ(target.second_moment, 0.25 + 1 + 4 + 0.0625);
  // What is left after the sparse part has no t³: third differences over equal steps vanish.
  const auto steps = at::arange(0, 4, at::kDouble).unsqueeze(1) * row(target.directions[0]);
  const auto rest = target.value(steps) - (*target.sparse)(steps);
  EXPECT_NEAR((rest[3] - 3 * rest[2] + 3 * rest[1] - rest[0]).item<double>(), 0, 1e-12);
}

TEST(IndexTargets, SecondMomentsAreThoseOfALargeSample) {
  const auto x = inputs(InputLaw::gaussian, 200000);
  const auto moment = [&](const Target& target) { return target.value(x).square().mean().item<double>(); };
  const auto single = single_index_target(d, InputLaw::gaussian, 5, {0, 1, 0.5});
  const auto several = multi_index_target(d, InputLaw::gaussian, 5, {{1.0, {1, 1}}, {0.5, {2, 0}}, {0.5, {2, 0}}});
  EXPECT_NEAR(moment(single) / single.second_moment, 1, 0.02);
  EXPECT_DOUBLE_EQ(several.second_moment, 2);
  EXPECT_NEAR(moment(several) / several.second_moment, 1, 0.04);
  const auto on_sphere = inputs(InputLaw::sphere, 200000);
  const auto staircase = staircase_target(d, InputLaw::sphere, 3);
  EXPECT_NEAR(staircase.value(on_sphere).square().mean().item<double>() / staircase.second_moment, 1, 0.02);
}

TEST(IndexTargets, MultiIndexIsASumOfProductsOverOrthonormalDirections) {
  const auto x = inputs();
  const auto target = multi_index_target(d, InputLaw::sphere, 7, {{2.0, {1, 2, 0}}, {-1.0, {0, 0, 3}}});
  std::vector<at::Tensor> rows;
  for (const auto& beta : target.directions) rows.push_back(row(beta));
  const auto betas = at::stack(rows);
  EXPECT_TRUE(testing::close(betas.mm(betas.t()), at::eye(3, at::kDouble), 1e-14));
  const auto t = x.mm(betas.t());
  const auto a = t.select(1, 0), b = t.select(1, 1), c = t.select(1, 2);
  const auto want = 2 * a * (b * b - 1) / std::sqrt(2.0) - (c * c * c - 3 * c) / std::sqrt(6.0);
  EXPECT_TRUE(testing::close(target.value(x), want, 1e-13));
  EXPECT_TRUE(std::isnan(target.second_moment));  // on the sphere
}

TEST(IndexTargets, StaircaseAndParityAreOfTheFirstCoordinates) {
  const auto x = inputs();
  const auto a = x.select(1, 0), b = x.select(1, 1), c = x.select(1, 2);
  const auto staircase = staircase_target(d, InputLaw::gaussian, 3);
  EXPECT_TRUE(testing::close(staircase.value(x), (a + a * b + a * b * c) / std::sqrt(3.0), 1e-14));
  EXPECT_NEAR(staircase.second_moment, 1, 1e-15);
  EXPECT_TRUE(testing::identical(parity_target(d, 3).value(x), (a * b * c).sign()));
  EXPECT_EQ(staircase.directions, parity_target(d, 3).directions);
}

TEST(IndexTargets, WhatDoesNotFitIsRefused) {
  const auto refused = [](auto&& call) {
    try {
      call();
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("nothing thrown");
  };
  EXPECT_EQ(refused([] { parity_target(d, 7); }), "target.degree: expected 1 to 6 (the dimension), got 7");
  EXPECT_EQ(refused([] { staircase_target(d, InputLaw::sphere, 0); }),
            "target.steps: expected 1 to 6 (the dimension), got 0");
  EXPECT_EQ(refused([] { single_index_target(d, InputLaw::sphere, 1, {0, 0}); }),
            "target.coefficients: expected at least one other than 0");
  EXPECT_EQ(refused([] { single_index_target(d, InputLaw::sphere, 1, {1}, {1, 2}); }),
            "target.beta: expected 6 entries, the dimension, got 2");
  EXPECT_EQ(refused([] { multi_index_target(d, InputLaw::sphere, 1, {{1, {1, 2}}, {1, {1}}}); }),
            "target.terms: expected 2 degrees in each, as in the first, got 1");
}

}  // namespace
}  // namespace entk::index_targets_test
