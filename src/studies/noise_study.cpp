#include "entk/studies/noise_study.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "entk/runs/curves.h"
#include "entk/io/strict_json.h"
#include "entk/report/statistics.h"
#include "entk/spectrum/activation_spectrum.h"

namespace entk {

namespace {

std::vector<nlohmann::json> values_of(const auto& list) {
  return std::vector<nlohmann::json>(list.begin(), list.end());
}

Series curve(const SweepCurves& c, const std::string& column, const std::string& label) {
  return band_series(c.steps, c.columns.at(column), rich_text(label), 1);
}

Panel step_panel(const std::string& title) {
  Panel p;
  p.title = rich_text(title);
  p.x = {"step", true};
  p.y.logarithmic = true;
  return p;
}

Figure figure_of(const std::vector<SweepCurves>& noise, const std::vector<SweepCurves>& ranks) {
  auto by_noise = step_panel("Population {/:Italic R}_1, {/:Italic λ}_1 = 0"),
       by_weight = step_panel("Population {/:Italic R}_1, no noise"),
       test = step_panel("Test loss, {/:Italic λ}_1 = 0"), rank = step_panel("Test loss by {/:Italic R}_3's rank");
  for (const auto& c : noise) {
    if (!has_runs(c)) continue;
    const double sigma2 = c.swept[0].get<double>(), lambda1 = c.swept[1].get<double>();
    const auto sigma_label = fmt::format("{{/:Italic σ}}^2 = {}", format_number(sigma2, 3));
    if (lambda1 == 0) {
      by_noise.series.push_back(curve(c, "population_R1", sigma_label));
      test.series.push_back(curve(c, "test_loss", sigma_label));
    }
    if (sigma2 == 0) {
      by_weight.series.push_back(
          curve(c, "population_R1", fmt::format("{{/:Italic λ}}_1 = {}", format_number(lambda1, 3))));
    }
  }
  for (const auto& c : ranks) {
    if (has_runs(c)) rank.series.push_back(curve(c, "test_loss", fmt::format("rank {}", c.swept[0].dump())));
  }
  Figure figure;
  figure.caption =
      "Population R1 and test loss along training: noise of (21), explicit R1, and the rank of R3's projector; " +
      band_text(std::max(most_seeds(noise), most_seeds(ranks)));
  figure.panels = {by_noise, by_weight, test, rank};
  std::erase_if(figure.panels, [](const Panel& p) { return p.series.empty(); });
  figure.columns = 2;
  return figure;
}

Table table_of(const NoisePlans& plans, const std::vector<SweepCurves>& noise, const std::vector<SweepCurves>& ranks) {
  Table t;
  t.title = "Final values, " + spread_text(std::max(most_seeds(noise), most_seeds(ranks)));
  t.columns = {Column("σ²"),
               Column("λ1"),
               Column("projector"),
               Column("rank"),
               Column("seeds"),
               Column("population R1", 3),
               Column("R1 of noise alone", 3),
               Column("population R2", 3),
               Column("R3", 3),
               Column("training loss", 3),
               Column("test loss", 3),
               Column("‖W‖", 3)};
  t.keys = 4;
  std::set<std::tuple<double, double, std::string, std::int64_t>> there;
  const auto row = [&](const SweepCurves& c, const RunConfig& config) {
    const double sigma2 = config.train.noise_variance, lambda1 = config.lambda[0];
    const auto source = word_of(config.projector.source);
    const auto rank = config.projector.rank;
    // A rank that the sweep of noise has already is the same run again.
    if (!has_runs(c) || !there.insert({sigma2, lambda1, source, rank}).second) return;
    t.rows.push_back({sigma2, lambda1, source, rank, c.seeds.size(), last_summary(c, "population_R1"),
                      noise_alone_r1(config), last_summary(c, "population_R2"), last_summary(c, "R3"),
                      last_summary(c, "train_loss"), last_summary(c, "test_loss"), last_summary(c, "norm_W")});
  };
  const auto config_of = [](const std::vector<PlannedRun>& plan, const SweepCurves& c) {
    return std::find_if(plan.begin(), plan.end(), [&](const PlannedRun& r) { return r.swept == c.swept; })->config;
  };
  for (const auto& c : noise) row(c, config_of(plans.noise, c));
  for (const auto& c : ranks) row(c, config_of(plans.ranks, c));
  return t;
}

std::vector<Claim> claims_of(const std::vector<SweepCurves>& noise, const std::vector<SweepCurves>& ranks) {
  std::vector<Claim> claims;
  const auto all = [](const std::vector<SweepCurves>& curves) {
    return !curves.empty() && std::all_of(curves.begin(), curves.end(), is_complete);
  };
  const auto plain = std::find_if(noise.begin(), noise.end(), [](const SweepCurves& c) {
    return c.swept[0].get<double>() == 0 && c.swept[1].get<double>() == 0;
  });
  if (plain != noise.end()) {
    Claim explicit_r1{.source = "Appendix G",
                      .statement = "Explicit regularization of R1 is not needed for low test error.",
                      .reason = "test loss with each λ1 > 0, without noise, at least 0.9 of that with λ1 = 0",
                      .figure = "r1-noise"};
    for (const auto& c : noise) {
      const double sigma2 = c.swept[0].get<double>(), lambda1 = c.swept[1].get<double>();
      if (sigma2 > 0 && lambda1 == 0) {
        // A claim for each σ², so that none is picked for what it gave.
        claims.push_back(judged(
            {.source = "Section 5",
             .statement = fmt::format("Hypothesis: the noise of perturbed gradient descent, σ² = {}, implicitly "
                                      "regularises R1.",
                                      format_number(sigma2, 3)),
             .reason = "final population R1 without λ1 lower than that with σ² = 0",
             .figure = "r1-noise",
             .evidence = {{"population R1 over that without noise", last_ratio(c, *plain, "population_R1"), 0, 1}}},
            all(noise)));
      }
      if (sigma2 == 0 && lambda1 > 0) {
        explicit_r1.evidence.push_back({fmt::format("test loss at λ1 = {} over that at 0", format_number(lambda1, 3)),
                                        last_ratio(c, *plain, "test_loss"), 0.9, INFINITY});
      }
    }
    if (!explicit_r1.evidence.empty()) claims.push_back(judged(std::move(explicit_r1), all(noise)));
  }
  if (ranks.size() > 1) {
    Claim rank{.source = "Section 5",
               .statement = "R3 with the top n_k singular vectors (rank d + 1; the authors' runs have rank d).",
               .reason = "test losses of the ranks within 10% of each other",
               .figure = "r1-noise"};
    for (std::size_t i = 1; i < ranks.size(); ++i) {
      rank.evidence.push_back(
          {fmt::format("test loss at rank {} over that at rank {}", ranks[i].swept[0].dump(), ranks[0].swept[0].dump()),
           last_ratio(ranks[i], ranks[0], "test_loss"), 1 / 1.1, 1.1});
    }
    claims.push_back(judged(std::move(rank), all(ranks)));
  }
  return claims;
}

}  // namespace

NoiseStudyConfig read_noise_study_config(const nlohmann::json& json, const std::string& source,
                                         const Catalogue& catalogue) {
  if (const JsonReader reader(json, source); reader.has("run")) reader.object("run");
  auto own = json;
  for (const char* key : {"device", "dtype", "threads"}) {
    if (!own.contains(key)) continue;
    own["run"][key] = own[key];
    own.erase(key);
  }
  auto c = read_described<NoiseStudyConfig>(own, source, catalogue);
  c.run = with_absolute_file(c.run);
  read_run_config(c.run, source, catalogue);
  c.run["projector"]["population_degree"] = 1;
  if (!c.run.contains("lambda")) c.run["lambda"] = std::vector<double>{0, 0, 0, 0};
  c.catalogue = catalogue;
  read_run_config(c.run, source, catalogue);
  return c;
}

std::vector<PlannedRun> NoisePlans::all() const {
  auto both = noise;
  both.insert(both.end(), ranks.begin(), ranks.end());
  return both;
}

NoisePlans plan_noise_study(const NoiseStudyConfig& c, const std::string& source) {
  NoisePlans plans;
  plans.noise =
      plan_runs({c.run,
                 c.seeds,
                 {{"train.noise_variance", values_of(c.noise_variances)}, {"lambda.1", values_of(c.r1_weights)}},
                 c.catalogue},
                source);
  if (!c.ranks.empty()) {
    auto base = c.run;
    base["projector"]["source"] = "features";
    plans.ranks = plan_runs({base, c.seeds, {{"projector.rank", values_of(c.ranks)}}, c.catalogue}, source);
  }
  return plans;
}

double noise_alone_r1(const RunConfig& c) {
  if (!c.train.learning_rate || c.model.kind.name() != "two_layer") return NAN;
  const auto s = sigma_spectrum(*c.model.activation, static_cast<int>(c.data.dimension), 4);
  const double rest = s.trace - s.trace_part[0] - s.trace_part[1];
  const double parameters = static_cast<double>(c.model.width) * static_cast<double>(c.data.dimension);
  const double rate = *c.train.learning_rate;
  return rate * rate * c.train.noise_variance * static_cast<double>(c.train.steps) * rest / parameters;
}

Findings noise_findings(const std::filesystem::path& folder, const NoisePlans& plans) {
  const auto noise = read_curves(plans.noise, folder);
  const auto ranks = plans.ranks.empty() ? std::vector<SweepCurves>{} : read_curves(plans.ranks, folder);
  const auto figure = figure_of(noise, ranks);
  return {.table = table_of(plans, noise, ranks),
          .figures = {{"r1-noise", figure, figure.caption}},
          .claims = claims_of(noise, ranks)};
}

namespace {

std::vector<KeyInfo> noise_study_keys() {
  auto keys = list_described(NoiseStudyConfig{});
  for (auto key : run_config_keys()) {
    key.path = "run." + key.path;
    keys.push_back(std::move(key));
  }
  return keys;
}

class NoiseTask : public RunsTask {
 public:
  NoiseTask(const NoiseStudyConfig& config, const std::string& source)
      : NoiseTask(config, plan_noise_study(config, source)) {}
  nlohmann::json config() const override { return write_described(config_); }
  Findings findings(const std::filesystem::path& folder) const override { return noise_findings(folder, plans_); }

 private:
  NoiseTask(const NoiseStudyConfig& config, NoisePlans plans)
      : RunsTask(plans.all()), config_(config), plans_(std::move(plans)) {}

  NoiseStudyConfig config_;
  NoisePlans plans_;
};

}  // namespace

Study noise_study() {
  return {.name = "r1-noise",
          .summary = "Does the noise of the descent keep R1 small? and R3's rank d against d + 1",
          .title = "Noise and R1",
          .presets = {{"quick", "r1-noise-quick"}, {"full", "r1-noise"}},
          .standard = write_described(NoiseStudyConfig{}),
          .keys = noise_study_keys(),
          .read = [](const nlohmann::json& json, const std::string& source,
                     const Catalogue& catalogue) -> std::unique_ptr<Task> {
            return std::make_unique<NoiseTask>(read_noise_study_config(json, source, catalogue), source);
          },
          .stages = {{.name = "r1-noise",
                      .title = "Noise and R1",
                      .source = "Section 5",
                      .claim = "The noise of the descent may itself keep R1 small, so that experiments do without it.",
                      .command = {"r1-noise"},
                      .quick = {"--preset", "quick"},
                      .published = {"--preset", "full"}}}};
}

}  // namespace entk
