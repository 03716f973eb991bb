// The studies of the theorems: expressivity, landscape, r1-noise, at sizes that take a second.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "entk/base/sphere.h"
#include "entk/studies/expressivity.h"
#include "entk/studies/landscape_study.h"
#include "entk/studies/noise_study.h"
#include "entk/studies/studies.h"
#include "entk/runs/run.h"
#include "entk/io/strict_json.h"
#include "entk/kernels/reference.h"
#include "entk/theory/expressive_solution.h"
#include "tests/support/errors.h"
#include "tests/support/testing.h"

namespace entk::theory_studies_test {
namespace {

using testing::error_of;
using namespace entk::testing;  // NOLINT: tests alone

TEST(Expressivity, MeasuresWhatExplicitEvaluationGives) {
  ExpressivityConfig c;
  c.dimension = 6, c.samples = 80, c.fresh_samples = 20000, c.draws = 2;
  const auto part = measure_expressivity(c, 2, 400, 3).values;
  const Network network(NetworkOptions{.dimension = 6, .width = 400, .seed = 3, .dtype = torch::kFloat64});
  const auto target = low_degree_plus_sparse({.dimension = 6, .degree = 2, .alphas = {1.0, 1.0}, .seed = 3});
  const auto x = draw_inputs(InputLaw::sphere, 80, 6, Purpose::train_inputs, 3);
  const auto y = target.value(x), f_sparse = (*target.sparse)(x);
  const auto projector = HarmonicProjector::make(network, 6 + 21);
  const auto w_q = quadratic_solution(*network, *target.sparse, projector.spectrum());
  const auto w_l = linear_solution(projector, x, y - f_sparse);
  const auto terms_at = [&](const torch::Tensor& points, const torch::Tensor& at) {
    return reference_terms(points, network->w0, network->a, network->activation(), at, 2);
  };
  const auto terms = [&](const torch::Tensor& at) { return terms_at(x, at); };
  const auto fresh = draw_inputs(InputLaw::sphere, 300, 6, Purpose::fresh_inputs, 3);
  const auto fresh_square = [&](const torch::Tensor& at) {
    return terms_at(fresh, at)[0].square().mean().item<double>();
  };
  double loss = 0, r1 = 0, r2 = 0, r3 = 0, r4 = 0, low_at_fresh = 0, high_at_fresh = 0, signed_at_fresh = 0;
  for (std::uint32_t draw = 0; draw < 2; ++draw) {
    const auto w = w_l + random_signs(400, 3, draw).unsqueeze(1) * w_q;
    low_at_fresh += fresh_square(projector.low(w)) / 2;
    high_at_fresh += fresh_square(projector.high(w)) / 2;
    signed_at_fresh += fresh_square(w - w_l) / 2;
    const auto t = terms(w);
    loss += (t[0] + t[1] - y).square().mean().item<double>() / 2;
    r3 += terms(projector.high(w))[0].square().mean().item<double>() / 2;
    r1 += projector.population_r1(w) / 2;
    r2 += projector.population_r2(w) / 2;
    r4 += std::pow(w.square().sum(1).square().sum().item<double>(), 2) / 2;
  }
  EXPECT_NEAR(part.at("loss"), loss, 1e-9 * loss);
  EXPECT_NEAR(part.at("R3"), r3, 1e-9 * r3);
  EXPECT_NEAR(part.at("R4"), r4, 1e-9 * r4);
  EXPECT_NEAR(part.at("R1"), r1, 0.05 * r1) << "20000 fresh points against the population form";
  EXPECT_NEAR(part.at("R2"), r2, 0.05 * r2);
  const auto error = terms(w_q)[1] - f_sparse;
  const auto agrees = [](const ExpressivityPart& p, const char* name, double want) {
    EXPECT_NEAR(p.values.at(name), want, 1e-9 * want) << name;
  };
  c.fresh_samples = 300;
  const auto few = measure_expressivity(c, 2, 400, 3);
  agrees(few, "R1", high_at_fresh);
  agrees(few, "R2", low_at_fresh);
  agrees(few, "fl_plain", std::sqrt(fresh_square(w_q)));
  agrees(few, "fl_signed", std::sqrt(signed_at_fresh));
  agrees(few, "fq_error", (error.norm() / f_sparse.norm()).item<double>());
  agrees(few, "fq_max_error", error.abs().max().item<double>());
  agrees(few, "wq_norm4", w_q.norm(2, 1).pow(4).sum().item<double>());
  agrees(few, "wl_error", (terms(w_l)[0] - (y - f_sparse)).square().mean().item<double>());
  agrees(few, "wl_square", w_l.square().sum().item<double>());
}

TEST(Expressivity, ImpossibleConfigurationsAreNamed) {
  const auto read = [](const nlohmann::json& json) {
    return error_of([&] { read_expressivity_config(json, "c.json"); });
  };
  EXPECT_NE(read({{"widths", {101}}}).find("widths: expected even numbers"), std::string::npos);
  EXPECT_NE(read({{"degrees", {3}}}).find("degrees"), std::string::npos);
  EXPECT_NE(read({{"samples", 100}}).find("samples: expected at least n_k = 495 for k = 2, got 100"),
            std::string::npos);
  EXPECT_NE(read({{"width", 100}}).find("widths"), std::string::npos) << "the nearest key";
}

RunConfig small_run(const nlohmann::json& changes) {
  nlohmann::json json = {{"model", {{"width", 60}}},
                         {"data", {{"dimension", 6}, {"samples", 40}, {"test_samples", 0}}},
                         {"projector", {{"rank", 7}}},
                         {"lambda", {0, 0, 1, 0}},
                         {"train", {{"steps", 0}}}};
  json.merge_patch(changes);
  return read_run_config(json, "test");
}

TEST(LandscapeStudy, RunsWithoutProductsWithTheHessianAreRefusedBeforeAFolderIsMade) {
  const std::vector<std::pair<const char*, nlohmann::json>> models = {
      {"model.order: ", {{"order", 3}}},
      {"model.order: ", {{"order", 1}}},
      {"model.whole_network: ", {{"whole_network", true}}},
      {"model.kernel: ", {{"kernel", "ntk"}}}};
  for (const auto& [key, model] : models) {
    const TemporaryFolder folder;
    ProblemCache cache;
    const auto run = RunFolder::create(folder / "run");
    const auto config = small_run({{"model", model}, {"lambda", {0, 0, 0, 0}}});
    ASSERT_EQ(take_run(config, run, "run", "test", cache, {}).code, ExitCode::ok);
    const auto asked = read_landscape_config({{"run", run.path().string()}}, "test");
    EXPECT_NE(error_of([&] { read_landscape_point(asked); }).find(key), std::string::npos) << key;
  }
}

TEST(LandscapeStudy, ATermOfTheWholeModelIsRefusedBeforeAFolderIsMade) {
  const TemporaryFolder folder;
  Catalogue own = built_in_catalogue();
  own.regularizer("smallness", "mean f² by the model itself", {}, [](const Parameters&, const Setting& s) {
    return model_regularizer("smallness",
                             [x = s.data.train.x](TaylorModelImpl& model) { return model.forward(x).square().mean(); });
  });
  ProblemCache cache;
  for (const double weight : {0.0, 0.5}) {
    const auto run = RunFolder::create(folder / fmt::format("run{}", weight));
    auto json = nlohmann::json(to_json(small_run({{"lambda", {0, 0, 0, 0}}})));
    json["regularizers"]["smallness"] = weight;
    ASSERT_EQ(take_run(read_run_config(json, "test", own), run, "run", "test", cache, {}).code, ExitCode::ok);
    const auto asked = read_landscape_config({{"run", run.path().string()}}, "test", own);
    EXPECT_EQ(error_of([&] { read_landscape_point(asked); }).find("regularizers.smallness: ") != std::string::npos,
              weight != 0);
  }
}

TEST(LandscapeStudy, FindsTheSaddleOfAQuadraticOnlyRun) {
  const TemporaryFolder folder;
  ProblemCache cache;
  const auto run = RunFolder::create(folder / "run");
  const auto outcome = take_run(small_run({{"model", {{"linear_term", false}}}, {"lambda", {0, 0, 0, 0}}}), run, "run",
                                "test", cache, {});
  ASSERT_EQ(outcome.code, ExitCode::ok) << outcome.message;
  const auto config = [&](const std::string& input, const nlohmann::json& over = nlohmann::json::object()) {
    nlohmann::json json = {{"run", input}, {"landscape", {{"gamma", 1e-3}}}};
    json.update(over);
    return read_landscape_config(json, "test");
  };
  const auto take = [&](const LandscapeConfig& c) { return study_landscape(read_landscape_point(c), c); };
  const auto study = take(config(run.path()));
  EXPECT_EQ(study.landscape.verdict, StationaryVerdict::not_sosp);
  EXPECT_EQ(study.landscape.gradient_norm, 0);
  ASSERT_TRUE(study.lemma.has_value());
  // (31) at W = 0: no gradient part, and L_λ of W* is there.
  EXPECT_NEAR(study.lemma->left_side,
              study.lemma->hessian_part + 2 * study.lemma->value - 2 * study.lemma->solution_value, 1e-9);
  const auto file = (run.path() / "checkpoint.pt").string();
  EXPECT_EQ(take(config(file)).landscape.lanczos.rayleigh, study.landscape.lanczos.rayleigh) << "the file alone";
  EXPECT_NE(error_of([&] {
              read_landscape_point(config(file, {{"seed", 2}}));
            }).find("its X is not what its configuration gives"),
            std::string::npos);
  EXPECT_EQ(read_landscape_point(config(file, {{"lambda", {{"3", 5}}}})).problem.config.lambda,
            (std::vector<double>{0, 0, 5, 0}));
  EXPECT_NE(error_of([] { read_landscape_config({{"landscape", {{"nu", 1}}}}, "c"); }).find("c: run: expected"),
            std::string::npos);
}

TEST(LandscapeStudy, IsATaskWhosePageIsDrawnAgain) {
  const TemporaryFolder folder;
  ProblemCache cache;
  const auto run = RunFolder::create(folder / "run");
  ASSERT_EQ(take_run(small_run(nlohmann::json::object()), run, "run", "test", cache, {}).code, ExitCode::ok);
  const auto study = landscape_study();
  const auto place = RunFolder::create(folder / "landscape");
  const auto task =
      study.read({{"run", run.path().string()}, {"landscape", {{"draws", 3}}}}, "test", built_in_catalogue());
  place.write_json("config.json", task->config());
  place.write_text("command.txt", "entk landscape run\n");
  task->prepare();
  const TakeContext context{place, "test"};
  const auto units = task->units(context);
  const auto outcome = take_units(units, place.path(), task->take_options());
  EXPECT_LE(outcome.code, ExitCode::check_failed) << outcome.units[0].message;
  const auto direction = read_pt(place.file("direction.pt"), {.require_checksum = true}).at("direction");
  EXPECT_EQ(direction.sizes(), (std::vector<std::int64_t>{60, 6}));
  const auto results = write_page_of(place.path(), place.path(), built_in_catalogue());
  EXPECT_EQ(read_claims(place.path()).size(), 2u);
  EXPECT_EQ(results.table.rows.size(), 12u);
  const auto page = testing::read_text(place.file("report.html"));
  for (const char* part : {"Least eigenvalue", "Lemma 3", "model.width", "landscape.draws"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  // Its least Ritz values fall along the steps, down to the last one.
  const auto numbers = load_json(place.file("landscape.json"));
  const auto& steps = numbers.at("steps");
  ASSERT_GT(steps.size(), 1u);
  for (std::size_t i = 1; i < steps.size(); ++i)
    EXPECT_LE(steps[i][1].get<double>(), steps[i - 1][1].get<double>() + 1e-12);
  EXPECT_EQ(steps.back()[1], numbers.at("ritz_smallest"));
  // A second taking has nothing left to do.
  ASSERT_TRUE(task->units(context)[0].settled.has_value());
  EXPECT_EQ(task->units(context)[0].settled->code, outcome.code);
}

TEST(NoiseStudy, RunsThatShareAProblemKeepTheirOwnNoiseAndWeights) {
  const TemporaryFolder folder;
  ProblemCache cache;
  std::vector<double> norms;
  for (const double variance : {0.0, 4.0}) {
    const auto config =
        small_run({{"train", {{"steps", 3}, {"noise_variance", variance}}}, {"lambda", {0, 0, 1 + variance, 0}}});
    const auto run = RunFolder::create(folder / fmt::format("run{}", variance));
    const auto outcome = take_run(config, run, "run", "test", cache, {});
    ASSERT_EQ(outcome.code, ExitCode::ok) << outcome.message;
    norms.push_back(outcome.last->norm_w);
    const auto written = load_json(run.file("config.json"));
    EXPECT_EQ(written["train"]["noise_variance"], variance);
    EXPECT_EQ(written["lambda"][2], 1 + variance);
  }
  // Three steps of noise alone: √3·2 in Frobenius norm.
  EXPECT_NEAR(norms[1], 2 * std::sqrt(3.0), 0.5);
  EXPECT_LT(norms[0], norms[1] / 2);
}

TEST(NoiseStudy, PlansEveryCombinationAndRecordsThePopulation) {
  const nlohmann::json json = {{"run",
                                {{"data", {{"dimension", 6}, {"samples", 40}, {"unlabeled_samples", 50}}},
                                 {"model", {{"width", 60}}},
                                 {"projector", {{"source", "unlabeled"}, {"rank", 7}}}}},
                               {"seeds", {1, 2}},
                               {"noise_variances", {0, 0.5}},
                               {"r1_weights", {0, 1, 10}},
                               {"ranks", {6, 7}}};
  const auto config = read_noise_study_config(json, "c.json");
  const auto plans = plan_noise_study(config, "c.json");
  EXPECT_EQ(plans.noise.size(), 12u);
  EXPECT_EQ(plans.ranks.size(), 4u);
  for (const auto& run : plans.all()) EXPECT_EQ(run.config.projector.population_degree, 1);
  EXPECT_EQ(plans.ranks[0].config.projector.source, ProjectorSource::features);
  EXPECT_EQ(plans.noise.back().config.lambda[0], 10);
  EXPECT_NE(
      error_of([] { read_noise_study_config({{"run", 3}, {"device", "cpu"}}, "c"); }).find("run: expected an object"),
      std::string::npos);
  auto wrong = json;
  wrong["noise_variance"] = {1};
  EXPECT_NE(error_of([&] { read_noise_study_config(wrong, "c.json"); }).find("noise_variances"), std::string::npos);
}

TEST(NoiseStudy, NoiseAloneHasTheR1OfTheFormula) {
  auto config = small_run(
      {{"train", {{"steps", 50}, {"learning_rate", 2.0}, {"noise_variance", 3.0}}}, {"model", {{"width", 400}}}});
  const Network network(network_options(config));
  const auto projector = HarmonicProjector::make(network, 7);
  double sum = 0;
  const int draws = 20;
  for (int i = 0; i < draws; ++i) {
    // The sum of T steps of (21)'s noise has entries N(0, η²σ²T/(md)).
    const double deviation = 2.0 * std::sqrt(3.0 * 50 / (400 * 6));
    sum += projector.population_r1(
               deviation * gaussian_points(400, 6, RandomStream(Purpose::probe, 9, static_cast<std::uint32_t>(i)))) /
           draws;
  }
  EXPECT_NEAR(sum, noise_alone_r1(config), 0.1 * sum);
}

}  // namespace
}  // namespace entk::theory_studies_test
