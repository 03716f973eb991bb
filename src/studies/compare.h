// NTK, quadratic NTK, their sum with and without regularizers, and the network itself: configurations of
// one data set, trained and drawn together.
#pragma once

#include "entk/runs/runs_task.h"

namespace entk {

/// One of the configurations that are compared.
struct CompareModel {
  std::string name;    ///< of its runs' folders: joint_regularized
  std::string title;   ///< in figures and tables
  nlohmann::json set;  ///< merged over the common configuration
};

/// The list under "models". @throws InputError for none, two of one name or title, or one that sets a key of `shared`.
std::vector<CompareModel> read_models(const JsonReader& reader, const std::vector<std::string>& shared);
nlohmann::json to_json(const std::vector<CompareModel>& models);

/// Its title, and its learning rate where that is not the common one: "NTK alone (η = 8)".
std::string shown_title(const CompareModel& model, const nlohmann::json& base);

/// A run's keys, with "seeds", "models" and "low_loss" beside them.
struct CompareConfig {
  nlohmann::json base;
  std::vector<std::uint64_t> seeds;
  std::vector<CompareModel> models;
  double low_loss = 0.1;  ///< a final test loss below this share of the zero model's counts as learned
  Catalogue catalogue = built_in_catalogue();  ///< of names; no key
};

/// @throws InputError for malformed keys, two models of one name, or one that changes data, seed or type.
CompareConfig read_compare_config(const nlohmann::json& json, const std::string& source,
                                  const Catalogue& catalogue = built_in_catalogue());
nlohmann::json to_json(const CompareConfig& config);
/// What --help lists beside a run's keys.
std::vector<KeyInfo> compare_config_keys();

/// Every model, then every seed; `swept` holds the model's name. @throws InputError where one is refused.
std::vector<PlannedRun> plan_compare(const CompareConfig& config, const std::string& source);

/// Training and test loss over steps. Claims are made where their models are there, by ratios over seeds: ntk, quadntk,
/// quadntk_signs, joint, joint_regularized; order2, order3.
Findings compare_findings(const std::filesystem::path& folder, const CompareConfig& config,
                          const std::vector<PlannedRun>& plan);

Study compare_study();

}  // namespace entk
