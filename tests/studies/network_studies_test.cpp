// Figure 2 and the Taylor study of Appendix G at sizes of milliseconds.
#include "entk/studies/figure2.h"
#include "entk/studies/taylor_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <tuple>

#include "entk/base/error.h"
#include "entk/base/philox.h"
#include "entk/io/pt_file.h"
#include "entk/models/module_primitive.h"
#include "entk/models/whole_module_primitive.h"
#include "tests/support/errors.h"
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
  EXPECT_EQ(write_described(read_figure2_config(write_described(tiny_figure2()), "test")),
            write_described(tiny_figure2()));
}

// ---------------------------------------------------------------------------------------------

/// Two classes of drawn digits that differ in their mean: 60 training and 20 test images.
std::string drawn_digits() {
  const RandomStream random(Purpose::probe, 3);
  std::string text;
  std::uint64_t next = 0;
  for (int row = 0; row < 80; ++row) {
    for (int pixel = 0; pixel < 64; ++pixel) {
      const double value = 7 + (row % 2 == 0 ? 1.5 : -1.5) + 3 * random.normal(next++);
      text += fmt::format("{},", std::clamp(static_cast<int>(value), 0, 16));
    }
    text += fmt::format("{}\n", 1 + row % 2);
  }
  return text;
}

nlohmann::json tiny_taylor(const TemporaryFolder& folder, double rate = 0.05) {
  testing::write_text(folder / "digits.csv", drawn_digits());
  return {
      {"run",
       {{"model", {{"kind", {{"name", "convolutional"}, {"blocks", 2}, {"channels", 3}}}, {"initialisation", "plain"}}},
        {"data", {{"source", {{"name", "images"}, {"classes", {1, 2}}}}, {"file", (folder / "digits.csv").string()}}},
        {"train", {{"learning_rate", rate}, {"steps", 12}, {"update", {{"name", "minibatches"}, {"size", 16}}}}},
        {"dtype", "float64"},
        {"device", "cpu"}}},
      {"seeds", {1, 2}}};
}

StudyOutcome take_taylor(const nlohmann::json& json, const std::filesystem::path& place,
                         const std::function<int()>& interrupted = {}) {
  const auto task = taylor_study().read(json, "test", built_in_catalogue());
  task->prepare();
  const auto folder = std::filesystem::exists(place) ? RunFolder::open(place) : RunFolder::create(place);
  const TakeContext context{folder, "test", {.interrupted = interrupted}, {}};
  return take_units(task->units(context), folder.path(), {.jobs = 1});
}

TEST(TaylorStudy, GoesOnToTheSameBytesForAnyNumberOfThreads) {
  const TemporaryFolder folder;
  const auto json = tiny_taylor(folder);
  {
    const testing::ThreadCount threads(1);
    ASSERT_FALSE(take_taylor(json, folder / "whole").interrupted);
  }
  int stops = 0;
  for (bool through = false; !through; ++stops) {
    const testing::ThreadCount threads(stops % 2 == 0 ? 3 : 1);
    int asked = 0;
    through = !take_taylor(json, folder / "split", [&] { return ++asked > 7 ? 15 : 0; }).interrupted;
    ASSERT_LT(stops, 40);
  }
  EXPECT_GT(stops, 5);
  for (const std::string run : {"model.whole_network=true,seed=1", "model.order=1,seed=2", "model.order=2,seed=1"}) {
    for (const char* file : {"metrics.csv", "checkpoint.pt"}) {
      const auto bytes = read_text(folder / "split/runs" / run / file);
      EXPECT_EQ(bytes, read_text(folder / "whole/runs" / run / file)) << run << file;
    }
  }
}

TEST(TaylorStudy, WhatItFindsIsThatOfTheModelsInItsCheckpoints) {
  const TemporaryFolder folder;
  auto json = tiny_taylor(folder);
  json["seeds"] = {2};
  ASSERT_EQ(take_taylor(json, folder / "study").code, ExitCode::ok);
  const auto config = read_taylor_study_config(json, "test");
  const auto plans = plan_taylor_study(config, "test");
  const auto findings = taylor_findings(folder / "study", config, plans);
  EXPECT_EQ(findings.table.rows.size(), 5u);
  EXPECT_EQ(findings.figures.at(0).figure.panels.size(), 5u);
  for (const auto& panel : findings.figures[0].figure.panels) {
    const bool distance = panel.title.text == "Distance to the network";
    ASSERT_EQ(panel.series.size(), distance ? 4u : 5u);
    for (const auto& series : panel.series) {
      EXPECT_EQ(series.y.size(), 12u) << "0 to 10, and 12";
      EXPECT_TRUE(!distance || series.y.front() == 0);
      EXPECT_NE(series.y.front(), series.y.back()) << panel.title.text << series.label.text;
    }
  }

  // By other means: the weights of each checkpoint, the module moved there, and its expansion.
  const auto weights = [&](const PlannedRun& run) {
    return read_pt(run_path(folder / "study", run) / "checkpoint.pt").at("W");
  };
  const auto problem = make_problem(with_file_sizes(plans.network.at(0).config), at::kCPU);
  const auto output = [&](int order, const at::Tensor& w) {
    const auto terms = module_terms(problem.module->module(), ModuleStartKind::plain, problem.data.test.x, order, w);
    return terms.sum(0).detach();
  };
  const auto w = weights(plans.network.at(0));
  const auto network =
      whole_module_output(problem.module->module(), ModuleStartKind::plain, problem.data.test.x, w).detach();
  const auto far = [](const at::Tensor& a, const at::Tensor& b) {
    return (a - b).square().mean().sqrt().item<double>();
  };
  std::map<int, double> there, trained, loss;
  for (const int order : {1, 2}) {
    const auto own = output(order, weights(plans.expansions.at(static_cast<std::size_t>(order - 1))));
    there[order] = far(output(order, w), network);
    trained[order] = far(own, network);
    loss[order] = (own - problem.data.test.y).square().mean().item<double>();
  }
  ASSERT_EQ(findings.claims.size(), 3u);
  EXPECT_NEAR(findings.claims[0].evidence.at(0).found.value, there[2] / there[1], 1e-9);
  EXPECT_NEAR(findings.claims[1].evidence.at(0).found.value, trained[2] / trained[1], 1e-9);
  EXPECT_NEAR(findings.claims[2].evidence.at(0).found.value, loss[2] / loss[1], 1e-9);
  EXPECT_GT(std::abs(there[2] / there[1] - trained[2] / trained[1]), 1e-3);
}

TEST(TaylorStudy, JudgesAClaimByPairsOfOneSeed) {
  const auto verdicts = [](const std::vector<double>& order1, const std::vector<double>& order2) {
    TaylorStudyConfig config;
    for (std::size_t i = 1; i < order1.size(); ++i) config.seeds.push_back(i + 1);
    const auto plans = plan_taylor_study(config, "test");
    const TemporaryFolder folder;
    const auto write = [&](const PlannedRun& run, const std::vector<double>& last) {
      std::filesystem::create_directories(folder / "runs");
      const auto own = RunFolder::create(run_path(folder.path(), run));
      std::string header = "step,train_loss,test_loss,train_error,test_error,test_output", row;
      for (const int order : {1, 2}) {
        for (const char* what : {"train_square", "test_square", "train_error", "test_error", "test_distance"}) {
          header += fmt::format(",expansion_{}_{}", order, what);
        }
      }
      for (int i = 0; i < 5; ++i) row += fmt::format(",{}", last.size() > 1 ? 0.0 : last[0]);
      for (int i = 0; i < 10; ++i) row += fmt::format(",{}", last.size() > 1 ? last[i < 5 ? 0 : 1] : 0.0);
      testing::write_text(own.file("metrics.csv"), header + "\n0" + row + "\n100" + row + "\n");
      own.set_status(RunState::done, 100);
    };
    for (const auto& run : plans.network) write(run, {order1.at(run.seed - 1), order2.at(run.seed - 1)});
    for (const auto& run : plans.expansions) {
      write(run, {(run.config.model.order == 1 ? order1 : order2).at(run.seed - 1)});
    }
    const auto claims = taylor_findings(folder.path(), config, plans).claims;
    EXPECT_EQ(claims.size(), 3u);
    for (const auto& claim : claims) EXPECT_EQ(claim.verdict, claims[0].verdict) << claim.statement;
    return claims.at(0).verdict;
  };
  // Seeds that are far apart, pairs that are not.
  EXPECT_EQ(verdicts({2, 4, 9}, {1, 2.1, 4.4}), Verdict::held);
  EXPECT_EQ(verdicts({1, 2.1, 4.4}, {2, 4, 9}), Verdict::did_not_hold);
  EXPECT_EQ(verdicts({1, 3, 3}, {2, 2, 2}), Verdict::too_small_to_tell);
  EXPECT_EQ(verdicts({2, 3}, {1, 1}), Verdict::too_small_to_tell) << "two seeds that differ leave a wide interval";
  EXPECT_EQ(verdicts({2}, {1}), Verdict::too_small_to_tell);
}

TEST(TaylorStudy, ANetworkThatDivergesIsReportedAfterTheOtherRuns) {
  const TemporaryFolder folder;
  auto json = tiny_taylor(folder, 1e12);
  json["run"]["dtype"] = "float32";
  const auto outcome = take_taylor(json, folder / "study");
  EXPECT_EQ(outcome.code, ExitCode::diverged);
  for (const auto& unit : outcome.units) EXPECT_EQ(unit.state, RunState::diverged);
  EXPECT_EQ(outcome.units.size(), 6u);
}

TEST(TaylorStudy, RefusesAConfigurationThatCannotBe) {
  const auto said = [](const char* json) {
    return testing::error_of([&] { read_taylor_study_config(nlohmann::json::parse(json), "test"); });
  };
  const auto refused = [&](const char* json, const std::string& why) {
    EXPECT_NE(said(json).find(why), std::string::npos) << json << said(json);
  };
  refused(R"({"run": {"data": {"source": {"name": "images", "classes": [3]}}}})", "classes: expected two different");
  refused(R"({"run": {"data": {"source": {"name": "images", "format": "imagenet"}}}})", "format: expected one of");
  refused(R"({"run": {"observables": 3}})", "observables: expected a list");
  refused(R"({"run": 3})", "run: expected the configuration of a run");
  refused(R"({"seeds": []})", "seeds: expected at least one");
  refused(R"({"orders": [1, 5]})", "orders");
  refused(R"({"orders": [2, 2]})", "orders: expected at least one, each once");
  refused(R"({"run": {"train": {"steps": -1}}})", "train.steps");
  const auto study = taylor_study();
  const auto cifar = std::find_if(study.shortcuts.begin(), study.shortcuts.end(),
                                  [](const Shortcut& s) { return s.option == "--cifar10"; });
  nlohmann::json json;
  cifar->set(json, "nowhere");
  EXPECT_EQ(json["run"]["model"]["kind"]["shape"], (nlohmann::json{3, 32, 32}));
  const auto task = study.read(json, "test", built_in_catalogue());
  EXPECT_NE(testing::error_of([&] { task->prepare(); }).find("nowhere/data_batch_1.bin"), std::string::npos);
}

}  // namespace
}  // namespace entk::network_studies_test
