#include "entk/experiments/figure2.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <mutex>
#include <set>
#include <thread>

#include "entk/base/device.h"
#include "entk/base/error.h"
#include "entk/base/threads.h"
#include "entk/data/dataset.h"
#include "entk/experiments/config.h"
#include "entk/io/csv.h"
#include "entk/kernels/relu_descent.h"
#include "entk/report/statistics.h"

namespace entk {

namespace {

/// Steps between looks at signals and at the loss.
constexpr std::int64_t look_every = 100;

const std::vector<std::string>& run_columns() {
  static const std::vector<std::string> columns = {"dimension", "seed", "samples", "train_loss", "test_loss"};
  return columns;
}

Figure2Runs read_runs(const std::filesystem::path& file) {
  Figure2Runs runs;
  if (!std::filesystem::exists(file)) return runs;
  for (const auto& row : read_csv(file).rows) {
    runs[{std::llround(row[0]), std::llround(row[1]), std::llround(row[2])}] = {row[3], row[4]};
  }
  return runs;
}

std::map<std::int64_t, FinalLosses> known_of(const Figure2Runs& runs, std::int64_t dimension, std::int64_t seed) {
  std::map<std::int64_t, FinalLosses> known;
  for (const auto& [size, losses] : runs) {
    if (size.dimension == dimension && size.seed == seed) known[size.samples] = losses;
  }
  return known;
}

bool is_enough(const Figure2Config& config, const FinalLosses& losses) { return losses.test < config.search.threshold; }

/// The sample sizes of a search, from the smallest.
std::vector<std::int64_t> candidates(const Figure2Config& config, std::int64_t dimension) {
  const double square = static_cast<double>(dimension) * static_cast<double>(dimension);
  std::set<std::int64_t> sizes;
  for (std::int64_t i = 1; static_cast<double>(i) * config.search.step <= config.search.most * (1 + 1e-12); ++i) {
    sizes.insert(std::max<std::int64_t>(1, std::llround(static_cast<double>(i) * config.search.step * square)));
  }
  return {sizes.begin(), sizes.end()};
}

double standard_error(const std::vector<double>& values) {
  return standard_deviation(values) / std::sqrt(static_cast<double>(values.size()));
}

/// Whether a study can tell anything of the paper's claim: several d over a wide range, full training.
std::string too_small(const Figure2Config& config, const Figure2Result& result) {
  const auto [low, high] = std::minmax_element(config.dimensions.begin(), config.dimensions.end());
  if (*high < 40 || *high < 4 * *low || result.samples.size() < 4) return "needs at least four dimensions, the largest 40 or more and 4 times the smallest";
  if (config.train.steps < 30000) return "needs 30000 steps";
  return "";
}

}  // namespace

Figure2Config read_figure2_config(const nlohmann::json& json, const std::string& source) {
  const JsonReader reader(json, source);
  Figure2Config config;
  SchemaReader schema(reader);
  describe(schema, config);
  reader.finish();
  const auto distinct = [&](const char* key, const std::vector<std::int64_t>& values) {
    if (values.empty() || std::set<std::int64_t>(values.begin(), values.end()).size() != values.size()) {
      reader.fail(key, "at least one value, none of them twice");
    }
  };
  distinct("dimensions", config.dimensions);
  distinct("seeds", config.seeds);
  if (config.search.most < config.search.step) {
    throw InputError(fmt::format("{}: search.most: expected at least search.step = {}, got {}", source, config.search.step, config.search.most));
  }
  return config;
}

nlohmann::json to_json(const Figure2Config& config) { return write_described(config); }

std::vector<KeyInfo> figure2_keys() { return list_described(Figure2Config{}); }

std::optional<FinalLosses> train_relu(const Figure2Config& config, const SampleSize& size,
                                      const std::function<int()>& interrupted) {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto seed = static_cast<std::uint64_t>(size.seed);
  const auto target = figure2_target(size.dimension, config.train.exact_scale, seed);
  const auto options = at::TensorOptions(read_dtype(config.dtype)).device(pick_device(config.device));
  const auto data = gaussian_data({.dimension = size.dimension, .samples = size.samples,
                                   .test_samples = config.train.test_samples, .seed = seed}, target)
                        .to(options.device(), read_dtype(config.dtype));
  auto start = relu_start(size.dimension, config.train.width, seed);
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

std::optional<std::int64_t> next_samples(const Figure2Config& config, std::int64_t dimension,
                                         const std::map<std::int64_t, FinalLosses>& known) {
  const auto sizes = candidates(config, dimension);
  if (config.search.method == "scan") {
    for (const auto n : sizes) {
      const auto found = known.find(n);
      if (found == known.end()) return n;
      if (is_enough(config, found->second)) return std::nullopt;
    }
    return std::nullopt;
  }
  // Between the largest n known to be too few and the smallest known to be enough.
  std::ptrdiff_t low = -1, high = static_cast<std::ptrdiff_t>(sizes.size());
  for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(sizes.size()); ++i) {
    const auto found = known.find(sizes[static_cast<std::size_t>(i)]);
    if (found == known.end()) continue;
    if (is_enough(config, found->second)) {
      high = i;
      break;
    }
    low = i;
  }
  if (high - low <= 1) return std::nullopt;
  return sizes[static_cast<std::size_t>((low + high) / 2)];
}

std::optional<std::int64_t> enough_samples(const Figure2Config& config, const std::map<std::int64_t, FinalLosses>& known) {
  for (const auto& [n, losses] : known) {
    if (is_enough(config, losses)) return n;
  }
  return std::nullopt;
}

Figure2Runs take_figure2(const Figure2Config& config, const RunFolder& folder, const Figure2Hooks& hooks) {
  auto runs = read_runs(folder.file("runs.csv"));
  CsvWriter writer(folder.file("runs.csv"), run_columns());
  struct Search {
    std::int64_t dimension, seed;
  };
  std::vector<Search> searches;
  for (const auto d : config.dimensions) {
    for (const auto seed : config.seeds) searches.push_back({d, seed});
  }
  // The longest first, so that none is left alone at the end.
  std::stable_sort(searches.begin(), searches.end(), [](const Search& a, const Search& b) { return a.dimension > b.dimension; });
  const int available = threads();
  const int jobs = pick_device(config.device).is_cpu() ? std::min<int>(available, static_cast<int>(searches.size())) : 1;
  std::atomic<std::size_t> next{0};
  std::mutex mutex;  // of runs, writer and error
  std::exception_ptr error;
  std::atomic<bool> stop{false};
  const auto take_search = [&](const Search& search) {
    while (!stop) {
      std::optional<std::int64_t> n;
      {
        const std::lock_guard lock(mutex);
        n = next_samples(config, search.dimension, known_of(runs, search.dimension, search.seed));
      }
      if (!n) return;
      const SampleSize size{search.dimension, search.seed, *n};
      const auto started = std::chrono::steady_clock::now();
      const auto losses = train_relu(config, size, hooks.interrupted);
      if (!losses) {
        stop = true;
        return;
      }
      const std::lock_guard lock(mutex);
      runs[size] = *losses;
      writer.row({static_cast<double>(size.dimension), static_cast<double>(size.seed), static_cast<double>(size.samples),
                  losses->train, losses->test});
      writer.sync();
      if (hooks.run_done) hooks.run_done(size, *losses, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
    }
  };
  std::vector<std::thread> helpers;
  for (int job = 0; job < jobs; ++job) {
    helpers.emplace_back([&, job] {
      const ThreadBudget budget(available / jobs + (job < available % jobs ? 1 : 0));
      try {
        for (std::size_t i; !stop && (i = next++) < searches.size();) take_search(searches[i]);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        stop = true;
      }
    });
  }
  for (auto& helper : helpers) helper.join();
  if (error) std::rethrow_exception(error);
  return runs;
}

Figure2Result figure2_result(const Figure2Config& config, const Figure2Runs& runs) {
  Figure2Result result;
  std::map<std::int64_t, std::map<std::int64_t, double>> by_seed;  // seed → d → n
  for (const auto d : config.dimensions) {
    result.missing[d] = 0;
    for (const auto seed : config.seeds) {
      if (const auto n = enough_samples(config, known_of(runs, d, seed))) {
        result.samples[d].push_back(static_cast<double>(*n));
        by_seed[seed][d] = static_cast<double>(*n);
      } else {
        ++result.missing[d];
      }
    }
  }
  for (const auto& [seed, found] : by_seed) {
    if (found.size() < 2) continue;
    std::vector<double> x, y;
    for (const auto& [d, n] : found) {
      x.push_back(static_cast<double>(d));
      y.push_back(n);
    }
    result.exponents.push_back(power_law_fit(x, y).slope);
  }
  std::vector<double> x, y;
  for (const auto& [d, found] : result.samples) {
    if (result.missing[d] > 0) continue;
    x.push_back(static_cast<double>(d));
    y.push_back(mean(found));
  }
  if (x.size() >= 2) result.fit = power_law_fit(x, y);
  if (result.exponents.size() >= 2) {
    result.exponent = mean(result.exponents);
    result.exponent_error = standard_error(result.exponents);
    result.exponent_source = "mean and standard error over seeds";
  } else {
    result.exponent = result.fit ? result.fit->slope : NAN;
    result.exponent_error = result.fit ? result.fit->slope_error : NAN;
    result.exponent_source = "least squares and its standard error, one seed";
  }
  return result;
}

Table figure2_table(const Figure2Config& config, const Figure2Result& result) {
  Table table;
  table.title = fmt::format("Smallest n whose final test loss is below {}, mean ± standard deviation over {} seed{}", config.search.threshold,
                            config.seeds.size(), config.seeds.size() == 1 ? "" : "s");
  table.columns = {Column("d"), Column("seeds that found one"), Column("smallest n"), Column("n/d²", 3), Column("6d²"), Column("d³")};
  auto dimensions = config.dimensions;
  std::sort(dimensions.begin(), dimensions.end());
  for (const auto d : dimensions) {
    const double square = static_cast<double>(d) * static_cast<double>(d);
    const auto found = result.samples.find(d);
    std::vector<Cell> row{Cell(d), Cell(config.seeds.size() - static_cast<std::size_t>(result.missing.at(d)))};
    if (found == result.samples.end()) {
      row.insert(row.end(), {Cell(fmt::format("above {}", config.search.most * square)), Cell(fmt::format("above {}", config.search.most))});
    } else {
      row.emplace_back(Uncertain{mean(found->second), standard_deviation(found->second)});
      row.emplace_back(mean(found->second) / square);
    }
    row.emplace_back(6 * square);
    row.emplace_back(square * static_cast<double>(d));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Figure figure2_plot(const Figure2Config& config, const Figure2Result& result) {
  Panel panel;
  panel.x = {"dimension d", true};
  panel.y = {rich_text("samples {/:Italic n} to a test loss below " + format_number(config.search.threshold)), true};
  const auto [low, high] = std::minmax_element(config.dimensions.begin(), config.dimensions.end());
  const double from = static_cast<double>(*low), to = static_cast<double>(*high);
  Series found;
  found.label = config.seeds.size() > 1 ? "ReLU network, mean and one standard deviation" : "ReLU network";
  found.style = SeriesStyle::line_points;
  for (const auto& [d, values] : result.samples) {
    found.x.push_back(static_cast<double>(d));
    found.y.push_back(mean(values));
    const double deviation = standard_deviation(values);
    found.low.push_back(found.y.back() - (std::isfinite(deviation) ? deviation : 0));
    found.high.push_back(found.y.back() + (std::isfinite(deviation) ? deviation : 0));
  }
  panel.series.push_back(std::move(found));
  panel.series.push_back(guide_line(2, from, 6 * from * from, from, to, rich_text("6{/:Italic d} ^2")));
  panel.series.push_back(guide_line(3, from, from * from * from, from, to, rich_text("{/:Italic d} ^3")));
  panel.series[1].color = 1;
  panel.series[2].color = 2;
  if (result.fit) {
    panel.series.push_back(power_law_line(*result.fit, from, to,
                                          rich_text(fmt::format("fit: exponent {}", format_number(Uncertain{result.exponent, result.exponent_error})))));
  }
  panel.legend = Legend::below;
  Figure figure;
  figure.caption = "Samples that the two-layer ReLU network needs for a dense quadratic plus a sparse cubic";
  figure.panels = {std::move(panel)};
  return figure;
}

std::vector<Claim> figure2_claims(const Figure2Config& config, const Figure2Result& result) {
  Claim claim;
  claim.source = "Figure 2";
  claim.statement = "Gradient descent on the standard ReLU network learns a dense quadratic plus a sparse cubic from about 6d² samples, "
                    "where a kernel needs of the order of d³.";
  claim.paper = "points along 6d², below d³";
  claim.ours = std::isfinite(result.exponent) ? fmt::format("n grows as d to the power {}", format_number(Uncertain{result.exponent, result.exponent_error}))
                                              : "no exponent";
  claim.reason = fmt::format("exponent ({}) below 3 by more than twice its error", result.exponent_source);
  claim.figure = "figure2";
  const auto small = too_small(config, result);
  if (!std::isfinite(result.exponent) || !small.empty()) {
    claim.verdict = Verdict::too_small_to_tell;
    if (!small.empty()) claim.reason += "; " + small;
  } else if (result.exponent + 2 * result.exponent_error < 3) {
    claim.verdict = Verdict::held;
  } else {
    claim.verdict = result.exponent - 2 * result.exponent_error > 3 ? Verdict::did_not_hold : Verdict::too_small_to_tell;
  }
  return {claim};
}

}  // namespace entk
