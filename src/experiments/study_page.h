// What every study leaves in its folder: results.csv and results.md, figures, claims.json, report.html.
#pragma once

#include "entk/experiments/claims.h"
#include "entk/experiments/results.h"
#include "entk/report/html.h"

namespace entk {

/// Builds report.html from the top: command, then what is added in turn, then configuration and
/// environment. All write into the folder at once and throw SaveError where that fails.
class StudyPage {
 public:
  StudyPage(std::filesystem::path folder, const std::string& title);

  HtmlPage& html() { return page_; }
  /// The study's main table: also results.csv, results.md and what the terminal shows.
  void results(const Table& table);
  /// name.{svg,png,pdf,dat,gp}.
  void figure(const std::string& name, const Figure& figure, const std::string& caption);
  /// claims.json, and a verdict for each.
  void claims(const std::vector<Claim>& claims);
  /// The last part, and the file itself.
  Results finish();

 private:
  std::filesystem::path folder_;
  HtmlPage page_;
  Results results_;
};

struct NamedFigure {
  std::string name;  ///< of its files
  Figure figure;
  std::string caption;
};

/// The usual page: table, figures, claims.
Results write_study_page(const std::filesystem::path& folder, const std::string& title, const Table& table,
                         const std::vector<NamedFigure>& figures, const std::vector<Claim>& claims);

}  // namespace entk
