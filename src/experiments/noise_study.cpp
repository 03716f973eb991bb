#include "entk/experiments/noise_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/io/atomic_file.h"
#include "entk/io/strict_json.h"
#include "entk/report/html.h"
#include "entk/report/plot.h"
#include "entk/report/statistics.h"
#include "entk/spectrum/activation_spectrum.h"

namespace entk {

namespace {

std::vector<nlohmann::json> values_of(const auto& list) { return std::vector<nlohmann::json>(list.begin(), list.end()); }

Uncertain last(const SweepCurves& c, const std::string& column) {
  std::vector<double> values;
  for (const auto& run : c.columns.at(column)) values.push_back(run.back());
  return {mean(values), standard_deviation(values)};
}

bool is_there(const SweepCurves& c) { return !c.steps.empty() && c.columns.count("population_R1"); }

Series curve(const SweepCurves& c, const std::string& column, const std::string& label) {
  const auto band = mean_and_band(c.columns.at(column));
  Series series;
  series.label = rich_text(label);
  for (std::size_t i = 0; i < c.steps.size(); ++i) {
    if (c.steps[i] < 1) continue;
    series.x.push_back(c.steps[i]);
    series.y.push_back(band.mean[i]);
    if (!band.low.empty()) {
      series.low.push_back(band.low[i]);
      series.high.push_back(band.high[i]);
    }
  }
  return series;
}

Panel step_panel(const std::string& title) {
  Panel p;
  p.title = rich_text(title);
  p.x = {"step", true};
  p.y.logarithmic = true;
  return p;
}

Figure figure_of(const std::vector<SweepCurves>& noise, const std::vector<SweepCurves>& ranks) {
  auto by_noise = step_panel("Population {/:Italic R}_1, {/:Italic λ}_1 = 0"), by_weight = step_panel("Population {/:Italic R}_1, no noise"),
       test = step_panel("Test loss, {/:Italic λ}_1 = 0"), rank = step_panel("Test loss by {/:Italic R}_3's rank");
  for (const auto& c : noise) {
    if (!is_there(c)) continue;
    const double sigma2 = c.swept[0].get<double>(), lambda1 = c.swept[1].get<double>();
    const auto sigma_label = fmt::format("{{/:Italic σ}}^2 = {}", format_number(sigma2, 3));
    if (lambda1 == 0) {
      by_noise.series.push_back(curve(c, "population_R1", sigma_label));
      test.series.push_back(curve(c, "test_loss", sigma_label));
    }
    if (sigma2 == 0) {
      by_weight.series.push_back(curve(c, "population_R1", fmt::format("{{/:Italic λ}}_1 = {}", format_number(lambda1, 3))));
    }
  }
  for (const auto& c : ranks) {
    if (is_there(c)) rank.series.push_back(curve(c, "test_loss", fmt::format("rank {}", c.swept[0].dump())));
  }
  Figure figure;
  figure.caption = "Population R1 and test loss along training: noise of (21), explicit R1, and the rank of R3's projector";
  figure.panels = {by_noise, by_weight, test, rank};
  std::erase_if(figure.panels, [](const Panel& p) { return p.series.empty(); });
  figure.columns = 2;
  return figure;
}

Table table_of(const NoisePlans& plans, const std::vector<SweepCurves>& noise, const std::vector<SweepCurves>& ranks) {
  Table t;
  t.title = "Final values, mean ± standard deviation over seeds";
  t.columns = {Column("σ²"), Column("λ1"), Column("rank"), Column("seeds"), Column("population R1", 3), Column("R1 of noise alone", 3),
               Column("population R2", 3), Column("R3", 3), Column("training loss", 3), Column("test loss", 3), Column("‖W‖", 3)};
  const auto row = [&](const SweepCurves& c, const RunConfig& config) {
    if (!is_there(c)) return;
    t.rows.push_back({config.train.noise_variance, config.lambda[0], config.projector.rank, c.columns.at("step").size(),
                      last(c, "population_R1"), noise_alone_r1(config), last(c, "population_R2"), last(c, "R3"),
                      last(c, "train_loss"), last(c, "test_loss"), last(c, "norm_W")});
  };
  const auto config_of = [](const std::vector<PlannedRun>& plan, const SweepCurves& c) {
    return std::find_if(plan.begin(), plan.end(), [&](const PlannedRun& r) { return r.swept == c.swept; })->config;
  };
  for (const auto& c : noise) row(c, config_of(plans.noise, c));
  for (const auto& c : ranks) row(c, config_of(plans.ranks, c));
  return t;
}

/// The runs of one (σ², λ1), or none.
const SweepCurves* at(const std::vector<SweepCurves>& noise, double sigma2, double lambda1) {
  for (const auto& c : noise) {
    if (is_there(c) && c.swept[0].get<double>() == sigma2 && c.swept[1].get<double>() == lambda1) return &c;
  }
  return nullptr;
}

std::vector<Claim> claims_of(const NoiseStudyConfig& config, const std::vector<SweepCurves>& noise,
                             const std::vector<SweepCurves>& ranks) {
  std::vector<Claim> claims;
  const auto text = [](Uncertain v) { return format_number(v, 3); };
  const bool repeated = config.seeds.size() >= 3;
  const auto root = std::sqrt(static_cast<double>(config.seeds.size()));
  const auto* plain = at(noise, 0, 0);
  std::string listed;
  bool below = false;
  for (const double sigma2 : config.noise_variances) {
    const auto* c = at(noise, sigma2, 0);
    if (!c) continue;
    const auto r1 = last(*c, "population_R1");
    listed += fmt::format("{}{} at σ² = {}", listed.empty() ? "" : ", ", text(r1), format_number(sigma2, 3));
    if (plain && sigma2 > 0) {
      const auto base = last(*plain, "population_R1");
      below = below || r1.value + 2 * std::hypot(r1.deviation, base.deviation) / root < base.value;
    }
  }
  Claim hypothesis{"Section 5", "Hypothesis: the noise of perturbed gradient descent implicitly regularises R1.", "",
                   "final population R1: " + listed, Verdict::not_run,
                   "population R1 without λ1 lower with some σ² > 0 than with σ² = 0, by two standard errors over at least 3 seeds",
                   "r1-noise"};
  if (plain) hypothesis.verdict = !repeated ? Verdict::too_small_to_tell : below ? Verdict::held : Verdict::did_not_hold;
  claims.push_back(hypothesis);

  double least = INFINITY, at_weight = 0;
  for (const double lambda1 : config.r1_weights) {
    const auto* c = at(noise, 0, lambda1);
    if (!c) continue;
    if (const double loss = last(*c, "test_loss").value; loss < least) least = loss, at_weight = lambda1;
  }
  Claim explicit_r1{"Appendix G", "Explicit regularization of R1 is not needed for low test error.", "", "", Verdict::not_run,
                    "test loss with λ1 = 0 at most 10% above the least over λ1, over at least 3 seeds", "r1-noise"};
  if (plain && config.r1_weights.size() > 1) {
    const auto loss = last(*plain, "test_loss");
    explicit_r1.ours = fmt::format("test loss {} at λ1 = 0, least {} at λ1 = {}", text(loss), format_number(least, 3), format_number(at_weight, 3));
    explicit_r1.verdict = !repeated ? Verdict::too_small_to_tell : loss.value <= 1.1 * least ? Verdict::held : Verdict::did_not_hold;
  }
  claims.push_back(explicit_r1);

  Claim rank{"Section 5", "R3 with the top n_k singular vectors (rank d + 1; the authors' runs have rank d).", "", "",
             Verdict::not_run, "test losses of the two ranks within 10% of each other, over at least 3 seeds", "r1-noise"};
  double low = INFINITY, high = 0;
  for (const auto& c : ranks) {
    if (!is_there(c)) continue;
    const auto loss = last(c, "test_loss");
    rank.ours += fmt::format("{}test loss {} at rank {}", rank.ours.empty() ? "" : ", ", text(loss), c.swept[0].dump());
    low = std::min(low, loss.value), high = std::max(high, loss.value);
  }
  if (config.ranks.size() > 1 && high > 0) {
    rank.verdict = !repeated ? Verdict::too_small_to_tell : high <= 1.1 * low ? Verdict::held : Verdict::did_not_hold;
  }
  claims.push_back(rank);
  return claims;
}

}  // namespace

NoiseStudyConfig read_noise_study_config(const nlohmann::json& json, const std::string& source) {
  NoiseStudyConfig c;
  const JsonReader reader(json, source);
  c.run = reader.any("run");
  if (!c.run.is_object()) reader.fail("run", "the configuration of a run");
  c.seeds.clear();
  for (const auto seed : reader.get<std::vector<std::int64_t>>("seeds", {.at_least = 0})) c.seeds.push_back(static_cast<std::uint64_t>(seed));
  c.noise_variances = reader.get<std::vector<double>>("noise_variances", {.at_least = 0});
  c.r1_weights = reader.get<std::vector<double>>("r1_weights", {.at_least = 0});
  c.ranks = reader.get_or<std::vector<std::int64_t>>("ranks", {}, {.at_least = 1});
  for (const char* key : {"device", "dtype", "threads"}) {
    if (reader.has(key)) c.run[key] = reader.any(key);
  }
  reader.finish();
  if (c.seeds.empty()) reader.fail("seeds", "at least one");
  if (c.noise_variances.empty()) reader.fail("noise_variances", "at least one number");
  if (c.r1_weights.empty()) reader.fail("r1_weights", "at least one number");
  c.run["projector"]["population_degree"] = 1;
  if (!c.run.contains("lambda")) c.run["lambda"] = std::vector<double>{0, 0, 0, 0};
  read_run_config(c.run, source);
  return c;
}

nlohmann::json to_json(const NoiseStudyConfig& c) {
  return {{"run", c.run}, {"seeds", c.seeds}, {"noise_variances", c.noise_variances}, {"r1_weights", c.r1_weights}, {"ranks", c.ranks}};
}

std::vector<KeyInfo> noise_study_keys() {
  std::vector<KeyInfo> keys = {{"seeds", "[1]", "one run a seed"},
                               {"noise_variances", "[0]", "sigma^2 of (21)"},
                               {"r1_weights", "[0]", "lambda_1"},
                               {"ranks", "[]", "of R3's projector, by the features, without noise and R1"}};
  for (auto key : run_config_keys()) {
    key.path = "run." + key.path;
    keys.push_back(std::move(key));
  }
  return keys;
}

std::vector<PlannedRun> NoisePlans::all() const {
  auto both = noise;
  both.insert(both.end(), ranks.begin(), ranks.end());
  return both;
}

NoisePlans plan_noise_study(const NoiseStudyConfig& c, const std::string& source) {
  NoisePlans plans;
  plans.noise = plan_runs({c.run, c.seeds, {{"train.noise_variance", values_of(c.noise_variances)}, {"lambda.1", values_of(c.r1_weights)}}}, source);
  if (!c.ranks.empty()) {
    auto base = c.run;
    base["projector"]["source"] = "features";
    plans.ranks = plan_runs({base, c.seeds, {{"projector.rank", values_of(c.ranks)}}}, source);
  }
  return plans;
}

double noise_alone_r1(const RunConfig& c) {
  const auto activation = read_activation(JsonReader(c.model.activation, "config", "model.activation"));
  const auto s = sigma_spectrum(activation, static_cast<int>(c.data.dimension), 4);
  const double rest = s.trace - s.trace_part[0] - s.trace_part[1];
  const double parameters = static_cast<double>(c.model.width) * static_cast<double>(c.data.dimension);
  return c.train.learning_rate * c.train.learning_rate * c.train.noise_variance * static_cast<double>(c.train.steps) * rest / parameters;
}

Results write_noise_results(const std::filesystem::path& folder, const NoiseStudyConfig& config, const NoisePlans& plans) {
  Results results;
  const auto noise = read_curves(plans.noise, folder);
  const auto ranks = plans.ranks.empty() ? std::vector<SweepCurves>{} : read_curves(plans.ranks, folder);
  results.table = table_of(plans, noise, ranks);
  write_file_atomically(folder / "results.csv", to_csv(results.table));
  write_file_atomically(folder / "results.md", to_markdown(results.table));
  write_claims(folder, claims_of(config, noise, ranks));
  HtmlPage page("entk r1-noise " + folder.filename().string());
  if (std::filesystem::exists(folder / "command.txt")) page.code(read_file(folder / "command.txt", 1 << 20));
  page.table(results.table);
  if (const auto figure = figure_of(noise, ranks); !figure.panels.empty()) {
    const auto plot = write_figure(folder, "r1-noise", figure);
    for (const auto& file : {plot.svg, plot.png, plot.pdf}) {
      if (!file.empty()) results.files.push_back(file);
    }
    if (!plot.notice.empty()) results.notices.push_back(plot.notice);
    page.figure(plot, figure.caption);
  }
  write_file_atomically(folder / "report.html", page.str());
  results.files.push_back(folder / "report.html");
  return results;
}

}  // namespace entk
