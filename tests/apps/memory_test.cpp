// The memory that a run was estimated to take, and what it took.
#include "entk/io/strict_json.h"
#include "tests/apps/program.h"

namespace entk::memory_test {
namespace {

using testing::Words;
using testing::operator+;

struct Run {
  const char* name;
  Words sets;
};

/// What a run has used when it has ended.
rusage usage_of(const Words& sets, const testing::TemporaryFolder& folder) {
  Words words{"train", "--quiet", "--device", "cpu", "--threads", "1", "--out", "run"};
  for (const auto& set : sets) words = words + Words{"--set", set};
  const pid_t child = testing::start_entk(words, folder.path());
  int status = 1;
  rusage usage{};
  EXPECT_EQ(::wait4(child, &status, 0, &usage), child);
  EXPECT_EQ(status, 0) << testing::read_text(folder / "output.txt");
  return usage;
}

struct Memory : ::testing::TestWithParam<Run> {};

TEST_P(Memory, TheEstimateIsWithinAFifthOfTheMeasuredPeak) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own memory is not in the estimate";
#endif
  const testing::TemporaryFolder folder;
  const auto usage = usage_of(GetParam().sets + Words{"train.steps=1"}, folder);
  const double peak = 1024.0 * static_cast<double>(usage.ru_maxrss);
  const auto estimate = load_json(folder / "run" / "environment.json").at("estimated_peak_bytes").get<double>();
  EXPECT_NEAR(estimate / peak, 1, 0.2) << "estimated " << estimate / 1e6 << " MB, measured " << peak / 1e6 << " MB";
}

const Words small{"data.dimension=20", "data.test_samples=100"};
const Words no_projector = small + Words{"projector.source=none"}, projector = small + Words{"projector.rank=21"};

/// The allocator would give the matrices of a tile back at every tile, and the system zero the same pages again.
TEST(FreedMemory, IsUsedAgainByTheStepsToCome) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer has an allocator of its own";
#endif
  const auto pages = [](const char* steps) {
    const testing::TemporaryFolder folder;
    return usage_of(no_projector + Words{"data.samples=1000", "model.width=1000", "model.whole_network=true",
                                         "model.activation=gelu", steps},
                    folder)
        .ru_minflt;
  };
  EXPECT_LT(pages("train.steps=11") - pages("train.steps=1"), 1000);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, Memory,
    ::testing::Values(
        Run{"Tables", no_projector + Words{"data.samples=2000", "model.width=8000"}},
        Run{"Projector", projector + Words{"data.samples=2500", "model.width=1000"}},
        // Its kernel in three stripes, each from the diagonal on, with sums of groups of neurons that wait.
        Run{"Stripes", projector + Words{"data.samples=4500", "model.width=4096"}},
        Run{"Weights", no_projector + Words{"data.samples=20", "data.dimension=500", "model.width=30000"}},
        // d far beyond m: the tiles of 64 neurons.
        Run{"Dimension",
            no_projector + Words{"data.test_samples=10", "data.samples=20", "data.dimension=200000", "model.width=20"}},
        Run{"ReferenceOfOrderFour",
            no_projector + Words{"data.dimension=50", "data.samples=50", "data.test_samples=1000", "model.width=50000",
                                 "model.initialisation=plain", "model.order=4", "train.kernel=reference"}},
        Run{"WholeNetwork", no_projector + Words{"data.samples=8000", "model.width=1000", "model.whole_network=true"}},
        Run{"Harmonic", small + Words{"projector.source=harmonic", "projector.rank=1325", "data.dimension=50",
                                      "data.samples=300", "model.width=1000", "lambda.3=1"}},
        Run{"Unlabeled", projector + Words{"projector.source=unlabeled", "data.unlabeled_samples=2000",
                                           "data.samples=200", "model.width=1000", "lambda.1=1"}},
        Run{"FreshPoints", projector + Words{"r1.points=fresh", "r1.samples=2000", "data.samples=500",
                                             "model.width=1000", "lambda.1=1"}},
        // Modules: many parameters, many points and both.
        Run{"MlpLinear",
            no_projector + Words{"model.kind=mlp", "model.width=1000", "data.samples=300", "model.order=1"}},
        Run{"MlpWide", no_projector + Words{"model.kind=mlp", "model.width=1000", "data.samples=300"}},
        Run{"MlpWithManyPoints", no_projector + Words{"model.kind=mlp", "model.width=200", "data.samples=4000"}},
        Run{"MlpInBatches", no_projector + Words{"model.kind=mlp", "model.width=200", "data.samples=4000",
                                                 R"(train.update={"name":"minibatches","size":100})"}},
        Run{"MlpByAnOptimizer",
            no_projector + Words{"model.kind=mlp", "model.width=200", "data.samples=4000", "train.update=sgd"}},
        Run{"MlpOfOrderThree",
            no_projector + Words{"model.kind=mlp", "model.width=600", "data.samples=2000", "model.order=3"}},
        Run{"MlpWhole",
            no_projector + Words{"model.kind=mlp", "model.width=800", "data.samples=1000", "model.whole_network=true"}},
        Run{"Convolutional", no_projector + Words{R"(model.kind={"name":"convolutional","blocks":2,"channels":16})",
                                                  "data.dimension=256", "data.samples=400"}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace entk::memory_test
