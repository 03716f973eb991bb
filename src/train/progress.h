// A ready callback that says how a run goes.
#pragma once

#include <functional>
#include <iosfwd>

#include "entk/train/record.h"

namespace entk {

/// For TrainerHooks::on_record: a line "step 100  training 0.53  test 0.61  1.2 ms a step" to `out` at every
/// record. The stream must outlive the run.
///
///   Trainer(model, objective, {.steps = 2000}, {.on_record = entk::print_progress(std::cerr)}).fit(data);
std::function<bool(const Record&, const Timing&)> print_progress(std::ostream& out);

}  // namespace entk
