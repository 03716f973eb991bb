// apps/examples/own_program: the command line with an activation, a regularizer, an observable and a target of
// its own, in every part that the program has.
#include "entk/io/csv.h"
#include "entk/io/strict_json.h"
#include "tests/apps/in_place.h"

namespace entk::own_program_test {
namespace {

using testing::exits_with;
using testing::read_text;
using testing::same_bytes;
using testing::says;
using testing::TemporaryFolder;
using testing::Words;
using testing::operator+;

const std::string own_path = ENTK_BINARY_DIR "/own_program";

ProcessResult own(const Words& words, const std::filesystem::path& folder) {
  return run_program(Words{own_path} + words, folder, std::chrono::minutes(2));
}

/// The program's example, cut to seconds.
Words study(const std::string& steps) {
  return {"figure1", "--preset",
          "quick",   "--quiet",
          "--set",   "model.activation.name=sine",
          "--set",   "data.target.name=bump",
          "--sweep", "regularizers.group_lasso=0,0.1",
          "--seeds", "1,11",
          "--set",   "observables=[\"movement\",\"sparsity\"]",
          "--set",   "model.width=40",
          "--set",   "data.dimension=4",
          "--set",   "data.samples=20",
          "--set",   "data.test_samples=20",
          "--set",   "projector.rank=5",
          "--set",   "train.checkpoint_seconds=0.1",
          "--set",   "train.steps=" + steps};
}

const Words runs = {"regularizers.group_lasso=0,seed=1", "regularizers.group_lasso=0,seed=11",
                    "regularizers.group_lasso=0.1,seed=1", "regularizers.group_lasso=0.1,seed=11"};

/// Starts the command and kills it as soon as the file is there.
void kill_at(const Words& command, const std::filesystem::path& folder, const std::filesystem::path& file) {
  auto words = Words{own_path} + command;
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::chdir(folder.c_str()) != 0) ::_exit(99);
    ::execv(argv[0], argv.data());
    ::_exit(99);
  }
  ASSERT_TRUE(testing::wait_until([&] { return std::filesystem::exists(folder / file); }));
  ::kill(child, SIGKILL);
  testing::wait_for(child);
}

TEST(OwnProgram, ItsNamesAreSweptKilledResumedAndDrawn) {
  const TemporaryFolder folder;
  ASSERT_TRUE(exits_with(own(study("300") + Words{"--out", "whole"}, folder.path()), 0));
  // Killed at a point of its own choice, and gone on with.
  kill_at(study("300") + Words{"--out", "killed"}, folder.path(), "killed/runs/" + runs[0] + "/checkpoint.pt");
  ASSERT_TRUE(exits_with(own({"figure1", "--quiet", "--resume", "killed"}, folder.path()), 0));
  for (const auto& run : runs) {
    EXPECT_TRUE(same_bytes(folder / "killed/runs" / run / "metrics.csv", folder / "whole/runs" / run / "metrics.csv"));
    const auto columns = read_csv(folder / "whole/runs" / run / "metrics.csv").columns;
    for (const char* name : {"group_lasso", "movement_median", "sparsity"}) {
      EXPECT_EQ(std::count(columns.begin(), columns.end(), name), 1) << name;
    }
  }
  EXPECT_TRUE(same_bytes(folder / "killed/results.csv", folder / "whole/results.csv"));
  const auto page = read_text(folder / "killed/report.html");
  for (const char* name : {"sine", "bump", "group_lasso", "movement_p99", "sparsity"}) {
    EXPECT_NE(page.find(name), std::string::npos) << name;
  }
  EXPECT_EQ(read_text(folder / "whole/command.txt").substr(0, 20), "own_program figure1 ");
  EXPECT_EQ(load_json(folder / "whole/config.json").at("model").at("activation"),
            nlohmann::json({{"name", "sine"}, {"shift", 1.0}}));

  // The plain program draws the folder, and refuses to go on with it by the name that it lacks.
  std::filesystem::remove(folder / "whole/report.html");
  ASSERT_TRUE(exits_with(testing::entk_in_place({"report", "whole"}, folder.path()), 0));
  EXPECT_NE(read_text(folder / "whole/report.html").find("sparsity"), std::string::npos);
  const auto refused = testing::entk_in_place({"figure1", "--resume", "whole"}, folder.path());
  EXPECT_TRUE(exits_with(refused, 2));
  EXPECT_TRUE(says(refused, "model.activation.name: expected one of")) << refused.output;
  EXPECT_TRUE(says(refused, "got \"sine\""));
}

TEST(OwnProgram, ItsStudyIsACommandWithEveryPart) {
  const TemporaryFolder folder;
  const Words study = {"widths",  "--quiet",
                       "--set",   "train.steps=200",
                       "--seeds", "1,2",
                       "--sweep", "model.width=10,40",
                       "--set",   "data.samples=30",
                       "--set",   "data.test_samples=30",
                       "--set",   "train.checkpoint_seconds=0.1"};
  ASSERT_TRUE(exits_with(own(study + Words{"--out", "whole"}, folder.path()), 0));
  kill_at(study + Words{"--out", "killed"}, folder.path(), "killed/runs/model.width=10,seed=1/checkpoint.pt");
  ASSERT_TRUE(exits_with(own({"widths", "--quiet", "--resume", "killed"}, folder.path()), 0));
  for (const char* file : {"results.csv", "claims.json", "widths.svg", "runs/model.width=40,seed=2/metrics.csv"}) {
    EXPECT_TRUE(same_bytes(folder / "killed" / file, folder / "whole" / file)) << file;
  }
  const auto page = read_text(folder / "killed/report.html");
  for (const char* part : {"Widths", "sine", "bump", "sparsity", "A wider network learns the bump better."}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  std::filesystem::remove(folder / "whole/report.html");
  ASSERT_TRUE(exits_with(own({"report", "whole"}, folder.path()), 0));
  EXPECT_NE(read_text(folder / "whole/report.html").find("A wider network"), std::string::npos);
  // The plain program draws its runs as those of a sweep, and refuses to go on with them.
  ASSERT_TRUE(exits_with(testing::entk_in_place({"report", "whole"}, folder.path()), 0));
  EXPECT_NE(read_text(folder / "whole/report.html").find("Runs of entk train"), std::string::npos);
  const auto refused = testing::entk_in_place({"train", "--resume", "whole"}, folder.path());
  EXPECT_TRUE(exits_with(refused, 2));
  EXPECT_TRUE(says(refused, "whole: begun by own_program widths, not by train")) << refused.output;

  EXPECT_TRUE(says(own({"list", "studies"}, "/"), "Test loss over the width, sine on a bump"));
  EXPECT_TRUE(says(own({"widths", "--help"}, "/"), "standard [standard]"));
  EXPECT_TRUE(says(own({"--help"}, "/"), "widths"));
  const auto misspelt = own({"width"}, "/");
  EXPECT_TRUE(exits_with(misspelt, 2));
  EXPECT_TRUE(says(misspelt, "did you mean widths?"));
  const auto completion = own({"completion"}, "/").output;
  EXPECT_NE(completion.find("complete -o filenames -F _own_program own_program"), std::string::npos);
  EXPECT_NE(completion.find(" widths"), std::string::npos);
}

TEST(OwnProgram, ListAndHelpShowItsNamesNextToTheBuiltInOnes) {
  const auto list = own({"list", "activations"}, "/");
  EXPECT_TRUE(exits_with(list, 0));
  for (const char* part : {"sine", "sin(z + shift)", "shift = 1.0", "sigmoid"}) EXPECT_TRUE(says(list, part));
  const auto json = parse_json(own({"list", "--json"}, "/").output, "stdout");
  EXPECT_EQ(json.at("regularizers").back().at("name"), "group_lasso");
  EXPECT_EQ(json.at("regularizers").back().at("parameters")[0].at("range"), "> 0");
  EXPECT_TRUE(says(own({"train", "--help"}, "/"), "tanh (shift)"));
  EXPECT_TRUE(says(own({"train", "--help"}, "/"), "sine (shift)"));
  const auto misspelt = own({"train", "--set", "model.activation.name=sien", "--print-config"}, "/");
  EXPECT_TRUE(exits_with(misspelt, 2));
  EXPECT_TRUE(says(misspelt, "did you mean sine?"));
  EXPECT_TRUE(exits_with(testing::entk_in_place({"list", "colours"}, "/"), 2));
}

TEST(OwnProgram, OtherCommandsTakeItsNamesToo) {
  const TemporaryFolder folder;
  testing::write_text(folder / "c.json",
                      R"({"activation": {"name": "sine"}, "projector": {"source": "features", "rank": 3}})");
  EXPECT_TRUE(exits_with(own({"spectrum", "--set", "activation.name=sine", "--print-config"}, folder.path()), 0));
  EXPECT_TRUE(exits_with(own({"expressivity", "--set", "activation.name=sine", "--print-config"}, folder.path()), 0));
  EXPECT_TRUE(exits_with(own({"compare", "--set", "model.activation.name=sine", "--print-config"}, folder.path()), 0));
  EXPECT_TRUE(
      exits_with(own({"complexity", "--set", "model.activation.name=sine", "--print-config"}, folder.path()), 0));
  EXPECT_TRUE(
      exits_with(own({"r1-noise", "--set", "run.model.activation.name=sine", "--print-config"}, folder.path()), 0));
  const Words run = {"train", "--quiet",
                     "--out", "run",
                     "--set", "model.activation.name=sine",
                     "--set", "model.width=20",
                     "--set", "data.dimension=4",
                     "--set", "data.samples=20",
                     "--set", "data.test_samples=20",
                     "--set", "train.steps=5"};
  ASSERT_TRUE(exits_with(own(run, folder.path()), 0));
  ASSERT_TRUE(
      exits_with(own({"evaluate", "run/checkpoint.pt", "--config", "c.json", "--out", "out.json"}, folder.path()), 0));
  const auto landscape = own({"landscape", "run", "--quiet", "--iterations", "5", "--draws", "0"}, folder.path());
  EXPECT_TRUE(landscape.status == 0 || landscape.status == 1) << landscape.output;
  EXPECT_TRUE(
      exits_with(testing::entk_in_place({"evaluate", "run/checkpoint.pt", "--config", "c.json"}, folder.path()), 2));
}

}  // namespace
}  // namespace entk::own_program_test
