// What the curves of several seeds come to: final values, their spread, and pairs of one seed's runs.
#pragma once

#include <cmath>

#include "entk/runs/sweep.h"
#include "entk/report/plot.h"
#include "entk/report/table.h"

namespace entk {

/// Whether a combination has runs that are done, and whether all are.
bool has_runs(const SweepCurves& curves);
bool is_complete(const SweepCurves& curves);

/// A column's last value of each finished seed; none where there are none, or no such column.
std::vector<double> last_values(const SweepCurves& curves, const std::string& column);
/// Their mean and standard deviation.
Uncertain last_summary(const SweepCurves& curves, const std::string& column);
Uncertain summary(const std::vector<double>& values);

/// Last value in `of` over that in `over`, pairs of one seed: those that both have.
Estimate last_ratio(const SweepCurves& of, const SweepCurves& over, const std::string& column);
/// Last value over the first, pairs of one run.
Estimate last_over_first(const SweepCurves& curves, const std::string& column);

/// Columns that are not among those of every run, in alphabetical order.
std::vector<std::string> own_columns(const std::vector<SweepCurves>& curves);

/// A key as tables and figures call it: m for model.width, λ3 for lambda.3, σ² for train.noise_variance; else its last
/// word. The second in gnuplot's markup.
std::string key_symbol(const std::string& path);
std::string key_markup(const std::string& path);
/// A recorded column as the title of a panel: "kernel drift" for kernel_drift.
std::string column_title(std::string column);
/// A key's value: 0.01, relu, sigmoid (shift 1); "default" for null, a key that is not written where it has its
/// default.
std::string value_text(const nlohmann::json& value);

/// What tables and captions say of the spread that they show, for the most seeds that one of `curves` has:
/// "mean ± standard deviation over 3 seeds" and "mean over 3 seeds, bands one standard deviation"; "one seed".
std::string spread_text(std::size_t seeds);
std::string band_text(std::size_t seeds);
std::size_t most_seeds(const std::vector<SweepCurves>& curves);

/// Mean over runs with its band, from this x on: a logarithmic axis of steps has no place for step 0.
Series band_series(const std::vector<double>& x, const std::vector<std::vector<double>>& runs, Label label,
                   double from = -INFINITY);

}  // namespace entk
