#include "entk/runs/estimate.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <mutex>

namespace entk {

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// One unit's first steps: ended after enough of them, and what they say of the whole.
struct Probe {
  static constexpr std::int64_t enough_steps = 10;
  static constexpr double enough_seconds = 5;

  Clock::time_point start = Clock::now(), first_step{};
  std::int64_t step = 0;
  double seconds = 0;  ///< of the whole unit

  void saw(std::int64_t at, double left) {
    if (step == 0 && at > 0) first_step = Clock::now();
    step = at;
    seconds = since(start) + left;
  }
  bool done() const { return step >= enough_steps || (step > 0 && since(first_step) > enough_seconds); }
};

/// Of the unit that this thread takes.
thread_local Probe* probe_now = nullptr;

}  // namespace

TimeEstimate estimate_time(Task& task, const RunFolder& folder, const std::set<std::string>& settled,
                           const std::function<int()>& interrupted) {
  RunHooks hooks;
  hooks.interrupted = [&] {
    if (const int signal = interrupted ? interrupted() : 0) return signal;
    return probe_now && probe_now->done() ? SIGINT : 0;
  };
  hooks.progress = [](const std::string&, const Record& record, std::int64_t, double left) {
    if (probe_now) probe_now->saw(record.step, left);
  };
  const TakeContext context{folder, "--estimate", hooks};
  auto units = task.units(context);
  std::erase_if(units, [&](const Unit& unit) { return settled.count(unit.name) > 0; });
  TimeEstimate estimate;
  auto options = task.take_options();
  std::vector<const Unit*> pending;
  for (const auto& unit : units) pending.push_back(&unit);
  estimate.jobs = options.jobs = jobs_for(pending, options);
  std::map<std::string, int> units_of;
  std::map<std::string, std::vector<double>> seconds_of;
  std::mutex mutex;
  std::vector<Unit> probes;
  for (auto& unit : units) {
    if (unit.cost.empty()) {
      ++estimate.unknown;
      continue;
    }
    ++estimate.units;
    if (++units_of[unit.cost] > options.jobs) continue;
    auto probe = unit;
    probe.take = [&, take = unit.take, cost = unit.cost](const RunFolder& own) {
      Probe probe;
      probe_now = &probe;
      auto outcome = take(own);
      probe_now = nullptr;
      if (outcome.state == RunState::interrupted && (!interrupted || interrupted() == 0)) outcome = {};
      const std::lock_guard lock(mutex);
      seconds_of[cost].push_back(probe.seconds);
      return outcome;
    };
    probes.push_back(std::move(probe));
  }
  const auto outcome = take_units(probes, folder.path(), options);
  estimate.stopped = outcome.interrupted;
  for (const auto& unit : outcome.units) {
    if (unit.code != ExitCode::ok && unit.code != ExitCode::diverged && !estimate.stopped)
      throw RunError("no estimate: " + unit.message);
  }
  double longest = 0, sum = 0;
  for (const auto& [cost, seconds] : seconds_of) {
    double mean = 0;
    for (const double s : seconds) mean += s / static_cast<double>(seconds.size());
    longest = std::max(longest, mean);
    sum += mean * units_of.at(cost);
  }
  estimate.seconds = std::max(longest, sum / std::max(1, estimate.jobs));
  return estimate;
}

}  // namespace entk
