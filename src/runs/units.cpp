#include "entk/runs/units.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "entk/base/failure.h"
#include "entk/base/threads.h"
#include "entk/runs/memory.h"

namespace entk {

namespace {

/// As many as threads, while memory lasts.
int jobs_that_fit(const std::vector<const Unit*>& pending) {
  int jobs = static_cast<int>(std::min<std::size_t>(pending.size(), static_cast<std::size_t>(threads())));
  std::int64_t largest = 0;
  for (const auto* unit : pending) largest = std::max(largest, unit->bytes);
  const auto held = resident_bytes_now();
  while (jobs > 1 && held + jobs * largest > memory_limit_bytes()) --jobs;
  return jobs;
}

RunOutcome take(const Unit& unit) {
  try {
    return unit.take();
  } catch (...) {
    const auto [code, message] = current_failure();
    return {code, code == ExitCode::diverged ? RunState::diverged : RunState::failed, message, std::nullopt};
  }
}

}  // namespace

StudyOutcome take_units(const std::vector<Unit>& units, const TakeOptions& options) {
  StudyOutcome study;
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
      outcome = take(unit);
      if (outcome.state == RunState::interrupted) stop = true;
      if (--users.at(unit.shared) == 0 && options.release) options.release(unit.shared);
    }
  };
  const int available = threads();
  const int jobs = options.jobs > 0 ? std::min(options.jobs, static_cast<int>(pending.size())) : jobs_that_fit(pending);
  std::vector<std::thread> helpers;
  for (int job = 0; job < jobs; ++job) {
    helpers.emplace_back([&, job] {
      // Threads are dealt out evenly, the first jobs taking what is left over.
      const ThreadBudget budget(std::max(1, available / jobs + (job < available % jobs ? 1 : 0)));
      work();
    });
  }
  for (auto& helper : helpers) helper.join();
  study.interrupted = stop;
  for (const auto& outcome : study.units) study.code = std::max(study.code, outcome.code);
  return study;
}

}  // namespace entk
