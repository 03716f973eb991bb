// Every `entk` command of the README, cut to seconds, and what each command promises.
#include <fstream>

#include "entk/io/csv.h"
#include "entk/io/strict_json.h"
#include "tests/apps/in_place.h"

namespace entk::commands_test {
namespace {

using testing::entk_in_place;
using testing::exits_with;
using testing::says;
using testing::TemporaryFolder;
using testing::Words;

struct Cut {
  std::vector<int> codes{0};
  std::string arguments;
};

/// readme_cuts.txt by command.
std::map<std::string, Cut> read_cuts() {
  std::map<std::string, Cut> cuts;
  std::ifstream file(ENTK_SOURCE_DIR "/tests/apps/readme_cuts.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    const auto colon = line.find(':');
    std::istringstream head(line.substr(0, colon));
    Cut cut;
    std::string name;
    head >> name;
    for (int code; head >> code;) cut.codes.push_back(code);
    cut.arguments = line.substr(colon + 1);
    cuts[name] = cut;
  }
  return cuts;
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t");
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// The commands "entk …" and "build/entk …" in the ```sh blocks of a page, without the program's name.
std::vector<std::string> commands_of(const std::string& page) {
  std::vector<std::string> commands;
  std::istringstream lines(page);
  bool inside = false;
  std::string joined;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("```", 0) == 0) {
      inside = !inside && line == "```sh";
      continue;
    }
    if (!inside) continue;
    if (const auto comment = line.find(" #"); comment != std::string::npos) line.resize(comment);
    joined += line;
    if (!joined.empty() && joined.back() == '\\') {
      joined.back() = ' ';
      continue;
    }
    for (std::size_t at = 0; at != std::string::npos;) {
      const auto next = joined.find("&&", at);
      const auto part = trimmed(joined.substr(at, next == std::string::npos ? next : next - at));
      for (const std::string name : {"entk ", "build/entk "}) {
        if (part.rfind(name, 0) == 0) commands.push_back(part.substr(name.size()));
      }
      at = next == std::string::npos ? next : next + 2;
    }
    joined.clear();
  }
  return commands;
}

/// Runs the commands one after another in one folder that has what the tree has for a reader.
void run_all(const std::vector<std::string>& commands) {
  const TemporaryFolder folder;
  for (const char* name : {"apps", "configs", "docs"}) {
    std::filesystem::create_symlink(std::filesystem::path(ENTK_SOURCE_DIR) / name, folder / name);
  }
  const auto cuts = read_cuts();
  for (const auto& command : commands) {
    const auto name = command.substr(0, command.find(' '));
    std::string line = ENTK_BINARY_DIR "/entk " + command;
    std::vector<int> codes{0};
    if (name[0] != '-') {  // --help, --version
      const auto cut = cuts.find(name);
      ASSERT_NE(cut, cuts.end()) << "'entk " << command
                                 << "' stands in README.md, and tests/apps/readme_cuts.txt has no line for '" << name
                                 << "': add what makes it run in seconds";
      codes = cut->second.codes;
      const auto end = line.find_first_of("|>;");
      line.insert(end == std::string::npos ? line.size() : end, " " + cut->second.arguments + " ");
    }
    const auto result = run_program({"sh", "-c", line}, folder.path(), std::chrono::minutes(4));
    EXPECT_TRUE(std::count(codes.begin(), codes.end(), result.status) && !result.timed_out)
        << "entk " << command << "\nran as " << line << "\nexit " << result.status << ":\n"
        << result.output;
  }
}

TEST(Commands, EveryCommandOfTheReadmeRuns) {
  const auto readme = testing::read_text(ENTK_SOURCE_DIR "/README.md");
  if (readme.empty()) GTEST_SKIP() << "no README.md";
  const auto commands = commands_of(readme);
  ASSERT_GT(commands.size(), 0u);
  run_all(commands);
}

TEST(Commands, CommandsAreFoundInShellBlocksAlone) {
  EXPECT_EQ(
      commands_of(
          "entk no\n```sh\n./setup.sh && build/entk figure1 --out a  # comment\nentk train \\\n  --quiet\ncd x\n```\n"
          "```cpp\nentk no\n```\n```sh\nentk report a\n```\n"),
      (std::vector<std::string>{"figure1 --out a", "train    --quiet", "report a"}));
}

TEST(Commands, WhatTheReadmeDoesNotShowRunsToo) {
  run_all({"--version", "--help", "figure1 --preset published --seeds 1 --out runs/published",
           "figure1 --preset text --seeds 1 --out runs/text", "train --out runs/one", "compare-devices --mode threads",
           "compare-devices --write-reference runs/reference.pt", "compare-devices --against runs/reference.pt",
           "report runs/one", "completion"});
}

TEST(Commands, TheLogisticLossLearnsFromTheStart) {
  const testing::TemporaryFolder folder;
  const auto result = entk_in_place(
      {"train", "--set", "loss=logistic", "--set", "model.width=200", "--set", "data.dimension=8", "--set",
       "data.samples=60", "--set", "data.test_samples=60", "--set", "train.steps=300", "--out", "run"},
      folder.path());
  ASSERT_TRUE(exits_with(result, 0));
  EXPECT_TRUE(says(result, "labels"));
  const auto records = read_csv(folder / "run" / "metrics.csv");
  EXPECT_NEAR(records.rows.front()[1], std::log(2.0), 1e-6);
  EXPECT_LT(records.rows.back()[1], 0.6);
}

TEST(Commands, AKernelIsWrittenWithItsEigenvaluesPredictionsAndTestLoss) {
  const testing::TemporaryFolder folder;
  const Words sizes = {"--set", "model.width=40",  "--set", "data.dimension=5",
                       "--set", "data.samples=20", "--set", "data.test_samples=30"};
  using testing::operator+;
  for (const std::string kind : {"ntk", "ntk_infinite", "quadratic_ntk"}) {
    const auto result = entk_in_place(
        Words{"kernel", "--json", "--quiet", "--set", "model.kernel=" + kind, "--out", kind} + sizes, folder.path());
    ASSERT_TRUE(exits_with(result, 0));
    const auto numbers = parse_json(result.output, "stdout");
    EXPECT_EQ(numbers["kernel"], kind);
    EXPECT_TRUE(numbers["test_loss"].is_number());
    EXPECT_EQ(read_csv(folder / kind / "eigenvalues.csv").rows.size(), 20u);
    EXPECT_TRUE(std::filesystem::exists(folder / kind / "kernel.pt"));
  }
  const auto again = entk_in_place(Words{"kernel", "--out", "ntk"} + sizes, folder.path());
  EXPECT_TRUE(exits_with(again, 2) && says(again, "--out: 'ntk' exists: another name\n"));
  const auto reference = entk_in_place({"compare-devices", "--write-reference", "ntk"}, folder.path());
  EXPECT_TRUE(exits_with(reference, 2) && says(reference, "--write-reference: 'ntk' exists: another name\n"));
  const auto none =
      entk_in_place(Words{"kernel", "--set", "model.kernel=none", "--out", "none"} + sizes, folder.path());
  EXPECT_TRUE(exits_with(none, 2) && says(none, "model.kernel: expected a kernel"));
  EXPECT_FALSE(std::filesystem::exists(folder / "none"));
  // A run of a kernel is finished at once, and what it leaves can be evaluated.
  ASSERT_TRUE(
      exits_with(entk_in_place(Words{"train", "--set", "model.kernel=ntk", "--out", "run"} + sizes, folder.path()), 0));
  EXPECT_EQ(read_csv(folder / "run" / "metrics.csv").column("step").back(), 20000);
}

const Words small = {"--set", "model.width=20",       "--set", "data.dimension=4", "--set", "data.samples=20",
                     "--set", "data.test_samples=20", "--set", "projector.rank=5", "--set", "train.steps=5"};

TEST(Commands, AFigureLeavesPlotsInThreeFormatsWithTheirScriptATableAndAPage) {
  using testing::operator+;
  const TemporaryFolder folder;
  ASSERT_TRUE(exits_with(entk_in_place(Words{"figure1", "--out", "f"} + small, folder.path()), 0));
  for (const char* file : {"figure1.svg", "figure1.png", "figure1.pdf", "figure1.gp", "figure1.dat", "results.csv",
                           "results.md", "report.html", "config.json", "command.txt", "status.json",
                           "runs/lambda.3=10,seed=11/environment.json", "runs/lambda.3=10,seed=11/metrics.csv"}) {
    EXPECT_TRUE(std::filesystem::exists(folder / "f" / file)) << file;
  }
  EXPECT_EQ(testing::read_text(folder / "f/command.txt").substr(0, 20), "entk figure1 --out f");
  EXPECT_NE(testing::read_text(folder / "f/report.html").find("<img alt="), std::string::npos);
}

TEST(Commands, AnOptionWithoutAValueOrWithAWrongOneIsNamed) {
  const TemporaryFolder folder;
  for (const auto& [option, value, message] : {std::tuple{"--seeds", "", "--seeds: expected N,N, got nothing"},
                                               {"--seeds", "a", "--seeds: expected N,N, got 'a'"},
                                               {"--threads", "", "--threads: expected N, got nothing"},
                                               {"--threads", "two", "--threads: expected N, got 'two'"},
                                               {"--out", "", "--out: expected DIR, got nothing"}}) {
    const auto result = entk_in_place({"figure1", "--preset", "quick", option, value}, folder.path());
    EXPECT_EQ(result.status, 2) << option << " '" << value << "'";
    EXPECT_NE(result.output.find(message), std::string::npos) << result.output;
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Commands, HelpListsNoOptionThatTheCommandRefuses) {
  for (const std::string command : {"spectrum", "expressivity", "figure2", "r1-noise", "reproduce"}) {
    const auto help = entk_in_place({command, "--help"}, "/").output;
    for (const auto& [option, value] :
         {std::pair{"--seeds", "3"}, {"--device", "cpu"}, {"--threads", "1"}, {"--dtype", "float32"}}) {
      const bool listed = help.find(std::string("  ") + option) != std::string::npos;
      const auto result = entk_in_place({command, option, value, "--print-config"}, "/");
      EXPECT_EQ(result.status == 0, listed) << command << ' ' << option << ": " << result.output;
    }
  }
}

TEST(Commands, PrintConfigGivesAConfigurationThatGivesItselfAgain) {
  using testing::operator+;
  const TemporaryFolder folder;
  const auto first =
      entk_in_place(Words{"figure1", "--print-config", "--sweep", "lambda.3=0,1"} + small, folder.path());
  ASSERT_TRUE(exits_with(first, 0));
  testing::write_text(folder / "c.json", first.output);
  const auto second = entk_in_place({"train", "--config", "c.json", "--print-config"}, folder.path());
  EXPECT_EQ(second.output, first.output);
  EXPECT_FALSE(std::filesystem::exists(folder / "runs"));
}

TEST(Commands, JsonOnStdoutIsAllThatIsThere) {
  using testing::operator+;
  const TemporaryFolder folder;
  const auto one = entk_in_place(Words{"train", "--json", "--quiet", "--out", "a"} + small, folder.path());
  const auto summary = parse_json(one.output, "stdout");
  EXPECT_EQ(summary.at("step"), 5);
  EXPECT_EQ(summary.at("folder"), "a");
  const auto study =
      entk_in_place(Words{"train", "--json", "--quiet", "--seeds", "1,2", "--out", "b"} + small, folder.path());
  EXPECT_EQ(parse_json(study.output, "stdout").at("runs").at("seed=2").at("state"), "done");
  const auto compared = entk_in_place({"compare-devices", "--json", "--quiet", "--mode", "threads", "--set",
                                       "train.steps=5", "--set", "model.width=20"},
                                      folder.path());
  EXPECT_EQ(parse_json(compared.output, "stdout").at("within"), true);
}

TEST(Commands, ALongerRunBeginsWithTheBytesOfAShorterOne) {
  using testing::operator+;
  const TemporaryFolder folder;
  ASSERT_TRUE(exits_with(entk_in_place(Words{"train", "--quiet", "--out", "short"} + small, folder.path()), 0));
  ASSERT_TRUE(
      exits_with(entk_in_place(Words{"train", "--quiet", "--out", "long"} + small + Words{"--set", "train.steps=9"},
                               folder.path()),
                 0));
  const auto shorter = testing::read_text(folder / "short/metrics.csv"),
             longer = testing::read_text(folder / "long/metrics.csv");
  EXPECT_EQ(longer.substr(0, shorter.size()), shorter);
  EXPECT_GT(longer.size(), shorter.size());
}

TEST(Commands, CompletionIsBashAndKnowsCommandsAndOptions) {
  const TemporaryFolder folder;
  const auto script = entk_in_place({"completion"}, folder.path());
  testing::write_text(folder / "entk.bash", script.output);
  const auto complete = [&](const std::string& words, int word) {
    return run_program({"bash", "-c",
                        "source ./entk.bash; COMP_WORDS=(" + words + "); COMP_CWORD=" + std::to_string(word) +
                            "; _entk; echo \"${COMPREPLY[*]}\""},
                       folder.path(), std::chrono::seconds(20))
        .output;
  };
  EXPECT_EQ(complete("entk figu", 1).substr(0, 7), "figure1");
  EXPECT_EQ(complete("entk train --print", 2), "--print-config\n");
}

}  // namespace
}  // namespace entk::commands_test
