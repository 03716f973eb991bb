// What docs/ says is so: links lead somewhere, headers hold what they are said to hold, commands are
// commands.
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>

#include "tests/apps/in_place.h"

namespace entk::documentation_test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::read_text;

const fs::path source(ENTK_SOURCE_DIR);

std::vector<fs::path> pages() {
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(source / "docs")) {
    if (entry.path().extension() == ".md") all.push_back(entry.path());
  }
  return all;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) found.push_back((*it)[1]);
  return found;
}

TEST(Documentation, LinksLeadToFiles) {
  for (const auto& page : pages()) {
    for (auto link : matches(read_text(page), R"(\]\(([^)\s]+)\))")) {
      if (link.rfind("http", 0) == 0 || link[0] == '#') continue;
      EXPECT_TRUE(fs::exists(page.parent_path() / link.substr(0, link.find('#')))) << page << ": " << link;
    }
  }
}

/// `header.h`: `name`, `name` in rows of tables: each header must contain the names that follow it.
TEST(Documentation, HeadersHoldTheEquationsThatAreSaidToBeThere) {
  int names = 0;
  for (const auto& line : lines_of(read_text(source / "docs" / "mathematics.md"))) {
    if (line.rfind("| ", 0) != 0) continue;
    std::string header, text;
    for (const auto& word : matches(line, "`([^`]+)`")) {
      if (word.size() > 2 && word.substr(word.size() - 2) == ".h") {
        header = word;
        ASSERT_TRUE(fs::exists(source / "src" / header)) << header;
        text = read_text(source / "src" / header);
      } else {
        ASSERT_FALSE(header.empty()) << line;
        EXPECT_TRUE(std::regex_search(text, std::regex("\\b" + word + "\\b"))) << header << " has no " << word;
        ++names;
      }
    }
  }
  EXPECT_GT(names, 40);
}

TEST(Documentation, EveryNumberedEquationHasARow) {
  std::set<int> numbers;
  for (const auto& line : lines_of(read_text(source / "docs" / "mathematics.md"))) {
    if (line.rfind("| (", 0) != 0) continue;
    const auto cell = line.substr(0, line.find('|', 1));
    for (const auto& number : matches(cell, R"(\((\d+)\))")) numbers.insert(std::stoi(number));
  }
  for (int number = 1; number <= 32; ++number) EXPECT_EQ(numbers.count(number), 1u) << number;
}

/// Commands of the blocks of a page: lines that begin with entk, continued lines joined.
std::vector<std::string> commands_of(const fs::path& page) {
  std::vector<std::string> commands;
  bool block = false, continued = false;
  for (auto line : lines_of(read_text(page))) {
    if (line.rfind("```", 0) == 0) {
      block = !block;
      continue;
    }
    if (!block) continue;
    const bool more = !line.empty() && line.back() == '\\';
    if (more) line.pop_back();
    if (continued) {
      commands.back() += line;
    } else {
      for (const char* name : {"build/entk ", "entk "}) {
        if (line.rfind(name, 0) == 0) commands.push_back(line.substr(std::strlen(name)));
      }
    }
    continued = more && !commands.empty();
  }
  for (auto& command : commands) command = command.substr(0, command.find(" #"));
  return commands;
}

/// What is said against arguments that a shell reads; nothing where they are taken.
std::string refusal(const std::string& arguments) {
  const auto words = lines_of(run_program({"sh", "-c", "printf '%s\\n' " + arguments}, source, 60s).output);
  const auto run = testing::entk_in_place(words, source);
  return run.status == 0 ? "" : run.output;
}

/// Options exist, and where a command can print its configuration, it accepts what it is given.
TEST(Documentation, CommandsAreUnderstood) {
  std::map<std::string, std::string> help;
  for (const auto& page : pages()) {
    for (const auto& command : commands_of(page)) {
      const auto name = command.substr(0, command.find(' '));
      if (!help.count(name)) {
        help[name] = testing::entk_in_place({name, "--help"}, source).output;
        EXPECT_NE(help[name].find("Usage: "), std::string::npos) << page << ": entk " << name;
      }
      for (const auto& option : matches(command, R"(\s(--[a-z0-9-]+))")) {
        EXPECT_TRUE(std::regex_search(help[name], std::regex("\\s" + option + "\\b"))) << page << ": entk " << command;
      }
      const bool prints = help[name].find("--print-config") != std::string::npos;
      if (prints && command.find("--resume") == std::string::npos) {
        EXPECT_EQ(refusal(command + " --print-config"), "") << page << ": entk " << command;
      }
    }
  }
}

TEST(Documentation, TheCheckOfCommandsSeesWhatItIsFor) {
  EXPECT_NE(refusal("figure1 --preset tiny --print-config"), "");
  EXPECT_EQ(refusal("figure1 --preset quick --print-config"), "");
}

/// Each line of a page's snippets stands in the test that compiles them, blanks and line breaks apart.
TEST(Documentation, SnippetsAreThoseThatAreCompiled) {
  const auto squeezed = [](std::string text) {
    std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
    return text;
  };
  for (const auto& [page, test, least] :
       {std::tuple{"extending.md", "apps/extending_test.cpp", 25},
        std::tuple{"scripts.md", "apps/scripts_test.cpp", 60}, std::tuple{"../README.md", "apps/scripts_test.cpp", 10},
        std::tuple{"higher-orders.md", "models/check_expansion_test.cpp", 5}}) {
    const auto compiled = squeezed(read_text(source / "tests" / test));
    bool snippet = false;
    int lines = 0;
    for (const auto& line : lines_of(read_text(source / "docs" / page))) {
      if (line.rfind("```", 0) == 0) {
        snippet = line == "```cpp";
      } else if (snippet && !line.empty()) {
        EXPECT_NE(compiled.find(squeezed(line)), std::string::npos) << page << ": " << line;
        ++lines;
      }
    }
    EXPECT_GT(lines, least);
  }
}

}  // namespace
}  // namespace entk::documentation_test
