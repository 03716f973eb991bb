#include "entk/tools/bench.h"

#include <gtest/gtest.h>

#include <cmath>

#include "entk/base/error.h"
#include "entk/tools/bench_growth.h"
#include "tests/support/errors.h"
#include "tests/support/testing.h"

namespace entk::bench_test {
namespace {

TEST(Bench, EachPieceHasARowForEachSizeAndNumberOfThreads) {
  const BenchOptions options{.sizes = {{30, 5, 64}, {13, 4, 70}},
                             .pieces = bench_pieces(),
                             .threads = {1, 2},
                             .seconds = 0,
                             .test_samples = 100};
  const auto result = run_bench(options);
  ASSERT_EQ(result.rows.size(), 2 * 2 * bench_pieces().size());
  ASSERT_EQ(result.peaks.size(), 2u);
  for (const auto& r : result.rows) {
    EXPECT_GE(r.repetitions, 5) << r.piece;
    EXPECT_GT(r.low, 0) << r.piece;
    EXPECT_LE(r.low, r.seconds) << r.piece;
    EXPECT_LE(r.seconds, r.high) << r.piece;
    EXPECT_GT(r.operations_fraction, 0) << r.piece;
  }
  EXPECT_EQ(bench_json(result, options)["rows"].size(), result.rows.size());
  EXPECT_NE(to_text(bench_table(result)).find("pull-back"), std::string::npos);
}

TEST(Bench, AnUnknownPieceAndOneTwiceAreNamed) {
  const auto refused = [](const BenchOptions& options) { return testing::error_of([&] { run_bench(options); }); };
  EXPECT_NE(refused({.sizes = {{}}, .pieces = {"stepp"}, .threads = {1}}).find("'stepp'"), std::string::npos);
  EXPECT_EQ(refused({.sizes = {{}}, .pieces = {"step"}, .threads = {1, 1}}), "threads: expected each one once");
  EXPECT_EQ(refused({.sizes = {{}, {}}, .pieces = {"step"}, .threads = {1}}), "sizes: expected each one once");
  EXPECT_EQ(refused({.sizes = {{}}, .pieces = {"step", "step"}, .threads = {1}}), "pieces: expected each one once");
}

TEST(BenchGrowth, FitsTheExponentsFromFigure1sSizeUpward) {
  const testing::TemporaryFolder folder;
  nlohmann::json rows;
  for (const double n : {10.0, 1000.0, 4000.0, 16000.0}) {
    // Below Figure 1's size a constant hides the growth.
    rows.push_back({{"axis", "n"},
                    {"program", "entk"},
                    {"n", n},
                    {"d", 100},
                    {"m", 10000},
                    {"seconds", n < 1000 ? 1.0 : 1e-6 * std::pow(n, 1.5)},
                    {"peak_memory_bytes", n < 1000 ? 1e9 : 1e3 * n}});
  }
  testing::write_text(folder / "results.json", rows.dump());
  const auto results = draw_growth(folder / "results.json");
  ASSERT_EQ(results.slopes.rows.size(), 1u);
  EXPECT_NEAR(std::get<double>(results.slopes.rows[0][1].content), 1.5, 1e-12);
  EXPECT_NEAR(std::get<double>(results.slopes.rows[0][4].content), 1.0, 1e-12);
  EXPECT_TRUE(std::filesystem::exists(folder / "growth.dat"));
  testing::write_text(folder / "results.json", "{\"axis\": 1}");
  EXPECT_THROW(draw_growth(folder / "results.json"), InputError);
}

}  // namespace
}  // namespace entk::bench_test
