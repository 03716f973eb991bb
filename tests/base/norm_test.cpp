#include "entk/base/norm.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace entk::norm_test {

TEST(FrobeniusNorm, SumsInFloat64AcrossBlocksWhateverTheTypeAndTheStrides) {
  const auto a = at::full({1000, 700}, 0.1, at::kFloat);
  EXPECT_NEAR(frobenius_norm(a), static_cast<double>(0.1F) * std::sqrt(700000.0), 1e-10);
  EXPECT_NEAR(frobenius_norm(a.to(at::kDouble).t()), static_cast<double>(0.1F) * std::sqrt(700000.0), 1e-10);
  EXPECT_EQ(frobenius_norm(at::full({3, 3}, 1e30, at::kFloat)), 3 * static_cast<double>(1e30F));
  EXPECT_EQ(frobenius_norm(at::empty({0, 4}, at::kFloat)), 0);
  EXPECT_TRUE(std::isnan(frobenius_norm(at::full({1}, NAN, at::kFloat))));
}

}  // namespace entk::norm_test
