#include <fmt/format.h>

#include <memory>

#include "entk/program/commands.h"
#include "entk/program/console.h"
#include "entk/runs/results.h"
#include "entk/studies/studies.h"
#include "entk/runs/study_page.h"

namespace entk::app {

namespace {

ExitCode report(const std::string& folder, const Catalogue& catalogue) {
  const std::filesystem::path path(folder);
  if (!std::filesystem::exists(path / "config.json")) {
    throw InputError(fmt::format("{}: expected the folder of a run or a study, with a config.json", folder));
  }
  const auto hold = RunFolder::open(path);  // nobody writes there meanwhile
  Results results;
  if (std::filesystem::exists(path / "metrics.csv")) {
    results = write_run_results(path);
  } else if (std::filesystem::exists(path / "landscape.json")) {
    throw InputError(
        fmt::format("{}: what entk landscape leaves is drawn once; begin again with: entk landscape RUN", folder));
  } else {
    const auto [study, task] = study_of(path, catalogue.tolerant());
    results = write_study_page(path, study->name, study->title, task->findings(path));
  }
  for (const auto& notice : results.notices) say("note: " + notice);
  fmt::print("{}\nIn {}:\n", to_text(results.table), folder);
  for (const auto& file : results.files) fmt::print("  {}\n", file.filename().string());
  return ExitCode::ok;
}

}  // namespace

void add_report(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("report", "Draw a run's or study's plots and report.html again");
  const auto folder = std::make_shared<std::string>();
  command->add_option("DIR", *folder, "folder of a run or a study")->required();
  command->callback(
      [folder, &program] { program.action = [folder, &program] { return report(*folder, program.catalogue); }; });
}

}  // namespace entk::app
