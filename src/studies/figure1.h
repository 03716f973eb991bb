// Figure 1: f_L + f_Q trained with R3, its weight swept.
#pragma once

#include "entk/runs/claims.h"
#include "entk/runs/sweep.h"
#include "entk/report/plot.h"
#include "entk/report/table.h"

namespace entk {

/// R3, training loss and test loss over the step, mean ± one standard deviation over seeds: the paper's three panels,
/// with the paper's axis log_d(step) where a dimension is given. Colours tell swept values apart; of several keys the
/// one with the most values by colours, the others by dashes while four are enough.
Figure figure1_plot(const StudyConfig& study, const std::vector<SweepCurves>& curves,
                    std::optional<std::int64_t> dimension);

/// Final losses and R3 for each swept value, beside what the paper's figure shows where the
/// configuration is the published one.
Table figure1_table(const StudyConfig& study, const std::vector<SweepCurves>& curves, bool published);

/// The test losses read off the paper's figure, for λ3 = 0, 0.01, 0.1, 1, 10, 100.
const std::map<double, double>& figure1_paper_values();

/// Whether a study asks Figure 1's question: f_L + f_Q on one of Figure 1's targets with the square
/// loss, R3's weight alone swept, 0 and 10 among its values.
bool asks_figure1(const StudyConfig& study);

/// Figure 1's claims with what the curves say, `config` being any of the runs'; each by the 95% intervals of ratios
/// over seeds, pairs of one seed:
///   - near zero training loss at every λ3: at most 5% of that at W = 0;
///   - a better test loss with R3: at λ3 = 10 at most half of that at 0;
///   - R3 falls with every step up in λ3;
///   - the least test loss at λ3 = 10, for the paper's sizes and weights alone;
///   - every final test loss, its mean over seeds, within 0.05 of the figure's, for the published configuration alone.
/// Studies below the quick preset's sizes are too small to tell.
std::vector<Claim> figure1_claims(const RunConfig& config, const std::vector<SweepCurves>& curves, bool published,
                                  const std::string& figure = "figure1");

}  // namespace entk
