// How far neurons move as the network gets wider, and where to: the question of section 1. A neuron of the NTK moves as
// m^(-1/2) (lazy), one of Theorem 2's W* as m^(-1/4).
#pragma once

#include "entk/studies/compare.h"

namespace entk {

/// A run's keys and seeds, and these beside them; model.width follows the list. The observables movement and shares are
/// always recorded.
struct EscapeConfig : StudyConfig {
  std::vector<CompareModel> models;
  std::vector<std::int64_t> widths;
};

template <class V>
void describe(V& v, EscapeConfig& c) {
  v.list("models", c.models, "what is trained: objects of name, title and set, a run's keys over the common ones");
  v.value("widths", c.widths, {.at_least = 1, .at_most = 1e9, .nonempty = true, .distinct = true},
          "m, in place of model.width");
  describe_runs(v, c);
}

/// @throws InputError for malformed keys, a width that is there twice, or a model that sets one.
EscapeConfig read_escape_config(const nlohmann::json& json, const std::string& source,
                                const Catalogue& catalogue = built_in_catalogue());

/// Every model, then every width, then every seed; `swept` holds the model's name and the width. @throws InputError
/// where one is refused, or has no projector's points to take shares at.
std::vector<PlannedRun> plan_escape(const EscapeConfig& config, const std::string& source);

/// Four sizes of ‖w_r‖ over the neurons r at the end of a run, one column each in the table of exponents:
///   median, 99th percentile, ‖W‖_F m^(-1/2) (root mean square), ‖W‖_{2,4} m^(-1/4) (fourth-power mean).
/// Each goes as m^(-1/2) where all neurons are lazy, as m^(-1/4) for W*. Exponents are over seeds (statistics.h).
/// Claims are made where their models are there: ntk, joint, joint_regularized. They are too small to tell for fewer
/// than four widths over a factor of 16, and where a run has not settled: a training loss above 1e-3 of its first.
/// `curves`: read_curves of the plan.
Findings escape_findings(const EscapeConfig& config, const std::vector<SweepCurves>& curves);

Study escape_study();

}  // namespace entk
