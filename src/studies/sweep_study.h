// Training runs of one configuration, keys swept: `entk figure1`, and `entk train` with seeds or a sweep.
#pragma once

#include "entk/runs/study.h"

namespace entk {

Study figure1_study();
Study train_study();

}  // namespace entk
