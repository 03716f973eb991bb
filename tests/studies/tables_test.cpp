// No table of a study has two rows with equal keys: every study's quick preset, its runs made up.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "entk/base/philox.h"
#include "entk/studies/compare.h"
#include "entk/studies/complexity.h"
#include "entk/studies/escape.h"
#include "entk/studies/expressivity.h"
#include "entk/studies/figure2.h"
#include "entk/studies/noise_study.h"
#include "entk/studies/r1_study.h"
#include "entk/studies/spectrum.h"
#include "entk/studies/studies.h"
#include "entk/studies/sweep_study.h"
#include "entk/studies/taylor_study.h"
#include "entk/io/csv.h"
#include "entk/io/strict_json.h"
#include "tests/support/testing.h"

namespace entk::tables_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

/// A finished run for each planned one, its numbers drawn.
void make_up(const std::vector<PlannedRun>& plan, const std::filesystem::path& study,
             const std::vector<std::string>& own = {}) {
  std::filesystem::create_directories(study / "runs");
  std::uint32_t number = 0;
  for (const auto& run : plan) {
    const auto folder = RunFolder::create(run_path(study, run));
    const auto columns = metrics_columns(
        run.config.projector.population_degree >= 0 ? std::vector<std::string>{"population_R1", "population_R2"} : own);
    const RandomStream random(Purpose::probe, 11, number++);
    {
      CsvWriter metrics(folder.file("metrics.csv"), columns);
      std::int64_t next = 0;
      for (const std::int64_t step : {std::int64_t{0}, std::int64_t{10}, run.config.train.steps}) {
        std::vector<double> row{static_cast<double>(step)};
        while (row.size() < columns.size()) row.push_back(std::exp(random.normal(next++)));
        metrics.row(row);
      }
      metrics.sync();
    }
    folder.set_status(RunState::done, run.config.train.steps);
  }
}

/// The table as the study wrote it: rows, and no two with equal keys.
void expect_distinct(const Table& table, std::size_t rows) {
  EXPECT_EQ(table.rows.size(), rows) << table.title;
  EXPECT_NO_THROW(to_csv(table)) << table.title;
  // The check itself sees a row that is there twice.
  auto twice = table;
  twice.rows.push_back(table.rows.front());
  EXPECT_THROW(to_csv(twice), InputError) << table.title;
}

TEST(Tables, OfTheStudiesOfRunsHaveNoTwoRowsOfOneKey) {
  {
    const TemporaryFolder folder;
    const auto study = read_study_config(preset("figure1-quick"), "test");
    const auto plan = plan_runs(study, "test");
    make_up(plan, folder.path());
    expect_distinct(
        figure1_study().read(preset("figure1-quick"), "test", built_in_catalogue())->findings(folder.path()).table,
        plan.size() / study.seeds.size());
  }
  for (const char* name : {"compare-quick", "compare-cubic", "orders-quick"}) {
    const TemporaryFolder folder;
    const auto config = read_compare_config(preset(name), "test");
    const auto plan = plan_compare(config, "test");
    make_up(plan, folder.path());
    const auto findings = compare_findings(folder.path(), config, plan);
    expect_distinct(findings.table, config.models.size());
    for (const auto& claim : findings.claims) EXPECT_FALSE(claim.evidence.empty()) << claim.statement;
  }
  {
    const TemporaryFolder folder;
    auto json = preset("escape-quick");
    json["seeds"] = {1};
    const auto config = read_escape_config(json, "test");
    const auto plan = plan_escape(config, "test");
    make_up(plan, folder.path());
    const auto findings = escape_findings(config, read_curves(plan, folder.path()));
    expect_distinct(findings.table, config.models.size());
    expect_distinct(findings.tables.at(0).second, plan.size() / config.seeds.size());
  }
  {
    const TemporaryFolder folder;
    const auto config = read_r1_study_config(preset("r1-quick"), "test");
    const auto plan = plan_r1_study(config, "test");
    make_up(plan, folder.path());
    expect_distinct(r1_findings(folder.path(), config, plan).table, config.estimates.size() * config.weights.size());
  }
}

// An interrupt before anything is finished leaves such a folder, and report draws it.
TEST(Studies, OfWhichNothingIsThereYetHaveFindingsAndNoVerdict) {
  for (const auto& study : studies()) {
    if (study.presets.empty()) continue;
    SCOPED_TRACE(study.name + study.variant);
    const TemporaryFolder folder;
    const auto task = study.read(preset(study.presets[0].second), "test", built_in_catalogue());
    const auto findings = task->findings(folder.path());
    EXPECT_NO_THROW(to_csv(findings.table));
    if (study.name == "spectrum") continue;  // whose theory needs no units
    for (const auto& claim : findings.claims) EXPECT_EQ(claim.verdict, Verdict::not_run) << claim.statement;
  }
}

// Rank 31 is there twice, of features and of unlabeled points.
TEST(Tables, OfNoiseTellProjectorsOfOneRankApart) {
  const TemporaryFolder folder;
  const auto config = read_noise_study_config(preset("r1-noise-quick"), "test");
  const auto plans = plan_noise_study(config, "test");
  make_up(plans.all(), folder.path());
  const auto [table, figures, claims, notes, warnings, tables, numbers] = noise_findings(folder.path(), plans);
  expect_distinct(table, config.noise_variances.size() * config.r1_weights.size() + config.ranks.size());
  for (const auto& claim : claims) EXPECT_FALSE(claim.evidence.empty()) << claim.statement;
}

TEST(Tables, OfNoiseHoldARunThatBothSweepsTakeOnce) {
  const TemporaryFolder folder;
  auto json = preset("r1-noise-quick");
  json["run"]["projector"] = {{"source", "features"}, {"rank", 31}};
  const auto config = read_noise_study_config(json, "test");
  const auto plans = plan_noise_study(config, "test");
  make_up(plans.all(), folder.path());
  expect_distinct(noise_findings(folder.path(), plans).table,
                  config.noise_variances.size() * config.r1_weights.size() + 1);
}

TEST(Tables, OfSearchesHaveNoTwoRowsOfOneKey) {
  const auto searches = [](const std::vector<std::int64_t>& dimensions, const std::vector<std::uint64_t>& seeds) {
    SampleSearchResult result;
    for (const auto d : dimensions) {
      for (const auto seed : seeds) {
        const auto n = static_cast<double>(d * d) * (1 + 0.1 * static_cast<double>(seed));
        result.found.push_back({d, seed, static_cast<std::int64_t>(n) + 1, static_cast<std::int64_t>(n), n});
      }
    }
    return result;
  };
  {
    const auto config = read_complexity_config(preset("complexity-quick"), "test");
    const std::vector<SampleSearchResult> result(config.models.size(), searches(config.dimensions, config.seeds));
    expect_distinct(complexity_findings(config, result).table, config.models.size());
  }
  const auto config = read_figure2_config(preset("figure2-quick"), "test");
  expect_distinct(figure2_table(config, figure2_result(config, searches(config.dimensions, config.seeds))),
                  config.dimensions.size());
}

TEST(Tables, OfTheOtherStudiesHaveNoTwoRowsOfOneKey) {
  {
    const TemporaryFolder folder;
    const auto config = read_expressivity_config(preset("expressivity-quick"), "test");
    std::filesystem::create_directories(folder / "parts");
    for (const auto seed : config.seeds) {
      for (const auto k : config.degrees) {
        for (const auto m : config.widths) {
          nlohmann::json values;
          for (const char* name : {"fq_error", "fq_max_error", "wq_norm4", "wq_norm4_limit", "wl_error", "wl_square",
                                   "fl_plain", "fl_signed", "loss", "R1", "R2", "R3", "R4"}) {
            values[name] = 1.0 / static_cast<double>(m + seed);
          }
          write_text(folder / fmt::format("parts/k={},m={},seed={}.json", k, m, seed), dump_json(values));
        }
      }
    }
    const auto findings = expressivity_findings(folder.path(), config);
    expect_distinct(findings.table, config.degrees.size() * config.widths.size());
    // Exponents of one seed, if the preset has one, decide nothing.
    for (const auto& claim : findings.claims) {
      EXPECT_EQ(claim.verdict == Verdict::too_small_to_tell, config.seeds.size() == 1) << claim.statement;
    }
  }
  {
    const TemporaryFolder folder;
    const auto config = read_taylor_study_config(preset("appendix-g-taylor-quick"), "test");
    const auto plans = plan_taylor_study(config, "test");
    std::vector<std::string> own{"train_error", "test_error", "test_output_1", "test_output_2"};
    for (const auto order : config.orders) {
      for (const char* what : {"train_square", "test_square", "train_error", "test_error", "test_distance"}) {
        own.push_back(fmt::format("expansion_{}_{}", order, what));
      }
    }
    make_up(plans.all(), folder.path(), own);
    const auto findings = taylor_findings(folder.path(), config, plans);
    expect_distinct(findings.table, 5);
    EXPECT_EQ(findings.claims.size(), 3u);
    for (const auto& claim : findings.claims) EXPECT_FALSE(claim.evidence.empty()) << claim.statement;
  }
  auto json = preset("spectrum-quick");
  json["samples"] = json["training_samples"] = 0;
  const auto spectrum = read_spectrum_config(json, "test");
  expect_distinct(spectrum_table(spectrum_result(spectrum, {})), static_cast<std::size_t>(spectrum.max_degree) + 1);
}

// environment.json says where a study ran.
TEST(Studies, TheDeviceIsTheConfigurations) {
  for (const auto& study : studies()) {
    if (study.presets.empty()) continue;
    const auto& [name, of] = study.presets.front();
    auto json = of.is_string() ? preset(of.get<std::string>()) : of;
    if (!study.standard.contains("device") && !json.contains("run")) continue;
    json["device"] = "cuda:1";
    EXPECT_EQ(study.read(json, "test", built_in_catalogue())->device(), "cuda:1") << study.name << " " << name;
  }
}

// What would give two rows of one key is refused where it is read.
TEST(Tables, NothingIsAskedForTwice) {
  const auto refused = [](const auto& read, const char* name, const char* key) {
    auto json = preset(name);
    json[key].push_back(json[key][0]);
    EXPECT_THROW(read(json), InputError) << name << " " << key;
  };
  const auto noise = [](const nlohmann::json& j) { return read_noise_study_config(j, "test"); };
  for (const char* key : {"seeds", "noise_variances", "r1_weights", "ranks"}) refused(noise, "r1-noise-quick", key);
  const auto r1 = [](const nlohmann::json& j) { return read_r1_study_config(j, "test"); };
  for (const char* key : {"seeds", "estimates", "weights"}) refused(r1, "r1-quick", key);
  const auto expressivity = [](const nlohmann::json& j) { return read_expressivity_config(j, "test"); };
  for (const char* key : {"seeds", "degrees", "widths"}) refused(expressivity, "expressivity-quick", key);
  const auto complexity = [](const nlohmann::json& j) { return read_complexity_config(j, "test"); };
  for (const char* key : {"seeds", "dimensions"}) refused(complexity, "complexity-quick", key);
  const auto escape = [](const nlohmann::json& j) { return read_escape_config(j, "test"); };
  for (const char* key : {"seeds", "widths", "models"}) refused(escape, "escape-quick", key);
  const auto taylor = [](const nlohmann::json& j) { return read_taylor_study_config(j, "test"); };
  for (const char* key : {"seeds", "orders"}) refused(taylor, "appendix-g-taylor-quick", key);
}

}  // namespace
}  // namespace entk::tables_test
