#include <fmt/format.h>

#include <memory>
#include <set>

#include "entk/io/atomic_file.h"
#include "entk/program/commands.h"
#include "entk/program/common_options.h"
#include "entk/program/console.h"
#include "entk/runs/joint.h"
#include "entk/studies/studies.h"

namespace entk::app {

namespace {

std::vector<FoundRun> runs_in(const std::vector<std::string>& folders) {
  std::vector<FoundRun> runs;
  std::set<std::filesystem::path> seen;  // a run is there once, however often it is named
  for (const auto& folder : folders) {
    for (auto& run : find_runs(folder)) {
      if (seen.insert(std::filesystem::canonical(run.folder)).second) runs.push_back(std::move(run));
    }
  }
  return runs;
}

ExitCode report(const std::vector<std::string>& folders, const std::string& out, const Program& program) {
  Results results;
  std::string place = out;
  if (folders.size() == 1 && out.empty()) {
    place = folders[0];
    if (!std::filesystem::is_directory(place)) {
      throw InputError(fmt::format("{}: expected the folder of a run or a study, with a config.json", place));
    }
    std::optional<RunFolder> hold;  // nobody writes there meanwhile
    try {
      hold = RunFolder::open(place);
    } catch (const HeldError& e) {
      say(fmt::format("note: {}; this is what there is so far", e.what()));
    }
    results = write_page_of(place, place, program.catalogue, program.studies);
  } else {
    const auto runs = runs_in(folders);
    CommonOptions options;
    options.out = out;
    const auto folder = open_folder(options, "report");
    place = folder.path().string();
    results = write_study_page(folder.path(), "report", "Runs side by side", joint_findings(runs));
  }
  for (const auto& notice : results.notices) say("note: " + notice);
  fmt::print("{}\nIn {}:\n", to_text(results.table), place);
  for (const auto& file : results.files) fmt::print("  {}\n", file.filename().string());
  return ExitCode::ok;
}

}  // namespace

void add_report(CLI::App& app, Program& program) {
  auto* command =
      app.add_subcommand("report", "Draw a run's or study's plots and report.html again, or those of several");
  const auto folders = std::make_shared<std::vector<std::string>>();
  const auto out = std::make_shared<std::string>();
  command
      ->add_option("DIR", *folders, "folder of a run or a study, also of one that runs; several: their runs together")
      ->required();
  command->add_option("--out", *out, "new folder for several together [runs/report-<UTC time>]")->type_name("DIR");
  command->callback([=, &program] { program.action = [=, &program] { return report(*folders, *out, program); }; });
}

void add_export(CLI::App& app, Program& program) {
  auto* command = app.add_subcommand("export", "All records of a study's runs as one tidy CSV table");
  const auto folders = std::make_shared<std::vector<std::string>>();
  const auto out = std::make_shared<std::string>();
  command->add_option("DIR", *folders, "folders of runs or studies")->required();
  command->add_option("--out", *out, "new file [standard output]")->type_name("FILE");
  command->callback([=, &program] {
    program.action = [=] {
      const auto text = tidy_csv(runs_in(*folders));
      if (out->empty()) {
        fmt::print("{}", text);
      } else {
        check_new_file(*out);
        write_file_atomically(*out, text);
      }
      return ExitCode::ok;
    };
  });
}

}  // namespace entk::app
