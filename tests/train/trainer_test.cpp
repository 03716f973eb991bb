#include "entk/train/trainer.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "entk/base/error.h"
#include "entk/base/sphere.h"
#include "entk/base/philox.h"
#include "entk/kernels/noise.h"
#include "entk/kernels/reference.h"
#include "entk/kernels/shard.h"
#include "entk/regularizers/regularizers.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/testing.h"

namespace entk::trainer_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

DataSet small_data(std::int64_t d = 8, std::int64_t n = 60) {
  return sphere_data({.dimension = d, .samples = n, .test_samples = 100, .seed = 1},
                     figure1_target(d, InputLaw::sphere, 1));
}

Network small_network(torch::ScalarType type = torch::kFloat32, std::int64_t d = 8, std::int64_t m = 200) {
  return Network(NetworkOptions{.dimension = d, .width = m, .seed = 2, .dtype = type});
}

struct Fitted {
  TrainResult result;
  torch::Tensor w;
};

Fitted fit(const DescentOptions& descent, const TrainerHooks& hooks = {}, const KernelOptions& kernel = {},
           torch::ScalarType type = torch::kFloat32) {
  auto network = small_network(type);
  const auto data = small_data();
  const auto sigma = SigmaProjector::from_features(network, data.train.x, 9);
  TaylorModel model(network);
  auto result = Trainer(model, square_loss() + R3(sigma), descent, hooks, kernel).fit(data);
  return {std::move(result), network->w.detach().clone()};
}

TEST(Trainer, TakesTheStepsOfEquationTwentyOne) {
  // By hand in float64: the naive terms, ordinary autograd, and the noise of the same counters.
  const auto data = small_data();
  auto network = small_network(torch::kFloat64);
  const auto sigma = SigmaProjector::from_features(network, data.train.x, 9);
  auto w = torch::zeros_like(network->w);
  for (std::uint32_t step = 0; step < 20; ++step) {
    w = w.detach().requires_grad_(true);
    const auto t = reference_terms(data.train.x, network->w0, network->a, network->activation(), w, 2);
    const auto loss =
        (t[0] + t[1] - data.train.y).square().mean() + 2.0 * sigma.high(t[0]).square().mean() + 0.01 * w.abs().mean();
    const auto gradient = torch::autograd::grad({loss}, {w})[0];
    const auto noise = kernels::noise_like(w, {5, step, std::sqrt(0.5 / w.numel())});
    w = w.detach() - 0.3 * (gradient + noise);
  }
  TaylorModel model(network);
  const auto objective =
      square_loss() + 2.0 * R3(sigma) + 0.01 * regularizer("l1", [](const torch::Tensor& v) { return v.abs().mean(); });
  for (auto kernel : {KernelMode::keep, KernelMode::recompute, KernelMode::reference}) {
    {
      const torch::NoGradGuard no_grad;
      network->w.zero_();
    }
    const DescentOptions descent{.learning_rate = 0.3, .steps = 20, .noise_variance = 0.5, .seed = 5};
    const auto result = Trainer(model, objective, descent, {}, {.mode = kernel}).fit(data);
    EXPECT_TRUE(close(network->w, w, 1e-11)) << static_cast<int>(kernel);
    EXPECT_EQ(result.step, 20);
    EXPECT_EQ(result.outcome, TrainOutcome::finished);
  }
}

std::string refusal_of(const Objective& objective, std::int64_t steps = 3) {
  try {
    Trainer(TaylorModel(small_network()), objective, {.steps = steps}).fit(small_data());
  } catch (const InputError& e) {
    return e.what();
  }
  return "nothing thrown";
}

TEST(Trainer, ATermOrLossWithoutAGradientIsRefusedByName) {
  using Tensor = torch::Tensor;
  const std::vector<std::pair<const char*, Term>> terms = {
      {"detached", regularizer("detached", [](const Tensor& w) { return w.detach().square().sum(); })},
      {"integer", regularizer("integer", [](const Tensor& w) { return w.count_nonzero(); })},
      {"comparison",
       regularizer("comparison", [](const Tensor& w) { return (w.abs() > 0.1).to(w.scalar_type()).sum(); })},
      {"outputs",
       vector_regularizer("outputs", [](const TermInputs& in) { return in.output.detach().square().mean(); })},
      {"not read", vector_regularizer("not read", [](const TermInputs& in) { return in.w.square().sum(); })},
      {"model", model_regularizer("model", [](TaylorModelImpl& model) { return model.network->w0.square().sum(); })}};
  for (const auto& [name, term] : terms) {
    const auto text = refusal_of(square_loss() + 0.1 * term);
    EXPECT_EQ(text.find(std::string(name) + ": it has no gradient"), 0U) << text;
    EXPECT_EQ(refusal_of(square_loss() + 0.0 * term), "nothing thrown") << "of weight 0";
  }
  const auto text = refusal_of(
      Loss{"accuracy", [](const Tensor& f, const Tensor& y) { return f.sign().ne(y).to(at::kFloat).mean(); }});
  EXPECT_EQ(text.find("loss accuracy: it has no gradient"), 0U) << text;
}

TEST(Trainer, AGradientThatIsNotFiniteAtTheFirstStepNamesItsTerm) {
  const auto lasso = regularizer("group lasso", [](const torch::Tensor& w) { return w.square().sum(1).sqrt().sum(); });
  const auto text = refusal_of(square_loss() + 0.1 * lasso);
  EXPECT_EQ(text.find("group lasso: its value at the first W, 0, is 0, but its gradient is not finite"), 0U) << text;
  const Loss root{"root", [](const torch::Tensor& f, const torch::Tensor&) { return f.abs().sum().sqrt(); }};
  EXPECT_EQ(refusal_of(root).find("the loss root: its value at the first W"), 0U) << refusal_of(root);
}

TEST(Trainer, AGradientThatIsExactlyZeroAtTheFirstStepIsTold) {
  const auto notices = [](TaylorModel model, const Objective& objective) {
    return Trainer(model, objective, {.steps = 3}).fit(small_data()).notices;
  };
  const auto sigma = SigmaProjector::from_features(small_network(), small_data().train.x, 9);
  const auto paper = square_loss() + 1.0 * R1(sigma) + 1.0 * R2(sigma) + 1.0 * R3(sigma);
  EXPECT_EQ(notices(TaylorModel(small_network()), paper), std::vector<std::string>{})
      << "R1 to R3 are flat at W = 0 by their form";
  const auto rounded = regularizer("rounded", [](const torch::Tensor& w) { return w.round().square().sum(); });
  EXPECT_EQ(notices(TaylorModel(small_network()), square_loss() + 0.1 * rounded),
            std::vector<std::string>{"rounded: its gradient at the first W, 0, is exactly 0"});
  // f_Q alone has no slope at W = 0.
  const auto still = notices(TaylorModel(small_network(), TaylorModelOptions{.linear_term = false}), square_loss());
  ASSERT_EQ(still.size(), 2U);
  EXPECT_EQ(still[0], "the loss square: its gradient at the first W, 0, is exactly 0");
  EXPECT_EQ(still[1].find("the gradient of the whole objective is exactly 0"), 0U);
}

TEST(Trainer, AQuadraticTermThatVanishesIsTold) {
  const Network network(NetworkOptions{.dimension = 8, .width = 200, .activation = relu(), .seed = 2});
  const auto result = Trainer(TaylorModel(network), square_loss(), {.steps = 1}).fit(small_data());
  ASSERT_EQ(result.notices.size(), 1U);
  EXPECT_EQ(result.notices[0].find("f_Q of relu(z) on these inputs: 0 for every W"), 0U);
}

TEST(Trainer, AGradientPenaltyThroughTheModelIsTrainedByHand) {
  // E_n ‖∇_x f‖² with f = f_L + f_Q written out: ∇_x f = m^(-1/2) Σ_r a_r [(σ''z + σ'''z²/2) w0_r + (σ' + σ''z) w_r].
  auto data = small_data();
  auto network = small_network(torch::kFloat64, 8, 40);
  const auto penalty = [&](const torch::Tensor& w, const torch::Tensor& x) {
    const auto z0 = x.mm(network->w0.t()), z = x.mm(w.t()), scale = network->a / std::sqrt(40.0);
    const auto s = [&](int order) { return network->activation().derivative(z0, order); };
    const auto slope = (scale * (s(2) * z + s(3) * z * z / 2)).mm(network->w0) + (scale * (s(1) + s(2) * z)).mm(w);
    return slope.square().sum(1).mean();
  };
  auto w = torch::zeros_like(network->w);
  torch::Tensor value;
  for (int step = 0; step <= 10; ++step) {
    w = w.detach().requires_grad_(true);
    value = penalty(w, data.train.x);
    const auto t = reference_terms(data.train.x, network->w0, network->a, network->activation(), w, 2);
    const auto loss = (t[0] + t[1] - data.train.y).square().mean() + 0.1 * value;
    if (step < 10) w = w.detach() - 0.3 * torch::autograd::grad({loss}, {w})[0];
  }
  data.train.x.requires_grad_(true);  // as a user may well do: the run's own points are fixed all the same
  const auto term = model_regularizer("steepness", [x = data.train.x](TaylorModelImpl& model) {
    return torch::autograd::grad({model.forward(x).sum()}, {x}, {}, true, true)[0].square().sum(1).mean();
  });
  TaylorModel model(network);
  const auto result = Trainer(model, square_loss() + 0.1 * term, {.learning_rate = 0.3, .steps = 10}).fit(data);
  EXPECT_TRUE(close(network->w, w, 1e-11));
  EXPECT_NEAR(result.last.terms[0], value.item<double>(), 1e-12);
  // And where its gradient is not asked for.
  {
    const torch::NoGradGuard no_grad;
    network->w.zero_();
  }
  const auto unweighted = Trainer(model, square_loss() + 0.0 * term, {.learning_rate = 0.3, .steps = 10}).fit(data);
  EXPECT_NEAR(unweighted.last.terms[0], penalty(network->w, data.train.x.detach()).item<double>(), 1e-12);
}

TEST(Trainer, TakesTheSameStepsInInferenceModeAndWithoutGrad) {
  const auto own = activation("logistic", [](const torch::Tensor& z) { return 1 / (1 + (1 - z).exp()); });
  const ThreadCount threads(3);
  for (const bool whole : {false, true}) {
    const auto trained = [&](const DataSet& data) {
      std::optional<c10::InferenceMode> outside(std::in_place, false);
      Network network(NetworkOptions{.dimension = 8, .width = 400, .activation = own, .dtype = torch::kFloat64});
      outside.reset();
      const auto penalty = model_regularizer("penalty", [x = data.train.x](TaylorModelImpl& model) {
        const auto points = x.clone().requires_grad_(true);
        return torch::autograd::grad({model.forward(points).sum()}, {points}, {}, true, true)[0].square().mean();
      });
      const auto l1 = regularizer("l1", [](const torch::Tensor& w) { return w.abs().mean(); });
      TaylorModel model(network, TaylorModelOptions{.whole_network = whole});
      const auto result =
          Trainer(model, square_loss() + 0.1 * l1 + 0.1 * penalty, {.learning_rate = 0.3, .steps = 4}).fit(data);
      EXPECT_EQ(result.outcome, TrainOutcome::finished);
      return network->w.detach();
    };
    const auto data = small_data();
    const auto want = trained(data);
    {
      const torch::NoGradGuard no_grad;
      EXPECT_TRUE(identical(trained(data), want));
    }
    const c10::InferenceMode inference;
    EXPECT_TRUE(identical(trained(data), want));
    const auto made_here = small_data();
    EXPECT_TRUE(made_here.train.y.is_inference());
    EXPECT_TRUE(identical(trained(made_here), want));
  }
  const c10::InferenceMode inference;
  EXPECT_THROW(Trainer(TaylorModel(small_network()), square_loss(), {.steps = 1}).fit(small_data()), InputError);
}

TEST(Trainer, ARegularizerOfWMayDifferentiateInside) {
  // ‖∇_W mean W⁴‖² = Σ (4W³/md)².
  auto network = small_network(torch::kFloat64, 8, 40);
  const auto term = regularizer("own", [](const torch::Tensor& w) {
    return torch::autograd::grad({w.pow(4).mean()}, {w}, {}, true, true)[0].square().sum();
  });
  const auto result =
      Trainer(TaylorModel(network), square_loss() + 0.1 * term, {.learning_rate = 0.3, .steps = 3}).fit(small_data());
  EXPECT_NEAR(result.last.terms[0], (4 * network->w.pow(3) / 320).square().sum().item<double>(), 1e-20);
}

TEST(Trainer, RandomSignsAreDescentOnWAtRandomlySignedW) {
  // Bai and Lee's form: W ← W − η ∇_W L(S_t W) with fresh signs; the run holds S W.
  const auto data = small_data();
  auto network = small_network(torch::kFloat64);
  const auto start = 0.05 * random_matrix(network->width(), network->dimension(), 4);
  const auto signs_at = [&](std::uint32_t step) {
    auto signs = torch::empty({network->width(), 1}, torch::kFloat64);
    const RandomStream stream(Purpose::signs, 5, step);
    for (std::int64_t r = 0; r < network->width(); ++r) signs[r][0] = stream.sign(r);
    return signs;
  };
  auto w = start.clone(), s = torch::ones({network->width(), 1}, torch::kFloat64);
  for (std::uint32_t step = 4; step < 16; ++step) {  // signs are those of the step, not of the run
    w = w.detach().requires_grad_(true);
    const auto t = reference_terms(data.train.x, network->w0, network->a, network->activation(), s * w, 2);
    const auto loss = (t[0] + t[1] - data.train.y).square().mean();
    w = w.detach() - 0.3 * torch::autograd::grad({loss}, {w})[0];
    s = s * signs_at(step);
  }
  {
    const torch::NoGradGuard no_grad;
    network->w.copy_(start);
  }
  Trainer(TaylorModel(network), square_loss(), {.learning_rate = 0.3, .steps = 16, .random_signs = true, .seed = 5})
      .fit(data, c10::kCPU, {.step = 4});
  EXPECT_TRUE(close(network->w, s * w, 1e-11));
}

TEST(Trainer, FollowsNaiveAutogradForAThousandStepsWithinFloat32sBounds) {
  // Figure 1 scaled down is not chaotic: after 1000 float32 steps W is within 1e-4 of float64's, the
  // test loss within 2e-6 and the training loss within 1e-6 of the initial one.
  const auto single = fit({.steps = 1000}),
             twice = fit({.steps = 1000}, {}, {.mode = KernelMode::reference}, torch::kFloat64);
  EXPECT_TRUE(close(single.w, twice.w, 1e-4));
  const double initial = twice.result.records[0].train_loss;
  for (std::size_t i = 0; i < twice.result.records.size(); ++i) {
    EXPECT_NEAR(single.result.records[i].test_loss, twice.result.records[i].test_loss,
                2e-6 * twice.result.records[i].test_loss);
    EXPECT_NEAR(single.result.records[i].train_loss, twice.result.records[i].train_loss, 1e-6 * initial);
  }
}

void expect_equal(const Record& a, const Record& b) {
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.train_loss, b.train_loss);
  EXPECT_EQ(a.test_loss, b.test_loss);
  EXPECT_EQ(a.terms, b.terms);
  EXPECT_EQ(a.regularized_loss, b.regularized_loss);
  EXPECT_EQ(a.norm_w, b.norm_w);
  EXPECT_EQ(a.norm_gradient, b.norm_gradient);
}

TEST(Trainer, SameBitsForAnyNumberOfThreads) {
  std::optional<Fitted> first;
  for (int count : {1, 2, 3}) {
    const ThreadCount threads(count);
    auto now = fit({.steps = 120, .noise_variance = 0.1});
    if (!first) {
      first = std::move(now);
      continue;
    }
    EXPECT_TRUE(identical(now.w, first->w));
    for (std::size_t i = 0; i < now.result.records.size(); ++i)
      expect_equal(now.result.records[i], first->result.records[i]);
  }
}

TEST(Trainer, ALongerRunBeginsWithAShorterOneAndAResumedOneIsTheWhole) {
  const auto data = small_data();
  const DescentOptions base{.learning_rate = 0.5, .noise_variance = 0.1, .schedule = {ScheduleKind::cosine, 300}};
  const auto run = [&](std::int64_t from, std::int64_t to, const torch::Tensor& start) {
    auto network = small_network();
    auto options = base;
    options.steps = to;
    const auto sigma = SigmaProjector::from_features(network, data.train.x, 9);
    auto result = Trainer(TaylorModel(network), square_loss() + R3(sigma), options)
                      .fit(data, c10::kCPU, {.step = from, .w = start});
    return Fitted{std::move(result), network->w.detach().clone()};
  };
  const auto whole = run(0, 200, {}), shorter = run(0, 77, {});
  for (std::size_t i = 0; i < shorter.result.records.size(); ++i)
    expect_equal(shorter.result.records[i], whole.result.records[i]);
  for (std::int64_t split : {1, 77, 100, 199}) {  // 100 is a record step
    const auto head = run(0, split, {}), tail = run(split, 200, head.w);
    EXPECT_TRUE(identical(tail.w, whole.w)) << split;
    auto records = head.result.records;
    records.insert(records.end(), tail.result.records.begin(), tail.result.records.end());
    ASSERT_EQ(records.size(), whole.result.records.size()) << split;
    for (std::size_t i = 0; i < records.size(); ++i) expect_equal(records[i], whole.result.records[i]);
  }
}

TEST(Trainer, RecordsShowTheQuantitiesAtTheirStep) {
  const auto data = small_data();
  auto network = small_network(torch::kFloat64);
  const auto sigma = SigmaProjector::from_features(network, data.train.x, 9);
  TaylorModel model(network);
  const auto result = Trainer(model, square_loss() + paper_regularizers(sigma, *network, data.train.x, {0, 0, 2, 0}),
                              {.learning_rate = 0.5, .steps = 50})
                          .fit(data);
  const auto& last = result.last;
  const auto w = network->w.detach();
  const auto f = model(data.train.x).detach(), f_test = model(data.test.x).detach();
  const auto phi = features(*network, data.train.x);
  const auto high = phi.mv(w.flatten() - projector(phi, 9).mv(w.flatten()));
  EXPECT_EQ(last.step, 50);
  EXPECT_NEAR(last.train_loss, (f - data.train.y).square().mean().item<double>(), 1e-12);
  EXPECT_NEAR(last.test_loss, (f_test - data.test.y).square().mean().item<double>(), 1e-12);
  EXPECT_NEAR(last.terms[2], high.square().mean().item<double>(), 1e-12);
  EXPECT_NEAR(last.terms[3], w.norm(2, 1).pow(4).sum().square().item<double>(), 1e-9 * last.terms[3]);
  EXPECT_NEAR(last.regularized_loss, last.train_loss + 2 * last.terms[2], 1e-12);
  EXPECT_NEAR(last.norm_w, w.norm().item<double>(), 1e-12);
  EXPECT_GT(last.norm_gradient, 0);
  EXPECT_EQ(result.records.front().step, 0);
  EXPECT_NEAR(result.records.front().train_loss, data.train.y.square().mean().item<double>(), 1e-12);
}

TEST(Trainer, DivergenceStopsTheRunKeepsTheRecordsAndSaysWhatToTry) {
  int saves = 0;
  const auto fitted =
      fit({.learning_rate = 500.0, .steps = 1000}, {.on_checkpoint =
                                                        [&](const TrainState& s) {
                                                          ++saves;
                                                          EXPECT_TRUE(torch::isfinite(s.w).all().item<bool>());
                                                        },
                                                    .checkpoint_seconds = 0});
  EXPECT_EQ(fitted.result.outcome, TrainOutcome::diverged);
  EXPECT_LT(fitted.result.step, 1000);
  EXPECT_GT(fitted.result.records.size(), 2u);
  for (const auto& r : fitted.result.records) EXPECT_TRUE(std::isfinite(r.regularized_loss));
  EXPECT_GT(saves, 0);
  EXPECT_NE(fitted.result.message.find("Try a learning rate of 125"), std::string::npos) << fitted.result.message;
}

TEST(Trainer, ALossThatIsFirstNotFiniteAfterTheLastStepIsADivergenceToo) {
  const auto first = fit({.learning_rate = 500.0, .steps = 1000}).result.last.step;
  ASSERT_GT(first, 1);
  std::vector<std::int64_t> saved;
  const auto ending = [&](std::int64_t steps) {
    saved.clear();
    return fit({.learning_rate = 500.0, .steps = steps},
               {.on_checkpoint = [&](const TrainState& s) { saved.push_back(s.step); }})
        .result;
  };
  const auto before = ending(first - 1), at = ending(first);
  EXPECT_EQ(before.outcome, TrainOutcome::finished);
  EXPECT_EQ(at.outcome, TrainOutcome::diverged);
  EXPECT_EQ(at.last.step, first);
  EXPECT_NE(at.message.find(fmt::format("not finite at step {} ", first)), std::string::npos) << at.message;
  EXPECT_TRUE(saved.empty()) << "nothing is saved over a finite checkpoint";
  EXPECT_LT(at.records.back().step, first);
}

TEST(Trainer, FromTheSaddlePlainDescentStaysAndPerturbedDescentLeaves) {
  // f_Q alone: the gradient at W = 0 is zero.
  const auto data = small_data();
  for (const double variance : {0.0, 1e-2}) {
    auto network = small_network();
    TaylorModel model(network, TaylorModelOptions{.order = 2, .linear_term = false});
    const auto result =
        Trainer(model, square_loss(), {.learning_rate = 1.0, .steps = 400, .noise_variance = variance}).fit(data);
    if (variance == 0) {
      EXPECT_EQ(result.last.norm_w, 0.0);
      EXPECT_EQ(result.last.train_loss, result.records.front().train_loss);
    } else {
      EXPECT_LT(result.last.train_loss, 0.8 * result.records.front().train_loss);
    }
  }
}

TEST(Trainer, ACallbackMayStopAndASignalStopsAtTheEndOfAStep) {
  const auto stopped = fit({.steps = 1000}, {.on_record = [](const Record& r, const Timing&) { return r.step < 20; }});
  EXPECT_EQ(stopped.result.outcome, TrainOutcome::stopped);
  EXPECT_EQ(stopped.result.step, 20);
  int asked = 0;
  std::int64_t saved = -1;
  const auto interrupted = fit({.steps = 1000}, {.interrupted = [&] { return ++asked == 33 ? 15 : 0; },
                                                 .on_checkpoint = [&](const TrainState& s) { saved = s.step; }});
  EXPECT_EQ(interrupted.result.outcome, TrainOutcome::interrupted);
  EXPECT_EQ(interrupted.result.signal, 15);
  EXPECT_EQ(saved, 33);
}

TEST(Trainer, RegularizingR3LowersTheTestErrorOnLowDegreePlusSparse) {
  const auto data = sphere_data({.dimension = 30, .samples = 164, .test_samples = 1000, .seed = 1},
                                figure1_target(30, InputLaw::sphere, 1));
  const auto test_loss = [&](double lambda3) {
    const Network network(NetworkOptions{.dimension = 30, .width = 1000, .seed = 1});
    const auto sigma = SigmaProjector::from_features(network, data.train.x, 31);
    return Trainer(TaylorModel(network), square_loss() + lambda3 * R3(sigma), {.learning_rate = 1.0, .steps = 2000})
        .fit(data)
        .last.test_loss;
  };
  EXPECT_LT(test_loss(10.0), 0.7 * test_loss(0.0));
}

/// f_Q alone from W = 0, a saddle: its gradient is 0 there, and ∇²L has negative eigenvalues.
struct FromTheSaddle {
  explicit FromTheSaddle(DescentOptions options, torch::ScalarType type = torch::kFloat32, std::int64_t start = 0)
      : network(small_network(type)) {
    options.learning_rate = 4.0;
    TaylorModel model(network, TaylorModelOptions{.order = 2, .linear_term = false});
    result = Trainer(model, square_loss(), options).fit(data, c10::kCPU, {.step = start});
  }
  DataSet data = small_data();
  Network network;
  TrainResult result;
  double final_part() const { return result.last.train_loss / result.records[0].train_loss; }
};

TEST(Trainer, BothFormsOfNoiseLeaveASaddleWherePlainDescentStays) {
  const FromTheSaddle plain({.steps = 1500});
  EXPECT_EQ(plain.network->w.abs().max().item<double>(), 0);
  EXPECT_EQ(plain.final_part(), 1);
  const FromTheSaddle every_step({.steps = 1500, .noise_variance = 1e-4});
  EXPECT_LT(every_step.final_part(), 0.8);
  const FromTheSaddle where_small(
      {.steps = 1500, .perturbation = {.radius = 1e-2, .threshold = 1e-3, .interval = 200}});
  EXPECT_LT(where_small.final_part(), 0.8);
  EXPECT_GE(where_small.result.perturbations, 1);
  EXPECT_LE(where_small.result.perturbations, 8);
}

TEST(Trainer, PerturbsWhereTheGradientIsSmallAndNowhereElse) {
  // By hand in float64: looks every 7 steps, jumps into the ball where the gradient is small: at the saddle.
  const SmallGradientPerturbation p{.radius = 0.5, .threshold = 1e-6, .interval = 7};
  for (const std::uint32_t start : {0, 3}) {  // the interval is counted from step 0, and a ball is that of its step
    const FromTheSaddle run({.steps = 60, .perturbation = p, .seed = 5}, torch::kFloat64, start);
    auto w = torch::zeros({200, 8}, torch::kFloat64);
    std::int64_t jumps = 0, looks = 0;
    const auto& x = run.data.train.x;
    const auto gradient = [&](const torch::Tensor& at) {
      const auto leaf = at.detach().requires_grad_(true);
      const auto t = reference_terms(x, run.network->w0, run.network->a, run.network->activation(), leaf, 2);
      return torch::autograd::grad({(t[1] - run.data.train.y).square().mean()}, {leaf})[0];
    };
    for (std::uint32_t step = start; step < 60; ++step) {
      if (step % 7 == 0 && ++looks && gradient(w).norm().item<double>() <= p.threshold) {
        w = w + uniform_in_ball(200, 8, p.radius, RandomStream(Purpose::ball, 5, step));
        ++jumps;
      }
      w = w - 4.0 * gradient(w);
    }
    EXPECT_TRUE(close(run.network->w, w, 1e-11)) << start;
    EXPECT_EQ(run.result.perturbations, jumps);
    EXPECT_GT(jumps, 0);
    EXPECT_LT(jumps, looks) << "a case with both answers";
  }
}

TEST(Trainer, PointsOfTheBallAreUniform) {
  // ‖ξ‖/r to the power of the dimension is uniform on [0, 1], and every direction is as likely.
  double sum = 0, square = 0;
  auto mean = torch::zeros({2, 3}, torch::kFloat64);
  const int draws = 4000;
  for (int i = 0; i < draws; ++i) {
    const auto point = uniform_in_ball(2, 3, 2.0, RandomStream(Purpose::ball, 1, static_cast<std::uint32_t>(i)));
    const double u = std::pow(point.norm().item<double>() / 2, 6);
    sum += u / draws;
    square += u * u / draws;
    mean += point / draws;
  }
  EXPECT_NEAR(sum, 1.0 / 2, 0.02);
  EXPECT_NEAR(square, 1.0 / 3, 0.02);
  EXPECT_LT(mean.abs().max().item<double>(), 0.06);
}

TEST(Trainer, OptionsOutOfRangeAreNamed) {
  const auto message = [](const DescentOptions& options) {
    try {
      Trainer(TaylorModel(small_network()), square_loss(), options);
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("nothing thrown");
  };
  EXPECT_NE(message({.learning_rate = 0}).find("learning_rate: expected"), std::string::npos);
  EXPECT_NE(message({.learning_rate = NAN}).find("learning_rate: expected"), std::string::npos);
  EXPECT_NE(message({.steps = -1}).find("steps: expected"), std::string::npos);
  EXPECT_NE(message({.noise_variance = -1}).find("noise_variance: expected"), std::string::npos);
  EXPECT_NE(message({.perturbation = {.radius = -1}}).find("perturbation.radius: expected"), std::string::npos);
  EXPECT_NE(message({.perturbation = {.interval = 0}}).find("perturbation.interval: expected"), std::string::npos);
  try {
    Trainer(TaylorModel(small_network()), square_loss(), {.steps = 5}).fit(small_data(), c10::kCPU, {.step = 6});
    FAIL();
  } catch (const InputError& e) {
    EXPECT_STREQ(e.what(), "the state's step: expected 0 to 5 (steps), got 6");
  }
}

TEST(Schedule, RatesAndRecordStepsDoNotDependOnTheLengthOfTheRun) {
  EXPECT_EQ(learning_rate_at({}, 0.5, 12345), 0.5);
  EXPECT_NEAR(learning_rate_at({ScheduleKind::cosine, 100}, 1.0, 50), 0.5, 1e-15);
  EXPECT_NEAR(learning_rate_at({ScheduleKind::cosine, 100}, 1.0, 470), 0.0, 1e-15);  // where cos(π t/horizon) is not −1
  EXPECT_NEAR(learning_rate_at({ScheduleKind::decay, 100}, 1.0, 100), 0.5, 1e-15);
  std::vector<std::int64_t> steps;
  for (std::int64_t step = 0; step <= 20000; ++step) {
    if (is_record_step(step)) steps.push_back(step);
  }
  const std::vector<std::int64_t> tail(steps.end() - 11, steps.end());
  EXPECT_EQ(tail, (std::vector<std::int64_t>{2000, 2500, 3150, 4000, 5000, 6300, 8000, 10000, 12500, 16000, 20000}));
  EXPECT_EQ(std::vector<std::int64_t>(steps.begin(), steps.begin() + 15),
            (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 16, 20, 25}));
}

}  // namespace
}  // namespace entk::trainer_test
