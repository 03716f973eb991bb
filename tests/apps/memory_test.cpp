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

struct Memory : ::testing::TestWithParam<Run> {};

TEST_P(Memory, TheEstimateIsWithinAFifthOfTheMeasuredPeak) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own memory is not in the estimate";
#endif
  const testing::TemporaryFolder folder;
  Words words{"train", "--quiet", "--device", "cpu", "--threads", "1", "--out", "run", "--set", "train.steps=1"};
  for (const auto& set : GetParam().sets) words = words + Words{"--set", set};
  const pid_t child = testing::start_entk(words, folder.path());
  int status = 1;
  rusage usage{};
  ASSERT_EQ(::wait4(child, &status, 0, &usage), child);
  ASSERT_EQ(status, 0) << testing::read_text(folder / "output.txt");
  const double peak = 1024.0 * static_cast<double>(usage.ru_maxrss);
  const auto estimate = load_json(folder / "run" / "environment.json").at("estimated_peak_bytes").get<double>();
  EXPECT_NEAR(estimate / peak, 1, 0.2) << "estimated " << estimate / 1e6 << " MB, measured " << peak / 1e6 << " MB";
}

const Words small{"data.dimension=20", "data.test_samples=100"};
const Words no_projector = small + Words{"projector.source=none"}, projector = small + Words{"projector.rank=21"};

INSTANTIATE_TEST_SUITE_P(
    Sizes, Memory,
    ::testing::Values(
        Run{"Tables", no_projector + Words{"data.samples=2000", "model.width=8000"}},
        Run{"Projector", projector + Words{"data.samples=2500", "model.width=1000"}},
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
        Run{"MlpOfOrderThree",
            no_projector + Words{"model.kind=mlp", "model.width=600", "data.samples=2000", "model.order=3"}},
        Run{"MlpWhole",
            no_projector + Words{"model.kind=mlp", "model.width=800", "data.samples=1000", "model.whole_network=true"}},
        Run{"Convolutional", no_projector + Words{R"(model.kind={"name":"convolutional","blocks":2,"channels":16})",
                                                  "data.dimension=256", "data.samples=400"}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace entk::memory_test
