// Inputs, targets and data sets: laws, closed-form moments against Monte Carlo, what shares no numbers.
#include <ATen/ATen.h>

#include "entk/base/error.h"
#include "entk/data/dataset.h"
#include "tests/support/errors.h"
#include "tests/support/testing.h"

namespace entk::data_test {
namespace {

using testing::error_of;
using testing::identical;
using testing::ThreadCount;

constexpr std::int64_t samples = 40000;
/// Five standard deviations of a mean over `samples` of something with relative deviation 3.
constexpr double monte_carlo = 5 * 3 / 200.0;

double mean_square(const Target& target, InputLaw law, std::int64_t d) {
  return target.value(draw_inputs(law, samples, d, Purpose::probe, 7)).square().mean().item<double>();
}

/// Points of R³ and weights, exact under the law for polynomials of degree at most 5.
struct Rule {
  at::Tensor x, weights;
  double mean_square(const at::Tensor& values) const { return (weights * values.square()).sum().item<double>(); }
};
Rule rule(InputLaw law) {
  if (law == InputLaw::sphere) {  // an icosahedron's corners
    std::vector<double> x;
    const double golden = (1 + std::sqrt(5.0)) / 2, scale = std::sqrt(3.0 / (1 + golden * golden));
    for (const double a : {-scale, scale}) {
      for (const double b : {-scale * golden, scale * golden}) x.insert(x.end(), {0, a, b, a, b, 0, b, 0, a});
    }
    return {at::tensor(x, at::kDouble).view({12, 3}), at::full({12}, 1.0 / 12, at::kDouble)};
  }
  // Four Gauss–Hermite nodes an axis: exact to degree 7 in each.
  const double root = std::sqrt(6.0), near = std::sqrt(3 - root), far = std::sqrt(3 + root);
  const auto nodes = at::tensor({-far, -near, near, far}, at::kDouble);
  const auto w = at::tensor({3 - root, 3 + root, 3 + root, 3 - root}, at::kDouble) / 12;
  const auto all = [](const at::Tensor& t) { return at::cartesian_prod({t, t, t}); };
  return {all(nodes), all(w).prod(1)};
}

TEST(Inputs, LieOnTheSphereOfRadiusRootDAndAreUncorrelated) {
  const auto x = draw_inputs(InputLaw::sphere, samples, 6, Purpose::probe, 1);
  EXPECT_EQ(x.scalar_type(), at::kDouble);
  EXPECT_LT((x.square().sum(1) - 6).abs().max().item<double>(), 1e-12);
  EXPECT_LT((x.t().mm(x) / samples - at::eye(6, at::kDouble)).abs().max().item<double>(), 0.03);
  // E x_1⁴ = 3d/(d+2) on the sphere, 3 for Gaussian inputs: the two laws differ.
  const auto gaussian = draw_inputs(InputLaw::gaussian, samples, 6, Purpose::probe, 1);
  EXPECT_NEAR(x.pow(4).mean().item<double>(), 18.0 / 8, 0.03);
  EXPECT_NEAR(gaussian.pow(4).mean().item<double>(), 3, 0.1);
}

TEST(Inputs, ALongerSampleBeginsWithAShorterOneForAnyNumberOfThreads) {
  for (const auto law : {InputLaw::sphere, InputLaw::gaussian}) {
    const ThreadCount one(1);
    const auto shorter = draw_inputs(law, 7, 5, Purpose::train_inputs, 3);
    set_threads(2);
    EXPECT_TRUE(identical(draw_inputs(law, 1000, 5, Purpose::train_inputs, 3).narrow(0, 0, 7), shorter));
  }
}

TEST(DataSet, TrainingTestAndUnlabeledInputsShareNoRowAndSeedsDiffer) {
  const auto target = figure1_target(4, InputLaw::sphere, 1);
  const auto data = sphere_data({.dimension = 4, .samples = 50, .test_samples = 50, .unlabeled_samples = 50}, target);
  const auto all =
      at::cat({data.train.x, data.test.x, data.unlabeled,
               sphere_data({.dimension = 4, .samples = 50, .test_samples = 0, .seed = 2}, target).train.x});
  EXPECT_GT((at::cdist(all, all) + 10 * at::eye(200, at::kDouble)).min().item<double>(), 1e-3);
  EXPECT_TRUE(identical(data.train.y, target.value(data.train.x)));
  EXPECT_TRUE(identical(data.test.y, target.value(data.test.x)));
}

TEST(Polynomials, SecondMomentsAreThoseOfExactRules) {
  Polynomial dense, sparse;
  dense.constant = 0.7;
  dense.linear = {0.3, -1.1, 0.5};
  dense.quadratic =
      at::tensor({0.9, -0.2, 0.4, 1.3, 0.6, -0.7, 0.1, 0.8, -0.3}, at::kDouble).view({3, 3});  // not symmetric
  sparse.constant = -0.4;
  sparse.monomials = {{1.5, {0, 0}}, {-0.8, {0, 1}}, {2.0, {2}}, {0.6, {2, 2}}};
  for (const auto law : {InputLaw::sphere, InputLaw::gaussian}) {
    const auto r = rule(law);
    for (const auto* p : {&dense, &sparse}) EXPECT_NEAR(p->second_moment(law, 3), r.mean_square((*p)(r.x)), 1e-13);
    for (const auto& target : {figure1_target(3, law, 2), figure1_text_target(3, law, 2)}) {
      EXPECT_NEAR(target.second_moment, r.mean_square(target.value(r.x)), 1e-13) << target.description;
    }
  }
}

TEST(Targets, Figure2sPartsHaveUnitSecondMomentsWhereItSaysSo) {
  // Of degree 6 when squared; its two parts are uncorrelated.
  const auto r = rule(InputLaw::gaussian);
  EXPECT_NEAR(r.mean_square(figure2_target(3, true, 1).value(r.x)), 2, 1e-13);
  const auto x = draw_inputs(InputLaw::gaussian, 20, 50, Purpose::probe, 1);
  EXPECT_TRUE(identical(figure2_target(50, false, 1).value(x), figure2_target(50, true, 1).value(x)));
}

TEST(Targets, ARandomLowDegreePartHasAsMuchOfDegreeTwoAsOfDegreeOne) {
  const auto x = draw_inputs(InputLaw::gaussian, 2000, 40, Purpose::probe, 7);
  double sum = 0;
  const int seeds = 10;
  for (int seed = 1; seed <= seeds; ++seed) {
    const auto f = low_degree_plus_sparse({.dimension = 40,
                                           .law = InputLaw::gaussian,
                                           .degree = 2,
                                           .alphas = {},
                                           .seed = static_cast<std::uint64_t>(seed)});
    const auto at_x = f.value(x), opposite = f.value(-x);
    sum += std::log((at_x + opposite).var().item<double>() / (at_x - opposite).square().mean().item<double>()) / seeds;
  }
  // ‖b‖² of 40 coefficients is within √(2/40) of 1, over ten seeds within a tenth.
  EXPECT_NEAR(sum, 0, 0.3);
}

TEST(Targets, TheirSecondMomentsAreThoseOfTheirFormulas) {
  for (const auto law : {InputLaw::sphere, InputLaw::gaussian}) {
    for (const auto& target : {figure1_target(10, law, 2), figure1_text_target(10, law, 2)}) {
      const double moment = mean_square(target, law, 10);
      EXPECT_NEAR(target.second_moment / moment, 1, monte_carlo) << target.description;
    }
  }
  // Figure 1 as run has E f*² = 1 for Gaussian inputs; as the text says it, 1 + 2(d−1)/(d+2) on the sphere.
  EXPECT_NEAR(figure1_target(10, InputLaw::gaussian, 2).second_moment, 1, 1e-12);
  // √675 makes E (xᵀAx/√675)² = 1 at d = 50 alone, exact_scale everywhere; the cubic part adds 1.
  EXPECT_NEAR(mean_square(figure2_target(50, false, 1), InputLaw::gaussian, 50), 2, 2 * monte_carlo);
  EXPECT_NEAR(mean_square(figure2_target(20, true, 1), InputLaw::gaussian, 20), 2, 2 * monte_carlo);
  EXPECT_LT(mean_square(figure2_target(20, false, 1), InputLaw::gaussian, 20), 1.6);
}

TEST(Targets, TheLowDegreePartOfAssumptionOneHasUnitSecondMoment) {
  Polynomial own;
  own.monomials = {{2.0, {0, 0, 1}}, {-1.0, {2}}};  // 2 x_0² x_1 − x_2
  for (const auto law : {InputLaw::sphere, InputLaw::gaussian}) {
    for (int degree = 1; degree <= 3; ++degree) {
      LowDegreePlusSparse options{.dimension = 8, .law = law, .degree = degree, .alphas = {0.0}, .seed = 4};
      if (degree == 3) options.low_degree = own;
      EXPECT_NEAR(mean_square(low_degree_plus_sparse(options), law, 8), 1, degree * monte_carlo) << degree;
    }
  }
}

TEST(Targets, TheSparsePartIsThePowerOfTheDirectionsGiven) {
  Polynomial constant;
  constant.constant = -3;  // scaled to −1
  const auto target = low_degree_plus_sparse(
      {.dimension = 3, .degree = 2, .low_degree = constant, .alphas = {0.5, -1.0}, .betas = {{2, 0, 0}, {0, 0, 5}}});
  const auto x = at::tensor({1.0, 2.0, 3.0, -1.0, 0.5, 2.0}, at::kDouble).reshape({2, 3});
  EXPECT_TRUE(testing::close(target.value(x), at::tensor({-1 + 0.5 - 27.0, -1 - 0.5 - 8.0}, at::kDouble), 1e-14));
}

TEST(Targets, WhatAssumptionOneForbidsIsNamed) {
  EXPECT_NE(error_of([] { low_degree_plus_sparse({.dimension = 3, .degree = 0}); }).find("degree"), std::string::npos);
  EXPECT_NE(error_of([] { low_degree_plus_sparse({.dimension = 3, .alphas = {1.5}}); }).find("alpha"),
            std::string::npos);
  EXPECT_NE(error_of([] { low_degree_plus_sparse({.dimension = 3, .betas = {{1, 0}}}); }).find("beta"),
            std::string::npos);
  Polynomial cubic;
  cubic.monomials = {{1.0, {0, 0, 0}}};
  EXPECT_NE(
      error_of([&] { low_degree_plus_sparse({.dimension = 3, .degree = 2, .low_degree = cubic}); }).find("degree 3"),
      std::string::npos);
}

TEST(OwnData, WhatDoesNotFitOrIsNotFiniteIsNamedWithItsFirstIndex) {
  auto x = at::ones({4, 3}, at::kDouble);
  const auto y = at::ones({4}, at::kDouble);
  EXPECT_EQ(own_data({x, y}).train.x.size(0), 4);
  EXPECT_NE(error_of([&] { own_data({x, at::ones({3}, at::kDouble)}); }).find("y: "), std::string::npos);
  EXPECT_NE(
      error_of([&] { own_data({x, y}, {at::ones({2, 2}, at::kDouble), at::ones({2}, at::kDouble)}); }).find("X_test"),
      std::string::npos);
  EXPECT_NE(error_of([&] { own_data({x.to(at::kLong), y}); }).find("float"), std::string::npos);
  auto bad = x.clone();
  bad[2][1] = INFINITY;
  EXPECT_NE(error_of([&] { own_data({bad, y}); }).find("X: entry [2, 1]"), std::string::npos);
}

TEST(OwnData, PointsMayBeOfAnyShapeTheSameInEachSample) {
  const auto images = at::ones({4, 1, 2, 3}, at::kDouble), y = at::ones({4}, at::kDouble);
  EXPECT_EQ(own_data({images, y}, {images, y}, images).test.x.dim(), 4);
  const auto turned = images.transpose(2, 3);
  EXPECT_NE(error_of([&] {
              own_data({images, y}, {turned, y});
            }).find("X_test: expected a tensor of shape [4, 1, 2, 3], got"),
            std::string::npos);
  EXPECT_NE(error_of([&] { own_data({images, y}, {}, turned); }).find("X_unlabeled"), std::string::npos);
  EXPECT_NE(error_of([&] { own_data({y, y}); }).find("X: expected a matrix"), std::string::npos);
}

}  // namespace
}  // namespace entk::data_test
