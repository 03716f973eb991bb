#include "entk/program/results_text.h"

#include <fmt/format.h>

#include "entk/io/strict_json.h"
#include "entk/program/signals.h"

namespace entk::app {

void show_results(const CommonOptions& o, const Results& results, const std::vector<Claim>& claims,
                  const std::filesystem::path& folder, const nlohmann::json& summary) {
  for (const auto& notice : results.notices) say("note: " + notice);
  if (o.json) {
    fmt::print("{}", dump_json(summary));
    return;
  }
  if (o.quiet) return;
  fmt::print("{}", to_text(results.table));
  for (const auto& claim : claims) {
    fmt::print("{}: {} [{}] {}\n", claim.source, claim.statement, to_string(claim.verdict), claim.ours);
  }
  fmt::print("\nIn {}:\n", folder.string());
  for (const auto& file : results.files) fmt::print("  {}\n", file.filename().string());
}

RunHooks hooks_for(Console& console, const CommonOptions& o) {
  RunHooks hooks;
  hooks.ignore_memory = o.force;
  hooks.interrupted = caught_signal;
  hooks.progress = [&console](const std::string& run, const Record& r, std::int64_t steps, double left) {
    console.progress(run, r, steps, left);
  };
  hooks.notice = [&console](const std::string& run, const std::string& text) { console.notice(run, text); };
  return hooks;
}

}  // namespace entk::app
