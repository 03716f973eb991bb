// Configurations: layers, strictness, sweeps, and the memory that one will take.
#include "entk/config/run_config.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "entk/base/error.h"
#include "entk/config/config_layers.h"
#include "entk/runs/memory.h"
#include "entk/runs/sweep.h"
#include "tests/support/errors.h"
#include "tests/support/testing.h"

namespace entk::run_config_test {
namespace {

using nlohmann::json;
using testing::error_of;

TEST(ConfigLayers, LaterLayersReplaceValuesAndWholeNamedThings) {
  json base = {{"train", {{"steps", 1}, {"learning_rate", 2}}},
               {"model", {{"activation", {{"name", "sigmoid"}, {"shift", 1}}}}}};
  merge_over(base, {{"train", {{"steps", 5}}}, {"model", {{"activation", {{"name", "relu"}}}}}});
  EXPECT_EQ(base,
            json({{"train", {{"steps", 5}, {"learning_rate", 2}}}, {"model", {{"activation", {{"name", "relu"}}}}}}));
  set_at(base, "lambda", {0, 0, 0, 0});
  set_at(base, "lambda.3", 10);
  EXPECT_EQ(base["lambda"], json({0, 0, 10, 0}));
  EXPECT_EQ(value_at(base, "lambda.3"), 10);
  EXPECT_EQ(value_at(base, "lambda.5"), nullptr);
  EXPECT_EQ(value_at(base, "lambda.name"), nullptr);
  EXPECT_EQ(error_of([&] { set_at(base, "lambda.5", 1); }), "lambda.5: expected a number from 1 to 4 in place of '5'");
  set_at(base, "model.kind", "mlp");
  set_at(base, "model.kind.depth", 3);
  EXPECT_EQ(base["model"]["kind"], (nlohmann::json{{"name", "mlp"}, {"depth", 3}}));
  EXPECT_EQ(error_of([&] { set_at(base, "lambda.3.x", 1); }),
            "lambda.3.x: 'x' is inside a value that is no object and no list");
  EXPECT_EQ(differing_paths({{"a", {{"b", 1}}}, {"c", 2}}, {{"a", {{"b", 3}}}, {"c", 2}}),
            std::vector<std::string>{"a.b"});
}

TEST(ConfigLayers, OverridesAreJsonOrWords) {
  EXPECT_EQ(parse_override("a.b=1.5").value, json(1.5));
  EXPECT_EQ(parse_override("a=true").value, json(true));
  EXPECT_EQ(parse_override("a=cosine").value, json("cosine"));
  EXPECT_EQ(parse_override("a=[1,2]").value, json({1, 2}));
  EXPECT_EQ(parse_sweep("lambda.3=0,0.1,1").values, (std::vector<json>{0, 0.1, 1}));
  EXPECT_NE(error_of([] { parse_override("steps"); }).find("key=value"), std::string::npos);
  EXPECT_NE(error_of([] { parse_sweep("a=1,,2"); }).find("empty value"), std::string::npos);
}

TEST(RunConfig, EveryPresetReadsBackAsItself) {
  for (const auto& name : preset_names()) {
    const auto text = preset(name);
    if (!text.contains("train") || !text.contains("model") || !text["model"].contains("order"))
      continue;  // of another kind of study
    const auto config = read_study_config(text, name);
    const auto full = to_json(read_run_config(config.base, name));
    EXPECT_EQ(to_json(read_run_config(full, name)), full) << name;
    EXPECT_FALSE(plan_runs(config, name).empty()) << name;
  }
}

TEST(RunConfig, NothingIsConvertedAndEveryKeyMustBeKnown) {
  const auto message = [](const char* path, const json& value) {
    json config = json::object();
    set_at(config, path, value);
    return error_of([&] { read_run_config(config, "c.json"); });
  };
  EXPECT_EQ(message("train.stepz", 3), "c.json: train.stepz: unknown key; did you mean 'steps'?");
  for (const auto& value : std::vector<json>{1.9, -1, true, "10", nullptr}) {
    EXPECT_NE(message("train.steps", value).find("c.json: train.steps: expected an integer"), std::string::npos)
        << value;
  }
  for (const auto& value : std::vector<json>{0, -1, true, "1"}) {
    EXPECT_NE(message("train.learning_rate", value).find("train.learning_rate: expected a number above 0"),
              std::string::npos)
        << value;
  }
  EXPECT_NE(message("model.width", 7).find("even"), std::string::npos);
  EXPECT_NE(message("model.activation", {{"name", "sigmod"}}).find("did you mean sigmoid"), std::string::npos);
  EXPECT_NE(message("model.activation", {{"name", "relu"}, {"shift", 1}}).find("shift"), std::string::npos);
  EXPECT_NE(message("lambda", {0, 0, 1}).find("lambda"), std::string::npos);
  EXPECT_EQ(message("lambda", {0, 0, -1, 0}), "c.json: lambda.3: expected a finite number of at least 0, got -1");
  EXPECT_NE(message("loss", "squared").find("square"), std::string::npos);
  EXPECT_NE(message("data.target", {{"name", "figure1"}, {"degre", 2}}).find("degre"), std::string::npos);
}

TEST(RunConfig, NumbersBeyondItsTypeAreRefusedByTheirKey) {
  const auto refused = [](const json& keys, const std::string& dtype = "float32") {
    json config = keys;
    config["dtype"] = dtype;
    return error_of([&] { read_run_config(config, "c.json"); });
  };
  const auto of_type = [](const std::string& key, const std::string& got) {
    return "c.json: " + key + ": expected 0 or a size of 1.2e-38 to 3.4e+38, as float32 holds, got " + got;
  };
  EXPECT_EQ(refused({{"regularizers", {{"l1", 1e39}}}}), of_type("regularizers.l1", "1e+39"));
  EXPECT_EQ(refused({{"regularizers", {{"l1", {{"weight", 1e39}}}}}}), of_type("regularizers.l1.weight", "1e+39"));
  const json adam = {{"train", {{"update", {{"name", "adam"}, {"epsilon", 1e-50}}}}}};
  EXPECT_EQ(refused(adam), of_type("train.update.epsilon", "1e-50"));
  EXPECT_EQ(refused(adam, "float64"), "nothing thrown");
}

TEST(Study, NothingIsTakenTwiceAndSeedsAreNotSwept) {
  const auto refused = [](const json& study) { return error_of([&] { read_study_config(study, "c"); }); };
  EXPECT_NE(refused({{"seeds", {1, 11, 1}}}).find("seeds: expected each value once, got [1,11,1]"), std::string::npos);
  EXPECT_NE(refused({{"sweep", {{"lambda.3", {1, 1}}}}}).find("sweep of lambda.3: expected each value once"),
            std::string::npos);
  EXPECT_NE(refused({{"sweep", {{"seed", {1, 2}}}}}).find("--seeds 1,11"), std::string::npos);
}

TEST(Study, EveryCombinationOfSweptValuesAndSeedsHasANameOfItsOwn) {
  const auto study = read_study_config(
      {{"seeds", {1, 2}}, {"sweep", {{"lambda.3", {0, 10}}, {"train.noise_variance", {0, 0.5}}}}}, "c");
  const auto plan = plan_runs(study, "c");
  ASSERT_EQ(plan.size(), 8u);
  EXPECT_EQ(plan[1].name, "lambda.3=0,train.noise_variance=0,seed=2");
  EXPECT_EQ(plan[7].config.lambda, (std::vector<double>{0, 0, 10, 0}));
  EXPECT_EQ(plan[7].config.train.noise_variance, 0.5);
  EXPECT_NE(error_of([] { read_study_config({{"seeds", {1, -1}}}, "c"); }).find("seeds"), std::string::npos);
  const auto negative = error_of([] { plan_runs(read_study_config({{"sweep", {{"lambda.3", {0, -10}}}}}, "c"), "c"); });
  EXPECT_NE(negative.find("lambda.3: expected a finite number of at least 0, got -10"), std::string::npos) << negative;
}

TEST(Memory, OfABoundOnAddressesWhatIsNotTakenIsLeft) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::ifstream statm("/proc/self/statm");
    std::int64_t addresses = 0;
    statm >> addresses;
    addresses *= ::sysconf(_SC_PAGESIZE);
    constexpr std::int64_t left = 200000000;
    const auto bound = static_cast<rlim_t>(addresses + left);
    const rlimit limit{bound, bound};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(2);
    const std::int64_t more = memory_limit_bytes() - resident_bytes_now();
    ::_exit(more <= left && more >= left / 2 ? 0 : 1);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(Memory, WhatDoesNotFitIsRefusedWithTheKeysToChange) {
  RunConfig config;
  config.model.width = 100000000;
  config.data.samples = 1000000;
  const auto message = error_of([&] { check_memory(config, c10::kCPU); });
  for (const char* part : {"GB", "data.samples (1000000)", "model.width (100000000)"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace entk::run_config_test
