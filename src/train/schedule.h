// Learning-rate schedules. A schedule's horizon is a number of its own, not the run's length: a
// longer run begins with the steps of a shorter one.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "entk/train/record.h"

namespace entk {

/// The built-in forms.
enum class ScheduleKind {
  constant,  ///< η
  cosine,    ///< η (1 + cos(π min(t, horizon)/horizon))/2
  decay,     ///< η/(1 + t/horizon)
};

/// How the learning rate goes.
struct Schedule {
  ScheduleKind kind = ScheduleKind::constant;  ///< its form
  std::int64_t horizon = 20000;                ///< steps
  /// A user's own η_t/η, in place of the kind's.
  std::function<double(std::int64_t step)> factor{};
};

/// η_t = η · factor(t).
inline Schedule schedule(std::function<double(std::int64_t step)> factor) {
  return {ScheduleKind::constant, 1, std::move(factor)};
}

/// η_t for step t ≥ 0.
double learning_rate_at(const Schedule& schedule, double learning_rate, std::int64_t step);

/// When a run has settled: at a record at step t, t > 0, where E_n ℓ ≤ training_loss times its first value, and over
/// the records from step t/2 on the test loss is within test_change of its value at t (relative).
struct SettledCriterion {
  double training_loss = 0;   ///< 0: never
  double test_change = 0.01;  ///< of the test loss, relative
};
/// records: all of the run's until now. Costs nothing.
bool is_settled(const SettledCriterion& criterion, const std::vector<Record>& records);

/// The steps that are recorded: 0, then about ten a decade (the preferred numbers 1, 1.25, 1.6, 2,
/// 2.5, 3.15, 4, 5, 6.3, 8 times powers of ten, rounded), the same for every length of run.
bool is_record_step(std::int64_t step);

}  // namespace entk
