// Recorded steps, with recordings that do their work again: what the trainer does around them.
#include <gtest/gtest.h>
#include <torch/types.h>

#include "entk/regularizers/regularizers.h"
#include "entk/train/trainer.h"
#include "tests/support/emulated_device.h"
#include "tests/support/testing.h"

namespace entk::recorded_steps_test {
namespace {

using testing::identical;

struct Repeated final : DeviceGraph {
  explicit Repeated(std::function<void()> work, int& plays) : work(std::move(work)), plays(plays) {}
  void play() override {
    ++plays;
    work();
  }
  std::function<void()> work;
  int& plays;
};

struct Fitted {
  TrainResult result;
  torch::Tensor w;
  int plays = 0;
};

/// A run by the fused kernels, emulated; recorded or not.
Fitted fit(bool recorded, const DescentOptions& descent, const Term& term, const Loss& loss = square_loss(),
           KernelOptions options = {}, std::int64_t start = 0) {
  const auto data = sphere_data({.dimension = 6, .samples = 20, .test_samples = 10, .seed = 1},
                                figure1_target(6, InputLaw::sphere, 1));
  Network network(NetworkOptions{.dimension = 6, .width = 40, .seed = 2});
  TaylorModel model(network);
  Fitted out;
  options.primitives = [tf32 = options.tf32](const TaylorModelImpl& model, const at::Tensor& x,
                                             const PrimitiveOptions&) {
    const auto& n = *model.network;
    return kernels::fused::make_fused_primitive(std::make_shared<testing::EmulatedLauncher>(tf32), x, n.w0, n.a,
                                                n.activation(), {});
  };
  options.graphs = [&](c10::Device, const std::function<void()>& work) -> std::unique_ptr<DeviceGraph> {
    if (!recorded) return nullptr;
    return std::make_unique<Repeated>(work, out.plays);
  };
  out.result = Trainer(model, loss + term, descent, {}, options).fit(data, c10::kCPU, {.step = start});
  out.w = network->w.detach().clone();
  return out;
}

TEST(RecordedSteps, HaveTheBitsOfOrdinaryOnes) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer does not follow fibers";
#endif
  const DescentOptions options{.learning_rate = 0.1,
                               .steps = 23,
                               .noise_variance = 0.5,
                               .random_signs = true,
                               .schedule = {.kind = ScheduleKind::cosine, .horizon = 30}};
  const auto plain = fit(false, options, 1e-3 * R4()), recorded = fit(true, options, 1e-3 * R4());
  EXPECT_EQ(plain.plays, 0);
  EXPECT_GT(recorded.plays, 5);
  EXPECT_TRUE(identical(recorded.w, plain.w));
  ASSERT_EQ(recorded.result.records.size(), plain.result.records.size());
  for (std::size_t i = 0; i < plain.result.records.size(); ++i) {
    EXPECT_EQ(recorded.result.records[i].step, plain.result.records[i].step);
    EXPECT_EQ(recorded.result.records[i].train_loss, plain.result.records[i].train_loss);
  }
}

/// An emulated device that counts.
struct Counting final : kernels::fused::Launcher {
  explicit Counting(int& objectives) : objectives(objectives) {}
  const char* name() const override { return device.name(); }
  bool in_tf32() const override { return device.in_tf32(); }
  std::int64_t slots() const override { return device.slots(); }
  void pack(const kernels::fused::PackArgs& a) const override { device.pack(a); }
  void forward(const kernels::fused::ForwardArgs& a) const override { device.forward(a); }
  void reduce(const kernels::fused::ReduceArgs& a) const override { device.reduce(a); }
  void along(const kernels::fused::AlongArgs& a) const override { device.along(a); }
  void pull(const kernels::fused::PullArgs& a) const override { device.pull(a); }
  void update(const kernels::fused::UpdateArgs& a) const override { device.update(a); }
  void objective(const kernels::fused::ObjectiveArgs& a) const override { device.objective(a), ++objectives; }
  void value(const kernels::fused::ValueArgs& a) const override { device.value(a); }
  void set(kernels::fused::StepState* to, const kernels::fused::StepState& value) const override {
    device.set(to, value);
  }
  testing::EmulatedLauncher device;
  int& objectives;
};

TEST(RecordedSteps, ThePapersObjectiveByItsOwnKernelsIsTheGeneralOnes) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer does not follow fibers";
#endif
  const auto data = sphere_data({.dimension = 6, .samples = 20, .test_samples = 10, .seed = 1},
                                figure1_target(6, InputLaw::sphere, 1));
  const auto trained = [&](bool emulated, bool linear_term, const std::function<Objective(const Network&)>& objective,
                           int* objectives) {
    Network network(NetworkOptions{.dimension = 6, .width = 40, .seed = 2});
    KernelOptions options;
    if (emulated) {
      options.primitives = [&](const TaylorModelImpl& model, const at::Tensor& x, const PrimitiveOptions&) {
        const auto& n = *model.network;
        return kernels::fused::make_fused_primitive(std::make_shared<Counting>(*objectives), x, n.w0, n.a,
                                                    n.activation(), {});
      };
    }
    const auto result = Trainer(TaylorModel(network, {.linear_term = linear_term}), objective(network),
                                {.learning_rate = 0.1, .steps = 12, .noise_variance = 0.5}, {}, options)
                            .fit(data);
    return std::pair{network->w.detach().clone(), result.last};
  };
  const auto sigma_of = [&](const Network& n) { return SigmaProjector::from_features(n, data.train.x, 7); };
  const auto compare = [&](bool linear_term, const std::function<Objective(const Network&)>& objective) {
    int objectives = 0;
    const auto [w, last] = trained(true, linear_term, objective, &objectives);
    const auto [want, want_last] = trained(false, linear_term, objective, nullptr);
    EXPECT_TRUE(testing::close(w, want, 3e-6));
    EXPECT_NEAR(last.regularized_loss, want_last.regularized_loss, 1e-5 * want_last.regularized_loss);
    EXPECT_NEAR(last.norm_gradient, want_last.norm_gradient, 1e-4 * want_last.norm_gradient);
    return objectives;
  };
  for (const bool linear_term : {true, false}) {
    EXPECT_GE(compare(linear_term, [&](const Network& n) { return square_loss() + 10.0 * R3(sigma_of(n)); }), 12);
  }
  EXPECT_GE(compare(true, [&](const Network&) { return square_loss() + 0.0 * R4(); }), 12);
  EXPECT_GE(compare(true,
                    [&](const Network& n) {
                      const auto sigma = sigma_of(n);
                      return square_loss() + 2.0 * R1(sigma) + 3.0 * R3(sigma);
                    }),
            12);
  // What has no kernels of its own takes the general way.
  EXPECT_EQ(compare(true, [&](const Network& n) { return square_loss() + 1.0 * R2(sigma_of(n)); }), 0);
  EXPECT_EQ(compare(true, [&](const Network&) { return square_loss() + 1e-3 * R4(); }), 0);
  EXPECT_EQ(compare(true, [&](const Network&) { return pseudo_huber_loss() + 0.0 * R4(); }), 0);
}

TEST(RecordedSteps, ARunInTf32SaysWhatThatCost) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer does not follow fibers";
#endif
  const auto run = fit(true, {.learning_rate = 0.1, .steps = 12}, 0.0 * R4(), square_loss(), {.tf32 = true});
  ASSERT_EQ(run.result.notices.size(), 1U);
  double off = 0;
  ASSERT_EQ(std::sscanf(run.result.notices[0].c_str(), "tf32: the terms at the last W are off by %lf", &off), 1);
  EXPECT_GT(off, 1e-6);
  EXPECT_LT(off, 3e-3);
  EXPECT_NE(run.result.kernel.find("tf32"), std::string::npos);
  EXPECT_TRUE(fit(true, {.learning_rate = 0.1, .steps = 12}, 0.0 * R4()).result.notices.empty());
}

TEST(RecordedSteps, DivergenceIsFoundAtTheStepWhereItHappened) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer does not follow fibers";
#endif
  // Four or five steps after the start; records, where the host looks, are at 100 and 125.
  const DescentOptions options{.learning_rate = 100, .steps = 130};
  const auto plain = fit(false, options, 0.0 * R4(), square_loss(), {}, 100),
             recorded = fit(true, options, 0.0 * R4(), square_loss(), {}, 100);
  EXPECT_EQ(recorded.result.outcome, TrainOutcome::diverged);
  EXPECT_EQ(recorded.result.last.step, plain.result.last.step);
  EXPECT_GE(recorded.result.last.step, 103) << "before the first recorded step: nothing was tested";
}

TEST(RecordedSteps, AUsersTermIsNeverRecorded) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer does not follow fibers";
#endif
  const auto run = fit(true, {.learning_rate = 0.1, .steps = 12},
                       0.1 * regularizer("l1", [](const torch::Tensor& w) { return w.abs().mean(); }));
  EXPECT_EQ(run.plays, 0);
}

TEST(RecordedSteps, AUsersTermOrLossUnderThePapersNameIsTrainedWithItsOwnFormula) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer does not follow fibers";
#endif
  // Both change from step to step: a recording would repeat one step's formula.
  const DescentOptions options{.learning_rate = 0.1, .steps = 12};
  const auto term = [](const char* name) {
    return 0.1 * vector_regularizer(name, [](const TermInputs& in) {
             return (1.0 + static_cast<double>(in.step)) * in.f_linear().abs().mean();
           });
  };
  const auto loss = [](const char* name) {
    return Loss{name, [calls = std::make_shared<int>(0)](const torch::Tensor& f, const torch::Tensor& y) {
                  return (1 + 0.1 * ++*calls) * (f - y).square().mean();
                }};
  };
  const auto own = fit(true, options, term("own")), named = fit(true, options, term("R3"));
  EXPECT_EQ(named.plays, 0);
  EXPECT_TRUE(identical(named.w, own.w));
  EXPECT_FALSE(identical(named.w, fit(true, options, 0.0 * term("R3")).w))
      << "the term did nothing: nothing was tested";
  const auto own_loss = fit(true, options, 0.0 * R4(), loss("own")),
             named_loss = fit(true, options, 0.0 * R4(), loss("square"));
  EXPECT_EQ(named_loss.plays, 0);
  EXPECT_TRUE(identical(named_loss.w, own_loss.w));
}

}  // namespace
}  // namespace entk::recorded_steps_test
