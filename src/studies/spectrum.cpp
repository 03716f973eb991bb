#include "entk/studies/spectrum.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "entk/base/error.h"
#include "entk/base/threads.h"
#include "entk/data/inputs.h"
#include "entk/config/run_config.h"
#include "entk/io/atomic_file.h"
#include "entk/io/strict_json.h"
#include "entk/spectrum/activation_spectrum.h"
#include "entk/spectrum/feature_kernel.h"
#include "entk/spectrum/legendre.h"
#include "entk/spectrum/top_eigenpairs.h"

namespace entk {

namespace {

constexpr std::int64_t standard_width = 10000, standard_samples = 2000;
constexpr std::int64_t all_up_to = 4000;  // points: LAPACK's eigenvalues of all of K

std::int64_t width_of(const SpectrumConfig& c) { return c.width > 0 ? c.width : standard_width; }

/// n_k, at most `most`.
std::int64_t leading(const SpectrumConfig& c, std::int64_t most) {
  const double n_k = cumulative_multiplicity(static_cast<int>(c.dimension), static_cast<int>(c.degree));
  return n_k < static_cast<double>(most) ? static_cast<std::int64_t>(n_k) : most;
}

/// The eigenvalues by theory's degrees.
std::vector<DegreeGroup> groups_of(const std::vector<double>& values, const SigmaSpectrum& theory) {
  std::vector<DegreeGroup> groups;
  std::size_t first = 0;
  for (const int l : theory.order) {
    const double count = theory.multiplicity[l], left = static_cast<double>(values.size() - first);
    if (left < 1 || !(theory.lambda[l] > 0)) break;
    const auto seen = static_cast<std::size_t>(std::min(count, left));
    const auto from = values.begin() + static_cast<std::ptrdiff_t>(first),
               to = from + static_cast<std::ptrdiff_t>(seen);
    groups.push_back({l, count, static_cast<std::int64_t>(seen), *(to - 1),
                      std::accumulate(from, to, 0.0) / static_cast<double>(seen), *from});
    first += seen;
  }
  return groups;
}

std::vector<int> up_to(std::vector<int> degrees, std::int64_t last) {
  std::erase_if(degrees, [&](int l) { return l > last; });
  return degrees;
}

std::string statement_of(const SpectrumResult& r) {
  const auto named = [](const char* symbol, const std::vector<int>& degrees) {
    return degrees.empty() ? std::string() : fmt::format("{}_j for j = {}", symbol, fmt::join(degrees, ", "));
  };
  std::vector<std::string> zero, nearly;
  for (const auto& [degrees, symbol, to] : {std::tuple{r.eta_zero, "η", &zero},
                                            {r.mu_zero, "μ", &zero},
                                            {r.eta_nearly, "η", &nearly},
                                            {r.mu_nearly, "μ", &nearly}}) {
    if (!degrees.empty()) to->push_back(named(symbol, degrees));
  }
  const auto degrees = fmt::format("of degrees up to {}", r.config.max_degree);
  std::string text = zero.empty() ? fmt::format("no coefficient η_j of σ' or μ_j of σ'' {} vanishes", degrees)
                                  : fmt::format("of the coefficients η_j of σ' and μ_j of σ'' {}, these vanish: {}",
                                                degrees, fmt::join(zero, "; "));
  if (!nearly.empty()) text += fmt::format("; nearly so: {}", fmt::join(nearly, "; "));
  return text;
}

const DegreeGroup* group_of(const EmpiricalSpectrum& e, int degree) {
  for (const auto& g : e.groups) {
    if (g.degree == degree) return &g;
  }
  return nullptr;
}

nlohmann::json to_json(const EmpiricalSpectrum& e) {
  nlohmann::json json = {{"samples", e.samples}, {"width", e.width}, {"trace", e.trace}, {"eigenvalues", e.values}};
  json["by_degree"] = nlohmann::json::array();
  for (const auto& g : e.groups) {
    json["by_degree"].push_back({{"degree", g.degree},
                                 {"multiplicity", g.expected},
                                 {"seen", g.seen},
                                 {"least", g.least},
                                 {"mean", g.mean},
                                 {"greatest", g.greatest}});
  }
  return json;
}

}  // namespace

SpectrumConfig read_spectrum_config(const nlohmann::json& json, const std::string& source, const Catalogue& catalogue) {
  auto c = read_described<SpectrumConfig>(json, source, catalogue);
  if (c.degree >= c.max_degree) {
    throw InputError(fmt::format("{}: degree: expected below max_degree = {}, got {}", source, c.max_degree, c.degree));
  }
  if (c.width > 0 && c.samples == 0 && c.training_samples == 0) c.samples = standard_samples;
  return c;
}

std::vector<SpectrumSample> spectrum_samples(const SpectrumConfig& c) {
  std::vector<SpectrumSample> all;
  if (c.samples > 0) all.push_back(SpectrumSample::sample);
  if (c.training_samples > 0) all.push_back(SpectrumSample::training);
  return all;
}

std::optional<EmpiricalSpectrum> measure_spectrum(const SpectrumConfig& c, SpectrumSample sample,
                                                  const std::function<bool()>& interrupted) {
  if (interrupted && interrupted()) return std::nullopt;
  const bool training = sample == SpectrumSample::training;
  const auto samples = training ? c.training_samples : c.samples;
  const auto purpose = training ? Purpose::train_inputs : Purpose::unlabeled_inputs;
  const SerialTorch serial;
  const Network network(
      NetworkOptions{.dimension = c.dimension,
                     .width = width_of(c),
                     .activation = *c.activation,
                     .initialisation = width_of(c) % 2 ? Initialisation::plain : Initialisation::symmetric,
                     .seed = c.seed,
                     .dtype = at::kDouble});
  const auto x = draw_inputs(InputLaw::sphere, samples, c.dimension, purpose, c.seed);
  auto kernel = feature_kernel(*network, x).div_(static_cast<double>(samples));
  if (interrupted && interrupted()) return std::nullopt;
  EmpiricalSpectrum e{
      .samples = samples, .width = width_of(c), .values = {}, .trace = kernel.diagonal().sum().item<double>()};
  const auto values = samples <= all_up_to ? at::linalg_eigvalsh(kernel).flip(0).contiguous()
                                           : top_eigenpairs(kernel, leading(c, samples)).values.cpu().contiguous();
  e.values.assign(values.const_data_ptr<double>(), values.const_data_ptr<double>() + values.numel());
  return e;
}

SpectrumResult spectrum_result(const SpectrumConfig& c, const std::map<SpectrumSample, EmpiricalSpectrum>& samples) {
  const auto& activation = *c.activation;
  const int d = static_cast<int>(c.dimension), L = static_cast<int>(c.max_degree), k = static_cast<int>(c.degree);
  const double root = std::sqrt(static_cast<double>(d));
  auto theory = sigma_spectrum(activation, d, L);
  auto check = check_degrees(theory, k);
  SpectrumResult r{
      c, std::move(theory), std::move(check), {}, assumption_two(activation, -root, root), {}, {}, {}, {}, {}, {}, {},
      {}};
  if (k >= 1 && 2 * k <= L) r.partition = partition(r.theory, k, width_of(c));
  const auto eta = vanishing(r.theory.eta), mu = vanishing(r.theory.mu);
  r.eta_zero = up_to(eta.zero, L), r.eta_nearly = up_to(eta.nearly, L);
  r.mu_zero = up_to(mu.zero, L), r.mu_nearly = up_to(mu.nearly, L);
  r.assumption_three = statement_of(r);
  r.warnings = r.theory.warnings;
  if (!r.assumption_two.holds) r.warnings.push_back(r.assumption_two.warning);
  r.warnings.insert(r.warnings.end(), r.check.warnings.begin(), r.check.warnings.end());
  if (!r.eta_zero.empty() || !r.mu_zero.empty()) r.warnings.push_back("Assumption 3: " + r.assumption_three);
  if (r.partition && !r.partition->exists) r.warnings.push_back(r.partition->statement);
  for (const auto& [sample, measured] : samples) {
    auto& place = sample == SpectrumSample::training ? r.training : r.empirical;
    place = measured;
    place->groups = groups_of(measured.values, r.theory);
  }
  return r;
}

nlohmann::json to_json(const SpectrumResult& r) {
  const auto& t = r.theory;
  nlohmann::json json = {{"dimension", r.config.dimension},
                         {"max_degree", r.config.max_degree},
                         {"degree", r.config.degree},
                         {"activation", r.config.activation.json()},
                         {"eta", t.eta.values},
                         {"eta_norm", t.eta.norms},
                         {"mu", t.mu.values},
                         {"mu_norm", t.mu.norms},
                         {"lambda", t.lambda},
                         {"kappa", t.kappa},
                         {"trace_part", t.trace_part},
                         {"order", t.order},
                         {"gaps", t.gaps},
                         {"trace_captured", t.trace_captured},
                         {"trace", t.trace}};
  json["multiplicity"] = nlohmann::json::array();
  for (int l = 0; l <= t.max_degree(); ++l) {
    const auto exact = exact_multiplicity(t.dimension, l);
    const double rounded = t.multiplicity[l];
    json["multiplicity"].push_back(exact                    ? nlohmann::json(*exact)
                                   : std::isfinite(rounded) ? nlohmann::json(rounded)
                                                            : nlohmann::json());
  }
  json["leading"] = {{"degrees", r.config.degree}, {"holds", r.check.leading}, {"relative_gap", r.check.relative_gap}};
  json["assumption_2"] = {{"holds", r.assumption_two.holds},         {"lowest", r.assumption_two.lowest},
                          {"highest", r.assumption_two.highest},     {"sup_value", r.assumption_two.sup_value},
                          {"sup_first", r.assumption_two.sup_first}, {"sup_second", r.assumption_two.sup_second}};
  json["assumption_3"] = {{"statement", r.assumption_three},
                          {"eta_zero", r.eta_zero},
                          {"eta_nearly_zero", r.eta_nearly},
                          {"mu_zero", r.mu_zero},
                          {"mu_nearly_zero", r.mu_nearly}};
  if (r.partition) {
    const auto& p = *r.partition;
    json["partition"] = {{"k", p.k},
                         {"width", width_of(r.config)},
                         {"exists", p.exists},
                         {"statement", p.statement},
                         {"Q1", {{"count", p.large}, {"least", p.large_min}}},
                         {"Q2", {{"count", p.medium}, {"least", p.medium_min}, {"greatest", p.medium_max}}},
                         {"Q3", {{"count", p.small}, {"mean", p.small_mean}}}};
  }
  if (r.empirical) json["empirical"] = to_json(*r.empirical);
  if (r.training) {
    auto& e = *r.training;
    const auto n_k = static_cast<std::size_t>(leading(r.config, static_cast<std::int64_t>(e.values.size())));
    const std::vector<double> first(e.values.begin(), e.values.begin() + static_cast<std::ptrdiff_t>(n_k));
    const std::vector<double> rest(e.values.begin() + static_cast<std::ptrdiff_t>(n_k), e.values.end());
    json["features"] = {{"samples", e.samples}, {"width", e.width}, {"V1", first}, {"V2", rest}};
  }
  json["warnings"] = r.warnings;
  return json;
}

Table spectrum_table(const SpectrumResult& r) {
  const auto& t = r.theory;
  Table table{
      fmt::format("Spectrum of Σ, d = {}", r.config.dimension),
      {Column("degree"), Column("η"), Column("μ"), Column("multiplicity", 12), Column("λ"), Column("part of trace")},
      {}};
  if (r.empirical) {
    for (const char* name : {"seen", "least of K/N", "mean of K/N", "greatest of K/N"})
      table.columns.emplace_back(name);
  }
  for (int l = 0; l <= t.max_degree(); ++l) {
    std::vector<Cell> row{l,           t.eta.values[l],          t.mu.values[l], t.multiplicity[l],
                          t.lambda[l], t.trace_part[l] / t.trace};
    if (r.empirical) {
      const auto* g = group_of(*r.empirical, l);
      row.insert(row.end(), {g ? static_cast<double>(g->seen) : 0.0, g ? g->least : NAN, g ? g->mean : NAN,
                             g ? g->greatest : NAN});
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

Figure spectrum_figure(const SpectrumResult& r) {
  const auto& t = r.theory;
  // NaN where λ_l is only rounding: the coefficients that make it vanish.
  const auto shown = [&t](int l) { return t.trace_part[l] > 1e-22 * t.trace ? t.lambda[l] : NAN; };
  Figure figure;
  figure.columns = 2;
  figure.caption = fmt::format("Spectrum of Sigma, d = {}", r.config.dimension);
  if (r.empirical) figure.caption += fmt::format("; K/N of N = {} points", r.empirical->samples);
  if (r.training) figure.caption += fmt::format("; V1, V2 of n = {}", r.training->samples);
  const Label lambda = rich_text("{/:Italic λ}_l");
  // One colour for the theory, whose parts have dashes, one for each sample and for each other quantity.
  constexpr int theory_color = 0, sample_color = 1, training_color = 2, count_color = 4;

  Panel by_degree{.title = "Eigenvalues by degree",
                  .x = {.label = rich_text("degree {/:Italic l}")},
                  .y = {.label = "eigenvalue", .logarithmic = true}};
  Series theory{.label = lambda, .style = SeriesStyle::line_points, .color = theory_color},
      counts{.label = rich_text("{/:Italic B}({/:Italic d}, {/:Italic l})"),
             .style = SeriesStyle::line_points,
             .color = count_color},
      shares{.label = rich_text("{/:Italic B} {/:Italic λ}_l / tr Σ"),
             .style = SeriesStyle::line_points,
             .color = count_color + 1};
  for (int l = 0; l <= t.max_degree(); ++l) {
    for (auto* s : {&theory, &counts, &shares}) s->x.push_back(l);
    theory.y.push_back(shown(l)), counts.y.push_back(t.multiplicity[l]);
    shares.y.push_back(std::isfinite(shown(l)) ? t.trace_part[l] / t.trace : NAN);
  }
  by_degree.series.push_back(theory);
  if (r.empirical) {
    Series seen{.label = "K/N, mean", .style = SeriesStyle::points, .color = sample_color};
    Series least{.label = "extremes", .style = SeriesStyle::reference}, greatest{.style = SeriesStyle::reference};
    auto groups = r.empirical->groups;
    std::sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.degree < b.degree; });
    for (const auto& g : groups) {
      for (auto* s : {&seen, &least, &greatest}) s->x.push_back(g.degree);
      seen.y.push_back(g.mean), least.y.push_back(g.least), greatest.y.push_back(g.greatest);
    }
    by_degree.series.insert(by_degree.series.end(), {seen, least, greatest});
  }

  Panel by_index{.title = "Eigenvalues by index",
                 .x = {.label = "index", .logarithmic = true},
                 .y = {.label = "eigenvalue", .logarithmic = true}};
  // Q1, Q2, Q3 as steps: both ends of each degree.
  const double end = 0.5 * static_cast<double>(width_of(r.config)) * static_cast<double>(r.config.dimension);
  std::vector<Series> parts{{.label = "Q1", .color = theory_color},
                            {.label = "Q2", .color = theory_color, .dash = 1},
                            {.label = "Q3 and on", .color = theory_color, .dash = 2}};
  double first = 1;
  for (const int l : t.order) {
    if (!(shown(l) > 0) || first > end) break;
    auto& s = parts[l <= r.config.degree ? 0 : l <= 2 * r.config.degree ? 1 : 2];
    const double last = std::min(end, first + t.multiplicity[l] - 1);
    s.x.insert(s.x.end(), {first, last, last});
    s.y.insert(s.y.end(), {t.lambda[l], t.lambda[l], NAN});
    first += t.multiplicity[l];
  }
  std::erase_if(parts, [](const Series& s) { return s.x.empty(); });
  by_index.series = parts;
  const auto add_values = [&](const EmpiricalSpectrum& e, std::size_t from, std::size_t to, const std::string& label,
                              int color) {
    Series s{.label = label, .style = SeriesStyle::points, .color = color};
    for (std::size_t i = from; i < to; i = i < from + 50 ? i + 1 : std::max(i + 1, i * 26 / 25)) {
      s.x.push_back(static_cast<double>(i + 1)), s.y.push_back(e.values[i]);
    }
    if (!s.x.empty()) by_index.series.push_back(std::move(s));
  };
  if (r.empirical) {
    add_values(*r.empirical, 0, r.empirical->values.size(), "K/N", sample_color);
  }
  if (r.training) {
    const auto& e = *r.training;
    const auto n_k = static_cast<std::size_t>(leading(r.config, static_cast<std::int64_t>(e.values.size())));
    add_values(e, 0, n_k, "V1", training_color);
    add_values(e, n_k, e.values.size(), "V2", training_color + 1);
  }

  Panel multiplicities{.title = "Multiplicity and share of the trace",
                       .x = {.label = rich_text("degree {/:Italic l}")},
                       .y = {.logarithmic = true},
                       .series = {counts, shares}};
  Panel gaps{.title = "Ratio to the next degree",
             .x = {.label = rich_text("degree {/:Italic l}")},
             .y = {.logarithmic = true}};
  Series ratios{.label = rich_text("{/:Italic λ}_l / {/:Italic λ}_{l+1}"),
                .style = SeriesStyle::line_points,
                .color = count_color + 2};
  for (int l = 0; l < t.max_degree(); ++l) {
    ratios.x.push_back(l), ratios.y.push_back(shown(l) / shown(l + 1));
  }
  gaps.series = {ratios};
  figure.panels = {by_degree, multiplicities, gaps, by_index};  // the last above its legend
  return figure;
}

std::vector<Claim> spectrum_claims(const SpectrumResult& r) {
  const auto& t = r.theory;
  std::vector<Claim> claims;
  const auto add = [&](const std::string& source, const std::string& statement, const std::string& paper,
                       const std::string& ours, std::vector<Evidence> evidence, const std::string& reason,
                       const std::string& too_small = "") {
    claims.push_back(judged({.source = source,
                             .statement = statement,
                             .paper = paper,
                             .ours = ours,
                             .reason = reason,
                             .figure = "spectrum",
                             .evidence = std::move(evidence)},
                            true, too_small));
  };
  if (r.partition) {
    const auto& p = *r.partition;
    add("Section 1.1", "Σ's eigenvalues fall into large, medium and small ones, Q1, Q2, Q3, with gaps between them.",
        "λ_min(Λ1) ≫ λ_max(Λ2), λ_min(Λ2) ≫ λ_max(Λ3)",
        p.exists ? fmt::format("λ_min(Λ1) = {}, Λ2 from {} down to {}, Λ3 {} on average at m = {}",
                               format_number(p.large_min, 3), format_number(p.medium_max, 3),
                               format_number(p.medium_min, 3), format_number(p.small_mean, 3), width_of(r.config))
                 : p.statement,
        {{"λ_min(Λ1) over λ_max(Λ2)", exact(r.check.leading ? p.large_min / p.medium_max : 0), 5, INFINITY},
         {"λ_min(Λ2) over the mean of Λ3", exact(p.medium_min / p.small_mean), 5, INFINITY}},
        "λ_min(Λ1) at least 5 times λ_max(Λ2), and λ_min(Λ2) at least 5 times the mean of Λ3",
        p.exists ? "" : "the width is too small for Q2");
  }
  // What is said of a sample is said of that one alone: one seed shows no spread.
  const auto one_sample = fmt::format("one sample, seed {}", r.config.seed);
  if (r.empirical) {
    const auto& e = *r.empirical;
    const double n_k = cumulative_multiplicity(t.dimension, static_cast<int>(r.config.degree));
    double worst = 0;
    std::vector<std::string> parts;
    for (int l = 0; l <= r.config.degree; ++l) {
      const auto* g = group_of(e, l);
      const double error =
          g && static_cast<double>(g->seen) == g->expected ? std::fabs(g->mean / t.lambda[l] - 1) : INFINITY;
      worst = std::max(worst, error);
      if (g)
        parts.push_back(fmt::format("degree {}: {} eigenvalue{} of mean {}, λ = {}", l, g->seen,
                                    g->seen == 1 ? "" : "s", format_number(g->mean, 3), format_number(t.lambda[l], 3)));
    }
    const bool enough = static_cast<double>(e.samples) >= 10 * n_k && e.width >= 1000;
    add("Section 4, the harmonic expansion",
        fmt::format("Σ's eigenvalues come in groups by degree, B(d,l) of each: so they do in this sample of {} points.",
                    e.samples),
        "", fmt::format("{}", fmt::join(parts, "; ")),
        {{"the farthest mean's relative distance", exact(worst, one_sample), 0, 0.1}},
        fmt::format("mean of K/N's eigenvalues over each degree ≤ {} within 10% of λ_l", r.config.degree),
        enough ? "" : "needs N ≥ 10 n_k points and m ≥ 1000");
  }
  add("Section 4, the harmonic expansion", "The low degrees hold Σ's trace.", "", fmt::format("tr Σ = {:.5g}", t.trace),
      {{fmt::format("share of tr Σ in degrees ≤ {}", r.config.max_degree), exact(t.trace_captured / t.trace), 0.99,
        INFINITY}},
      "at least 99% of tr Σ");
  if (r.training) {
    const auto& e = *r.training;
    const auto n_k = leading(r.config, e.samples);
    const bool both = static_cast<std::int64_t>(e.values.size()) > n_k && e.samples >= 2 * n_k;
    add("Section 1.1",
        fmt::format("Φ's top n_k right singular vectors V1 have high variance, V2 little: so they do in this sample of "
                    "{} points.",
                    e.samples),
        "",
        both ? fmt::format("eigenvalue {} of ΦΦᵀ/n is {}, the next {}", n_k, format_number(e.values[n_k - 1], 3),
                           format_number(e.values[n_k], 3))
             : fmt::format("n = {}, n_k = {}", e.samples, n_k),
        {{"their quotient", both ? exact(e.values[n_k - 1] / e.values[n_k], one_sample) : Estimate{.from = one_sample},
          2, INFINITY}},
        "the n_k-th eigenvalue at least twice the next", both ? "" : "needs n ≥ 2 n_k points");
  }
  const auto& sigma = *r.config.activation;
  if (sigma.kind == kernels::KernelActivation::sigmoid && sigma.parameters.front() != 0) {
    const auto& two = r.assumption_two;
    const auto vanishing = static_cast<double>(r.eta_zero.size() + r.mu_zero.size());
    add("Assumptions 2 and 3", "A sigmoid with generic shift meets both.", "", r.assumption_three,
        {{"sup of |σ|, |σ'|, |σ''| for |z| ≤ √d", exact(std::max({two.sup_value, two.sup_first, two.sup_second})), 0,
          1},
         {"vanishing coefficients of σ' and σ''", exact(vanishing), 0, 0}},
        "all three at most 1, and no coefficient of σ' or σ'' vanishes up to the last degree of the expansion");
  }
  return claims;
}

namespace {

class SpectrumTask : public Task {
 public:
  explicit SpectrumTask(SpectrumConfig config) : config_(std::move(config)) {}

  nlohmann::json config() const override { return write_described(config_); }
  std::int64_t threads() const override { return config_.threads; }
  std::vector<Unit> units(const TakeContext& context) override {
    if (context.take) make_folder(context.folder.path() / "parts");
    std::vector<Unit> all;
    for (const auto& sample : spectrum_samples(config_)) {
      const auto file = file_of(context.folder.path(), sample);
      all.push_back(part_unit(word_of(sample), file, [=, this, &context]() -> std::optional<nlohmann::json> {
        const auto e = measure_spectrum(config_, sample,
                                        [&] { return context.hooks.interrupted && context.hooks.interrupted() != 0; });
        if (!e) return std::nullopt;
        return nlohmann::json{{"samples", e->samples}, {"width", e->width}, {"values", e->values}, {"trace", e->trace}};
      }));
    }
    return all;
  }
  TakeOptions take_options() override { return {.jobs = 1}; }  // each uses all threads
  Findings findings(const std::filesystem::path& folder) const override {
    std::map<SpectrumSample, EmpiricalSpectrum> samples;
    for (const auto& sample : spectrum_samples(config_)) {
      const auto file = file_of(folder, sample);
      if (!std::filesystem::exists(file)) continue;
      const JsonReader r(load_json(file), file.string());
      samples[sample] = {.samples = r.get<std::int64_t>("samples"),
                         .width = r.get<std::int64_t>("width"),
                         .values = r.get<std::vector<double>>("values"),
                         .trace = r.get<double>("trace")};
    }
    const auto result = spectrum_result(config_, samples);
    Findings findings{
        .table = spectrum_table(result),
        .figures = {{"spectrum", spectrum_figure(result),
                     "Eigenvalues of Σ by degree, theory and sample; multiplicities; ratios; eigenvalues by index."}},
        .claims = spectrum_claims(result),
        .notes = {"Assumption 3: " + result.assumption_three + "."},
        .numbers = to_json(result)};
    if (result.partition) findings.notes.push_back(result.partition->statement + ".");
    for (const auto& warning : result.warnings) findings.warnings.push_back(warning);
    return findings;
  }

 private:
  static std::filesystem::path file_of(const std::filesystem::path& folder, SpectrumSample sample) {
    return folder / "parts" / (word_of(sample) + ".json");
  }

  SpectrumConfig config_;
};

}  // namespace

Study spectrum_study() {
  return {.name = "spectrum",
          .summary = "Eigenvalues of Σ by the harmonic expansion of σ', beside those of a sample",
          .title = "The spectrum of Σ",
          .presets = {{"quick", "spectrum-quick"}, {"paper", "spectrum"}},
          .standard = write_described(SpectrumConfig{}),
          .keys = list_described(SpectrumConfig{}),
          .read = [](const nlohmann::json& json, const std::string& source,
                     const Catalogue& catalogue) -> std::unique_ptr<Task> {
            return std::make_unique<SpectrumTask>(read_spectrum_config(json, source, catalogue));
          },
          .estimates_memory = false,
          .numbers_alone = true,
          .stages = {{.name = "spectrum",
                      .title = "The spectrum of Σ",
                      .source = "section 1.1, Theorem 2",
                      .claim = "Σ's eigenvalues fall into three sets with gaps between them: large ones for degrees up "
                               "to k, medium ones "
                               "of order d^(1−i), Θ(d^i) of them, for degrees i = k+1 … 2k, and the rest of order 1/m.",
                      .command = {"spectrum"},
                      .quick = {"--preset", "quick"},
                      .published = {"--preset", "paper"},
                      .takes_device = false}}};
}

}  // namespace entk
