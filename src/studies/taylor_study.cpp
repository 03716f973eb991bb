#include "entk/studies/taylor_study.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/autograd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>
#include <set>
#include <tuple>

#include "entk/base/unsaved_work.h"
#include "entk/base/check.h"
#include "entk/base/device.h"
#include "entk/base/threads.h"
#include "entk/config/run_config.h"
#include "entk/runs/curves.h"
#include "entk/io/checkpoint_file.h"
#include "entk/io/csv.h"
#include "entk/models/convolutional_network.h"
#include "entk/models/taylor_expansion.h"
#include "entk/report/statistics.h"
#include "entk/train/schedule.h"

namespace entk {

namespace {

/// Images of a batch whose gradient is taken at once on CPU: parts are shared out over threads.
constexpr std::int64_t part_images = 16;

/// What is trained, and the expansions at the network's own weights.
enum Model { network, order1, order2, order1_at_network, order2_at_network, models };
constexpr const char* model_names[models] = {"network", "order1", "order2", "order1_at_network", "order2_at_network"};
constexpr const char* model_labels[models] = {"network", "order 1, trained", "order 2, trained",
                                              "order 1 at the network's weights", "order 2 at the network's weights"};
constexpr int trained = 3;

const std::vector<std::string>& columns() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all{"epoch"};
    for (const char* what : {"train_loss", "test_loss", "train_error", "test_error"}) {
      for (const char* model : model_names) all.push_back(fmt::format("{}_{}", what, model));
    }
    for (int model = order1; model < models; ++model) all.push_back(fmt::format("distance_{}", model_names[model]));
    return all;
  }();
  return names;
}

/// Whether an epoch is recorded: every one up to 10, then about ten a decade.
bool is_recorded(std::int64_t epoch, std::int64_t last) {
  return epoch <= 10 || epoch == last || is_record_step(epoch);
}

class Run {
 public:
  /// `stopped`: whether a signal came; once true, it stays true.
  Run(const TaylorStudyConfig& config, const DataSet& data, std::int64_t seed, std::function<bool()> stopped)
      : config_(config),
        data_(data),
        stopped_(std::move(stopped)),
        network_(ConvolutionalOptions{.input_channels = data.train.x.size(1),
                                      .height = data.train.x.size(2),
                                      .width = data.train.x.size(3),
                                      .blocks = config.model.blocks,
                                      .channels = config.model.channels,
                                      .seed = static_cast<std::uint64_t>(seed),
                                      .dtype = data.train.x.scalar_type()}) {
    network_->to(data.train.x.device());
    for (const int order : {1, 2, 1, 2}) expansions_.push_back(taylor_expand(network_, network_->parameters(), order));
  }

  /// The rest of a pass over the training images, from image `next` on, for the network and both expansions. The first
  /// image that is not taken: their number, or less where it was stopped between two batches.
  std::int64_t advance(std::int64_t next) {
    const std::int64_t n = data_.train.x.size(0);
    for (; next < n && !stopped_(); next = std::min(next + config_.train.batch, n)) {
      step(next, std::min(config_.train.batch, n - next));
    }
    return next;
  }

  /// A row of metrics.csv; none where it was stopped meanwhile.
  std::optional<std::vector<double>> measure(std::int64_t epoch) {
    const auto at_train = outputs(data_.train.x), at_test = outputs(data_.test.x);
    if (stopped_()) return std::nullopt;
    std::vector<double> row{static_cast<double>(epoch)};
    const auto loss = [](const at::Tensor& f, const at::Tensor& y) { return (f - y).square().mean().item<double>(); };
    const auto error = [](const at::Tensor& f, const at::Tensor& y) {
      return f.mul(y).gt(0).logical_not().to(at::kDouble).mean().item<double>();
    };
    for (const auto& f : at_train) row.push_back(loss(f, data_.train.y));
    for (const auto& f : at_test) row.push_back(loss(f, data_.test.y));
    for (const auto& f : at_train) row.push_back(error(f, data_.train.y));
    for (const auto& f : at_test) row.push_back(error(f, data_.test.y));
    for (int model = order1; model < models; ++model) row.push_back(std::sqrt(loss(at_test[model], at_test[network])));
    return row;
  }

  /// Whether the network's weights are; an expansion that diverges leaves the others their curves.
  bool is_finite() const {
    const auto all = parameters(network).values();
    return std::all_of(all.begin(), all.end(), [](const at::Tensor& p) { return p.isfinite().all().item<bool>(); });
  }

  /// After `epoch` passes and, where one is not over or not recorded, the images before `next` of another.
  TensorDict checkpoint(std::int64_t epoch, std::int64_t next = 0) const {
    TensorDict dict;
    dict["epoch"] = at::tensor({epoch}, at::kLong);
    if (next > 0) dict["next"] = at::tensor({next}, at::kLong);
    for (int model = 0; model < trained; ++model) {
      for (const auto& p : parameters(model))
        dict[fmt::format("{}.{}", model_names[model], p.key())] = p.value().detach().cpu().clone();
    }
    return dict;
  }
  /// `epoch` and `next` of the checkpoint.
  std::pair<std::int64_t, std::int64_t> resume(const TensorDict& dict) {
    const at::NoGradGuard no_grad;
    for (int model = 0; model < trained; ++model) {
      for (auto& p : parameters(model)) {
        const auto found = dict.find(fmt::format("{}.{}", model_names[model], p.key()));
        if (found == dict.end() || found->second.sizes() != p.value().sizes()) {
          throw InputError(
              fmt::format("checkpoint.pt: {} of {} is missing or has another shape", p.key(), model_names[model]));
        }
        p.value().copy_(found->second);
      }
    }
    const auto integer = [&](const char* name, std::int64_t most) {
      const auto found = dict.find(name);
      if (found == dict.end()) return std::int64_t{0};
      const auto& t = found->second;
      if (t.scalar_type() != at::kLong || t.numel() != 1 || t.item<std::int64_t>() < 0 || t.item<std::int64_t>() > most)
        throw InputError(fmt::format("checkpoint.pt: {}: expected an integer from 0 to {}", name, most));
      return t.item<std::int64_t>();
    };
    return {integer("epoch", config_.train.epochs), integer("next", data_.train.x.size(0))};
  }

 private:
  torch::OrderedDict<std::string, at::Tensor> parameters(int model) const {
    return model == network ? network_->named_parameters()
                            : expansions_[static_cast<std::size_t>(model - order1)]->named_parameters();
  }
  at::Tensor output(int model, const at::Tensor& x) {
    return model == network ? network_->forward(x) : expansions_[static_cast<std::size_t>(model - order1)]->forward(x);
  }
  bool on_cpu() const { return data_.train.x.is_cpu(); }

  /// f(task) for each, on CPU shared out over threads, ATen on one thread in each.
  template <class F>
  void for_tasks(std::int64_t count, F&& f) {
    if (!on_cpu()) {
      for (std::int64_t task = 0; task < count; ++task) f(task);
      return;
    }
    const SerialTorch serial;
    parallel_for(count, [&](std::int64_t task) {
      const SerialTorch serial_here;
      f(task);
    });
  }

  /// One step of SGD on images first … first+count−1 for each trained model.
  void step(std::int64_t first, std::int64_t count) {
    const std::int64_t size = on_cpu() ? part_images : count, parts = (count + size - 1) / size;
    std::vector<std::vector<at::Tensor>> gradients(static_cast<std::size_t>(trained * parts));
    for_tasks(trained * parts, [&](std::int64_t task) {
      const int model = trained - 1 - static_cast<int>(task / parts);  // the most expensive first
      const std::int64_t part = task % parts, from = first + part * size, rows = std::min(size, first + count - from);
      const at::AutoGradMode differentiating(true);
      const auto residual = output(model, data_.train.x.narrow(0, from, rows)) - data_.train.y.narrow(0, from, rows);
      const auto loss = residual.square().sum() / static_cast<double>(count);
      gradients[static_cast<std::size_t>(model * parts + part)] =
          torch::autograd::grad({loss}, parameters(model).values());
    });
    const at::NoGradGuard no_grad;
    const SerialTorch serial;
    for (int model = 0; model < trained; ++model) {
      const auto own = parameters(model).values();
      for (std::size_t i = 0; i < own.size(); ++i) {
        auto total = gradients[static_cast<std::size_t>(model * parts)][i];
        for (std::int64_t part = 1; part < parts; ++part)
          total = total + gradients[static_cast<std::size_t>(model * parts + part)][i];
        at::Tensor to = own[i];
        to.sub_(total, config_.train.learning_rate);
      }
    }
  }

  /// All models' outputs at x; not all of them where it was stopped.
  std::vector<at::Tensor> outputs(const at::Tensor& x) {
    const std::int64_t n = x.size(0), size = on_cpu() ? part_images : config_.train.batch,
                       parts = (n + size - 1) / size;
    for (const int model : {order1_at_network, order2_at_network})
      expansions_[static_cast<std::size_t>(model - order1)]->set_parameters(*network_);
    std::vector<std::vector<at::Tensor>> found(models, std::vector<at::Tensor>(static_cast<std::size_t>(parts)));
    for_tasks(models * parts, [&](std::int64_t task) {
      if (stopped_()) return;
      const at::NoGradGuard no_grad;
      const int model = models - 1 - static_cast<int>(task / parts);
      const std::int64_t part = task % parts, from = part * size;
      const auto rows = x.narrow(0, from, std::min(size, n - from));
      found[static_cast<std::size_t>(model)][static_cast<std::size_t>(part)] = output(model, rows);
    });
    std::vector<at::Tensor> all;
    if (stopped_()) return all;
    for (auto& of : found) all.push_back(at::cat(of));
    return all;
  }

  const TaylorStudyConfig& config_;
  const DataSet& data_;
  std::function<bool()> stopped_;
  ConvolutionalNetwork network_;
  std::vector<TaylorExpansion<ConvolutionalNetworkImpl>> expansions_;  // the models after the network
};

std::filesystem::path run_folder_of(const std::filesystem::path& study, std::int64_t seed) {
  return unit_path(study, fmt::format("seed={}", seed));
}

bool is_done(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / "status.json") && read_status(folder).state == RunState::done;
}

RunOutcome take_run_of(const TaylorStudyConfig& config, const DataSet& data, std::int64_t seed, const RunFolder& folder,
                       const TakeContext& context) {
  RunOutcome outcome;
  std::atomic<bool> stop = false;
  Run run(config, data, seed, [&] {
    if (!stop && context.hooks.interrupted && context.hooks.interrupted() > 0) stop = true;
    return stop.load();
  });
  std::int64_t epoch = 0, next = 0;
  const bool resumed = std::filesystem::exists(folder.file("checkpoint.pt"));
  if (resumed) {
    std::tie(epoch, next) = run.resume(read_checkpoint(folder.path()).tensors);
    cut_csv_after(folder.file("metrics.csv"), "epoch", static_cast<double>(epoch));
  } else {
    std::filesystem::remove(folder.file("metrics.csv"));
  }
  folder.set_status(RunState::running, epoch);
  CsvWriter metrics(folder.file("metrics.csv"), columns());
  const auto interrupted = [&] {
    folder.set_status(RunState::interrupted, epoch);
    outcome.state = RunState::interrupted;
    return outcome;
  };
  const auto diverged = [&](std::int64_t by) {
    return NotFiniteError(
        fmt::format("seed {}: the network diverged by epoch {}; a smaller train.learning_rate may help", seed, by));
  };
  const auto record = [&](std::int64_t of) {
    const auto row = run.measure(of);
    if (!row) return false;
    // An expansion that diverges leaves the others their curves.
    if (!std::isfinite((*row)[1])) throw diverged(of);
    metrics.row(*row);
    metrics.sync();
    write_checkpoint(folder.path(), run.checkpoint(of));
    if (context.line) {
      const auto* test = row->data() + 1 + models;
      context.line(fmt::format("seed {}  epoch {}/{}  test loss: network {:.4g}, order 1 {:.4g}, order 2 {:.4g}", seed,
                               of, config.train.epochs, test[network], test[order1], test[order2]));
    }
    return true;
  };
  if (!resumed && !record(0)) return interrupted();
  const UnsavedWork unsaved;
  while (epoch < config.train.epochs) {
    next = run.advance(next);
    const bool whole = next == data.train.x.size(0);
    if (!whole || (is_recorded(epoch + 1, config.train.epochs) && !record(epoch + 1))) {
      if (!run.is_finite()) throw diverged(epoch + 1);
      write_checkpoint(folder.path(), run.checkpoint(epoch, next));
      return interrupted();
    }
    ++epoch;
    next = 0;
  }
  folder.set_status(RunState::done, epoch);
  return outcome;
}

std::vector<double> last_of(const std::vector<std::vector<double>>& runs) {
  std::vector<double> values;
  for (const auto& run : runs) values.push_back(run.back());
  return values;
}

Panel panel(const std::string& title, const std::string& what, int from, bool logarithmic, const TaylorCurves& curves) {
  Panel p;
  p.title = title;
  p.x.label = "epoch";
  p.y.logarithmic = logarithmic;
  for (int model = from; model < models; ++model) {
    p.series.push_back(band_series(curves.epochs, curves.at(what, model_names[model]), model_labels[model]));
    p.series.back().color = model;
  }
  return p;
}

std::size_t seeds_of(const TaylorCurves& curves) {
  return curves.columns.empty() ? 0 : curves.columns.begin()->second.size();
}

}  // namespace

TaylorStudyConfig read_taylor_study_config(const nlohmann::json& json, const std::string& source) {
  const JsonReader reader(json, source);
  TaylorStudyConfig config;
  SchemaReader schema(reader);
  describe(schema, config);
  reader.finish();
  if (config.data.classes.size() != 2 || config.data.classes[0] == config.data.classes[1]) {
    throw InputError(source + ": data.classes: expected two different classes");
  }
  if (config.seeds.empty() || std::set(config.seeds.begin(), config.seeds.end()).size() != config.seeds.size()) {
    throw InputError(source + ": seeds: expected at least one, each once");
  }
  return config;
}

nlohmann::json to_json(const TaylorStudyConfig& config) { return write_described(config); }

std::vector<KeyInfo> taylor_study_keys() { return list_described(TaylorStudyConfig{}); }

DataSet load_images(const TaylorStudyConfig& config) {
  const auto& d = config.data;
  std::filesystem::path path = d.path;
  if (path.empty() && d.source == ImageSource::digits) {
    path = installed_digits();
    if (path.empty())
      throw InputError(
          "data.path: no digits where setup.sh puts them; name scikit-learn's digits.csv.gz with --digits FILE");
  }
  if (path.empty()) throw InputError(fmt::format("data.path: expected the folder with {}'s files", word_of(d.source)));
  const auto images = d.source == ImageSource::digits  ? load_digits(path)
                      : d.source == ImageSource::mnist ? load_mnist(path)
                                                       : load_cifar10(path);
  return two_classes(images, {d.classes[0], d.classes[1]}, d.samples, d.test_samples)
      .to(pick_device(config.device), config.dtype);
}

TaylorCurves read_taylor_curves(const TaylorStudyConfig& config, const std::filesystem::path& folder) {
  TaylorCurves curves;
  for (const auto seed : config.seeds) {
    const auto path = run_folder_of(folder, seed);
    if (!is_done(path)) continue;
    const auto table = read_csv(path / "metrics.csv");
    curves.epochs = table.column("epoch");
    for (const auto& name : columns()) curves.columns[name].push_back(table.column(name));
  }
  return curves;
}

Table taylor_study_table(const TaylorCurves& curves) {
  Table table;
  table.title = "After the last epoch, " + spread_text(seeds_of(curves));
  table.columns = {Column("model"),          Column("training loss"), Column("test loss"),
                   Column("training error"), Column("test error"),    Column("distance to the network")};
  for (int model = 0; model < models; ++model) {
    std::vector<Cell> row{Cell(model_labels[model])};
    for (const char* what : {"train_loss", "test_loss", "train_error", "test_error"}) {
      row.emplace_back(summary(last_of(curves.at(what, model_names[model]))));
    }
    row.push_back(model == network ? Cell("–") : Cell(summary(last_of(curves.at("distance", model_names[model])))));
    table.rows.push_back(std::move(row));
  }
  return table;
}

Figure taylor_study_plot(const TaylorCurves& curves) {
  Figure figure;
  figure.caption = "A convolutional network and its Taylor expansions of order 1 and 2, " + band_text(seeds_of(curves));
  figure.panels = {panel("Training loss", "train_loss", network, true, curves),
                   panel("Test loss", "test_loss", network, true, curves),
                   panel("Training error", "train_error", network, false, curves),
                   panel("Test error", "test_error", network, false, curves),
                   panel("Distance to the network", "distance", order1, true, curves)};
  figure.columns = 2;
  return figure;
}

std::vector<Claim> taylor_study_claims(const TaylorStudyConfig& config, const TaylorCurves& curves) {
  const auto where = fmt::format("{}, classes {} and {}, {} epochs", word_of(config.data.source),
                                 config.data.classes[0], config.data.classes[1], config.train.epochs);
  std::vector<Claim> claims;
  const auto add = [&](const char* statement, const char* what, Model one, Model two, const char* criterion) {
    const auto first = last_of(curves.at(what, model_names[one])), second = last_of(curves.at(what, model_names[two]));
    claims.push_back(
        judged({.source = "Appendix G",
                .statement = statement,
                .ours = fmt::format("{} for order 1, {} for order 2 ({})", format_number(summary(first), 3),
                                    format_number(summary(second), 3), where),
                .reason = criterion,
                .figure = "appendix-g-taylor",
                .evidence = {{"order 2 over order 1", ratio_over_seeds(second, first), 0, 1}}},
               first.size() == config.seeds.size()));
  };
  add("The expansion of order 2 at the network's own weights is nearer to the network than that of order 1.",
      "distance", order1_at_network, order2_at_network,
      "root mean square distance over test images smaller for order 2");
  add("Trained by itself, the expansion of order 2 stays nearer to the network than that of order 1.", "distance",
      order1, order2, "root mean square distance over test images smaller for order 2");
  add("Trained by itself, the expansion of order 2 reaches a lower test loss than that of order 1.", "test_loss",
      order1, order2, "final test loss lower for order 2");
  return claims;
}

std::vector<Unit> taylor_units(const TaylorStudyConfig& config, const DataSet& data, const TakeContext& context) {
  std::vector<Unit> all;
  for (const auto seed : config.seeds) {
    const auto path = run_folder_of(context.folder.path(), seed);
    Unit unit{.name = fmt::format("seed={}", seed),
              .take = [&, seed](const RunFolder& own) { return take_run_of(config, data, seed, own, context); }};
    if (is_done(path)) unit.settled = RunOutcome{};
    all.push_back(std::move(unit));
  }
  return all;
}

namespace {

class TaylorTask : public Task {
 public:
  explicit TaylorTask(TaylorStudyConfig config) : config_(std::move(config)) {}

  nlohmann::json config() const override { return to_json(config_); }
  std::string device() const override { return config_.device; }
  std::int64_t threads() const override { return config_.threads; }
  void prepare() override { data_ = load_images(config_); }
  std::vector<Unit> units(const TakeContext& context) override {
    if (context.line && context.take) {
      context.line(
          fmt::format("{}: {} training and {} test images", data_.target, data_.train.x.size(0), data_.test.x.size(0)));
    }
    return taylor_units(config_, data_, context);
  }
  TakeOptions take_options() override { return {.jobs = 1}; }  // each uses all threads
  Findings findings(const std::filesystem::path& folder) const override {
    const auto curves = read_taylor_curves(config_, folder);
    if (curves.columns.empty()) return {.table = {"After the last epoch", {Column("model")}, {}}};
    return {.table = taylor_study_table(curves),
            .figures = {{"appendix-g-taylor", taylor_study_plot(curves),
                         "The network and its expansions, trained side by side, over epochs; distances are root mean "
                         "squares over test "
                         "images."}},
            .claims = taylor_study_claims(config_, curves)};
  }

 private:
  TaylorStudyConfig config_;
  DataSet data_;
};

Shortcut data_shortcut(const std::string& source, const std::string& value_name, const std::string& meaning) {
  return {"--" + source, value_name, meaning,
          [source](nlohmann::json& config, const std::string& path) {
            config["data"]["source"] = source;
            config["data"]["path"] = path;
          },
          /*alone=*/true};
}

}  // namespace

Study taylor_study() {
  return {.name = "appendix-g",
          .variant = "taylor",
          .summary = "a convolutional network beside its expansions",
          .title = "Appendix G: expansions of a convolutional network",
          .presets = {{"quick", "appendix-g-taylor-quick"}, {"published", "appendix-g-taylor"}},
          .standard = to_json(TaylorStudyConfig{}),
          .keys = taylor_study_keys(),
          .read = [](const nlohmann::json& json, const std::string& source, const Catalogue&) -> std::unique_ptr<Task> {
            return std::make_unique<TaylorTask>(read_taylor_study_config(json, source));
          },
          .estimates_memory = false,
          .shortcuts = {data_shortcut("digits", "FILE",
                                      "digits.csv or digits.csv.gz as scikit-learn ships it [where setup.sh put it]"),
                        data_shortcut("mnist", "DIR", "folder with MNIST's four idx files, instead of the digits"),
                        data_shortcut("cifar10", "DIR", "folder with CIFAR-10's binary files, instead of the digits")},
          .stages = {{.name = "appendix-g-taylor",
                      .title = "Appendix G: expansions of a convolutional network",
                      .source = "Appendix G",
                      .claim = "The second order expansion follows the network more closely than the first.",
                      .command = {"appendix-g", "--study", "taylor"},
                      .quick = {"--preset", "quick"},
                      .published = {"--preset", "published"}}}};
}

}  // namespace entk
