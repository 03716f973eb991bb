// NTK, quadratic NTK, their sum with and without regularizers, and the network itself: configurations of
// one data set, trained and drawn together.
#pragma once

#include <fmt/format.h>

#include <set>
#include <tuple>

#include "entk/runs/runs_task.h"

namespace entk {

/// One of the configurations that are compared.
struct CompareModel {
  std::string name;                               ///< of its runs' folders: joint_regularized
  std::string title;                              ///< in figures and tables; its name where none is given
  nlohmann::json set = nlohmann::json::object();  ///< merged over the common configuration
};

template <class V>
void describe(V& v, CompareModel& c) {
  v.value("name", c.name, {}, "of its runs' folders");
  v.value("title", c.title, {}, "in figures and tables");
  v.raw("set", c.set, "a run's keys");
}

/// Gives each without title its name. `what` they are: model, of the list models.
/// @throws InputError for none, or two of one name or title.
template <class T>
void check_names(std::vector<T>& all, const std::string& what, const std::string& source) {
  if (all.empty()) throw InputError(fmt::format("{0}: {1}s: expected at least one {1}", source, what));
  std::set<std::string> names, titles;
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto& [name, title, rest] = all[i];
    if (title.empty()) title = checked_name(name);
    for (const auto& [key, value, seen] : {std::tuple("name", &name, &names), std::tuple("title", &title, &titles)}) {
      if (seen->insert(*value).second) continue;
      throw InputError(fmt::format("{}: {}s.{}.{}: expected a {} that no other {} has, got '{}'", source, what, i, key,
                                   key, what, *value));
    }
  }
}

/// check_names, and @throws InputError for a model that sets a key of `shared`.
void check_models(std::vector<CompareModel>& models, const std::vector<std::string>& shared, const std::string& source);

/// Its title, and its learning rate where that is not the common one: "NTK alone (η = 8)".
std::string shown_title(const CompareModel& model, const nlohmann::json& base);

/// A run's keys and seeds, and these beside them.
struct CompareConfig : StudyConfig {
  std::vector<CompareModel> models;
  double low_loss = 0.1;  ///< a final test loss below this share of the zero model's counts as learned
};

template <class V>
void describe(V& v, CompareConfig& c) {
  v.list("models", c.models, "what is compared: objects of name, title and set, a run's keys over the common ones");
  v.value("low_loss", c.low_loss, {.above = 0, .at_most = 1},
          "share of the zero model's test loss below which a model has learned the target");
  describe_runs(v, c);
}

/// @throws InputError for malformed keys, two models of one name, or one that changes data, seed or type.
CompareConfig read_compare_config(const nlohmann::json& json, const std::string& source,
                                  const Catalogue& catalogue = built_in_catalogue());

/// Every model, then every seed; `swept` holds the model's name. @throws InputError where one is refused.
std::vector<PlannedRun> plan_compare(const CompareConfig& config, const std::string& source);

/// Training and test loss over steps. Claims are made where their models are there, by ratios over seeds: ntk, quadntk,
/// quadntk_signs, joint, joint_regularized; order2, order3.
Findings compare_findings(const std::filesystem::path& folder, const CompareConfig& config,
                          const std::vector<PlannedRun>& plan);

Study compare_study();

}  // namespace entk
