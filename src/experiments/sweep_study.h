// Training runs of one configuration, keys swept: `entk figure1`, and `entk train` with seeds or a sweep.
#pragma once

#include "entk/experiments/task.h"

namespace entk {

Study figure1_study();
Study train_study();

}  // namespace entk
