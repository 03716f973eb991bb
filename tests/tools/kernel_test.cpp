#include "entk/tools/kernel.h"

#include <gtest/gtest.h>

#include "entk/base/error.h"
#include "entk/config/config_layers.h"
#include "entk/runs/kernel_fit.h"
#include "entk/tools/evaluate.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::kernel_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

RunConfig config(const std::string& kernel, const nlohmann::json& more = nlohmann::json::object()) {
  auto json = nlohmann::json::parse(R"({"model": {"width": 60}, "device": "cpu", "dtype": "float64",
    "data": {"dimension": 5, "samples": 20, "test_samples": 30}, "projector": {"source": "none"}})");
  json["model"]["kernel"] = kernel;
  merge_over(json, more);
  return read_run_config(json, "test");
}

std::string message_of(const std::string& kernel, const nlohmann::json& more) {
  try {
    config(kernel, more);
  } catch (const InputError& e) {
    return e.what();
  }
  return "nothing thrown";
}

TEST(KernelTool, OfTheNtkHoldsTheGramMatrixItsEigenvaluesAndAWWhoseLinearTermIsTheFit) {
  const auto c = config("ntk");
  const auto problem = make_problem(c, c10::kCPU);
  auto result = measure_kernel(c, c10::kCPU);
  auto& t = result.tensors;
  const Network network(problem.w0, problem.a, *problem.activation);
  const auto phi = features(*network, t["X"]), phi_test = features(*network, t["X_test"]);
  EXPECT_TRUE(close(t["K"], phi.mm(phi.t()), 1e-12));
  EXPECT_TRUE(close(t["K_test"], phi_test.mm(phi.t()), 1e-12));
  EXPECT_TRUE(close(t["eigenvalues"], std::get<1>(torch::linalg_svd(phi, false)).square() / 20, 1e-10));
  const auto v = torch::linalg_pinv(phi).mv(t["y"]);
  EXPECT_TRUE(close(t["W"].flatten(), v, 1e-8));
  EXPECT_TRUE(close(t["f_test"], phi_test.mv(v), 1e-8));
  EXPECT_NEAR(result.numbers["norm"].get<double>(), v.norm().item<double>(), 1e-8);
  EXPECT_NEAR(result.numbers["test_loss"].get<double>(), (t["y_test"] - phi_test.mv(v)).square().mean().item<double>(),
              1e-8);
  EXPECT_NEAR(result.numbers["zero_test_loss"].get<double>(), t["y_test"].square().mean().item<double>(), 1e-12);
  EXPECT_EQ(result.numbers["rank"], 20);
  TensorDict w = {{"W0", problem.w0}, {"a", problem.a}, {"W", t["W"]}, {"X", t["X_test"]}, {"y", t["y_test"]}};
  const auto evaluated = evaluate_tensors(
      w, {{"activation", c.model.activation.json()}, {"projector", {{"source", "features"}, {"rank", 6}}}}, "test",
      false);
  EXPECT_TRUE(
      close(torch::tensor(evaluated.values["f_L"].get<std::vector<double>>(), torch::kFloat64), t["f_test"], 1e-8));
}

TEST(KernelTool, WidthIsThatOfATwoLayerNetworkAlone) {
  const nlohmann::json module = {{"name", "mlp"}, {"widths", {4, 3}}};
  EXPECT_EQ(measure_kernel(config("ntk"), c10::kCPU).numbers.at("width"), 60);
  EXPECT_TRUE(measure_kernel(config("ntk", {{"model", {{"kind", module}}}}), c10::kCPU).numbers.at("width").is_null());
}

TEST(KernelTool, WhatItNotesIsAmongItsNumbers) {
  const auto result = measure_kernel(config("ntk_infinite", {{"model", {{"activation", "relu"}}}}), c10::kCPU);
  const auto notices = result.numbers.at("notices").get<std::vector<std::string>>();
  EXPECT_EQ(notices, result.notices);
  EXPECT_TRUE(std::any_of(notices.begin(), notices.end(), [](const std::string& notice) {
    return notice.find("leaves out") != std::string::npos;
  })) << result.numbers;
}

TEST(KernelTool, APlainStartIsFittedAroundItsOutput) {
  auto result = measure_kernel(config("quadratic_ntk", {{"model", {{"initialisation", "plain"}}}}), c10::kCPU);
  EXPECT_TRUE(close(result.tensors["f"], result.tensors["y"], 1e-8));
  EXPECT_FALSE(result.tensors.count("W"));
  const auto more = nlohmann::json{{"model", {{"initialisation", "plain"}, {"ridge", 1e9}}}};
  const auto c = config("ntk", more);
  const auto problem = make_problem(c, c10::kCPU);
  const Network network(problem.w0, problem.a, *problem.activation);
  EXPECT_TRUE(
      close(measure_kernel(c, c10::kCPU).tensors["f_test"], network->initial_output(problem.data.test.x), 1e-6));
}

TEST(KernelTool, AKernelTakesNoPartOfADescentAndATrainedModelNoRidge) {
  using nlohmann::json;
  const auto named = [](const std::string& message, const std::string& part) {
    return message.find(part) != std::string::npos ? ::testing::AssertionSuccess()
                                                   : ::testing::AssertionFailure() << message;
  };
  EXPECT_TRUE(named(message_of("ntkk", json::object()), "model.kernel"));
  EXPECT_TRUE(named(message_of("ntk", {{"loss", "logistic"}}), "loss: model.kernel ntk is fitted to the square loss"));
  EXPECT_TRUE(named(message_of("ntk", {{"lambda", {0, 0, 0, 1}}}), "lambda: model.kernel ntk"));
  EXPECT_TRUE(named(message_of("ntk", {{"observables", {"movement"}}}), "observables: model.kernel ntk"));
  EXPECT_TRUE(named(message_of("ntk", {{"model", {{"start_deviation", 1}}}}), "model.start_deviation"));
  EXPECT_TRUE(named(message_of("ntk", {{"model", {{"whole_network", true}}}}), "model.whole_network"));
  EXPECT_TRUE(named(message_of("ntk_infinite", {{"model", {{"initialisation", "plain"}}}}), "model.initialisation"));
  EXPECT_TRUE(named(message_of("none", {{"model", {{"ridge", 1}}}}), "model.ridge: it is that of a regression"));
  EXPECT_THROW(measure_kernel(config("none"), c10::kCPU), InputError);
  EXPECT_THROW(make_model(make_problem(config("ntk"), c10::kCPU)), InputError);
  // A key that most configurations do not have is not written into theirs.
  EXPECT_FALSE(to_json(config("none"))["model"].contains("kernel"));
  EXPECT_EQ(to_json(config("ntk"))["model"]["kernel"], "ntk");
}

}  // namespace
}  // namespace entk::kernel_test
