#include "entk/runs/sample_search.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>

#include "entk/base/error.h"
#include "tests/support/studies.h"
#include "tests/support/testing.h"

namespace entk::sample_search_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

/// A loss (n₀/n)², n₀ = 3 d^1.5 (1 + seed/100): it is below 0.25 from n = 2 n₀ on.
double loss(std::int64_t d, std::int64_t n, std::uint64_t seed) {
  return std::pow(3 * std::pow(d, 1.5) * (1 + 0.01 * static_cast<double>(seed)) / static_cast<double>(n), 2);
}

SampleSearch search(std::atomic<int>& runs, int most = 1 << 30) {
  SampleSearch s;
  s.dimensions = {4, 9, 25};
  s.seeds = {0, 10};
  s.sizes = [](std::int64_t d) { return geometric_sizes(d, 60 * d, 1.3); };
  s.threshold = 0.25;
  s.run = [&runs, most](std::int64_t d, std::int64_t n, std::uint64_t seed) -> std::optional<FinalLosses> {
    if (++runs > most) return std::nullopt;
    return FinalLosses{0.5 * loss(d, n, seed), loss(d, n, seed)};
  };
  return s;
}

void expect_first_that_learns(const SampleSearch& s, const SampleSearchResult& result) {
  ASSERT_EQ(result.found.size(), 6u);
  EXPECT_TRUE(result.finished);
  for (const auto& found : result.found) {
    std::int64_t first = 0, before = 0;
    for (const auto n : s.sizes(found.dimension)) {
      if (loss(found.dimension, n, found.seed) < 0.25) {
        first = n;
        break;
      }
      before = n;
    }
    EXPECT_EQ(found.samples, first);
    EXPECT_EQ(found.failed, before);
    // The loss is a power of n, so that the interpolation is exact.
    const double exact = 2 * 3 * std::pow(found.dimension, 1.5) * (1 + 0.01 * static_cast<double>(found.seed));
    EXPECT_NEAR(found.crossing, exact, 1e-9 * exact);
  }
}

TEST(SampleSearch, BisectionFindsTheFirstCandidateThatLearnsAsTryingAllDoes) {
  std::atomic<int> runs{0};
  const TemporaryFolder folder;
  const auto s = search(runs);
  const auto result = search_samples(s, folder / "trials");
  expect_first_that_learns(s, result);
  EXPECT_LT(runs, 6 * 10) << "bisection, not a scan of 17 candidates each";
  for (const auto& t : result.trials)
    EXPECT_LT(static_cast<double>(t.samples), 2.1 * 1.1 * 6 * std::pow(t.dimension, 1.5)) << "twice what is needed";
}

TEST(SampleSearch, AScanTriesEveryCandidateUpToTheFirstThatLearns) {
  std::atomic<int> runs{0};
  const TemporaryFolder folder;
  auto s = search(runs);
  s.method = SearchMethod::scan;
  const auto result = search_samples(s, folder / "trials", 1);
  expect_first_that_learns(s, result);
  for (const auto& found : result.found) {
    std::vector<std::int64_t> tried, want;
    for (const auto& t : result.trials) {
      if (t.dimension == found.dimension && t.seed == found.seed) tried.push_back(t.samples);
    }
    for (const auto n : s.sizes(found.dimension)) {
      if (n <= *found.samples) want.push_back(n);
    }
    EXPECT_EQ(tried, want);
  }
  // Where the loss does not fall with n, a scan still stops at the first that learns.
  s.run = [](std::int64_t, std::int64_t n, std::uint64_t) -> std::optional<FinalLosses> {
    return FinalLosses{0, n == 15 ? 0.1 : 1};
  };
  s.dimensions = {9};
  s.seeds = {0};
  EXPECT_EQ(search_samples(s, folder / "uneven").found.at(0).samples, 15);
}

TEST(SampleSearch, KeepsBothLossesInTheFile) {
  std::atomic<int> runs{0};
  const TemporaryFolder folder;
  auto s = search(runs);
  int told = 0;
  s.on_trial = [&](const Trial& t, double seconds) {
    ++told;
    EXPECT_EQ(t.losses.test, loss(t.dimension, t.samples, t.seed));
    EXPECT_GE(seconds, 0);
  };
  search_samples(s, folder / "trials");
  EXPECT_EQ(told, runs);
  const auto again = search_samples(s, folder / "trials");
  EXPECT_EQ(told, runs) << "what is in the file is not told again";
  for (const auto& t : again.trials) {
    EXPECT_EQ(t.losses.train, 0.5 * loss(t.dimension, t.samples, t.seed));
    EXPECT_EQ(t.losses.test, loss(t.dimension, t.samples, t.seed));
  }
}

TEST(SampleSearch, AnInterruptedSearchGoesOnWithoutRunningAnythingTwice) {
  std::atomic<int> whole{0}, first{0}, second{0};
  const TemporaryFolder folder;
  const auto want = search_samples(search(whole), folder / "whole");
  const auto part = search_samples(search(first, 7), folder / "trials", 1);
  EXPECT_FALSE(part.finished);
  const auto rest = search_samples(search(second), folder / "trials");
  EXPECT_TRUE(rest.finished);
  EXPECT_EQ(second, whole - 7);
  ASSERT_EQ(rest.found.size(), want.found.size());
  for (std::size_t i = 0; i < want.found.size(); ++i) EXPECT_EQ(rest.found[i].samples, want.found[i].samples);
}

TEST(SampleSearch, AGridExtendedDownwardsOrByASeedAsksForNewRunsAlone) {
  std::atomic<int> runs{0};
  const TemporaryFolder folder;
  auto s = search(runs);
  s.dimensions = {9};
  s.seeds = {0};
  s.sizes = [](std::int64_t) { return geometric_sizes(100, 1000, 1.2); };
  s.run = [&](std::int64_t, std::int64_t n, std::uint64_t seed) -> std::optional<FinalLosses> {
    ++runs;
    return FinalLosses{0, n > (seed == 0 ? 500 : 90) ? 0.1 : 1};
  };
  const auto before = search_samples(s, folder / "trials.csv");
  const int first = runs;
  s.seeds = {0, 10};
  s.sizes = [](std::int64_t) { return geometric_sizes(100 / 1.44, 1000, 1.2); };
  const auto after = search_samples(s, folder / "trials.csv");
  EXPECT_EQ(after.found.at(0).samples, before.found.at(0).samples);
  EXPECT_EQ(after.found.at(0).failed, before.found.at(0).failed);
  for (std::size_t i = static_cast<std::size_t>(first); i < after.trials.size(); ++i)
    EXPECT_EQ(after.trials[i].seed, 10u);
  EXPECT_EQ(after.found.at(1).samples, 100);
  EXPECT_EQ(after.found.at(1).failed, 83);
}

TEST(SampleSearch, WhereNothingLearnsOrEverythingDoesItSaysSo) {
  std::atomic<int> runs{0};
  const TemporaryFolder folder;
  auto s = search(runs);
  s.dimensions = {9};
  s.seeds = {0};
  s.threshold = 1e-9;
  const auto none = search_samples(s, folder / "none").found.at(0);
  EXPECT_FALSE(none.samples.has_value());
  EXPECT_EQ(none.failed, 540);
  s.threshold = 1e9;
  const auto all = search_samples(s, folder / "all").found.at(0);
  EXPECT_EQ(all.samples, 9);
  EXPECT_FALSE(all.failed.has_value());
  EXPECT_TRUE(std::isnan(all.crossing));
}

TEST(SampleSearch, ARunThatDivergesHasNotLearned) {
  std::atomic<int> runs{0};
  const TemporaryFolder folder;
  auto s = search(runs);
  s.run = [](std::int64_t d, std::int64_t n, std::uint64_t seed) -> std::optional<FinalLosses> {
    return FinalLosses{0, n < 200 ? NAN : loss(d, n, seed)};
  };
  for (const auto& found : search_samples(s, folder / "trials").found) EXPECT_GE(*found.samples, 200);
}

TEST(SampleSearch, CandidatesOutOfOrderAndErrorsOfARunAreThrown) {
  std::atomic<int> runs{0};
  const TemporaryFolder folder;
  auto s = search(runs);
  s.sizes = [](std::int64_t) { return std::vector<std::int64_t>{5, 5}; };
  EXPECT_THROW(search_samples(s, folder / "a"), InputError);
  s = search(runs);
  s.run = [](std::int64_t, std::int64_t, std::uint64_t) -> std::optional<FinalLosses> { throw RunError("no"); };
  EXPECT_THROW(search_samples(s, folder / "b"), RunError);
  EXPECT_THROW(geometric_sizes(5, 4, 2), InputError);
  EXPECT_EQ(geometric_sizes(2, 9, 2), (std::vector<std::int64_t>{2, 4, 8, 9}));
}

}  // namespace
}  // namespace entk::sample_search_test
