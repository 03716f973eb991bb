// A task whose units are training runs.
#pragma once

#include "entk/runs/sweep.h"
#include "entk/runs/study.h"

namespace entk {

class RunsTask : public Task {
 public:
  explicit RunsTask(std::vector<PlannedRun> plan) : plan_(std::move(plan)) {}

  std::string device() const override { return plan_.at(0).config.device; }
  std::int64_t threads() const override { return plan_.at(0).config.threads; }
  /// Reads the sizes of data files into the plan.
  void prepare() override;
  void check_memory() const override;
  std::vector<Unit> units(const TakeContext& context) override;
  TakeOptions take_options() override;

 protected:
  const std::vector<PlannedRun>& plan() const { return plan_; }

 private:
  std::vector<PlannedRun> plan_;
  ProblemCache cache_;
};

}  // namespace entk
