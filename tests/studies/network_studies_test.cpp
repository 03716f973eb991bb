// Figure 2 and the Taylor study of Appendix G at sizes of milliseconds.
#include "entk/studies/figure2.h"
#include "entk/studies/taylor_study.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <tuple>

#include "entk/base/error.h"
#include "entk/base/philox.h"
#include "entk/io/pt_file.h"
#include "tests/support/studies.h"
#include "tests/support/testing.h"

namespace entk::network_studies_test {
namespace {

using testing::read_text;
using testing::search_samples;
using testing::TemporaryFolder;

Figure2Config tiny_figure2() {
  Figure2Config config;
  config.dimensions = {2, 3};
  config.search = {.step = 1.0, .most = 6.0, .threshold = 0.9, .method = SearchMethod::bisection};
  config.train = {.width = 8, .learning_rate = 0.05, .steps = 60, .test_samples = 50, .exact_scale = true};
  config.seeds = {1, 2};
  config.device = "cpu";
  return config;
}

/// The n that one search over Figure 2's grid tries, where exactly n ≥ `enough` learns; and what it finds.
struct Tried {
  std::vector<std::int64_t> order;
  std::optional<std::int64_t> found;
};
Tried tried(const SearchConfig& config, SearchMethod method, std::int64_t dimension, std::int64_t enough) {
  const TemporaryFolder folder;
  Tried tried;
  SampleSearch search;
  search.dimensions = {dimension};
  search.seeds = {1};
  search.sizes = [&](std::int64_t d) { return figure2_sizes(config, d); };
  search.threshold = config.threshold;
  search.method = method;
  search.run = [&](std::int64_t, std::int64_t n, std::uint64_t) -> std::optional<FinalLosses> {
    EXPECT_EQ(std::count(tried.order.begin(), tried.order.end(), n), 0) << n << " is tried twice";
    tried.order.push_back(n);
    return FinalLosses{0, n >= enough ? 0.05 : 0.5};
  };
  tried.found = search_samples(search, folder / "trials").found.at(0).samples;
  return tried;
}

TEST(Figure2, BothSearchesFindTheSmallestEnoughOfTheirGrid) {
  const SearchConfig config = {.step = 0.5, .most = 20.0, .threshold = 0.1};
  for (const std::int64_t enough : {1, 50, 51, 700, 1999, 2000}) {
    const auto scanned = tried(config, SearchMethod::scan, 10, enough);
    const auto bisected = tried(config, SearchMethod::bisection, 10, enough);
    const std::int64_t want = (enough + 49) / 50 * 50;
    EXPECT_EQ(scanned.found, want);
    EXPECT_EQ(bisected.found, want);
    ASSERT_EQ(scanned.order.size(), static_cast<std::size_t>(want / 50));
    for (std::size_t i = 0; i < scanned.order.size(); ++i)
      EXPECT_EQ(scanned.order[i], 50 * static_cast<std::int64_t>(i + 1));
    // Of 40 candidates: 7 upwards by doubling at most, then 4 halvings of a gap of at most 16.
    EXPECT_LE(bisected.order.size(), 11u);
    for (const auto n : bisected.order) EXPECT_LE(n, 2 * want) << "no run is larger than twice what is needed";
  }
  EXPECT_FALSE(tried(config, SearchMethod::scan, 10, 2001).found);
  EXPECT_FALSE(tried(config, SearchMethod::bisection, 10, 2001).found);
}

TEST(Figure2, ARunThatIsThereIsNotTakenAgainAndThreadsDoNotMatter) {
  auto config = tiny_figure2();
  for (const auto method : {SearchMethod::scan, SearchMethod::bisection}) {
    config.search.method = method;
    const TemporaryFolder folder;
    std::atomic<int> taken = 0;
    const auto take = [&](const char* name, const std::function<int()>& interrupted, int jobs) {
      auto search = figure2_search(config, interrupted);
      search.on_trial = [&](const Trial&, double seconds) {
        EXPECT_GE(seconds, 0);
        ++taken;
      };
      return search_samples(search, folder / (std::string(name) + ".csv"), jobs);
    };
    const auto losses_of = [](const SampleSearchResult& result) {
      std::map<std::tuple<std::int64_t, std::uint64_t, std::int64_t>, std::pair<double, double>> losses;
      for (const auto& t : result.trials) losses[{t.dimension, t.seed, t.samples}] = {t.losses.train, t.losses.test};
      return losses;
    };
    SampleSearchResult whole;
    {
      const testing::ThreadCount threads(1);
      whole = take("whole", {}, 1);
    }
    EXPECT_EQ(taken, static_cast<int>(whole.trials.size()));
    // Stopped in the middle, then gone on with three threads.
    int asked = 0;
    taken = 0;
    {
      const testing::ThreadCount threads(1);
      const auto part = take("split", [&] { return ++asked > 5 ? 2 : 0; }, 1);
      EXPECT_FALSE(part.finished);
      EXPECT_LT(part.trials.size(), whole.trials.size());
    }
    const testing::ThreadCount threads(3);
    const auto rest = take("split", {}, 0);
    EXPECT_EQ(taken, static_cast<int>(whole.trials.size()));
    EXPECT_EQ(losses_of(rest), losses_of(whole));
    EXPECT_EQ(rest.trials.size(), whole.trials.size());
    EXPECT_TRUE(rest.finished);
  }
}

TEST(Figure2, ADivergedRunIsNotEnough) {
  auto config = tiny_figure2();
  config.dimensions = {3};
  config.seeds = {1};
  config.train.learning_rate = 1e5;
  config.train.steps = 400;
  const auto losses = train_relu(config, 3, 20, 1, {});
  ASSERT_TRUE(losses);
  EXPECT_TRUE(std::isnan(losses->test));
  const TemporaryFolder folder;
  EXPECT_FALSE(search_samples(figure2_search(config, {}), folder / "trials").found.at(0).samples);
}

/// Searches that found n = factor d^exponent, some 2% about it.
SampleSearchResult power_law_searches(const Figure2Config& config, double exponent, double factor) {
  SampleSearchResult searches;
  const RandomStream random(Purpose::probe, 6);
  std::int64_t next = 0;
  for (const auto d : config.dimensions) {
    for (const auto seed : config.seeds) {
      SmallestSamples found;
      found.dimension = d;
      found.seed = seed;
      found.samples =
          std::llround(factor * std::pow(static_cast<double>(d), exponent) * std::exp(0.02 * random.normal(next++)));
      found.failed = *found.samples - 1;
      searches.found.push_back(found);
    }
  }
  return searches;
}

TEST(Figure2, FitsTheExponentAndJudgesOnlyWhatIsLargeEnough) {
  Figure2Config config;
  config.dimensions = {10, 20, 40, 80};
  config.seeds = {1, 2, 3};
  const auto square = figure2_result(config, power_law_searches(config, 2, 6));
  EXPECT_NEAR(square.fit.exponent.value, 2, 0.05);
  EXPECT_EQ(square.fit.exponent.from, "fits to 4 points of each of 3 seeds");
  for (const auto& claim : figure2_claims(config, square)) EXPECT_EQ(claim.verdict, Verdict::held);
  const auto steep = figure2_result(config, power_law_searches(config, 3.5, 1));
  for (const auto& claim : figure2_claims(config, steep)) EXPECT_EQ(claim.verdict, Verdict::did_not_hold);
  // The paper's growth on another line, and the paper's line at the largest dimension with another growth.
  const auto above = figure2_claims(config, figure2_result(config, power_law_searches(config, 2, 20)));
  EXPECT_EQ(above[0].verdict, Verdict::did_not_hold);
  EXPECT_EQ(above[1].verdict, Verdict::held);
  const auto flat = figure2_claims(config, figure2_result(config, power_law_searches(config, 1.2, 200)));
  EXPECT_EQ(flat[0].verdict, Verdict::held);
  EXPECT_EQ(flat[1].verdict, Verdict::did_not_hold);
  config.train.steps = 1000;
  EXPECT_EQ(figure2_claims(config, square)[0].verdict, Verdict::too_small_to_tell);
  config.train.steps = 30000;
  auto one = config;
  one.seeds = {1};
  EXPECT_EQ(figure2_claims(one, figure2_result(one, power_law_searches(one, 2, 6)))[0].verdict,
            Verdict::too_small_to_tell);
  // A dimension where a seed found none is not part of the fit, and what is left of it decides nothing.
  auto searches = power_law_searches(config, 2, 6);
  auto& largest = searches.found.at(10);
  ASSERT_EQ(std::pair(largest.dimension, largest.seed), (std::pair<std::int64_t, std::uint64_t>(80, 2)));
  largest.samples.reset();
  const auto censored = figure2_result(config, searches);
  EXPECT_EQ(censored.needed.at(80).above, 1);
  EXPECT_EQ(censored.fit.exponent.from, "fits to 3 points of each of 3 seeds");
  EXPECT_EQ(figure2_claims(config, censored)[0].verdict, Verdict::too_small_to_tell);
  EXPECT_NO_THROW(to_text(figure2_table(config, censored)));
  EXPECT_NO_THROW(to_text(figure2_table(config, figure2_result(config, {}))));
}

TEST(Figure2, RefusesAConfigurationThatCannotBe) {
  const auto refused = [](const char* json) {
    EXPECT_THROW(read_figure2_config(nlohmann::json::parse(json), "test"), InputError) << json;
  };
  refused(R"({"dimensions": []})");
  refused(R"({"seeds": [1, 1]})");
  refused(R"({"search": {"step": 2, "most": 1}})");
  refused(R"({"search": {"method": "guess"}})");
  refused(R"({"train": {"width": 0}})");
  refused(R"({"dimension": [1]})");
  EXPECT_EQ(to_json(read_figure2_config(to_json(tiny_figure2()), "test")), to_json(tiny_figure2()));
}

// ---------------------------------------------------------------------------------------------

TaylorStudyConfig tiny_taylor() {
  TaylorStudyConfig config;
  config.model = {.blocks = 2, .channels = 3};
  config.train = {.learning_rate = 0.05, .batch = 20, .epochs = 3};
  config.seeds = {1, 2};
  config.dtype = at::kDouble;
  config.device = "cpu";
  return config;
}

/// Two classes of random images that differ in their mean.
DataSet tiny_images() {
  torch::manual_seed(3);
  const auto some = [](std::int64_t n) {
    const auto y = torch::arange(n).remainder(2).to(torch::kFloat64) * 2 - 1;
    return Samples{torch::randn({n, 1, 4, 4}, torch::kFloat64) + 0.5 * y.reshape({n, 1, 1, 1}), y};
  };
  DataSet data;
  data.train = some(50);
  data.test = some(30);
  return data;
}

/// Whether it was taken to its end.
bool take_taylor(const TaylorStudyConfig& config, const DataSet& data, const std::filesystem::path& place,
                 const std::function<int()>& interrupted = {}) {
  const auto folder = std::filesystem::exists(place) ? RunFolder::open(place) : RunFolder::create(place);
  const TakeContext context{folder, "test", {.interrupted = interrupted}, {}};
  const auto outcome = take_units(taylor_units(config, data, context), folder.path(), {.jobs = 1});
  EXPECT_EQ(outcome.code, ExitCode::ok);
  return !outcome.interrupted;
}

TEST(TaylorStudy, GoesOnToTheSameBytesForAnyNumberOfThreads) {
  const TemporaryFolder folder;
  const auto config = tiny_taylor();
  const auto data = tiny_images();
  {
    const testing::ThreadCount threads(1);
    ASSERT_TRUE(take_taylor(config, data, folder / "whole"));
  }
  // Asked between batches and between parts of a record: stopped within a pass, before a record, within one.
  int stops = 0, within_a_pass = 0;
  for (bool through = false; !through; ++stops) {
    const testing::ThreadCount threads(1);
    int asked = 0;
    through = take_taylor(config, data, folder / "split", [&] { return ++asked > 30 + 7 * stops ? 15 : 0; });
    const auto checkpoint = folder / "split/runs/seed=1/checkpoint.pt";
    if (!through && std::filesystem::exists(checkpoint)) within_a_pass += read_pt(checkpoint).count("next");
    ASSERT_LT(stops, 100);
  }
  EXPECT_GT(stops, 5);
  EXPECT_GT(within_a_pass, 2);
  const testing::ThreadCount threads(3);
  ASSERT_TRUE(take_taylor(config, data, folder / "split"));
  for (const char* file : {"runs/seed=1/metrics.csv", "runs/seed=2/metrics.csv", "runs/seed=1/checkpoint.pt"}) {
    EXPECT_EQ(read_text(folder / "split" / file), read_text(folder / "whole" / file)) << file;
  }
  EXPECT_NE(read_text(folder / "whole/runs/seed=1/metrics.csv"), read_text(folder / "whole/runs/seed=2/metrics.csv"));
}

TEST(TaylorStudy, BeginsAtOneFunctionAndRecordsWhatTheTableSays) {
  const TemporaryFolder folder;
  const auto config = tiny_taylor();
  ASSERT_TRUE(take_taylor(config, tiny_images(), folder / "study"));
  const auto curves = read_taylor_curves(config, folder / "study");
  ASSERT_EQ(curves.epochs, (std::vector<double>{0, 1, 2, 3}));
  for (const char* of : {"order1", "order2", "order1_at_network", "order2_at_network"}) {
    for (const auto& run : curves.at("distance", of)) {
      EXPECT_EQ(run.front(), 0) << of;
      EXPECT_GT(run.back(), 0) << of;
    }
  }
  for (const auto& run : curves.at("train_loss", "network")) EXPECT_LT(run.back(), run.front());
  EXPECT_EQ(taylor_study_table(curves).rows.size(), 5u);
}

TEST(TaylorStudy, JudgesAClaimByPairsOfOneSeed) {
  const auto verdicts = [](const std::vector<double>& order1, const std::vector<double>& order2) {
    TaylorCurves curves;
    for (const char* what : {"distance", "test_loss"}) {
      for (const char* of : {"order1", "order1_at_network", "order2", "order2_at_network"}) {
        auto& runs = curves.columns[std::string(what) + "_" + of];
        for (const double last : of[5] == '1' ? order1 : order2) runs.push_back({7.0, last});
      }
    }
    TaylorStudyConfig config;
    config.seeds.assign(order1.size(), 1);
    const auto claims = taylor_study_claims(config, curves);
    EXPECT_EQ(claims.size(), 3u);
    for (const auto& claim : claims) EXPECT_EQ(claim.verdict, claims[0].verdict);
    return claims[0].verdict;
  };
  // Seeds that are far apart, pairs that are not.
  EXPECT_EQ(verdicts({2, 4, 9}, {1, 2.1, 4.4}), Verdict::held);
  EXPECT_EQ(verdicts({1, 2.1, 4.4}, {2, 4, 9}), Verdict::did_not_hold);
  EXPECT_EQ(verdicts({1, 3, 3}, {2, 2, 2}), Verdict::too_small_to_tell);
  EXPECT_EQ(verdicts({2, 3}, {1, 1}), Verdict::too_small_to_tell) << "two seeds that differ leave a wide interval";
  EXPECT_EQ(verdicts({2}, {1}), Verdict::too_small_to_tell);
}

TEST(TaylorStudy, ANetworkThatDivergesIsReportedAfterTheOtherSeeds) {
  const TemporaryFolder folder;
  auto config = tiny_taylor();
  config.train.learning_rate = 1e40;
  const auto study = RunFolder::create(folder / "study");
  const auto data = tiny_images();
  const TakeContext context{study, "test", {}, {}};
  EXPECT_EQ(take_units(taylor_units(config, data, context), study.path(), {.jobs = 1}).code, ExitCode::diverged);
  for (const char* run : {"study/runs/seed=1", "study/runs/seed=2"})
    EXPECT_EQ(read_status(folder / run).state, RunState::diverged);
}

TEST(TaylorStudy, RefusesAConfigurationThatCannotBe) {
  const auto refused = [](const char* json) {
    EXPECT_THROW(read_taylor_study_config(nlohmann::json::parse(json), "test"), InputError) << json;
  };
  refused(R"({"data": {"classes": [3]}})");
  refused(R"({"data": {"classes": [3, 3]}})");
  refused(R"({"data": {"source": "imagenet"}})");
  refused(R"({"seeds": []})");
  refused(R"({"train": {"epochs": 0}})");
  auto config = tiny_taylor();
  config.data.source = ImageSource::cifar10;
  EXPECT_THROW(load_images(config), InputError);
}

}  // namespace
}  // namespace entk::network_studies_test
