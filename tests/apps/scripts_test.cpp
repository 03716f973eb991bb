// The snippets of docs/scripts.md, compiled and tried, and the README's program, compiled.
// Documentation.SnippetsAreThoseThatAreCompiled holds them together.
#include <cstdio>
#include <iostream>
#include <sstream>

#include <entk/entk.h>

#include <torch/optim/adam.h>

#include "entk/io/csv.h"
#include "tests/support/testing.h"

namespace readme {

int main() {
  const auto target = entk::figure1_target(100, entk::InputLaw::sphere, /*seed=*/1);
  const auto data = entk::sphere_data({.dimension = 100, .samples = 1000}, target);
  const entk::Network network(entk::NetworkOptions{.dimension = 100, .width = 10000, .activation = entk::sigmoid(1.0)});
  const entk::TaylorModel model(network);  // f_L + f_Q, a torch::nn module
  const auto sigma = entk::SigmaProjector::from_features(network, data.train.x, /*rank=*/101);
  const auto objective = entk::square_loss() + 10.0 * entk::R3(sigma) +
                         0.1 * entk::regularizer("l1", [](const at::Tensor& w) { return w.abs().mean(); });
  const auto result = entk::Trainer(model, objective, {.steps = 2000}).fit(data, entk::pick_device("auto"));
  std::printf("test loss %.3f\n", result.last.test_loss);
  return 0;
}

}  // namespace readme

namespace entk::scripts_test {
namespace {

/// What the page begins with.
struct Scripts : ::testing::Test {
  const entk::Target target = entk::figure1_target(/*dimension=*/20, entk::InputLaw::sphere, /*seed=*/1);
  const entk::DataSet data =
      entk::sphere_data({.dimension = 20, .samples = 150, .test_samples = 500}, target).to(at::kCPU, at::kFloat);
  const entk::Network network{entk::NetworkOptions{.dimension = 20, .width = 400}};
  entk::TaylorModel model{network};
  const entk::SigmaProjector sigma = entk::SigmaProjector::from_features(network, data.train.x, /*rank=*/21);
};

TEST_F(Scripts, ThePagesBeginning) {
  const auto target = entk::figure1_target(/*dimension=*/20, entk::InputLaw::sphere, /*seed=*/1);
  const auto data =
      entk::sphere_data({.dimension = 20, .samples = 150, .test_samples = 500}, target).to(at::kCPU, at::kFloat);
  const entk::Network network(entk::NetworkOptions{.dimension = 20, .width = 400});
  entk::TaylorModel model(network);
  const auto sigma = entk::SigmaProjector::from_features(network, data.train.x, /*rank=*/21);
  EXPECT_EQ(sigma.rank(), this->sigma.rank());
  EXPECT_TRUE(entk::testing::identical(model->forward(data.test.x), this->model->forward(this->data.test.x)));
}

TEST_F(Scripts, ALoopWithAnOptimizerOfTorch) {
  torch::optim::Adam optimizer(model->parameters(), torch::optim::AdamOptions(/*lr=*/0.02));
  for (int step = 0; step < 100; ++step) {
    optimizer.zero_grad();
    const auto terms = model->terms(data.train.x);            // rows f_L and f_Q
    const auto r3 = sigma.high(terms[0]).square().mean();     // R3, by hand
    const auto fit = (terms.sum(0) - data.train.y).square();  // f(·;0) = 0 for the symmetric start
    (fit.mean() + 10.0 * r3).backward();
    optimizer.step();
  }
  const auto test_loss = (model->forward(data.test.x) - data.test.y).square().mean().item<double>();
  EXPECT_LT(test_loss, 0.8);
}

TEST_F(Scripts, ALoopByTheKernels) {
  const auto objective = entk::square_loss() + 10.0 * entk::R3(sigma);
  const entk::BoundObjective bound(model, objective, data.train, {});
  const auto w = model->network->w.detach();  // the same memory
  for (int step = 0; step < 100; ++step) {
    const auto evaluation = bound.evaluate(bound.primitive()->terms(w), w);
    w.sub_(bound.gradient(w, evaluation), /*alpha=*/0.3);
  }
  const entk::Network other(entk::NetworkOptions{.dimension = 20, .width = 400});
  entk::Trainer(entk::TaylorModel(other), objective, {.learning_rate = 0.3, .steps = 100}).fit(data);
  EXPECT_TRUE(entk::testing::close(w, other->w, 1e-5));

  const entk::ObjectiveHessian hessian(bound, w);
  const auto found = entk::landscape(hessian, w.sizes(), w.options(), {.max_iterations = 40});
  std::cout << "|gradient| = " << found.gradient_norm << "; " << found.statement << "\n";
  EXPECT_GT(found.gradient_norm, 0);
  EXPECT_FALSE(found.statement.empty());
}

TEST_F(Scripts, DerivativesOfOnesOwn) {
  const auto points = data.test.x.slice(0, 0, 10).clone().requires_grad_(true);
  const auto output = model->forward(points).sum() + model->network->w.square().sum();
  const auto by_points = torch::autograd::grad({output}, {points}, {}, true, /*create_graph=*/true)[0];  // 10×20
  const auto primitive = entk::make_primitive(*network, data.test.x);
  const auto by_kernels = entk::taylor_terms(primitive, network->w);  // 2×500, differentiable in W
  EXPECT_EQ(by_points.sizes(), (std::vector<std::int64_t>{10, 20}));
  EXPECT_TRUE(entk::testing::identical(by_kernels, model->terms(data.test.x)));
}

TEST_F(Scripts, CallbacksAndTermsOfWeightZero) {
  const auto objective = entk::square_loss() + 10.0 * entk::R3(sigma) + 0.0 * entk::R4();
  std::vector<double> steps, losses;
  entk::TrainerHooks hooks;
  hooks.observables = {entk::observable(
      "largest |w_r|", [](const entk::Observation& in) { return in.w.norm(2, 1).max().item<double>(); })};
  hooks.on_record = [&](const entk::Record& record, const entk::Timing&) {
    steps.push_back(static_cast<double>(record.step));
    losses.push_back(record.test_loss);
    return record.test_loss > 0.7;  // false ends the run
  };
  const auto result = entk::Trainer(model, objective, {.learning_rate = 0.3, .steps = 2000}, hooks).fit(data);
  std::cout << "step " << result.step << ": R4 = " << result.last.terms[1]
            << ", largest |w_r| = " << result.last.observables[0] << "\n";
  EXPECT_EQ(result.outcome, entk::TrainOutcome::stopped);
  EXPECT_LT(result.step, 2000);
  EXPECT_LE(losses.back(), 0.7);
  EXPECT_GT(result.last.terms[1], 0);

  const entk::testing::TemporaryFolder temporary;
  const auto folder = temporary.path();
  entk::Figure figure;
  figure.panels = {{.x = {.label = "step", .logarithmic = true},
                    .y = {.label = "test loss"},
                    .series = {{.label = "with R3", .x = steps, .y = losses}}}};
  const auto files = entk::write_figure(folder, "losses", figure);  // losses.svg, .png, .pdf, .dat, .gp
  entk::HtmlPage page("Does R3 help?");
  page.figure(files, "Test loss along training.");
  page.table({.title = "", .columns = {"step", "test loss"}, .rows = {{result.last.step, result.last.test_loss}}});
  std::ofstream(folder / "report.html") << page.str();
  EXPECT_NE(entk::testing::read_text(folder / "report.html").find("Does R3 help?"), std::string::npos);
}

TEST_F(Scripts, CheckpointsAndResuming) {
  const auto objective = entk::square_loss() + 10.0 * entk::R3(sigma);
  const entk::testing::TemporaryFolder temporary;
  const auto folder = temporary.path();
  {
    const entk::DescentOptions descent{.learning_rate = 0.3, .steps = 60, .noise_variance = 0.01};
    entk::TrainerHooks hooks{.checkpoint_seconds = 30};
    hooks.on_checkpoint = [&](const entk::TrainState& state) {
      entk::write_checkpoint(folder, {{"W", state.w}, {"step", at::scalar_tensor(state.step, at::kLong)}});
    };
    entk::Trainer(model, objective, descent, hooks).fit(data);
  }
  const entk::Network network(entk::NetworkOptions{.dimension = 20, .width = 400});
  entk::TaylorModel model(network);
  {
    const auto saved = entk::read_checkpoint(folder).tensors;  // the one before where the last is damaged
    const entk::DescentOptions descent{.learning_rate = 0.3, .steps = 100, .noise_variance = 0.01};
    const entk::TrainState from{.step = saved.at("step").item<std::int64_t>(), .w = saved.at("W")};
    entk::Trainer(model, objective, descent).fit(data, c10::kCPU, from);
  }
  const entk::Network unbroken(entk::NetworkOptions{.dimension = 20, .width = 400});
  entk::Trainer(entk::TaylorModel(unbroken), objective, {.learning_rate = 0.3, .steps = 100, .noise_variance = 0.01})
      .fit(data);
  EXPECT_TRUE(entk::testing::identical(network->w.detach(), unbroken->w.detach()));

  entk::save_model(folder / "model.pt", model);
  auto again = entk::load_model(folder / "model.pt", entk::sigmoid(1.0));
  entk::write_pt(folder / "outputs.pt", {{"x", data.test.x}, {"f", model->forward(data.test.x).detach()}});
  EXPECT_TRUE(entk::testing::identical(again->forward(data.test.x), entk::read_pt(folder / "outputs.pt").at("f")));
}

TEST_F(Scripts, AFolderAsTheCommandLeavesIt) {
  const entk::testing::TemporaryFolder temporary;
  const auto folder = temporary.path();
  const auto config = entk::read_run_config({{"model", {{"width", 200}}},
                                             {"data", {{"dimension", 10}, {"samples", 50}, {"test_samples", 50}}},
                                             {"train", {{"steps", 50}}}},
                                            "my script");
  const entk::OwnObjective own{"square loss + 0.1 mean |W|", [](const entk::Problem&, const entk::TaylorModel&) {
                                 const auto l1 = [](const at::Tensor& w) { return w.abs().mean(); };
                                 return entk::square_loss() + 0.1 * entk::regularizer("mean_abs", l1);
                               }};
  const auto outcome = entk::take_run(config, folder / "run", own);
  ASSERT_EQ(outcome.code, entk::ExitCode::ok) << outcome.message;
  const auto page = entk::testing::read_text(folder / "run/report.html");
  for (const char* part : {"mean_abs", "square loss + 0.1 mean |W|"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
}

int study_of_ones_own(int argc, char** argv) {
  const auto findings = [](const entk::RunsSoFar& runs) {
    entk::Findings found{.table = {"Final values", {"width", "test loss"}, {}}};
    entk::Series curve{.label = "test loss", .style = entk::SeriesStyle::line_points};
    for (const auto& c : runs.curves) {
      if (!entk::has_runs(c)) continue;                      // none is finished
      const auto loss = entk::last_summary(c, "test_loss");  // mean and standard deviation over seeds
      found.table.rows.push_back({c.swept[0].get<double>(), loss});
      curve.x.push_back(c.swept[0].get<double>());
      curve.y.push_back(loss.value);
    }
    entk::Figure figure;
    figure.panels = {{.x = {"width", true}, .y = {"test loss", true}, .series = {curve}}};
    found.figures = {{"widths", figure, "Final test loss over the width."}};
    return found;
  };
  const nlohmann::json quick = {{"data", {{"dimension", 10}, {"samples", 50}, {"test_samples", 100}}},
                                {"train", {{"steps", 50}}},
                                {"seeds", {1, 2}},
                                {"sweep", {{"model.width", {20, 80}}}}};
  entk::Own own;
  own.study(entk::runs_study(
      {.name = "widths", .summary = "Test loss over the width", .title = "Widths", .presets = {{"quick", quick}}},
      findings));
  return entk::run_program(argc, argv, own);  // ./mine widths --seeds 1,2,3 --out widths; widths/report.html
}

TEST(Studies, AStudyAndPageOfOnesOwn) {
  const entk::testing::TemporaryFolder temporary;
  const auto folder = temporary.path() / "widths";
  std::vector<std::string> words = {"mine", "widths", "--quiet", "--out", folder.string()};
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  ASSERT_EQ(study_of_ones_own(static_cast<int>(argv.size()), argv.data()), 0);
  const auto table = entk::read_csv(folder / "results.csv");
  EXPECT_EQ(table.column("width"), (std::vector<double>{20, 80}));
  for (const char* seed : {"1", "2"}) {
    for (const char* width : {"20", "80"}) {
      const auto run = std::string("model.width=") + width + ",seed=" + seed;
      EXPECT_TRUE(std::filesystem::exists(folder / "runs" / run / "metrics.csv")) << run;
    }
  }
  EXPECT_NE(entk::testing::read_text(folder / "report.html").find("Final test loss over the width."),
            std::string::npos);
}

}  // namespace
}  // namespace entk::scripts_test
