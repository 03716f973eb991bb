#include "entk/train/schedule.h"

#include <algorithm>
#include <cmath>

namespace entk {

double learning_rate_at(const Schedule& schedule, double learning_rate, std::int64_t step) {
  if (schedule.factor) return learning_rate * schedule.factor(step);
  const double progress = static_cast<double>(step) / static_cast<double>(schedule.horizon);
  switch (schedule.kind) {
    case ScheduleKind::cosine:
      return learning_rate * 0.5 * (1 + std::cos(M_PI * std::min(progress, 1.0)));
    case ScheduleKind::decay:
      return learning_rate / (1 + progress);
    default:
      return learning_rate;
  }
}

bool is_settled(const SettledCriterion& criterion, const std::vector<Record>& records) {
  if (criterion.training_loss == 0 || records.empty() || records.front().step != 0) return false;
  const Record &first = records.front(), &last = records.back();
  if (last.step == 0 || !(last.train_loss <= criterion.training_loss * first.train_loss)) return false;
  return std::all_of(records.begin(), records.end(), [&](const Record& r) {
    return 2 * r.step < last.step ||
           std::fabs(r.test_loss - last.test_loss) <= criterion.test_change * std::fabs(last.test_loss);
  });
}

bool is_record_step(std::int64_t step) {
  if (step <= 10) return true;
  constexpr std::int64_t preferred[] = {100, 125, 160, 200, 250, 315, 400, 500, 630, 800};  // hundredths
  std::int64_t decade = 1;
  while (step / decade >= 10) decade *= 10;
  for (const std::int64_t p : preferred) {
    if ((p * decade + 50) / 100 == step) return true;
  }
  return false;
}

}  // namespace entk
