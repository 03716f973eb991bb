#include "entk/experiments/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "entk/experiments/study_page.h"
#include "entk/report/statistics.h"

namespace entk {

namespace {

/// What happened to one model over its seeds.
struct Outcome {
  const CompareModel* model;
  const SweepCurves* curves;
  Uncertain train{NAN, NAN}, test{NAN, NAN};
  std::size_t seeds = 0;
};

Uncertain last_of(const SweepCurves& curves, const std::string& column) {
  std::vector<double> values;
  for (const auto& run : curves.columns.at(column)) values.push_back(run.back());
  return {mean(values), standard_deviation(values)};
}

std::vector<Outcome> outcomes_of(const CompareConfig& config, const std::vector<SweepCurves>& curves) {
  std::vector<Outcome> all;
  for (const auto& model : config.models) {
    const auto found = std::find_if(curves.begin(), curves.end(),
                                    [&](const SweepCurves& c) { return c.swept.at(0) == model.name; });
    Outcome o{&model, &*found};
    if (!found->steps.empty()) {
      o.train = last_of(*found, "train_loss");
      o.test = last_of(*found, "test_loss");
      o.seeds = found->columns.at("step").size();
    }
    all.push_back(o);
  }
  return all;
}

/// E f*² as the test points give it: the test loss of a model that starts at zero.
double zero_loss(const CompareConfig& config, const std::vector<SweepCurves>& curves) {
  for (const auto& c : curves) {
    if (c.steps.empty() || c.steps[0] != 0) continue;
    std::vector<double> first;
    for (const auto& run : c.columns.at("test_loss")) first.push_back(run[0]);
    return mean(first);
  }
  return NAN;
}

Panel panel(const std::string& title, const std::string& column, const std::vector<Outcome>& outcomes) {
  Panel p;
  p.title = title;
  p.x = {"step", true};
  p.y.logarithmic = true;
  int color = 0;
  for (const auto& o : outcomes) {
    Series series;
    series.label = o.model->title;
    series.color = color++;
    if (o.seeds == 0) continue;
    const auto band = mean_and_band(o.curves->columns.at(column));
    for (std::size_t i = 0; i < o.curves->steps.size(); ++i) {
      if (o.curves->steps[i] < 1) continue;
      series.x.push_back(o.curves->steps[i]);
      series.y.push_back(band.mean[i]);
      if (band.low.empty()) continue;
      series.low.push_back(band.low[i]);
      series.high.push_back(band.high[i]);
    }
    p.series.push_back(std::move(series));
  }
  return p;
}

Table table_of(const std::vector<Outcome>& outcomes, double zero) {
  Table table;
  table.title = "Final losses, mean ± standard deviation over seeds";
  table.columns = {Column("model"), Column("seeds"), Column("training loss"), Column("test loss"),
                   Column("share of the zero model's", 2)};
  for (const auto& o : outcomes) {
    if (o.seeds == 0) {
      table.rows.push_back({o.model->title, 0, "not run", "not run", "–"});
    } else {
      table.rows.push_back({o.model->title, o.seeds, Cell(o.train), Cell(o.test), o.test.value / zero});
    }
  }
  return table;
}

std::vector<Claim> claims_of(const CompareConfig& config, const std::vector<Outcome>& outcomes, double zero) {
  std::vector<Claim> claims;
  const auto find = [&](const std::string& name) -> const Outcome* {
    for (const auto& o : outcomes) {
      if (o.model->name == name) return &o;
    }
    return nullptr;
  };
  const auto share = [&](const Outcome& o) { return o.test.value / zero; };
  const auto said = [&](const std::vector<const Outcome*>& list) {
    std::string text;
    for (const auto* o : list) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", o->model->title, format_number(o->test, 3));
    }
    return text;
  };
  // A difference between two models counts where it is beyond the seeds' spread of both.
  const auto clear = [](const Outcome& a, const Outcome& b) {
    return a.seeds > 1 && b.seeds > 1 && std::fabs(a.test.value - b.test.value) > a.test.deviation + b.test.deviation;
  };
  if (const auto *two = find("order2"), *three = find("order3"); two && three) {
    Claim c;
    c.source = "Section 6";
    c.statement = "Higher-order terms of the expansion can be used too: with order 3 a sparse cubic part is learned from "
                  "samples with which order 2 does not learn it.";
    c.paper = "left open";
    c.ours = fmt::format("final test loss: {}", said({two, three}));
    c.reason = "test loss of order 3 below half of that of order 2, further apart than the seeds' spread";
    c.verdict = two->seeds == 0 || three->seeds == 0        ? Verdict::not_run
                : !clear(*two, *three)                      ? Verdict::too_small_to_tell
                : three->test.value < 0.5 * two->test.value ? Verdict::held
                                                            : Verdict::did_not_hold;
    c.figure = "compare";
    claims.push_back(c);
  }
  const auto* best = find("joint_regularized");
  if (!best) return claims;
  std::vector<const Outcome*> alone;
  for (const char* name : {"ntk", "quadntk", "quadntk_signs"}) {
    if (const auto* o = find(name)) alone.push_back(o);
  }
  if (!alone.empty()) {
    bool apart = true, finished = best->seeds > 0, failing = true;
    auto listed = alone;
    listed.push_back(best);
    for (const auto* o : alone) {
      apart = apart && clear(*o, *best);
      finished = finished && o->seeds > 0;
      failing = failing && share(*o) >= config.low_loss;
    }
    Claim c;
    c.source = "Theorem 1, Section 3";
    c.statement = "Neither the NTK nor the quadratic NTK alone learns a dense low-degree plus a sparse target from this "
                  "many samples; f_L + f_Q with the regularizers learns both parts.";
    c.ours = fmt::format("final test loss: {}; the zero model's: {:.3g}", said(listed), zero);
    c.reason = fmt::format("f_L + f_Q with regularizers below {:g} of the zero model's test loss, each of the others "
                           "above it, further apart than the seeds' spread",
                           config.low_loss);
    c.verdict = !finished                                        ? Verdict::not_run
                : !apart                                         ? Verdict::too_small_to_tell
                : failing && share(*best) < config.low_loss      ? Verdict::held
                                                                 : Verdict::did_not_hold;
    c.figure = "compare";
    claims.push_back(c);
  }
  if (const auto* joint = find("joint")) {
    Claim c;
    c.source = "Section 5, Figure 1";
    c.statement = "Without regularizers the NTK part of f_L + f_Q overfits, and the test loss stays higher than with them.";
    c.ours = fmt::format("final test loss: {}", said({joint, best}));
    c.reason = "test loss without regularizers above that with them, by more than the seeds' spread";
    c.verdict = joint->seeds == 0 || best->seeds == 0  ? Verdict::not_run
                : !clear(*joint, *best)                ? Verdict::too_small_to_tell
                : joint->test.value > best->test.value ? Verdict::held
                                                       : Verdict::did_not_hold;
    c.figure = "compare";
    claims.push_back(c);
  }
  return claims;
}

}  // namespace

std::vector<CompareModel> read_models(const JsonReader& reader, const std::vector<std::string>& shared) {
  std::vector<CompareModel> models;
  std::set<std::string> names;
  for (const auto& m : reader.objects("models")) {
    CompareModel model;
    model.name = checked_name(m.get<std::string>("name"));
    model.title = m.get_or<std::string>("title", model.name);
    model.set = m.has("set") ? m.any("set") : nlohmann::json::object();
    if (!model.set.is_object()) m.fail("set", "an object of a run's keys");
    for (const auto& key : shared) {
      if (model.set.contains(key)) m.fail("set", fmt::format("keys other than {}, which all models share", key));
    }
    m.finish();
    if (!names.insert(model.name).second) m.fail("name", "a name that no other model has");
    models.push_back(std::move(model));
  }
  if (models.empty()) reader.fail("models", "at least one model");
  return models;
}

nlohmann::json to_json(const std::vector<CompareModel>& models) {
  auto list = nlohmann::json::array();
  for (const auto& m : models) list.push_back({{"name", m.name}, {"title", m.title}, {"set", m.set}});
  return list;
}

CompareConfig read_compare_config(const nlohmann::json& json, const std::string& source) {
  const auto [study, own] = split_study_config(json, {"models", "low_loss"}, "a comparison has models", source);
  CompareConfig config;
  config.base = study.base;
  config.seeds = study.seeds;
  const JsonReader reader(own, source);
  config.low_loss = reader.get_or<double>("low_loss", config.low_loss, {.above = 0, .at_most = 1});
  config.models = read_models(reader, {"data", "seed", "dtype", "device", "threads"});
  reader.finish();
  return config;
}

nlohmann::json to_json(const CompareConfig& config) {
  auto json = to_json(StudyConfig{config.base, config.seeds, {}});
  json["low_loss"] = config.low_loss;
  json["models"] = to_json(config.models);
  return json;
}

std::vector<KeyInfo> compare_config_keys() {
  auto keys = run_config_keys();
  keys.push_back({"seeds", "[]", "as the option of this name: [1, 11]"});
  keys.push_back({"models", "[]", "what is compared: objects of name, title and set, a run's keys over the common ones"});
  keys.push_back({"low_loss", "0.1", "share of the zero model's test loss below which a model has learned the target"});
  return keys;
}

std::vector<PlannedRun> plan_compare(const CompareConfig& config, const std::string& source) {
  std::vector<PlannedRun> plan;
  for (const auto& model : config.models) {
    auto base = config.base;
    merge_over(base, model.set);
    for (auto& run : plan_runs({base, config.seeds, {}}, fmt::format("{}: model {}", source, model.name))) {
      run.name = checked_name(fmt::format("{},{}", model.name, run.name));
      run.swept = {model.name};
      plan.push_back(std::move(run));
    }
  }
  return plan;
}

Results write_compare_results(const std::filesystem::path& folder, const CompareConfig& config,
                              const std::vector<PlannedRun>& plan) {
  const auto curves = read_curves(plan, folder);
  const auto outcomes = outcomes_of(config, curves);
  const double zero = zero_loss(config, curves);
  StudyPage page(folder, "entk comparison " + folder.filename().string());
  page.results(table_of(outcomes, zero));
  Figure figure;
  figure.caption = "Models trained on one data set: mean and one standard deviation over seeds";
  figure.panels = {panel("Training loss", "train_loss", outcomes), panel("Test loss", "test_loss", outcomes)};
  if (!figure.panels[0].series.empty()) {
    page.figure("compare", figure, "Training and test loss: mean over seeds, bands one standard deviation.");
  }
  page.claims(claims_of(config, outcomes, zero));
  return page.finish();
}

}  // namespace entk
