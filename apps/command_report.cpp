#include <fmt/format.h>

#include <memory>

#include "commands.h"
#include "console.h"
#include "entk/experiments/results.h"
#include "entk/io/strict_json.h"

namespace entk::app {

namespace {

ExitCode report(const std::string& folder, const Catalogue& catalogue) {
  const std::filesystem::path path(folder);
  if (!std::filesystem::exists(path / "config.json")) {
    throw InputError(fmt::format("{}: expected the folder of a run or a study, with a config.json", folder));
  }
  const auto hold = RunFolder::open(path);  // nobody writes there meanwhile
  Results results;
  if (std::filesystem::exists(path / "runs")) {
    const auto source = (path / "config.json").string();
    const auto study = read_study_config(without_resolved(load_json(source)), source, catalogue.tolerant());
    results = write_study_results(path, study, plan_runs(study, source));
  } else {
    results = write_run_results(path);
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
