// Figure 1: f_L + f_Q trained with R3, its weight swept.
#pragma once

#include "entk/experiments/study.h"
#include "entk/report/plot.h"
#include "entk/report/table.h"

namespace entk {

/// R3, training loss and test loss over log_d(step), mean ± one standard deviation over seeds: the
/// paper's three panels. One axis must be swept.
Figure figure1_plot(const StudyConfig& study, const std::vector<SweepCurves>& curves, std::int64_t dimension);

/// Final losses and R3 for each swept value, beside what the paper's figure shows where the
/// configuration is the published one.
Table figure1_table(const StudyConfig& study, const std::vector<SweepCurves>& curves, bool published);

/// The test losses read off the paper's figure, for λ3 = 0, 0.01, 0.1, 1, 10, 100.
const std::map<double, double>& figure1_paper_values();

}  // namespace entk
