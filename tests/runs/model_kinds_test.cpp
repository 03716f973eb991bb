// Runs whose model is a module: of a configuration, as a script would make them.
#include <torch/nn/modules/linear.h>

#include "entk/io/strict_json.h"
#include "entk/models/mlp.h"
#include "entk/runs/memory.h"
#include "entk/runs/sweep.h"
#include "entk/studies/landscape_study.h"
#include "entk/tools/compare_devices.h"
#include "entk/tools/evaluate.h"
#include "tests/support/errors.h"
#include "tests/support/testing.h"

namespace entk::model_kinds_test {
namespace {

using nlohmann::json;
using namespace entk::testing;  // NOLINT: tests alone

json small(const json& over = json::object()) {
  json config = {{"model", {{"kind", {{"name", "mlp"}, {"depth", 2}}}, {"width", 5}}},
                 {"data", {{"dimension", 4}, {"samples", 15}, {"test_samples", 9}}},
                 {"projector", {{"rank", 5}}},
                 {"lambda", {0, 0, 2, 0}},
                 {"train", {{"steps", 12}, {"learning_rate", 0.05}}},
                 {"dtype", "float64"},
                 {"device", "cpu"}};
  merge_over(config, over);
  return config;
}

RunConfig read(const json& over = json::object()) { return read_run_config(small(over), "c"); }

torch::Tensor trained(const std::filesystem::path& folder) { return read_pt(folder / "checkpoint.pt").at("W"); }

TEST(ModelKinds, AKindIsWrittenWholeAndReadBack) {
  const auto config = read({{"model", {{"kind", "mlp"}}}});
  EXPECT_EQ(to_json(config).at("model").at("kind"),
            json({{"name", "mlp"}, {"depth", 2}, {"parameterisation", "ntk"}, {"biases", false}}));
  EXPECT_EQ(to_json(read_run_config(to_json(config), "c")), to_json(config));
  EXPECT_FALSE(to_json(read()).at("model").contains("initial_output"));
  EXPECT_EQ(to_json(read({{"model", {{"initial_output", false}}}})).at("model").at("initial_output"), false);
}

TEST(ModelKinds, ARunIsWhatAScriptMakes) {
  const TemporaryFolder folder;
  const auto same = [&](const std::string& name, const json& model, const MlpOptions& options,
                        const TaylorModelOptions& how) {
    const auto config = read({{"model", model}});
    ASSERT_EQ(take_run(config, folder / name).code, ExitCode::ok);
    const auto data = make_problem(config, c10::kCPU).data;
    const Mlp module(options);
    const TaylorModel by_hand(module, how);
    const auto sigma = SigmaProjector::from_features(by_hand->expanded(), data.train.x, 5);
    const auto result =
        Trainer(by_hand, square_loss() + 2.0 * R3(sigma), {.learning_rate = 0.05, .steps = 12}).fit(data);
    EXPECT_TRUE(identical(trained(folder / name), by_hand->displacement().detach())) << name;
    const auto table = read_records(folder / name);
    EXPECT_EQ(table.column("test_loss").back(), result.last.test_loss) << name;
    EXPECT_LT(table.column("train_loss").back(), table.column("train_loss").front()) << name;
    EXPECT_TRUE(std::isnan(table.column("R4").back())) << name;
    EXPECT_TRUE(std::filesystem::exists(folder / name / "report.html")) << name;
  };
  const MlpOptions pair{.dimension = 4, .widths = {5, 5}, .activation = sigmoid(1), .dtype = torch::kFloat64};
  auto other = pair;
  other.widths = {6, 3, 4};
  other.activation = gelu();
  other.parameterisation = Parameterisation::standard;
  other.biases = true;
  const json other_kind = {
      {"name", "mlp"}, {"depth", 3}, {"widths", {6, 3, 4}}, {"parameterisation", "standard"}, {"biases", true}};
  same("pair", {{"kind", {{"name", "mlp"}}}}, pair, {.pair = true});
  same("linear", {{"order", 1}}, pair, {.order = 1, .pair = true});
  same("third", {{"order", 3}, {"initialisation", "plain"}}, pair, {.order = 3});
  same("subtracted",
       {{"kind", other_kind},
        {"activation", {{"name", "gelu"}}},
        {"initialisation", "plain"},
        {"initial_output", false}},
       other, {.initial_output = false});
  same("whole", {{"whole_network", true}}, pair, {.pair = true, .whole_network = true});
}

TEST(ModelKinds, AResumedRunHasTheBitsOfOneNeverStopped) {
  for (const bool whole : {false, true}) {
    const TemporaryFolder folder;
    const json model = {{"whole_network", whole}, {"start_deviation", 0.1}};
    const auto at = [&](int steps) { return read({{"model", model}, {"train", {{"steps", steps}}}}); };
    ASSERT_EQ(take_run(at(12), folder / "whole").code, ExitCode::ok);
    ASSERT_EQ(take_run(at(5), folder / "parts").code, ExitCode::ok);
    ASSERT_EQ(take_run(at(12), folder / "parts").code, ExitCode::ok);
    EXPECT_TRUE(identical(trained(folder / "parts"), trained(folder / "whole")));
    EXPECT_EQ(read_text(folder / "parts/metrics.csv"), read_text(folder / "whole/metrics.csv"));
    const auto checkpoint = read_pt(folder / "whole/checkpoint.pt");
    EXPECT_TRUE(checkpoint.count("start.weight1") && checkpoint.count("start.weight_out"));
    EXPECT_FALSE(checkpoint.count("W0"));
    EXPECT_NE(error_of([&] {
                take_run(read({{"model", {{"kind", {{"name", "mlp"}, {"depth", 3}}}}}}), folder / "whole");
              }).find("this one changes model.kind.depth"),
              std::string::npos);
  }
}

TEST(ModelKinds, SizesAreKnownBeforeWeightsAreDrawn) {
  // 2·10¹² parameters: neither the reading nor the estimate may make them.
  const auto mlp = read({{"model", {{"kind", {{"name", "mlp"}, {"depth", 3}}}, {"width", 1000000}}}});
  EXPECT_GT(estimate_peak_bytes(mlp, c10::kCPU), 8e12);
  const auto images = read({{"data", {{"dimension", 16}}},
                            {"model", {{"kind", {{"name", "convolutional"}, {"blocks", 2}, {"channels", 500000}}}}}});
  EXPECT_GT(estimate_peak_bytes(images, c10::kCPU), 8e12);
}

TEST(ModelKinds, WhatNeedsNeuronsIsRefusedByName) {
  const auto refused = [](const json& over) { return error_of([&] { read(over); }); };
  const std::string needs = " needs a two-layer network's neurons, which model.kind mlp has not";
  EXPECT_EQ(refused({{"lambda", {0, 0, 0, 1}}}), "c: lambda.4: R4" + needs);
  EXPECT_EQ(refused({{"projector", {{"source", "harmonic"}}}}), "c: projector.source: harmonic" + needs);
  EXPECT_EQ(refused({{"projector", {{"population_degree", 1}}}}), "c: projector.population_degree: 1" + needs);
  EXPECT_EQ(refused({{"train", {{"random_signs", true}}}}), "c: train.random_signs: true" + needs);
  for (const char* name : {"movement", "harmonic_shares", "alignment", "kernel_drift"}) {
    EXPECT_EQ(refused({{"observables", {name}}}), std::string("c: observables: ") + name + needs);
  }
  for (const char* kernel : {"ntk_infinite", "quadratic_ntk"}) {
    EXPECT_EQ(refused({{"lambda", {0, 0, 0, 0}}, {"model", {{"kernel", kernel}}}}),
              std::string("c: model.kernel: ") + kernel + needs);
  }
  EXPECT_NE(
      refused({{"model", {{"kind", {{"name", "mlp"}, {"widths", {3}}}}}}}).find("c: model.kind.widths: expected 2"),
      std::string::npos);
  EXPECT_NE(refused({{"model", {{"kind", {{"name", "mlp"}, {"parameterisation", "mup"}}}}}}).find("ntk, standard"),
            std::string::npos);
  EXPECT_NE(refused({{"data", {{"dimension", 5}}}, {"model", {{"kind", "convolutional"}}}}).find("model.kind.shape"),
            std::string::npos);
}

TEST(ModelKinds, TheNtkOfAModuleIsWhereDescentOnItsLinearTermEnds) {
  const TemporaryFolder folder;
  const json none = {{"lambda", {0, 0, 0, 0}},
                     {"projector", {{"source", "none"}}},
                     {"data", {{"dimension", 4}, {"samples", 4}, {"test_samples", 9}}}};
  auto kernel = none, linear = none;
  kernel["model"] = {{"kernel", "ntk"}, {"width", 20}};
  linear["model"] = {{"order", 1}, {"width", 20}, {"activation", {{"name", "gelu"}}}};
  kernel["model"]["activation"] = linear["model"]["activation"];
  linear["train"] = {{"steps", 4000}, {"learning_rate", 0.5}};
  ASSERT_EQ(take_run(read(kernel), folder / "kernel").code, ExitCode::ok);
  ASSERT_EQ(take_run(read(linear), folder / "linear").code, ExitCode::ok);
  EXPECT_NEAR(read_records(folder / "kernel").column("test_loss").back(),
              read_records(folder / "linear").column("test_loss").back(), 1e-6);
}

TEST(ModelKinds, TheConvolutionalNetworkTrainsOnRows) {
  const TemporaryFolder folder;
  const json kind = {{"name", "convolutional"}, {"blocks", 1}, {"channels", 3}};
  ASSERT_EQ(take_run(read({{"model", {{"kind", kind}}}}), folder / "run").code, ExitCode::ok);
  const auto loss = read_csv(folder / "run/metrics.csv").column("train_loss");
  EXPECT_LT(loss.back(), loss.front());
}

TEST(ModelKinds, ImagesAreDataOfAnyModel) {
  const TemporaryFolder folder;
  std::string digits;
  for (int i = 0; i < 24; ++i) {
    for (int pixel = 0; pixel < 64; ++pixel) digits += std::to_string((pixel * (i + 1) + 7 * i) % 17) + ",";
    digits += std::to_string(i % 3) + "\n";
  }
  write_text(folder / "digits.csv", digits);
  const auto of_images = [&](json source) {
    source["name"] = "images";
    return json{{"file", (folder / "digits.csv").string()}, {"source", std::move(source)}};
  };
  const auto with = [&](const json& kind, const json& source) {
    json config = {{"model", {{"width", 6}}},
                   {"data", of_images(source)},
                   {"projector", {{"source", "none"}}},
                   {"train", {{"steps", 4}, {"learning_rate", 0.05}}},
                   {"dtype", "float64"},
                   {"device", "cpu"}};
    if (!kind.is_null()) config["model"]["kind"] = kind;
    return read_run_config(config, "c");
  };
  const json source = {{"classes", {2, 0}}, {"samples", 9}, {"on_sphere", true}};
  for (const json& kind : {json(), json("mlp"), json{{"name", "convolutional"}, {"blocks", 1}, {"channels", 3}}}) {
    const auto run = folder / (kind.is_null() ? "two_layer" : kind.is_string() ? "mlp" : "convolutional");
    const auto config = with_file_sizes(with(kind, source));
    EXPECT_EQ(config.data.dimension, 64);
    ASSERT_EQ(take_run(config, run).code, ExitCode::ok);
    const auto x = read_pt(run / "checkpoint.pt").at("X");
    EXPECT_EQ(x.sizes(), (at::IntArrayRef{9, 64}));
    EXPECT_NEAR(x[4].square().sum().item<double>(), 64, 1e-10);
  }
  const auto refused = [&](const json& source_of, const std::string& why) {
    const auto message = error_of([&] { with_file_sizes(with(nullptr, source_of)); });
    EXPECT_NE(message.find(why), std::string::npos) << message;
  };
  refused({{"classes", {2, 2}}}, "data.source.classes: expected two different");
  refused({{"format", "imagenet"}}, "data.source.format: expected one of digits, mnist, cifar10");
  refused({{"classes", {2, 7}}}, "none of class 7");
}

TEST(ModelKinds, AUsersOwnModuleTrains) {
  Catalogue own;
  own.model("linear", "a torch::nn::Linear", {}, [](const Parameters&, const ModelSetting& s) {
    torch::manual_seed(1);
    return torch::nn::AnyModule(torch::nn::Linear(s.dimension, 1));
  });
  const auto config = read_run_config(small({{"model", {{"kind", "linear"}, {"order", 1}}}}), "c", with_built_ins(own));
  const TemporaryFolder folder;
  ASSERT_EQ(take_run(config, folder / "run").code, ExitCode::ok);
  EXPECT_EQ(trained(folder / "run").numel(), 2 * (4 + 1));
}

TEST(ModelKinds, ItsLandscapeIsReadFromTheRunsFolder) {
  const TemporaryFolder folder;
  for (const bool whole : {false, true}) {
    const auto run = folder / (whole ? "whole" : "expansion");
    ASSERT_EQ(take_run(read({{"model", {{"whole_network", whole}}}}), run).code, ExitCode::ok);
    const auto config = read_landscape_config(
        {{"run", run.string()}, {"landscape", {{"iterations", 30}}}, {"dtype", "float64"}, {"device", "cpu"}}, "l");
    const auto point = read_landscape_point(config);
    const auto result = study_landscape(point, config);
    EXPECT_EQ(result.parameters, 2 * MlpImpl::parameter_count(4, {5, 5}, false));
    EXPECT_TRUE(std::isfinite(result.landscape.lanczos.rayleigh));
    EXPECT_NEAR(result.landscape.value, read_records(run).column("regularized_loss").back(), 1e-12);
    EXPECT_FALSE(result.lemma);
  }
}

TEST(ModelKinds, ItsCheckpointIsEvaluatedAsItWasRecorded) {
  for (const char* start : {"symmetric", "plain"}) {
    const TemporaryFolder folder;
    const auto config = read({{"model", {{"initialisation", start}, {"initial_output", false}}}});
    ASSERT_EQ(take_run(config, folder / "run").code, ExitCode::ok);
    const auto table = read_records(folder / "run");
    const auto tensors = read_pt(folder / "run/checkpoint.pt");
    const json asked = {{"model", to_json(config).at("model")},
                        {"projector", {{"source", "features"}, {"rank", 5}}},
                        {"lambda", {0, 0, 2, 0}}};
    const auto evaluated = evaluate_tensors(tensors, asked, "e", true);
    const auto& values = evaluated.values;
    // The run's own model may be another than f_L + f_Q.
    auto other = asked;
    other["model"]["whole_network"] = true;
    const auto ignored = [](const EvaluateResult& r) {
      return std::any_of(r.warnings.begin(), r.warnings.end(), [](const std::string& warning) {
        return warning.starts_with("model.whole_network: no effect");
      });
    };
    EXPECT_FALSE(ignored(evaluated));
    EXPECT_TRUE(ignored(evaluate_tensors(tensors, other, "e", false)));
    const auto recorded = [&](const char* name) { return table.column(name).back(); };
    EXPECT_NEAR(values.at("loss").get<double>(), recorded("train_loss"), 1e-12);
    EXPECT_NEAR(values.at("R3").get<double>(), recorded("R3"), 1e-12);
    EXPECT_NEAR(values.at("regularized_loss").get<double>(), recorded("regularized_loss"), 1e-12);
    EXPECT_NEAR(values.at("gradient_norm").get<double>(), recorded("norm_gradient"), 1e-12);
    EXPECT_FALSE(values.contains("R4"));
    const auto p = MlpImpl::parameter_count(4, {5, 5}, false);
    EXPECT_EQ(values.at("gradient").size(), static_cast<std::size_t>(start == std::string("plain") ? p : 2 * p));
    // f, by a module moved by hand.
    const auto at = [&](std::int64_t first) {
      Mlp module(MlpOptions{.dimension = 4, .widths = {5, 5}, .activation = sigmoid(1), .dtype = torch::kFloat64});
      const torch::NoGradGuard no_grad;
      for (auto& t : module->parameters()) {
        t.add_(tensors.at("W").narrow(0, first, t.numel()).view(t.sizes()));
        first += t.numel();
      }
      return module->forward(tensors.at("X"));
    };
    const auto f = start == std::string("plain") ? at(0) : (at(0) - at(p)) / std::sqrt(2.0);
    const auto got = values.at("f").get<std::vector<double>>();
    EXPECT_TRUE(close(torch::tensor(got, torch::kFloat64), f, 1e-12));
    auto fourth = asked;
    fourth["lambda"] = {0, 0, 0, 1};
    EXPECT_EQ(error_of([&] { evaluate_tensors(tensors, fourth, "e", false); }),
              "e: lambda.4: R4 needs a two-layer network's neurons, which a module has not");
    auto kindless = asked;
    kindless.erase("model");
    kindless["activation"] = "sigmoid";
    EXPECT_EQ(error_of([&] { evaluate_tensors(tensors, kindless, "e", false); }),
              "e: model: expected the key, as in the run's config.json: the tensor 'start.weight1' is of a module");
    auto missing = tensors;
    missing.erase("start.weight1");
    EXPECT_NE(error_of([&] { evaluate_tensors(missing, asked, "e", false); }).find("start.weight1"), std::string::npos);
  }
}

TEST(ModelKinds, MemoryGrowsWithItsParameters) {
  const auto bytes = [](std::int64_t width) {
    return static_cast<double>(estimate_peak_bytes(read({{"model", {{"width", width}}}}), c10::kCPU));
  };
  const auto parameters = [](std::int64_t width) {
    return 2.0 * static_cast<double>(MlpImpl::parameter_count(4, {width, width}, false));
  };
  EXPECT_GT(bytes(1000) - bytes(10), 8 * 4 * (parameters(1000) - parameters(10)));
}

TEST(ModelKinds, ComparedDevicesTakeAModule) {
  const auto config = read();
  const auto quantities = comparison_quantities(config, c10::kCPU);
  EXPECT_EQ(quantities.at("W").numel(), 2 * MlpImpl::parameter_count(4, {5, 5}, false));
  EXPECT_NE(error_of([&] { permuted_quantities(config, 1); }).find("permuted neurons: it needs a two-layer"),
            std::string::npos);
}

}  // namespace
}  // namespace entk::model_kinds_test
