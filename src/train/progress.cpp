#include "entk/train/progress.h"

#include <fmt/format.h>

#include <cmath>
#include <ostream>

namespace entk {

std::function<bool(const Record&, const Timing&)> print_progress(std::ostream& out) {
  return [&out](const Record& r, const Timing& t) {
    out << fmt::format("step {}  training {:.4g}", r.step, r.train_loss);
    if (!std::isnan(r.test_loss)) out << fmt::format("  test {:.4g}", r.test_loss);
    if (t.seconds_per_step > 0) out << fmt::format("  {:.3g} ms a step", 1000 * t.seconds_per_step);
    out << std::endl;
    return true;
  };
}

}  // namespace entk
