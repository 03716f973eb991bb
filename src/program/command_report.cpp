#include <fmt/format.h>

#include <memory>

#include "entk/program/commands.h"
#include "entk/program/console.h"
#include "entk/studies/studies.h"

namespace entk::app {

namespace {

ExitCode report(const std::string& folder, const Catalogue& catalogue) {
  if (!std::filesystem::is_directory(folder)) {
    throw InputError(fmt::format("{}: expected the folder of a run or a study, with a config.json", folder));
  }
  const auto hold = RunFolder::open(folder);  // nobody writes there meanwhile
  const auto results = write_page_of(folder, catalogue);
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
