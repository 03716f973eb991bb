// What depth adds, the question that section 6 leaves open: expansions of networks of one, two and three hidden layers
// with as many parameters each, on the paper's target and on a hierarchical one.
#pragma once

#include "entk/studies/compare.h"

namespace entk {

/// One of the targets, all on one law of inputs.
struct DepthTarget {
  std::string name;       ///< in runs' folders
  std::string title;      ///< of its panels
  nlohmann::json target;  ///< in place of data.target
};

template <class V>
void describe(V& v, DepthTarget& c) {
  v.value("name", c.name, {}, "in runs' folders");
  v.value("title", c.title, {}, "of its panels");
  v.raw("target", c.target, "as data.target");
}

/// A run's keys and seeds, and these beside them. Of the network, depth and widths follow the lists: model.kind is an
/// mlp, whose other parameters (parameterisation, biases) are kept.
struct DepthConfig : StudyConfig {
  std::vector<CompareModel> models;
  std::vector<DepthTarget> targets;
  std::vector<std::int64_t> depths;   ///< hidden layers
  std::int64_t parameters = 0;        ///< of each network, near enough
  std::vector<std::int64_t> samples;  ///< n, in place of data.samples
};

template <class V>
void describe(V& v, DepthConfig& c) {
  v.list("models", c.models, "what is trained: objects of name, title and set, a run's keys over the common ones");
  v.list("targets", c.targets, "what is learned: objects of name, title and target, as data.target");
  v.value("depths", c.depths, {.at_least = 1, .at_most = 1000, .nonempty = true, .distinct = true},
          "hidden layers, in place of model.kind.depth");
  v.value("parameters", c.parameters, {.at_least = 1, .at_most = 1e9}, "of each network, within 2%: the widths follow");
  v.value("samples", c.samples, {.at_least = 1, .at_most = 1e9, .nonempty = true, .distinct = true},
          "n, in place of data.samples");
  describe_runs(v, c);
}

/// @throws InputError for malformed keys, a value that is there twice, or a model that sets what the lists set.
DepthConfig read_depth_config(const nlohmann::json& json, const std::string& source,
                              const Catalogue& catalogue = built_in_catalogue());

/// `depth` equal widths with MlpImpl::parameter_count nearest to `parameters`. @throws InputError where the nearest is
/// more than 2% away.
std::vector<std::int64_t> matched_widths(std::int64_t dimension, std::int64_t depth, std::int64_t parameters,
                                         bool biases);

/// Every target, depth, model, n and seed; `swept` holds the names of target and model, the depth and n, in the order
/// target, depth, model, n. @throws InputError where a run is refused.
std::vector<PlannedRun> plan_depth(const DepthConfig& config, const std::string& source);

/// Test loss against n, a panel for each target and depth. What is asked, each target by itself and at the largest n,
/// as claims of ratios of test losses over seeds: whether the deepest network's is below the shallowest's, for every
/// model; whether joint_regularized's is below ntk's, for every depth. Too small to tell where one of the test losses
/// still changes by more than a tenth over the last half of the steps. `curves`: read_curves of the plan.
Findings depth_findings(const DepthConfig& config, const std::vector<SweepCurves>& curves);

Study depth_study();

}  // namespace entk
