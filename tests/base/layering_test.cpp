// The rooms of src/ depend on each other one way only, and below the command line nothing prints or exits.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>

namespace {

namespace fs = std::filesystem;

/// What each room may include beside itself.
const std::map<std::string, std::set<std::string>>& allowed() {
  static const std::map<std::string, std::set<std::string>> rooms = {
      {"base", {}},
      {"io", {"base"}},
      {"data", {"base", "io"}},
      {"report", {"base", "io"}},
      {"kernels", {"base", "io"}},
      {"models", {"base", "io", "kernels"}},
      {"spectrum", {"base", "io", "kernels", "models"}},
      {"regularizers", {"base", "io", "data", "kernels", "models", "spectrum"}},
      {"train", {"base", "io", "data", "kernels", "models", "spectrum", "regularizers"}},
      {"theory", {"base", "io", "data", "kernels", "models", "spectrum", "regularizers", "train"}},
      {"config", {"base", "io", "data", "kernels", "models", "spectrum", "regularizers", "train"}},
      {"runs", {"base", "io", "data", "report", "kernels", "models", "spectrum", "regularizers", "train", "config"}},
      {"studies",
       {"base", "io", "data", "report", "kernels", "models", "spectrum", "regularizers", "train", "theory", "config",
        "runs"}},
      {"tools",
       {"base", "io", "data", "report", "kernels", "models", "spectrum", "regularizers", "train", "theory", "config",
        "runs"}},
      {"program",
       {"base", "io", "data", "report", "kernels", "models", "spectrum", "regularizers", "train", "theory", "config",
        "runs", "studies", "tools"}}};
  return rooms;
}

/// Calls visit(room, file, line number, line) for every line of src/ROOM/.
template <class Visit>
void for_each_line(const Visit& visit) {
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(ENTK_SOURCE_DIR) / "src")) {
    const auto inside = fs::relative(entry.path(), fs::path(ENTK_SOURCE_DIR) / "src");
    const auto extension = inside.extension();
    if (!entry.is_regular_file() || !inside.has_parent_path() ||
        (extension != ".h" && extension != ".cpp" && extension != ".cu" && extension != ".cuh")) {
      continue;
    }
    std::ifstream file(entry.path());
    int number = 0;
    for (std::string line; std::getline(file, line);) visit(inside.begin()->string(), inside.string(), ++number, line);
  }
}

TEST(Layering, EveryRoomIncludesOnlyTheRoomsBelowIt) {
  const std::regex include(R"re(^\s*#\s*include\s*["<]entk/([a-z0-9_]+)/)re");
  int seen = 0;
  for_each_line([&](const std::string& room, const std::string& file, int number, const std::string& line) {
    std::smatch match;
    if (!std::regex_search(line, match, include)) return;
    ++seen;
    const auto rules = allowed().find(room);
    ASSERT_NE(rules, allowed().end()) << "src/" << file << ": a room that this test does not know";
    const auto other = match[1].str();
    EXPECT_TRUE(other == room || rules->second.count(other))
        << "src/" << file << ":" << number << ": " << room << " may not include " << other;
  });
  EXPECT_GT(seen, 100);
}

TEST(Layering, TheRulesThemselvesHaveNoCycle) {
  for (const auto& [room, below] : allowed()) {
    for (const auto& other : below) EXPECT_FALSE(allowed().at(other).count(room)) << room << " and " << other;
  }
}

TEST(Layering, TheLibraryNeitherPrintsNorExits) {
  const std::regex output(R"re(std::cout|std::cerr|fmt::print\(|(^|[^a-z_])(f?printf|puts|exit|abort)\()re");
  for_each_line([&](const std::string& room, const std::string& file, int number, const std::string& line) {
    if (room == "program") return;  // the command line
    const auto code = line.substr(0, line.find("//"));
    EXPECT_FALSE(std::regex_search(code, output)) << "src/" << file << ":" << number << ": " << line;
  });
}

}  // namespace
