#include "entk/runs/units.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "entk/base/failure.h"
#include "entk/base/threads.h"
#include "entk/io/atomic_file.h"
#include "entk/io/run_folder.h"
#include "entk/io/strict_json.h"
#include "entk/runs/memory.h"

namespace entk {

namespace {

RunOutcome take(const Unit& unit, const std::filesystem::path& path, const TakeOptions& options) {
  RunOutcome failed{ExitCode::failed, RunState::failed, {}, std::nullopt};
  std::optional<RunFolder> own;
  try {
    own = RunFolder::create_or_open(path, options.locking);
    if (!own->is_held() && options.no_lock) options.no_lock(path.string());
    return unit.take(*own);
  } catch (...) {
    const auto [code, message] = current_failure();
    failed.code = code;
    failed.message = message;
    if (code == ExitCode::diverged) failed.state = RunState::diverged;
    if (code == ExitCode::held) failed.state = RunState::running;
  }
  try {
    if (own && std::filesystem::exists(own->file("status.json"))) own->set_status(failed.state, 0, failed.message);
  } catch (const SaveError&) {
    // The disk that the unit failed on is full: what is said in the outcome must do.
  }
  return failed;
}

}  // namespace

int jobs_for(const std::vector<const Unit*>& pending, const TakeOptions& options) {
  const auto count = static_cast<int>(pending.size());
  if (options.jobs > 0) return std::min(options.jobs, count);
  int jobs = std::min(count, threads());
  std::int64_t largest = 0;
  for (const auto* unit : pending) largest = std::max(largest, unit->bytes);
  const auto held = resident_bytes_now();
  while (jobs > 1 && held + jobs * largest > memory_limit_bytes()) --jobs;
  return jobs;
}

std::string missing_text(const std::vector<Unit>& units) {
  constexpr std::size_t shown = 5;
  std::vector<std::string> missing;
  for (const auto& unit : units) {
    if (!unit.settled) missing.push_back(unit.name);
  }
  if (missing.empty()) return "";
  const auto count = missing.size();
  missing.resize(std::min(count, shown));
  return fmt::format("{} of {} are not done: {}{}", count, units.size(), fmt::join(missing, ", "),
                     count > shown ? ", …" : "");
}

std::filesystem::path unit_path(const std::filesystem::path& study, const std::string& name) {
  return study / "runs" / checked_name(name);
}

Unit part_unit(std::string name, const std::filesystem::path& file,
               std::function<std::optional<nlohmann::json>()> make) {
  Unit unit{.name = std::move(name), .take = [file, make = std::move(make)](const RunFolder&) {
              RunOutcome outcome;
              if (const auto json = make()) {
                write_file_atomically(file, dump_json(*json));
              } else {
                outcome.state = RunState::interrupted;
              }
              return outcome;
            }};
  if (std::filesystem::exists(file)) unit.settled = RunOutcome{};
  return unit;
}

StudyOutcome take_units(const std::vector<Unit>& units, const std::filesystem::path& study_path,
                        const TakeOptions& options) {
  StudyOutcome study;
  make_folder(study_path / "runs");
  study.units.resize(units.size());
  std::vector<const Unit*> pending;
  std::map<std::string, std::atomic<int>> users;
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (units[i].settled) {
      study.units[i] = *units[i].settled;
    } else {
      study.units[i].state = RunState::interrupted;
      pending.push_back(&units[i]);
      ++users[units[i].shared];
    }
  }
  std::stable_sort(pending.begin(), pending.end(), [](const Unit* a, const Unit* b) { return a->shared < b->shared; });
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stop{false};
  const auto work = [&] {
    for (std::size_t i; !stop && (i = next++) < pending.size();) {
      const auto& unit = *pending[i];
      auto& outcome = study.units[static_cast<std::size_t>(&unit - units.data())];
      outcome = take(unit, unit_path(study_path, unit.name), options);
      if (outcome.state == RunState::interrupted) stop = true;
      if (--users.at(unit.shared) == 0 && options.release) options.release(unit.shared);
    }
  };
  const int available = threads();
  const int jobs = jobs_for(pending, options);
  const auto take_job = [&](int job) {
    // Threads are dealt out evenly, the first jobs taking what is left over.
    const ThreadBudget budget(std::max(1, available / jobs + (job < available % jobs ? 1 : 0)));
    work();
  };
  std::vector<std::thread> helpers;
  for (int job = 1; job < jobs; ++job) helpers.emplace_back(take_job, job);
  if (jobs > 0) take_job(0);
  for (auto& helper : helpers) helper.join();
  study.interrupted = stop;
  for (const auto& outcome : study.units) study.code = std::max(study.code, outcome.code);
  return study;
}

}  // namespace entk
