// Instruction sets forced from the command line, and what is said of arithmetic that decides bits.
#include "entk/io/checkpoint_file.h"
#include "entk/io/strict_json.h"
#include "entk/kernels/cpu/tile_kernels.h"
#include "tests/apps/in_place.h"

namespace entk::arithmetic_test {
namespace {

using testing::entk_in_place;
using testing::exits_with;
using testing::same_bytes;
using testing::says;
using testing::Words;
using testing::operator+;

struct Arithmetic : ::testing::Test {
  static Words train(const std::string& out, const Words& more) {
    return Words{"train", "--quiet",
                 "--out", out,
                 "--set", "model.width=600",
                 "--set", "data.dimension=9",
                 "--set", "data.samples=70",
                 "--set", "data.test_samples=30",
                 "--set", "projector.rank=10",
                 "--set", "train.noise_variance=0.01",
                 "--set", "lambda=[0.1,0.1,1.0,0.01]"} +
           more;
  }
  const testing::TemporaryFolder folder;
};

TEST_F(Arithmetic, InstructionSetsAgreeWithinRoundingAndEachHasItsBitsForEveryNumberOfThreads) {
  for (const auto& [dtype, tolerance] : {std::pair{"float32", 2e-5}, {"float64", 1e-13}}) {
    at::Tensor portable;
    for (const auto isa : {kernels::Isa::portable, kernels::Isa::avx2, kernels::Isa::avx512}) {
      if (isa > kernels::best_isa()) continue;
      const std::string name = kernels::isa_name(isa), run = name + "-" + dtype;
      SCOPED_TRACE(run);
      const Words words{"--isa", name, "--dtype", dtype, "--set"};
      const auto ends_well = [&](const Words& all) { return exits_with(entk_in_place(all, folder.path()), 0); };
      ASSERT_TRUE(ends_well(train(run, words + Words{"train.steps=30", "--threads", "1"})));
      if (name + "-float32" == run) {
        ASSERT_TRUE(ends_well(train(run + "2", words + Words{"train.steps=17", "--threads", "2"})));
        ASSERT_TRUE(ends_well({"train", "--quiet", "--resume", run + "2", "--isa", name, "--set", "train.steps=30"}));
        EXPECT_TRUE(same_bytes(folder / run / "checkpoint.pt", folder / (run + "2") / "checkpoint.pt"));
      }
      EXPECT_EQ(load_json(folder / run / "config.json")["resolved"]["instruction_set"], name);
      EXPECT_EQ(load_json(folder / run / "environment.json")["instruction_set"], name);
      const auto w = read_pt(folder / run / "checkpoint.pt").at("W");
      if (!portable.defined()) portable = w;
      EXPECT_TRUE(testing::close(w, portable, tolerance));
    }
  }
}

TEST_F(Arithmetic, AnInstructionSetThatIsNotThereIsRefusedByNameBeforeWork) {
  auto refused = entk_in_place(train("run", {"--isa", "avx9"}), folder.path());
  EXPECT_TRUE(exits_with(refused, 2));
  EXPECT_TRUE(says(refused, "--isa (ENTK_ISA): expected portable, avx2 or avx512, got 'avx9'"));
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
  if (kernels::best_isa() == kernels::Isa::avx512) return;
  refused = entk_in_place(train("run", {"--isa", "avx512"}), folder.path());
  EXPECT_TRUE(exits_with(refused, 2));
  EXPECT_TRUE(says(refused, "avx512 asked for; the best of this processor and build is"));
}

TEST_F(Arithmetic, OtherArithmeticIsRecordedAndSaidWhenARunGoesOn) {
  ASSERT_TRUE(exits_with(entk_in_place(train("run", {"--set", "train.steps=5"}), folder.path()), 0));
  const auto resume = [&](const std::string& environment, int steps) {
    const auto command = " " ENTK_BINARY_DIR "/entk train --resume run --set train.steps=" + std::to_string(steps);
    return run_program({"sh", "-c", environment + command}, folder.path(), std::chrono::minutes(2));
  };
  auto result = resume("", 6);
  ASSERT_TRUE(exits_with(result, 0));
  EXPECT_EQ(result.output.find("other arithmetic"), std::string::npos) << result.output;
  result = resume("MKL_CBWR=COMPATIBLE", 7);
  ASSERT_TRUE(exits_with(result, 0));
  EXPECT_TRUE(
      says(result, R"(other arithmetic: library_variables {"MKL_CBWR":"COMPATIBLE"}, before {}; the bits are not)"));
  const auto environment = load_json(folder / "run/environment.json");
  EXPECT_EQ(environment["library_variables"]["MKL_CBWR"], "COMPATIBLE");
  EXPECT_EQ(environment["before"].size(), 1u);
}

// What MKL decides is the projector alone: its kernel, eigenvectors and Gram matrices, made in float64 before the first
// step. The steps' own products are entk's.
TEST_F(Arithmetic, WithoutAProjectorNoProductOfMklReachesW) {
  for (const std::string value : {"", "COMPATIBLE"}) {
    const auto command = fmt::format(
        "{} " ENTK_BINARY_DIR
        "/entk train --quiet --dtype float64 --out run{} --set model.width=2000 "
        "--set data.samples=300 --set data.dimension=30 --set projector.source=none --set train.noise_variance=0.1 "
        "--set train.steps=5",
        value.empty() ? "" : "MKL_CBWR=" + value, value);
    ASSERT_TRUE(exits_with(run_program({"sh", "-c", command}, folder.path(), std::chrono::minutes(2)), 0));
  }
  EXPECT_TRUE(same_bytes(folder / "run/checkpoint.pt", folder / "runCOMPATIBLE/checkpoint.pt"));
  EXPECT_TRUE(same_bytes(folder / "run/metrics.csv", folder / "runCOMPATIBLE/metrics.csv"));
}

}  // namespace
}  // namespace entk::arithmetic_test
