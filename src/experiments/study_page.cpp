#include "entk/experiments/study_page.h"

#include "entk/io/atomic_file.h"
#include "entk/report/html.h"

namespace entk {

Results write_study_page(const std::filesystem::path& folder, const std::string& title, const Table& table,
                         const std::vector<NamedFigure>& figures, const std::vector<Claim>& claims) {
  Results results;
  results.table = table;
  write_file_atomically(folder / "results.csv", to_csv(table));
  write_file_atomically(folder / "results.md", to_markdown(table));
  write_claims(folder, claims);
  HtmlPage page(title);
  if (std::filesystem::exists(folder / "command.txt")) page.code(read_file(folder / "command.txt", 1 << 20));
  page.heading(2, "Claims");
  for (const auto& claim : claims) {
    page.verdict(claim.verdict, claim.statement);
    page.paragraph("The paper: " + (claim.paper.empty() ? std::string("no value") : claim.paper) + ". Here: " + claim.ours +
                   ". Criterion: " + claim.reason + ".");
  }
  page.heading(2, "Results");
  page.table(table);
  for (const auto& [name, figure, caption] : figures) {
    const auto files = write_figure(folder, name, figure);
    for (const auto& file : {files.svg, files.png, files.pdf}) {
      if (!file.empty()) results.files.push_back(file);
    }
    if (!files.notice.empty()) results.notices.push_back(files.notice);
    page.figure(files, caption);
  }
  page.heading(2, "Configuration");
  if (std::filesystem::exists(folder / "config.json")) page.code(read_file(folder / "config.json", 1 << 20));
  page.heading(2, "Environment");
  if (std::filesystem::exists(folder / "environment.json")) page.code(read_file(folder / "environment.json", 1 << 20));
  for (const char* name : {"results.csv", "results.md", "claims.json"}) results.files.push_back(folder / name);
  write_file_atomically(folder / "report.html", page.str());
  results.files.push_back(folder / "report.html");
  return results;
}

}  // namespace entk
