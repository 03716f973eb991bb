#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "entk/runs/claims.h"
#include "entk/studies/reproduce.h"
#include "entk/io/atomic_file.h"
#include "entk/io/strict_json.h"
#include "entk/report/html.h"

namespace entk {

namespace {

namespace fs = std::filesystem;

struct StageResult {
  const Stage* stage;
  StageRecord record;
  std::vector<Claim> claims;
  std::string notice;  ///< why there are none of its own
};

StageResult result_of(const Stage& stage, const fs::path& folder, const std::map<std::string, StageRecord>& records,
                      bool wanted) {
  StageResult result{&stage, {}, {}, ""};
  if (const auto found = records.find(stage.name); found != records.end()) result.record = found->second;
  if (fs::exists(folder / stage.name / "claims.json")) {
    try {
      result.claims = read_claims(folder / stage.name);
    } catch (const InputError& e) {
      result.notice = e.what();
    }
  }
  if (!result.claims.empty()) return result;
  const auto& record = result.record;
  if (result.notice.empty()) {
    result.notice = !wanted         ? "left out by the configuration"
                    : !record.ran   ? "not run yet"
                    : record.done() ? "it left no claims"
                                    : fmt::format("it ended with exit code {}: {}", record.exit_code, record.message);
  }
  result.claims = {{stage.source, stage.claim, "", "", Verdict::not_run, result.notice, ""}};
  return result;
}

std::string time_text(double seconds) {
  const auto s = static_cast<std::int64_t>(seconds + 0.5);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
}

std::string state_text(const StageRecord& r) {
  if (!r.ran) return "not run";
  if (r.exit_code == 0) return "done";
  if (r.exit_code == 1) return "done; a check did not pass";
  if (r.exit_code == 130 || r.exit_code == 143) return "interrupted";
  return fmt::format("failed with exit code {}: {}", r.exit_code, r.message);
}

/// The figure that a claim names, inline; a notice where it cannot be shown.
void add_figure(HtmlPage& page, const fs::path& folder, const std::string& name, const std::string& caption,
                const std::string& id) {
  FigureFiles files;
  if (name.find('/') == std::string::npos && fs::exists(folder / (name + ".svg"))) files.svg = folder / (name + ".svg");
  for (auto [file, ending] : {std::pair{&files.data, ".dat"}, std::pair{&files.script, ".gp"}}) {
    if (fs::exists(folder / (name + ending))) *file = folder / (name + ending);
  }
  files.notice = "no plot was drawn (gnuplot draws it)";
  try {
    page.figure(files, caption, id);
  } catch (const InputError& e) {
    page.paragraph(fmt::format("{}: {}", name, e.what()));
  }
}

void add_stage(HtmlPage& page, const StageResult& result, const fs::path& folder) {
  page.heading(2, result.stage->title, "stage-" + result.stage->name);
  page.paragraph(result.stage->claim);
  std::set<std::string> shown;
  for (const auto& claim : result.claims) {
    if (!claim.figure.empty() && shown.insert(claim.figure).second) {
      add_figure(page, folder / result.stage->name, claim.figure,
                 fmt::format("{}, from {}/{}", claim.source, result.stage->name, claim.figure),
                 fmt::format("figure-{}-{}", result.stage->name, claim.figure));
    }
  }
  for (const auto& claim : result.claims) {
    std::vector<Link> links;
    const auto& stage = result.stage->name;
    for (const auto& file : {claim.figure + ".dat", std::string("results.csv")}) {
      if (links.empty() && fs::exists(folder / stage / file)) links.push_back({"data", stage + "/" + file});
    }
    if (fs::exists(folder / stage / "report.html")) links.push_back({"its page", stage + "/report.html"});
    page.verdict(claim.verdict, claim.statement, links,
                 {{"Paper", claim.paper}, {"Here", claim.ours}, {"Size", claim.size}, {"Criterion", claim.reason}});
  }
  if (!result.record.command.empty()) page.code(result.record.command);
  std::vector<std::pair<std::string, std::string>> facts = {{"State", state_text(result.record)}};
  if (result.record.ran) facts.emplace_back("Time", time_text(result.record.seconds));
  if (fs::exists(folder / result.stage->name)) facts.emplace_back("Folder", result.stage->name);
  page.key_values(facts);
}

std::vector<std::pair<std::string, std::string>> environment_lines(const fs::path& folder) {
  std::vector<std::pair<std::string, std::string>> lines;
  if (!fs::exists(folder / "environment.json")) return lines;
  const auto environment = load_json(folder / "environment.json");
  for (const auto& [key, value] : environment.items()) {
    lines.emplace_back(key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return lines;
}

}  // namespace

void write_reproduce_report(const fs::path& folder, const ReproduceConfig& config) {
  const auto records = read_stage_records(folder);
  std::vector<StageResult> results;
  for (const auto& stage : reproduce_stages()) {
    const bool wanted = std::find(config.stages.begin(), config.stages.end(), stage.name) != config.stages.end();
    results.push_back(result_of(stage, folder, records, wanted));
  }

  std::vector<ClaimLine> lines;
  std::map<Verdict, int> count;
  double seconds = 0;
  int failed = 0;
  for (const auto& result : results) {
    seconds += result.record.seconds;
    failed += result.record.ran && !result.record.done();
    for (const auto& claim : result.claims) {
      lines.push_back(
          {claim.source, claim.statement, claim.paper, claim.ours, claim.verdict, "#stage-" + result.stage->name});
      ++count[claim.verdict];
    }
  }

  HtmlPage page(fmt::format("The paper's claims, measured ({} sizes)", word_of(config.preset)));
  page.heading(2, "All claims");
  page.paragraph(fmt::format(
      "Of {} claims {} held, {} did not hold, {} could not be told at these sizes and {} were not run. "
      "{} of computing in all.{}",
      lines.size(), count[Verdict::held], count[Verdict::did_not_hold], count[Verdict::too_small_to_tell],
      count[Verdict::not_run], time_text(seconds), failed == 0 ? "" : fmt::format(" Stages that failed: {}.", failed)));
  page.claims(lines);
  for (const auto& result : results) add_stage(page, result, folder);
  page.heading(2, "How this was made");
  if (fs::exists(folder / "command.txt")) page.code(read_file(folder / "command.txt", 1 << 20));
  page.key_values(environment_lines(folder));
  write_file_atomically(folder / "report.html", page.str());
}

}  // namespace entk
