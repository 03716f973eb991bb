// Pages in a headless Chromium, where there is one.
#pragma once

#include <string>
#include <vector>

#include "entk/report/process.h"

namespace entk::testing {

inline bool has_browser() {
  for (const char* program : {"chromium", "chromium-browser", "google-chrome"}) {
    if (run_program({program, "--version"}, "/", std::chrono::seconds(60)).found) return true;
  }
  return false;
}

/// What support/drive_page.py says of a page: nothing where all is well.
inline std::string drive_page(const std::filesystem::path& page, const std::vector<std::string>& options = {}) {
  std::vector<std::string> words = {ENTK_PYTHON, ENTK_SOURCE_DIR "/tests/support/drive_page.py", page.string()};
  words.insert(words.end(), options.begin(), options.end());
  const auto run = run_program(words, page.parent_path(), std::chrono::minutes(4));
  return run.output + (run.status == 0 ? "" : "status " + std::to_string(run.status));
}

}  // namespace entk::testing
