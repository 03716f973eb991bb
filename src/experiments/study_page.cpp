#include "entk/experiments/study_page.h"

#include <fmt/format.h>

#include "entk/io/atomic_file.h"

namespace entk {

StudyPage::StudyPage(std::filesystem::path folder, const std::string& title) : folder_(std::move(folder)), page_(title) {
  const auto command = folder_ / "command.txt";
  if (std::filesystem::exists(command)) page_.code(read_file(command, 1 << 20));
  page_.heading(2, "Results");
}

void StudyPage::results(const Table& table) {
  results_.table = table;
  write_file_atomically(folder_ / "results.csv", to_csv(table));
  write_file_atomically(folder_ / "results.md", to_markdown(table));
  page_.table(table);
}

void StudyPage::figure(const std::string& name, const Figure& figure, const std::string& caption) {
  const auto plot = write_figure(folder_, name, figure);
  add_files(plot, results_);
  page_.figure(plot, caption);
}

void StudyPage::claims(const std::vector<Claim>& claims) {
  write_claims(folder_, claims);
  results_.files.push_back(folder_ / "claims.json");
  page_.heading(2, "Claims");
  for (const auto& c : claims) {
    page_.verdict(c.verdict, fmt::format("{}: {} Here: {}. Criterion: {}.", c.source, c.statement, c.ours, c.reason));
  }
}

Results StudyPage::finish() {
  for (const auto& [heading, name] : {std::pair{"Configuration", "config.json"}, {"Environment", "environment.json"}}) {
    if (!std::filesystem::exists(folder_ / name)) continue;
    page_.heading(2, heading);
    page_.key_values(json_pairs(folder_ / name));
  }
  write_file_atomically(folder_ / "report.html", page_.str());
  results_.files.push_back(folder_ / "report.html");
  return results_;
}

Results write_study_page(const std::filesystem::path& folder, const std::string& title, const Table& table,
                         const std::vector<NamedFigure>& figures, const std::vector<Claim>& claims) {
  StudyPage page(folder, title);
  page.results(table);
  for (const auto& [name, figure, caption] : figures) page.figure(name, figure, caption);
  page.claims(claims);
  return page.finish();
}

}  // namespace entk
