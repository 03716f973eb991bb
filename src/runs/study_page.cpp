#include "entk/runs/study_page.h"

#include <fmt/format.h>

#include <set>

#include "entk/io/atomic_file.h"
#include "entk/io/run_folder.h"
#include "entk/io/strict_json.h"

namespace entk {

namespace {

/// What each run's status.json says.
Table states_of(const std::filesystem::path& folder) {
  Table table{"", {Column("run"), Column("state"), Column("step"), Column("message")}, {}};
  std::set<std::filesystem::path> runs;
  bool messages = false;
  if (std::filesystem::is_directory(folder / "runs")) {
    for (const auto& run : std::filesystem::directory_iterator(folder / "runs")) runs.insert(run.path());
  }
  for (const auto& run : runs) {
    if (!std::filesystem::exists(run / "status.json")) continue;
    const auto status = read_status(run);
    table.rows.push_back({run.filename().string(), to_string(status.state), status.step, status.message});
    messages = messages || !status.message.empty();
  }
  if (!messages) {
    table.columns.pop_back();
    for (auto& row : table.rows) row.pop_back();
  }
  return table;
}

}  // namespace

Results write_study_page(const std::filesystem::path& folder, const std::string& name, const std::string& title,
                         const Findings& findings, const nlohmann::json& standard, std::filesystem::path out) {
  if (out.empty()) out = folder;
  Results results;
  results.table = findings.table;
  HtmlPage page(title);
  if (const auto command = folder / "command.txt"; std::filesystem::exists(command))
    page.code(read_file(command, 1 << 20));
  page.heading(2, "Results");
  write_file_atomically(out / "results.csv", to_csv(findings.table));
  write_file_atomically(out / "results.md", to_markdown(findings.table));
  if (!findings.numbers.empty()) write_file_atomically(out / (name + ".json"), dump_json(findings.numbers));
  page.table(findings.table);
  std::set<std::string> figures;
  for (const auto& [file, figure, caption] : findings.figures) {
    if (figure.panels.empty()) continue;
    const auto plot = write_figure(out, file, figure);
    add_files(plot, results);
    page.figure(plot, caption, "figure-" + file);
    figures.insert(file);
  }
  for (const auto& note : findings.notes) page.paragraph(note);
  for (const auto& warning : findings.warnings) {
    page.paragraph("Note: " + warning);
    results.notices.push_back(warning);
  }
  if (!findings.claims.empty()) {
    auto claims = findings.claims;
    const auto config = folder / "config.json";
    const auto size = std::filesystem::exists(config) ? size_text(load_json(config)) : "";
    for (auto& claim : claims) claim.size = size;
    write_claims(out, claims);
    results.files.push_back(out / "claims.json");
    page.heading(2, "Claims");
    if (!size.empty()) page.paragraph("Judged at " + size + ".");
    for (const auto& c : findings.claims) {
      std::vector<Link> links = {{"data", "results.csv"}};
      if (figures.count(c.figure)) links = {{"figure", "#figure-" + c.figure}, {"data", c.figure + ".dat"}};
      page.verdict(c.verdict, fmt::format("{}: {}", c.source, c.statement), links,
                   {{"Paper", c.paper}, {"Here", c.ours}, {"Criterion", c.reason}});
    }
  }
  for (const auto& [heading, table] : findings.tables) {
    page.heading(2, heading);
    page.table(table);
  }
  if (const Table runs = states_of(folder); !runs.rows.empty()) {
    page.heading(2, "Runs");
    page.table(runs);
  }
  add_configuration(page, folder, standard);
  write_file_atomically(out / "report.html", page.str());
  results.files.push_back(out / "report.html");
  return results;
}

}  // namespace entk
