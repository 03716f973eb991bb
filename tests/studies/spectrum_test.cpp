#include "entk/studies/spectrum.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <cmath>

#include "entk/base/error.h"
#include "entk/tools/evaluate.h"
#include "entk/runs/run.h"
#include "entk/io/csv.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::spectrum_test {
namespace {

using nlohmann::json;
using testing::TemporaryFolder;

SpectrumResult study(const json& json) {
  const auto config = read_spectrum_config(json, "test");
  std::map<SpectrumSample, EmpiricalSpectrum> samples;
  for (const auto& name : spectrum_samples(config)) samples[name] = *measure_spectrum(config, name);
  return spectrum_result(config, samples);
}

// Of 2,000 points. W0's and the points' fluctuations are some 1/√m and 1/√N times a few.
TEST(Spectrum, TheorysEigenvaluesAreThoseOfTheKernelOnPoints) {
  const std::vector<json> activations = {
      {{"name", "sigmoid"}, {"shift", 1.0}}, {{"name", "softplus"}}, {{"name", "tanh"}, {"shift", 0.5}}};
  for (const auto& activation : activations) {
    for (int d : {8, 16}) {
      const auto r =
          study({{"activation", activation}, {"dimension", d}, {"width", 4000}, {"samples", 2000}, {"max_degree", 6}});
      SCOPED_TRACE(activation.dump() + std::to_string(d));
      ASSERT_TRUE(r.empirical);
      const auto& e = *r.empirical;
      EXPECT_NEAR(e.trace / r.theory.trace, 1.0, 0.02);
      // Groups that the sample holds many times over.
      for (std::size_t i = 0; i < 2; ++i) {
        const auto& g = e.groups[i];
        EXPECT_EQ(g.seen, static_cast<std::int64_t>(g.expected));
        EXPECT_NEAR(g.mean / r.theory.lambda[g.degree], 1.0, 0.08) << g.degree;
      }
      EXPECT_GT(e.groups[0].least, e.groups[1].greatest);
    }
  }
}

TEST(Spectrum, AnInterruptedStudyHoldsTheFinishedPartsAndResumesToTheSameNumbers) {
  const auto read = [] {
    return spectrum_study().read({{"dimension", 8}, {"width", 100}, {"samples", 30}, {"training_samples", 20}}, "test",
                                 built_in_catalogue());
  };
  const TemporaryFolder folder;
  const auto take = [&](const char* name, int most) {
    const auto place = folder / name;
    const auto study = std::filesystem::exists(place) ? RunFolder::open(place) : RunFolder::create(place);
    int asked = 0;
    const auto task = read();
    const TakeContext context{study, "test", {.interrupted = [&] { return ++asked > most ? 2 : 0; }}, {}};
    const bool interrupted = take_units(task->units(context), place, task->take_options()).interrupted;
    return std::pair{interrupted, task->findings(place)};
  };
  const auto [stopped, whole] = take("whole", 1000);
  EXPECT_FALSE(stopped);
  // Asked before each sample's kernel and before its eigenvalues.
  for (int most = 0; most < 4; ++most) {
    const auto name = std::to_string(most);
    const auto [interrupted, part] = take(name.c_str(), most);
    EXPECT_TRUE(interrupted);
    EXPECT_EQ(part.numbers["lambda"], whole.numbers["lambda"]);
    EXPECT_EQ(part.numbers.contains("empirical"), most >= 2);
    EXPECT_FALSE(part.numbers.contains("features"));
    EXPECT_EQ(part.figures.at(0).figure.panels.size(), 4u);
    EXPECT_EQ(take(name.c_str(), 1000).second.numbers, whole.numbers);
  }
}

TEST(Spectrum, VanishingCoefficientsAreFoundAndSaid) {
  const auto even = study({{"activation", {{"name", "sigmoid"}}}, {"dimension", 30}, {"max_degree", 6}, {"degree", 2}});
  EXPECT_EQ(even.eta_zero, (std::vector<int>{1, 3, 5}));
  EXPECT_EQ(even.mu_zero, (std::vector<int>{0, 2, 4, 6}));
  const auto all = fmt::format("{}", fmt::join(even.warnings, "\n"));
  EXPECT_NE(all.find("f_L cannot learn degree 2"), std::string::npos) << all;
  EXPECT_NE(all.find("Assumption 3"), std::string::npos) << all;
  const auto odd = study({{"activation", {{"name", "erf"}}}, {"dimension", 30}, {"max_degree", 6}});
  EXPECT_EQ(odd.eta_zero, (std::vector<int>{1, 3, 5}));
  const auto relu = study({{"activation", {{"name", "relu"}}}, {"dimension", 30}, {"max_degree", 6}});
  EXPECT_EQ(relu.eta_zero, (std::vector<int>{2, 4, 6}));
  const auto generic = study({{"dimension", 30}});
  EXPECT_TRUE(generic.eta_zero.empty() && generic.mu_zero.empty() && generic.warnings.empty());
}

TEST(Spectrum, IsFiniteUpToDimension10000AndDegree20) {
  for (int d : {2, 100, 10000}) {
    const auto out = to_json(study({{"dimension", d}, {"max_degree", 20}}));
    EXPECT_EQ(out["lambda"].size(), 21u);
    for (const auto& value : out["lambda"])
      EXPECT_TRUE(value.is_number() && std::isfinite(value.get<double>()) && value >= 0.0);
    EXPECT_GT(out["trace_captured"].get<double>() / out["trace"].get<double>(), d == 2 ? 0.99 : 0.9999);
  }
}

TEST(Spectrum, TheNumbersFileHasWhatItPromises) {
  const auto out = to_json(study({{"dimension", 100}, {"width", 200}, {"samples", 120}, {"training_samples", 110}}));
  EXPECT_EQ(out["multiplicity"][2], 5049);
  EXPECT_NEAR(out["lambda"][1].get<double>(), 3.166e-2, 5e-6);
  EXPECT_EQ(out["eta"].size(), 10u);
  EXPECT_EQ(out["empirical"]["eigenvalues"].size(), 120u);
  EXPECT_EQ(out["features"]["V1"].size(), 101u);
  EXPECT_EQ(out["features"]["V2"].size(), 9u);
  EXPECT_EQ(out["partition"]["Q2"]["count"], 5049.0);
}

TEST(SpectrumClaims, SmallSamplesDecideNothingAndLargeOnesDo) {
  const auto verdict_of = [](const SpectrumResult& r, const std::string& part) {
    for (const auto& c : spectrum_claims(r)) {
      if (c.statement.find(part) != std::string::npos) return c.verdict;
    }
    return Verdict::not_run;
  };
  auto r = study({{"dimension", 10}, {"width", 2000}, {"samples", 400}, {"training_samples", 100}});
  EXPECT_EQ(verdict_of(r, "groups by degree"), Verdict::held);
  EXPECT_EQ(verdict_of(r, "fall into large"), Verdict::held);
  r.theory.lambda[1] *= 1.3;
  EXPECT_EQ(verdict_of(r, "groups by degree"), Verdict::did_not_hold);
  r.empirical->samples = 100;
  EXPECT_EQ(verdict_of(r, "groups by degree"), Verdict::too_small_to_tell);
}

TEST(Spectrum, RefusesWhatIsNotAConfiguration) {
  for (const json& config :
       {json{{"dimension", 1}}, json{{"dimensions", 10}}, json{{"degree", 8}}, json{{"max_degree", 1}},
        json{{"activation", {{"name", "sigmod"}}}}, json{{"width", -1}}}) {
    EXPECT_THROW(read_spectrum_config(config, "test"), InputError) << config.dump();
  }
}

RunConfig small_run(const std::string& source, int population_degree) {
  return read_run_config({{"model", {{"width", 60}}},
                          {"data", {{"dimension", 6}, {"samples", 40}, {"test_samples", 10}}},
                          {"projector", {{"source", source}, {"rank", 7}, {"population_degree", population_degree}}},
                          {"lambda", {0, 0, 1, 0}},
                          {"train", {{"steps", 10}}},
                          {"dtype", "float64"},
                          {"device", "cpu"}},
                         "test");
}

TEST(HarmonicRuns, RecordPopulationValuesForAnyProjector) {
  const testing::TemporaryFolder folder;
  ProblemCache cache;
  for (const std::string source : {"features", "harmonic", "none"}) {
    auto config = small_run(source == "none" ? "features" : source, 1);
    if (source == "none") config.projector.source = ProjectorSource::none, config.lambda = {0, 0, 0, 0};
    const auto run = RunFolder::create(folder / source);
    const auto outcome = take_run(config, run, source, "test", cache, {});
    ASSERT_EQ(outcome.code, ExitCode::ok) << outcome.message;
    const auto metrics = read_csv(run.file("metrics.csv"));
    const auto tensors = read_pt(run.file("checkpoint.pt"));
    const Network network(tensors.at("W0"), tensors.at("a"), sigmoid(1.0));
    const auto sigma = HarmonicProjector::make(network, 7);
    EXPECT_NEAR(metrics.column("population_R1").back() / sigma.population_r1(tensors.at("W")), 1.0, 1e-9);
    EXPECT_NEAR(metrics.column("population_R2").back() / sigma.population_r2(tensors.at("W")), 1.0, 1e-9);
    if (source == "harmonic") {
      EXPECT_EQ(metrics.column("R1"), metrics.column("population_R1"));
    }
    // Resumed to more steps, the same columns go on.
    config.train.steps = 20;
    ASSERT_EQ(take_run(config, run, source, "test", cache, {}).code, ExitCode::ok);
  }
}

TEST(HarmonicRuns, ADataFilesFewPointsDoNotBoundTheRank) {
  const testing::TemporaryFolder folder;
  const auto file = (folder / "data.pt").string();
  write_pt(file, {{"X", testing::random_matrix(5, 4, 1)}, {"y", testing::random_matrix(5, 1, 2).flatten()}});
  RunConfig config;
  config.data.source = {built_in_data_sources(), "file"};
  config.data.file = file;
  config.projector = {ProjectorSource::harmonic, 14};  // n_2 at d = 4
  EXPECT_EQ(with_file_sizes(config).data.samples, 5);
  config.projector.rank = 6;  // no n_k
  EXPECT_THROW(with_file_sizes(config), InputError);
  config.projector = {ProjectorSource::features, 6};  // above its points
  EXPECT_THROW(with_file_sizes(config), InputError);
  config.projector.rank = 3;
  config.r1.points = R1Points::unlabeled;  // and there are none
  EXPECT_THROW(with_file_sizes(config), InputError);
}

TEST(HarmonicRuns, EvaluateTakesTheHarmonicSource) {
  const auto network = testing::float64_network(5, 40, Initialisation::plain);
  const auto w = testing::random_matrix(40, 5, 1), x = testing::random_matrix(12, 5, 2),
             y = testing::random_matrix(12, 1, 3).flatten();
  const TensorDict tensors{{"W0", network->w0.detach()}, {"a", network->a}, {"W", w}, {"X", x}, {"y", y}};
  json config = {{"activation", {{"name", "sigmoid"}, {"shift", 1.0}}},
                 {"projector", {{"source", "harmonic"}, {"rank", 6}}},
                 {"lambda", {0.1, 0.2, 0.3, 0}}};
  const auto out = evaluate_tensors(tensors, config, "test", false).values;
  const auto sigma = HarmonicProjector::make(network, 6);
  EXPECT_NEAR(out["R1"].get<double>(), sigma.population_r1(w), 1e-12);
  EXPECT_NEAR(out["R2"].get<double>(), sigma.population_r2(w), 1e-12);
  const auto high = testing::features(*network, x).mv(sigma.high(w).flatten());
  EXPECT_NEAR(out["R3"].get<double>(), high.square().mean().item<double>(), 1e-12);
  config["projector"]["rank"] = 7;
  EXPECT_THROW(evaluate_tensors(tensors, config, "test", false), InputError);
}

}  // namespace
}  // namespace entk::spectrum_test
