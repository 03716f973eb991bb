// Regularizers and observables by name, in a run's folder.
#include <torch/nn/modules/linear.h>

#include "entk/runs/sweep.h"
#include "entk/io/strict_json.h"
#include "tests/support/errors.h"
#include "tests/support/testing.h"

namespace entk::names_test {
namespace {

using nlohmann::json;
using testing::error_of;
using testing::TemporaryFolder;

json small(const json& over = json::object()) {
  json config = {{"model", {{"width", 12}}},   {"data", {{"dimension", 4}, {"samples", 15}, {"test_samples", 9}}},
                 {"projector", {{"rank", 5}}}, {"train", {{"steps", 8}, {"learning_rate", 0.3}}},
                 {"dtype", "float64"},         {"device", "cpu"}};
  merge_over(config, over);
  return config;
}

Catalogue with_own() {
  Catalogue own;
  own.regularizer(
      "quartic", "scale sum of W^4", {{"scale", 1.0, {.above = 0}}}, [](const Parameters& p, const Setting&) {
        return regularizer("other name", [scale = p["scale"]](const at::Tensor& w) { return scale * w.pow(4).sum(); });
      });
  own.observable("largest", "largest |W_rk|", {}, [](const Parameters&, const Setting&) {
    return observable("other name", [](const Observation& in) { return in.w.abs().max().item<double>(); });
  });
  return with_built_ins(own);
}

CsvTable take(const json& config, const std::filesystem::path& path, const Catalogue& names = with_own()) {
  ProblemCache cache;
  const auto outcome = take_run(read_run_config(config, "test", names),
                                std::filesystem::exists(path) ? RunFolder::open(path) : RunFolder::create(path), "run",
                                "test", cache, {});
  EXPECT_EQ(outcome.code, ExitCode::ok) << outcome.message;
  return read_csv(path / "metrics.csv");
}

TEST(Names, RegularizersAndObservablesAreColumnsByTheirNames) {
  const TemporaryFolder folder;
  const auto plain = take(small(), folder / "plain");
  EXPECT_EQ(plain.columns, metrics_columns());
  const auto table = take(small({{"regularizers", {{"weight_decay", 0.05}, {"quartic", {{"weight", 2}, {"scale", 3}}}}},
                                 {"observables", {"largest", "movement", "l1"}}}),
                          folder / "run");
  EXPECT_EQ(table.columns, metrics_columns({"quartic", "weight_decay", "l1", "largest", "movement_median",
                                            "movement_p99", "movement_max"}));
  // What is recorded fits together: ‖W‖², and L_λ as the sum of its parts.
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    const auto value = [&](const char* name) { return table.column(name)[i]; };
    EXPECT_NEAR(value("weight_decay"), std::pow(value("norm_W"), 2), 1e-12);
    EXPECT_NEAR(value("regularized_loss"), value("train_loss") + 0.05 * value("weight_decay") + 2 * value("quartic"),
                1e-12);
    EXPECT_GE(value("largest"), value("l1"));
  }
  EXPECT_GT(table.column("quartic").back(), 0);
  EXPECT_NE(table.column("train_loss").back(), plain.column("train_loss").back());  // they act
  const auto summary = load_json(folder / "run/summary.json");
  EXPECT_EQ(summary.at("largest"), table.column("largest").back());
}

TEST(Names, ObservablesAndTermsOfWeightZeroLeaveTheRunAlone) {
  const TemporaryFolder folder;
  const auto plain = take(small(), folder / "plain");
  const auto seen =
      take(small({{"observables", {"largest", "weight_decay", "shares", "kernel_drift", "alignment", "term_squares"}}}),
           folder / "seen");
  for (const auto& name : plain.columns) {
    if (name == "R1" || name == "R2" || name == "R3" || name == "R4") continue;
    EXPECT_EQ(seen.column(name), plain.column(name)) << name;
  }
  const auto checkpoint = [&](const char* run) { return read_pt(folder / run / "checkpoint.pt").at("W"); };
  EXPECT_TRUE(testing::identical(checkpoint("seen"), checkpoint("plain")));
  EXPECT_FALSE(load_json(folder / "plain/config.json").contains("regularizers"));
  EXPECT_FALSE(load_json(folder / "plain/config.json").contains("observables"));
}

TEST(Names, AResumedRunGivesTheBytesOfOneNeverStopped) {
  const TemporaryFolder folder;
  const json names = {{"regularizers", {{"quartic", 0.5}}}, {"observables", {"largest", "kernel_drift", "shares"}}};
  take(small(names), folder / "whole");
  auto first = small(names);
  first["train"]["steps"] = 4;
  take(first, folder / "parts");
  take(small(names), folder / "parts");
  EXPECT_EQ(testing::read_text(folder / "parts/metrics.csv"), testing::read_text(folder / "whole/metrics.csv"));
  EXPECT_TRUE(testing::identical(read_pt(folder / "parts/checkpoint.pt").at("W"),
                                 read_pt(folder / "whole/checkpoint.pt").at("W")));
}

TEST(Names, AModelIsMadeByTheMakerOfItsName) {
  // W0 with rows e_1, e_2, … in place of random ones, and a two-layer network of a torch of one's own.
  Catalogue own;
  own.model("axes", "W0's rows are axes", {{"length", 1.0, {.above = 0}}},
            [](const Parameters& p, const ModelSetting& s) {
              const auto options = at::TensorOptions(s.dtype);
              const auto rows = at::eye(s.dimension, options).repeat({s.width / s.dimension, 1}) * p["length"];
              const auto signs = at::ones({s.width / 2}, options);
              return torch::nn::AnyModule(Network(rows, at::cat({signs, -signs}), s.activation));
            });
  own.model("linear", "a torch::nn::Linear", {}, [](const Parameters&, const ModelSetting& s) {
    return torch::nn::AnyModule(torch::nn::Linear(s.dimension, 1));
  });
  const auto names = with_built_ins(own);
  const auto problem = [&](const json& kind) {
    return make_problem(read_run_config(small({{"model", {{"kind", kind}, {"width", 8}}}}), "c", names), c10::kCPU);
  };
  EXPECT_TRUE(at::equal(problem({{"name", "axes"}, {"length", 2}}).w0, 2 * at::eye(4, at::kDouble).repeat({2, 1})));
  EXPECT_TRUE(at::equal(problem("two_layer").w0,
                        make_problem(read_run_config(small({{"model", {{"width", 8}}}}), "c"), c10::kCPU).w0));
  EXPECT_FALSE(to_json(read_run_config(small(), "c")).at("model").contains("kind"));
  EXPECT_NE(error_of([&] { problem({{"name", "axes"}, {"length", 0}}); }).find("c: model.kind.length: expected"),
            std::string::npos);
  EXPECT_NE(error_of([&] { problem("axis"); })
                .find("model.kind: expected one of two_layer, mlp, convolutional, axes, "
                      "linear, got "
                      "\"axis\" (did you mean axes?)"),
            std::string::npos);
  EXPECT_EQ(problem("linear").module->displacement().numel(), 2 * (4 + 1));  // of a module, a pair
}

TEST(Names, ADataSourceGivesXAndYOrXAlone) {
  Catalogue own;
  // Rows of a grid from `from`, that of training below that of test points; y where it is asked for.
  own.data_source("grid", "consecutive numbers", {{"from", 0.0}, {"labelled", false}, {"rows", 0}},
                  [](const Parameters& p, const DataSetting& s) {
                    const auto rows = p.get<std::int64_t>("rows") > 0 ? p.get<std::int64_t>("rows") : s.samples;
                    const auto x = at::arange(rows * s.dimension, at::kFloat).view({rows, s.dimension}) + p["from"];
                    return Samples{x, p.get<bool>("labelled") ? x.select(1, 0) : at::Tensor()};
                  });
  own.data_source("seeds", "its seed in every entry", {}, [](const Parameters&, const DataSetting& s) {
    return Samples{at::full({s.samples, s.dimension}, static_cast<double>(s.seed % 1000003), at::kDouble), {}};
  });
  own.target("sum", "sum of x", {}, [](const Parameters&, const TargetSetting&) {
    return Target{"sum of x", [](const at::Tensor& x) { return x.sum(1); }, NAN};
  });
  const auto names = with_built_ins(own);
  const auto problem = [&](const json& source, const json& more = json::object()) {
    auto config = small({{"data", {{"source", source}, {"target", {{"name", "sum"}}}, {"unlabeled_samples", 3}}},
                         {"projector", {{"source", "none"}}}});
    merge_over(config, more);
    return make_problem(read_run_config(config, "c", names), c10::kCPU);
  };
  const auto x = at::arange(60, at::kDouble).view({15, 4});
  const auto alone = problem("grid");
  EXPECT_TRUE(at::equal(alone.data.train.x, x));
  EXPECT_TRUE(at::equal(alone.data.train.y, x.sum(1)));
  EXPECT_TRUE(at::equal(alone.data.test.y, x.narrow(0, 0, 9).sum(1)));
  EXPECT_EQ(alone.data.unlabeled.size(0), 3);
  const auto both = problem({{"name", "grid"}, {"labelled", true}, {"from", 2}});
  EXPECT_TRUE(at::equal(both.data.train.y, x.select(1, 0) + 2));
  EXPECT_NE(
      std::find(both.notices.begin(), both.notices.end(), "data source grid: y is its own; data.target has no effect"),
      both.notices.end());
  // Every sample and every seed of a run has a seed of its own.
  const auto one = problem("seeds"), other = problem("seeds", {{"seed", 2}});
  std::set<double> seeds;
  for (const auto* p : {&one, &other}) {
    for (const auto& t : {p->data.train.x, p->data.test.x, p->data.unlabeled}) seeds.insert(t[0][0].item<double>());
  }
  EXPECT_EQ(seeds.size(), 6u);
  EXPECT_NE(error_of([&] { problem({{"name", "grid"}, {"rows", 3}}); }).find("X of the data source"),
            std::string::npos);
  EXPECT_NE(
      error_of([&] { problem("gird"); })
          .find("c: data.source: expected one of sphere, gaussian, hypercube, file, images, grid, seeds, got \"gird\" "
                "(did you mean grid?)"),
      std::string::npos);
  const auto corners = problem("hypercube").data.train.x;
  EXPECT_TRUE(at::equal(corners.abs(), at::ones({15, 4}, at::kDouble)));
  EXPECT_LT(std::abs(corners.mean().item<double>()), 0.5);
  // R1 on fresh inputs of a source of one's own.
  const TemporaryFolder folder;
  take(small({{"data", {{"source", "hypercube"}}},
              {"r1", {{"points", "fresh"}, {"samples", 5}}},
              {"lambda", {1, 0, 0, 0}}}),
       folder / "fresh");
}

TEST(Names, WhatHasNoDefaultIsGivenAsItIs) {
  const TemporaryFolder folder;
  const auto table =
      take(small({{"observables", {{{"name", "alignment"}, {"directions", {{1, 0, 0, 0}, {0, 1, 0, 0}}}}}}}),
           folder / "run");
  EXPECT_EQ(table.columns, metrics_columns({"alignment_1", "alignment_2"}));
}

TEST(Names, AWeightIsSweptByItsPath) {
  const auto study =
      read_study_config(small({{"sweep", {{"regularizers.quartic", {0, 0.1}}}}, {"seeds", {1, 2}}}), "c", with_own());
  const auto plan = plan_runs(study, "c");
  ASSERT_EQ(plan.size(), 4u);
  EXPECT_EQ(plan[3].name, "regularizers.quartic=0.1,seed=2");
  EXPECT_EQ(plan[3].config.regularizers.written, json({{"quartic", 0.1}}));
  const auto within = read_study_config(
      small({{"regularizers", {{"quartic", {{"weight", 1}}}}}, {"sweep", {{"regularizers.quartic.scale", {1, 2}}}}}),
      "c", with_own());
  EXPECT_EQ(plan_runs(within, "c")[1].config.regularizers.written["quartic"]["scale"], 2);
}

TEST(Names, WhatIsWrongIsSaidBeforeAnyWork) {
  const auto refused = [](const json& over) {
    return error_of([&] { read_run_config(small(over), "c.json", with_own()); });
  };
  const auto unknown = refused({{"regularizers", {{"qartic", 1}}}});
  EXPECT_NE(
      unknown.find(
          "c.json: regularizers.qartic: there is no regularizer of this name (did you mean quartic?); there are "),
      std::string::npos)
      << unknown;
  EXPECT_EQ(refused({{"regularizers", {{"quartic", -1}}}}),
            "c.json: regularizers.quartic: expected a number of at least 0, got -1");
  EXPECT_EQ(refused({{"regularizers", {{"quartic", {{"scale", 1}}}}}}),
            "c.json: regularizers.quartic.weight: missing, expected a number of at least 0");
  EXPECT_EQ(refused({{"regularizers", {{"quartic", {{"weight", 1}, {"scale", 0}}}}}}),
            "c.json: regularizers.quartic.scale: expected a number above 0, got 0");
  EXPECT_EQ(refused({{"regularizers", {{"quartic", {{"weight", 1}, {"scael", 1}}}}}}),
            "c.json: regularizers.quartic.scael: unknown key; did you mean 'scale'?");
  EXPECT_NE(refused({{"observables", {"largets"}}}).find("got \"largets\" (did you mean largest?)"), std::string::npos);
  EXPECT_EQ(refused({{"observables", {"largest", "largest"}}}), "c.json: observables: largest is there twice");
  EXPECT_EQ(refused({{"regularizers", {{"quartic", 1}}}, {"observables", {"quartic"}}}),
            "c.json: observables: quartic is a column already, among regularizers");
  EXPECT_NE(error_of([] { metrics_columns({"R3"}); }).find("R3: two quantities of this name"), std::string::npos);
}

TEST(Names, ASchedulesKeysAreThoseOfBeforeWithTheirDefaults) {
  const auto schedule = [](const json& value, const Catalogue& names = built_in_catalogue()) {
    return to_json(read_run_config(small({{"train", {{"schedule", value}}}}), "c", names))["train"]["schedule"];
  };
  EXPECT_EQ(to_json(RunConfig{})["train"]["schedule"], json({{"name", "constant"}, {"horizon", 20000}}));
  EXPECT_EQ(schedule({{"name", "cosine"}}), json({{"name", "cosine"}, {"horizon", 20000}}));
  EXPECT_EQ(schedule({{"horizon", 7}}), json({{"name", "constant"}, {"horizon", 7}}));
  EXPECT_NE(error_of([&] { schedule({{"name", "cosin"}}); })
                .find("c: train.schedule.name: expected one of constant, cosine, decay, "
                      "got \"cosin\" (did you mean cosine?)"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              schedule({{"name", "cosine"}, {"horizon", 0}});
            }).find("c: train.schedule.horizon: expected an integer"),
            std::string::npos);
  Catalogue own;
  own.schedule("halves", "2^(-t)", {{"base", 2.0}}, [](const Parameters& p) {
    return entk::schedule([base = p["base"]](std::int64_t t) { return std::pow(base, -static_cast<double>(t)); });
  });
  EXPECT_EQ(schedule({{"name", "halves"}}, with_built_ins(own)), json({{"name", "halves"}, {"base", 2.0}}));
}

TEST(Names, ATolerantCatalogueReadsWhatAnotherProgramMade) {
  const json others = small({{"model", {{"activation", {{"name", "sine"}, {"frequency", 2}}}}},
                             {"data", {{"target", {{"name", "bump"}}}}},
                             {"loss", "absolute"},
                             {"regularizers", {{"group_lasso", 1}}},
                             {"observables", {"sparsity"}}});
  EXPECT_NE(error_of([&] { read_run_config(others, "c"); }).find("sine"), std::string::npos);
  EXPECT_EQ(error_of([&] { read_run_config(others, "c", built_in_catalogue().tolerant()); }), "nothing thrown");
}

}  // namespace
}  // namespace entk::names_test
