// Every figure that entk makes, from the data of quick runs (figures/pack.py), as a reader sees it.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "entk/io/atomic_file.h"
#include "entk/io/strict_json.h"
#include "entk/report/process.h"
#include "entk/studies/studies.h"
#include "tests/support/browser.h"
#include "tests/support/testing.h"

namespace entk::figures_test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

const fs::path packed = ENTK_SOURCE_DIR "/tests/studies/figures";

/// One of the packed folders, as it was.
void unpack(const std::string& name, const fs::path& folder) {
  const auto files = load_json((packed / (name + ".json")).string());
  for (const auto& [file, text] : files.items()) {
    fs::create_directories((folder / file).parent_path());
    testing::write_text(folder / file, text.get<std::string>());
  }
}

class Figures : public ::testing::TestWithParam<std::string> {};

TEST_P(Figures, CanBeRead) {
  if (!run_program({"gnuplot", "--version"}, "/", 60s).found) GTEST_SKIP() << "gnuplot is not on PATH";
  const testing::TemporaryFolder folder;
  unpack(GetParam(), folder.path());
  const auto results = write_page_of(folder.path(), folder.path(), built_in_catalogue());
  EXPECT_TRUE(fs::exists(folder / "report.html"));
  std::vector<std::string> check = {ENTK_PYTHON, ENTK_SOURCE_DIR "/tests/support/svg_geometry.py"};
  for (const auto& file : results.files) {
    if (file.extension() == ".svg") check.push_back(file.string());
  }
  ASSERT_GE(check.size(), 3u) << "no figure";
  EXPECT_EQ(run_program(check, folder.path(), 60s).output, "");
  if (testing::has_browser()) {
    EXPECT_EQ(testing::drive_page(folder / "report.html", {"--fits"}), "");
  }
}

std::vector<std::string> names() {
  std::set<std::string> all;
  for (const auto& file : fs::directory_iterator(packed)) {
    if (file.path().extension() == ".json") all.insert(file.path().stem().string());
  }
  return {all.begin(), all.end()};
}

INSTANTIATE_TEST_SUITE_P(Quick, Figures, ::testing::ValuesIn(names()), [](const auto& test) {
  std::string name = test.param;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
});

}  // namespace
}  // namespace entk::figures_test
