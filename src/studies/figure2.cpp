#include "entk/studies/figure2.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "entk/base/device.h"
#include "entk/base/error.h"
#include "entk/base/threads.h"
#include "entk/data/dataset.h"
#include "entk/config/run_config.h"
#include "entk/runs/curves.h"
#include "entk/runs/memory.h"
#include "entk/kernels/cpu/relu_descent.h"
#include "entk/report/statistics.h"

namespace entk {

namespace {

/// Steps between looks at signals and at the loss.
constexpr std::int64_t look_every = 100;

/// Whether a study can tell anything of the paper's claim: several d over a wide range, full training.
std::string too_small(const Figure2Config& config, const Figure2Result& result) {
  const auto [low, high] = std::minmax_element(config.dimensions.begin(), config.dimensions.end());
  if (*high < 40 || *high < 4 * *low || config.dimensions.size() < 4)
    return "needs at least four dimensions, the largest 40 or more and 4 times the smallest";
  if (config.train.steps < 30000) return "needs 30000 steps";
  if (!result.complete) return "needs an n, not a bound, of every seed at every dimension";
  return result.diverged;
}

}  // namespace

Figure2Config read_figure2_config(const nlohmann::json& json, const std::string& source) {
  auto config = read_described<Figure2Config>(json, source);
  if (config.search.most < config.search.step) {
    throw InputError(fmt::format("{}: search.most: expected at least search.step = {}, got {}", source,
                                 config.search.step, config.search.most));
  }
  return config;
}

std::vector<std::int64_t> figure2_sizes(const SearchConfig& search, std::int64_t dimension) {
  const double square = static_cast<double>(dimension) * static_cast<double>(dimension);
  std::set<std::int64_t> sizes;
  for (std::int64_t i = 1; static_cast<double>(i) * search.step <= search.most * (1 + 1e-12); ++i) {
    sizes.insert(std::max<std::int64_t>(1, std::llround(static_cast<double>(i) * search.step * square)));
  }
  return {sizes.begin(), sizes.end()};
}

void check_figure2_memory(const Figure2Config& config) {
  const auto device = pick_device(config.device);
  const double element = static_cast<double>(c10::elementSize(config.dtype)),
               m = static_cast<double>(config.train.width);
  const double tests = static_cast<double>(config.train.test_samples);
  double largest = 0;
  for (const auto dimension : config.dimensions) {
    const double d = static_cast<double>(dimension), n = std::max(1.0, config.search.most * d * d);
    // Drawn in float64, then the run's type; X packed twice; a gradient of each of 64 parts; the test's hidden layer.
    largest = std::max(largest, (n + tests) * d * (8 + element) + 2 * n * d * element + 66 * m * (d + 2) * element +
                                    2 * tests * m * element);
  }
  const auto searches = static_cast<int>(config.dimensions.size() * config.seeds.size());
  const int at_once = device.is_cpu() ? std::min(threads(), searches) : 1;
  check_fits(static_cast<double>(resident_bytes_now()) + at_once * largest,
             "search.most, the largest of dimensions, train.width or train.test_samples smaller, or threads");
}

std::optional<FinalLosses> train_relu(const Figure2Config& config, std::int64_t dimension, std::int64_t samples,
                                      std::uint64_t seed, const std::function<int()>& interrupted) {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto target = figure2_target(dimension, config.train.exact_scale, seed);
  const auto options = at::TensorOptions(config.dtype).device(pick_device(config.device));
  const auto data =
      gaussian_data(
          {.dimension = dimension, .samples = samples, .test_samples = config.train.test_samples, .seed = seed}, target)
          .to(options.device(), config.dtype);
  auto start = relu_start(dimension, config.train.width, seed);
  for (auto* t : {&start.w, &start.b, &start.a, &start.c}) *t = t->to(options);
  const auto descent = make_relu_descent(data.train.x, data.train.y, start, config.train.learning_rate);
  for (std::int64_t step = 0; step < config.train.steps; ++step) {
    if (step % look_every == 0) {
      if (interrupted && interrupted() > 0) return std::nullopt;
      if (step > 0 && !std::isfinite(descent->loss())) return FinalLosses{NAN, NAN};
    }
    descent->step();
  }
  const auto weights = descent->weights();
  const auto loss = [&](const Samples& s) { return (relu_output(s.x, weights) - s.y).square().mean().item<double>(); };
  return FinalLosses{loss(data.train), loss(data.test)};
}

SampleSearch figure2_search(const Figure2Config& config, const std::function<int()>& interrupted) {
  SampleSearch search;
  search.dimensions = config.dimensions;
  search.seeds = config.seeds;
  search.sizes = [search = config.search](std::int64_t dimension) { return figure2_sizes(search, dimension); };
  search.threshold = config.search.threshold;
  search.method = config.search.method;
  search.run = [config, interrupted](std::int64_t dimension, std::int64_t samples, std::uint64_t seed) {
    return train_relu(config, dimension, samples, seed, interrupted);
  };
  return search;
}

Figure2Result figure2_result(const Figure2Config& config, const SampleSearchResult& searches) {
  Figure2Result result;
  result.needed = needed_samples(searches, false);
  const auto complete = complete_dimensions(result.needed, config.seeds.size());
  result.complete = complete.size() == config.dimensions.size();
  result.fit = sample_exponent(complete);
  result.finished = searches.found.size() == config.dimensions.size() * config.seeds.size();
  result.diverged = diverged_text(searches.trials);
  return result;
}

Table figure2_table(const Figure2Config& config, const Figure2Result& result) {
  Table table;
  table.title = fmt::format("Smallest n whose final test loss is below {}, {}", config.search.threshold,
                            spread_text(config.seeds.size()));
  table.columns = {Column("d"), Column("smallest n"), Column("n/d²", 3), Column("6d²"), Column("d³")};
  auto dimensions = config.dimensions;
  std::sort(dimensions.begin(), dimensions.end());
  for (const auto d : dimensions) {
    const double square = static_cast<double>(d) * static_cast<double>(d);
    std::vector<Cell> row{Cell(d)};
    if (const auto found = result.needed.find(d); found == result.needed.end()) {
      row.insert(row.end(), {Cell("not run"), Cell("–")});
    } else {
      row.push_back(needed_cell(found->second, figure2_sizes(config.search, d)));
      const auto* mean = std::get_if<Uncertain>(&row.back().content);
      row.push_back(mean ? Cell(mean->value / square) : Cell("–"));
    }
    row.emplace_back(6 * square);
    row.emplace_back(square * static_cast<double>(d));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Figure figure2_plot(const Figure2Config& config, const Figure2Result& result) {
  Panel panel;
  panel.x = {rich_text("dimension {/:Italic d}"), true};
  panel.y = {rich_text(fmt::format("samples {{/:Italic n}} to a test loss below {}", config.search.threshold)), true};
  const auto [low, high] = std::minmax_element(config.dimensions.begin(), config.dimensions.end());
  const double from = static_cast<double>(*low), to = static_cast<double>(*high);
  Series found;
  found.label = "ReLU network, " + band_text(config.seeds.size());
  found.style = SeriesStyle::line_points;
  for (const auto& [d, at] : complete_dimensions(result.needed, config.seeds.size())) {
    std::vector<double> values;
    for (const auto& [seed, n] : at.samples) values.push_back(n);
    found.x.push_back(static_cast<double>(d));
    found.y.push_back(mean(values));
    if (values.size() < 2) continue;
    found.low.push_back(found.y.back() - standard_deviation(values));
    found.high.push_back(found.y.back() + standard_deviation(values));
  }
  panel.series.push_back(std::move(found));
  panel.series.push_back(guide_line(2, from, 6 * from * from, from, to, rich_text("6{/:Italic d} ^2")));
  panel.series.push_back(guide_line(3, from, from * from * from, from, to, rich_text("{/:Italic d} ^3")));
  panel.series[1].color = 1;
  panel.series[2].color = 2;
  if (std::isfinite(result.fit.line.slope)) {
    panel.series.push_back(power_law_line(result.fit.line, from, to,
                                          fmt::format("fit: exponent {}", format_number(result.fit.exponent, 3))));
  }
  Figure figure;
  figure.caption = "Samples that the two-layer ReLU network needs for a dense quadratic plus a sparse cubic";
  figure.panels = {std::move(panel)};
  return figure;
}

std::vector<Claim> figure2_claims(const Figure2Config& config, const Figure2Result& result) {
  const auto too_few = too_small(config, result);
  // The paper's line at the largest dimension, where what is of lower order in d counts least.
  std::vector<double> found, line;
  if (const auto complete = complete_dimensions(result.needed, config.seeds.size()); !complete.empty()) {
    const auto& [d, at] = *complete.rbegin();
    for (const auto& [seed, n] : at.samples) {
      found.push_back(n);
      line.push_back(6.0 * static_cast<double>(d) * static_cast<double>(d));
    }
  }
  const auto claim = [&](const char* statement, const char* paper, const char* reason, Evidence evidence) {
    return judged({.source = "Figure 2",
                   .statement = statement,
                   .paper = paper,
                   .reason = reason,
                   .figure = "figure2",
                   .evidence = {std::move(evidence)}},
                  result.finished, too_few);
  };
  return {
      claim("Gradient descent on the standard ReLU network learns a dense quadratic plus a sparse cubic from about 6d² "
            "samples.",
            "points along 6d²", "at the largest d, n within a factor of 2 of 6d²",
            {"n over 6d² at the largest d", ratio_over_seeds(found, line), 0.5, 2}),
      claim("The number of samples grows like d², where a kernel needs of the order of d³.", "growth like d², below d³",
            "exponent of n in d within 0.5 of 2", {"n grows as d to the power", result.fit.exponent, 1.5, 2.5})};
}

namespace {

class Figure2Task : public Task {
 public:
  explicit Figure2Task(Figure2Config config) : config_(std::move(config)) {}

  nlohmann::json config() const override { return write_described(config_); }
  std::string device() const override { return config_.device; }
  std::int64_t threads() const override { return config_.threads; }
  void check_memory() const override { check_figure2_memory(config_); }
  std::vector<Unit> units(const TakeContext& context) override {
    auto search = figure2_search(config_, context.hooks.interrupted);
    if (context.line)
      search.on_trial = [&context](const Trial& t, double seconds) { context.line(trial_text(t, seconds)); };
    return search_units(search, context.folder.path());
  }
  TakeOptions take_options() override { return {.jobs = pick_device(config_.device).is_cpu() ? 0 : 1}; }
  Findings findings(const std::filesystem::path& folder) const override {
    const auto searches = read_searches(figure2_search(config_, {}), folder);
    const auto result = figure2_result(config_, searches);
    const auto number = [](double v) { return std::isfinite(v) ? nlohmann::json(v) : nlohmann::json(); };
    const auto& exponent = result.fit.exponent;
    nlohmann::json numbers = {{"trials", searches.trials.size()},
                              {"exponent", number(exponent.value)},
                              {"exponent_low", number(exponent.low)},
                              {"exponent_high", number(exponent.high)},
                              {"exponent_from", exponent.from}};
    for (const auto& [d, at] : result.needed) {
      for (const auto& [seed, n] : at.samples) numbers["samples"][std::to_string(d)].push_back(n);
    }
    return {.table = figure2_table(config_, result),
            .figures = {{"figure2", figure2_plot(config_, result),
                         "The smallest n whose final test loss is below the threshold, beside 6d² and d³."}},
            .claims = figure2_claims(config_, result),
            .warnings = result.diverged.empty() ? std::vector<std::string>{} : std::vector{result.diverged},
            .numbers = numbers};
  }

 private:
  Figure2Config config_;
};

}  // namespace

Study figure2_study() {
  return {
      .name = "figure2",
      .summary = "The paper's Figure 2: samples that a standard ReLU network needs, against d",
      .title = "Figure 2: samples that a standard ReLU network needs",
      .presets = {{"quick", "figure2-quick"}, {"published", "figure2"}},
      .standard = write_described(Figure2Config{}),
      .keys = list_described(Figure2Config{}),
      .read = [](const nlohmann::json& json, const std::string& source, const Catalogue&) -> std::unique_ptr<Task> {
        return std::make_unique<Figure2Task>(read_figure2_config(json, source));
      },
      .stages = {
          {.name = "figure2",
           .title = "Figure 2: samples that a standard ReLU network needs",
           .source = "Figure 2",
           .claim = "A standard network learns a dense quadratic plus a sparse cubic from about d² samples, not d³.",
           .command = {"figure2"},
           .quick = {"--preset", "quick"},
           .published = {"--preset", "published"}}}};
}

}  // namespace entk
