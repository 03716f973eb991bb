#include "entk/runs/study_page.h"

#include <fmt/format.h>

#include "entk/io/atomic_file.h"
#include "entk/io/strict_json.h"

namespace entk {

Results write_study_page(const std::filesystem::path& folder, const std::string& name, const std::string& title,
                         const Findings& findings) {
  Results results;
  results.table = findings.table;
  HtmlPage page(title);
  if (const auto command = folder / "command.txt"; std::filesystem::exists(command))
    page.code(read_file(command, 1 << 20));
  page.heading(2, "Results");
  write_file_atomically(folder / "results.csv", to_csv(findings.table));
  write_file_atomically(folder / "results.md", to_markdown(findings.table));
  if (!findings.numbers.empty()) write_file_atomically(folder / (name + ".json"), dump_json(findings.numbers));
  page.table(findings.table);
  for (const auto& [file, figure, caption] : findings.figures) {
    if (figure.panels.empty()) continue;
    const auto plot = write_figure(folder, file, figure);
    add_files(plot, results);
    page.figure(plot, caption);
  }
  for (const auto& note : findings.notes) page.paragraph(note);
  for (const auto& warning : findings.warnings) {
    page.paragraph("Note: " + warning);
    results.notices.push_back(warning);
  }
  if (!findings.claims.empty()) {
    write_claims(folder, findings.claims);
    results.files.push_back(folder / "claims.json");
    page.heading(2, "Claims");
    for (const auto& c : findings.claims) {
      page.verdict(c.verdict, fmt::format("{}: {} Here: {}. Criterion: {}.", c.source, c.statement, c.ours, c.reason));
    }
  }
  for (const auto& [heading, table] : findings.tables) {
    page.heading(2, heading);
    page.table(table);
  }
  for (const auto& [heading, file] : {std::pair{"Configuration", "config.json"}, {"Environment", "environment.json"}}) {
    if (!std::filesystem::exists(folder / file)) continue;
    page.heading(2, heading);
    page.key_values(json_pairs(folder / file));
  }
  write_file_atomically(folder / "report.html", page.str());
  results.files.push_back(folder / "report.html");
  return results;
}

}  // namespace entk
