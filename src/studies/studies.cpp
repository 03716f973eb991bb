#include "entk/studies/studies.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "entk/studies/compare.h"
#include "entk/studies/complexity.h"
#include "entk/config/config_layers.h"
#include "entk/studies/depth.h"
#include "entk/studies/escape.h"
#include "entk/studies/expressivity.h"
#include "entk/studies/figure2.h"
#include "entk/studies/landscape_study.h"
#include "entk/studies/noise_study.h"
#include "entk/studies/r1_study.h"
#include "entk/studies/spectrum.h"
#include "entk/studies/sweep_study.h"
#include "entk/studies/taylor_study.h"
#include "entk/io/strict_json.h"

namespace entk {

const std::vector<Study>& studies() {
  static const std::vector<Study> all = {figure1_study(), spectrum_study(), expressivity_study(), landscape_study(),
                                         noise_study(),   compare_study(),  complexity_study(),   escape_study(),
                                         depth_study(),   figure2_study(),  taylor_study(),       r1_study(),
                                         train_study()};
  return all;
}

const std::vector<Stage>& reproduce_stages() {
  static const std::vector<Stage> all = [] {
    std::vector<Stage> stages;
    for (const auto& study : studies()) stages.insert(stages.end(), study.stages.begin(), study.stages.end());
    return stages;
  }();
  return all;
}

std::vector<Study> with_built_in_studies(const std::vector<Study>& own) {
  auto all = studies();
  for (const auto& study : own) {
    const auto fail = [&](const char* what) { throw InputError(fmt::format("study '{}': {}", study.name, what)); };
    if (study.name.empty() || study.name.find_first_of(" /") != std::string::npos || study.name[0] == '-')
      fail("expected the name of a command");
    if (!study.read) fail("its reader is empty");
    if (std::any_of(all.begin(), all.end(), [&](const Study& s) { return s.name == study.name; }))
      fail("there is one of this name already");
    all.push_back(study);
  }
  return all;
}

FolderStudy study_of(const std::filesystem::path& folder, const std::vector<Study>& studies,
                     const Catalogue& catalogue) {
  const auto file = folder / "config.json";
  const auto json = without_resolved(load_json(file));
  // Each study's keys are strict: a configuration is readable by the one that wrote it. Where two have the same keys,
  // as figure1 and train, the command that was typed tells; a study that is none of these is drawn as train's.
  std::string program, typed, reason;
  std::ifstream(folder / "command.txt") >> program >> typed;
  std::vector<const Study*> order;
  for (const auto& study : studies) order.push_back(&study);
  const auto first = [&](const std::string& name) {
    return std::stable_partition(order.begin(), order.end(), [&](const Study* s) { return s->name == name; }) !=
           order.begin();
  };
  if (!first(typed)) first("train");
  for (const auto* study : order) {
    try {
      return {study, study->read(json, file.string(), catalogue)};
    } catch (const InputError& e) {
      if (reason.empty() || std::string(e.what()).find("unknown key") == std::string::npos) reason = e.what();
    }
  }
  throw InputError(fmt::format("{}: expected the folder of a run or a study: {}", folder.string(), reason));
}

Results write_page_of(const std::filesystem::path& folder, const std::filesystem::path& out, const Catalogue& catalogue,
                      const std::vector<Study>& among) {
  if (!std::filesystem::exists(folder / "config.json")) {
    throw InputError(fmt::format("{}: expected the folder of a run or a study, with a config.json", folder.string()));
  }
  if (std::filesystem::exists(folder / "metrics.csv")) return write_run_results(folder, out);
  if (std::filesystem::exists(folder / "landscape.json") && !load_json(folder / "config.json").contains("run")) {
    throw InputError(
        fmt::format("{}: an earlier version of entk landscape left this, to be drawn once; begin again "
                    "with: entk landscape RUN",
                    folder.string()));
  }
  const auto [study, task] = study_of(folder, among, catalogue.tolerant());
  auto findings = task->findings(folder);
  const auto held = RunFolder::shared(folder);
  const auto missing = missing_text(task->units({.folder = held, .command = "", .take = false}));
  if (!missing.empty()) findings.warnings.push_back(missing);
  return write_study_page(folder, study->name, study->title, findings, study->standard, out);
}

}  // namespace entk
