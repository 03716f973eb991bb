#include "entk/runs/runs_task.h"

#include <map>

#include "entk/base/device.h"
#include "entk/runs/memory.h"

namespace entk {

void RunsTask::prepare() {
  std::map<std::string, RunConfig> seen;
  for (auto& run : plan_) {
    if (!run.config.data.loaded()) continue;
    const auto key = ProblemCache::key(run.config);
    const auto found = seen.count(key) ? seen.find(key) : seen.emplace(key, with_file_sizes(run.config)).first;
    run.config.data = found->second.data;
    run.config.projector = found->second.projector;
  }
}

void RunsTask::check_memory() const {
  for (const auto& run : plan_) entk::check_memory(run.config, pick_device(run.config.device));
}

std::vector<Unit> RunsTask::units(const TakeContext& context) { return run_units(plan_, context, cache_); }

TakeOptions RunsTask::take_options() {
  return {.jobs = pick_device(device()).is_cpu() ? 0 : 1,
          .release = [this](const std::string& key) { cache_.forget(key); }};
}

}  // namespace entk
