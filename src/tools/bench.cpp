#include "entk/tools/bench.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "entk/base/device.h"
#include "entk/base/threads.h"
#include "entk/runs/memory.h"
#include "entk/runs/run.h"
#include "entk/kernels/cpu/aligned_buffer.h"
#include "entk/models/expansion_at.h"
#include "entk/models/mlp.h"
#include "entk/regularizers/regularizers.h"
#include "entk/report/statistics.h"
#include "entk/spectrum/empirical_ntk.h"
#include "entk/spectrum/sigma_projector.h"

namespace entk {

namespace {

constexpr std::int64_t least_repetitions = 5;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Sets the number of threads for a scope.
struct Threads {
  explicit Threads(int count) { set_threads(count); }
  ~Threads() { set_threads(0); }
};

/// What a GPU is timed for at once, at least: it is waited for at the end, which costs some 20 µs.
constexpr double device_interval = 0.005;

/// Seconds of each call: one to warm up, then until the time is spent. Reading an entry of the result
/// waits for a GPU, where as many calls are timed together as make that wait small.
std::vector<double> time_calls(const std::function<at::Tensor()>& call, double seconds, c10::Device device) {
  int together = 1;
  const auto timed = [&] {
    const double from = now();
    for (int i = 1; i < together; ++i) call();
    call().flatten()[0].item<double>();
    return (now() - from) / together;
  };
  timed();
  while (!device.is_cpu() && timed() * together < device_interval) together *= 2;
  std::vector<double> times;
  for (double spent = 0; spent < seconds || static_cast<std::int64_t>(times.size()) < least_repetitions;) {
    times.push_back(timed());
    spent += times.back() * together;
  }
  return times;
}

/// One problem of Figure 1's kind. Its projector's basis is span{X, 1}, the linear harmonics: the cost of
/// a step is that of any basis, and the eigenvectors of `projector` are timed apart.
struct BenchProblem {
  DataSet data;
  TaylorModel model{nullptr};
  std::shared_ptr<const TaylorPrimitive> primitive;

  BenchProblem(const BenchSize& size, const BenchOptions& o, bool with_tests) {
    const DataOptions options{.dimension = size.dimension,
                              .samples = size.samples,
                              .test_samples = with_tests ? o.test_samples : 0,
                              .seed = 1};
    data = sphere_data(options, figure1_target(size.dimension, InputLaw::sphere, 1)).to(o.device, o.dtype);
    Network network(NetworkOptions{.dimension = size.dimension, .width = size.width, .seed = 1, .dtype = o.dtype});
    network->to(o.device);
    model = TaylorModel(network);
  }

  const std::shared_ptr<const TaylorPrimitive>& expansion(KernelMode mode) {
    if (!primitive) primitive = make_primitive(*model->network, data.train.x, {.mode = mode});
    return primitive;
  }

  SigmaProjector linear_harmonics() const {
    const SerialTorch serial;
    const auto& x = data.train.x;
    const auto spanning = at::cat({x.to(at::kDouble), at::ones({x.size(0), 1}, x.options().dtype(at::kDouble))}, 1);
    auto basis = std::get<0>(at::linalg_qr(spanning)).to(x.scalar_type()).contiguous();
    const auto values = at::ones({basis.size(1)}, at::kDouble);
    return SigmaProjector::restored(SigmaSource::features, x, std::move(basis), values);
  }
};

/// Seconds of each step of a run, as the Trainer takes them. On a GPU, where a step returns at once, several between
/// two waits are timed together; those that a record or a look for a divergence has launched one by one are left out.
std::vector<double> time_steps(const TaylorModel& model, const Objective& objective, const DataSet& data, double rate,
                               const BenchOptions& o, const PrimitiveFactory& primitives, std::string& kernel) {
  std::vector<double> times;
  std::int64_t step = 0, together = 1, counted = -1;  // counted: −1 outside an interval
  constexpr std::int64_t most_together = 256;
  double started = 0, before = 0;
  KernelOptions kernels{.mode = o.kernel};
  TrainerHooks hooks;
  kernels.primitives = primitives;
  const auto& w = model->displacement();
  const auto count = [&](double at) {
    // A step that follows a record, whose own time is not a step's, is left out.
    if (step > 1 && !is_record_step(step)) times.push_back(at - before);
    before = at;
  };
  const auto count_on_device = [&] {
    if (is_record_step(step) || step % 500 == 0) {
      counted = -1;
    } else if (++counted == 0 || counted == together) {
      w.flatten()[0].item<double>();
      const double at = now();
      if (counted > 0 && at - before < device_interval && together < most_together) {
        together *= 2;
      } else if (counted > 0) {
        times.push_back((at - before) / static_cast<double>(together));
      }
      counted = 0;
      before = at;
    }
  };
  hooks.interrupted = [&] {
    const double at = now();
    if (step == 1) started = at;  // the first steps touch memory for the first time
    if (o.device.is_cpu()) {
      count(at);
    } else {
      count_on_device();
    }
    ++step;
    return step > 2 && at - started > o.seconds && static_cast<std::int64_t>(times.size()) >= least_repetitions ? 1 : 0;
  };
  DataSet train = data;
  train.test = {};
  {
    const at::NoGradGuard no_grad;
    at::Tensor(w).zero_();
  }
  const auto result =
      Trainer(model, objective, {.learning_rate = rate, .steps = 1000000}, hooks, kernels).fit(train, o.device);
  kernel = result.kernel;
  return times;
}

Mlp three_layers(const BenchSize& size, const BenchOptions& o) {
  Mlp mlp(MlpOptions{.dimension = size.dimension,
                     .widths = {size.width, size.width},
                     .activation = entk::tanh(),
                     .seed = 1,
                     .dtype = o.dtype});
  mlp->to(o.device);
  return mlp;
}

class Bench {
 public:
  explicit Bench(const BenchOptions& options) : o_(options) {}

  std::vector<BenchRow> rows(const BenchSize& size, int threads) {
    const Threads set(threads);
    const bool with_tests = wants("evaluation");
    BenchProblem problem(size, o_, with_tests);
    std::vector<BenchRow> rows;
    for (const auto& piece : o_.pieces) {
      BenchRow row;
      row.size = size;
      row.piece = piece;
      row.threads = threads;
      measure(problem, row);
      rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  bool wants(const char* piece) const {
    return std::find(o_.pieces.begin(), o_.pieces.end(), piece) != o_.pieces.end();
  }

  void measure(BenchProblem& problem, BenchRow& row) const {
    const auto& network = *problem.model->network;
    const auto& x = problem.data.train.x;
    const double n = static_cast<double>(x.size(0)), d = static_cast<double>(x.size(1));
    const double m = static_cast<double>(network.width());
    const double weights = m * d, tables = n * m;  // entries; S1 and S2 of m/2 neurons
    const double entry = static_cast<double>(x.element_size());
    const auto named = [&](const Primitive& p) { return fmt::format("{} {}", mode_name(p.mode()), p.backend()); };
    const at::NoGradGuard no_grad;
    // W of the size that training gives it, not zero.
    const auto w = network.w0 * 0.1;
    std::vector<double> times;
    if (row.piece == "features") {
      times = time_calls(
          [&] {
            const auto made = make_primitive(network, x, {.mode = KernelMode::keep});
            row.kernel = named(*made);
            return made->points();
          },
          o_.seconds, o_.device);
      row.operations = n * d * m;
      row.bytes = entry * (tables + weights / 2);
    } else if (row.piece == "projector") {
      const std::int64_t rank = std::min(x.size(0), x.size(1) + 1);
      times =
          time_calls([&] { return SigmaProjector::from_features(network, x, rank).basis(); }, o_.seconds, o_.device);
      row.operations = n * d * m + n * n * m / 2;
      row.bytes = 8 * (weights / 2 + n * n);
    } else if (row.piece == "forward") {
      const auto p = problem.expansion(o_.kernel);
      row.kernel = named(*p);
      times = time_calls([&] { return p->terms(w); }, o_.seconds, o_.device);
      row.operations = 2 * n * d * m;
      row.bytes = entry * (weights + (p->mode() == KernelMode::keep ? tables : 0));
    } else if (row.piece == "pull-back") {
      const auto p = problem.expansion(o_.kernel);
      row.kernel = named(*p);
      const auto g = at::ones({p->orders(), p->samples()}, x.options());
      times = time_calls([&] { return p->pull_back(w, g); }, o_.seconds, o_.device);
      row.operations = 4 * n * d * m;
      row.bytes = entry * (2 * weights + (p->mode() == KernelMode::keep ? tables : 0));
    } else if (row.piece == "step") {
      const auto primitives = [&](const TaylorModelImpl&, const at::Tensor&, const PrimitiveOptions&) {
        return problem.expansion(o_.kernel);
      };
      times = time_steps(problem.model, square_loss() + 10.0 * R3(problem.linear_harmonics()), problem.data, 1.0, o_,
                         primitives, row.kernel);
      row.operations = 4 * n * d * m;
      // Tables once, Z read and written, W read and written.
      const bool kept = problem.expansion(o_.kernel)->mode() == KernelMode::keep;
      row.bytes = entry * (2 * weights + (kept ? 3 * tables : 0));
    } else if (row.piece == "mlp-step" || row.piece == "mlp-ntk") {
      const double p = m * (d + m + 1);
      row.bytes = entry * p;
      if (row.piece == "mlp-step") {
        const TaylorModel model(three_layers(row.size, o_));
        times = time_steps(model, square_loss(), problem.data, 0.01, o_, {}, row.kernel);
        row.operations = 12 * n * p;  // δ twice forward and twice back, and twice for the gradient
      } else {
        const EmpiricalNtk ntk(point_module(three_layers(row.size, o_).ptr()));
        times = time_calls([&] { return ntk(x); }, o_.seconds, o_.device);
        row.operations = 4 * n * p + n * n * (d + 4 * m + 1);
      }
    } else {
      const auto& test = problem.data.test.x;
      const auto expansion = expansion_at(network, test, {.mode = KernelMode::recompute});
      row.kernel = named(*expansion.primitive);
      times = time_calls(
          [&] {
            const auto f = problem.model->output(expansion.primitive->terms(w), expansion.initial);
            return square_loss().mean(f, problem.data.test.y);
          },
          o_.seconds, o_.device);
      const double points = static_cast<double>(test.size(0));
      row.operations = 3 * points * d * m;
      row.bytes = entry * (1.5 * weights + points * d);
    }
    row.repetitions = static_cast<std::int64_t>(times.size());
    row.seconds = median(times);
    row.low = quantile(times, 0.25);
    row.high = quantile(times, 0.75);
  }

  const BenchOptions& o_;
};

/// Best of five: a peak is what nothing disturbed.
template <class F>
double best_rate(F&& work) {
  double best = 0;
  for (int attempt = 0; attempt < 5; ++attempt) {
    const double from = now();
    const double amount = work();
    best = std::max(best, amount / (now() - from));
  }
  return best;
}

template <class T>
MachinePeak cpu_peak(int count) {
  const Threads set(count);
  const auto& kernels = kernels::tile_kernels<T>(kernels::selected_isa());
  MachinePeak peak{.threads = count};
  // Some 50 ms each: long enough for the clock to settle, short enough to find an undisturbed one.
  constexpr std::int64_t iterations = 4000000;
  peak.operations = best_rate([&] {
    std::vector<double> done(count);
    parallel_for(count, [&](std::int64_t i) {
      T sink = T(0.5);
      done[i] = kernels.peak_probe(iterations, &sink);
    });
    double total = 0;
    for (const double d : done) total += d;
    return total;
  });
  const std::int64_t part = (std::int64_t{64} << 20) / static_cast<std::int64_t>(sizeof(T));
  const kernels::AlignedBuffer<T> from(part * count);
  kernels::AlignedBuffer<T> to(part * count);
  peak.bytes = best_rate([&] {
    parallel_for(count, [&](std::int64_t i) { kernels.add(part, from.data() + i * part, to.data() + i * part); });
    return 3.0 * static_cast<double>(part * count) * sizeof(T);
  });
  return peak;
}

/// Before anything is timed. What pieces hold beside the primitive is left out, the projector's matrices apart.
void check_sizes(const BenchOptions& o) {
  if (!o.device.is_cpu()) return;
  const bool projector = std::find(o.pieces.begin(), o.pieces.end(), "projector") != o.pieces.end();
  const std::int64_t element = o.dtype == at::kFloat ? 4 : 8;
  for (const auto& size : o.sizes) {
    const PrimitiveSizes sizes{size.samples, size.dimension, size.width, true, 2, static_cast<int>(element)};
    const auto mode = resolved_mode(sizes, o.kernel, PrimitiveOptions{}.memory_limit);
    const double n = static_cast<double>(size.samples), d = static_cast<double>(size.dimension);
    const double inputs = (n + static_cast<double>(o.test_samples)) * d * 8;
    const double weights = 4 * static_cast<double>(size.width) * d * static_cast<double>(element);
    const double kernel = projector ? std::min(n * n * 8, static_cast<double>(ProjectorOptions{}.kernel_limit)) : 0;
    check_fits(
        inputs + weights + std::max(kernel, static_cast<double>(primitive_bytes(sizes, mode))),
        fmt::format("the size {}x{}x{} smaller, or --kernel recompute", size.samples, size.dimension, size.width));
  }
}

/// A row is known by its size, piece and number of threads.
template <class T>
void check_different(const char* name, const std::vector<T>& values) {
  for (auto v = values.begin(); v != values.end(); ++v) {
    if (std::find(values.begin(), v, *v) != v) throw InputError(fmt::format("{}: expected each one once", name));
  }
}

std::int64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

MachinePeak gpu_peak(c10::Device device, c10::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  MachinePeak peak;
  const auto options = at::TensorOptions(dtype).device(device);
  const auto a = at::randn({8192, 8192}, options);  // products of ones draw less power, and run faster
  a.mm(a)[0][0].item<double>();
  peak.operations = best_rate([&] {
    a.mm(a)[0][0].item<double>();
    return 2.0 * 8192 * 8192 * 8192;
  });
  auto to = at::zeros({std::int64_t{256} << 20}, options);
  const auto from = at::randn_like(to);
  peak.bytes = best_rate([&] {
    constexpr int times = 10;
    for (int i = 0; i < times; ++i) to.add_(from);
    to[0].item<double>();
    return times * 3.0 * static_cast<double>(to.nbytes());
  });
  return peak;
}

}  // namespace

const std::vector<std::string>& bench_pieces() {
  static const std::vector<std::string> pieces = {"features", "projector",  "forward",  "pull-back",
                                                  "step",     "evaluation", "mlp-step", "mlp-ntk"};
  return pieces;
}

std::vector<std::string> two_layer_pieces() {
  auto pieces = bench_pieces();
  std::erase_if(pieces, [](const std::string& piece) { return piece.starts_with("mlp"); });
  return pieces;
}

MachinePeak measure_peak(c10::Device device, c10::ScalarType dtype, int threads) {
  if (!device.is_cpu()) return gpu_peak(device, dtype);
  return dtype == at::kFloat ? cpu_peak<float>(threads) : cpu_peak<double>(threads);
}

BenchResult run_bench(const BenchOptions& options) {
  for (const auto& piece : options.pieces) {
    const auto& known = bench_pieces();
    if (std::find(known.begin(), known.end(), piece) == known.end()) {
      throw InputError(fmt::format("pieces: expected {}, got '{}'", fmt::join(known, ", "), piece));
    }
  }
  check_different("pieces", options.pieces);
  check_different("sizes", options.sizes);
  check_different("threads", options.threads);
  check_sizes(options);
  BenchResult result;
  Bench bench(options);
  for (const int count : options.threads) {
    const std::size_t first = result.rows.size();
    for (const auto& size : options.sizes) {
      auto rows = bench.rows(size, count);
      std::move(rows.begin(), rows.end(), std::back_inserter(result.rows));
    }
    // Before the peaks, whose arrays are larger than small problems'.
    if (result.peaks.empty()) result.peak_memory_bytes = peak_memory();
    const auto peak = measure_peak(options.device, options.dtype, count);
    for (std::size_t i = first; i < result.rows.size(); ++i) {
      auto& row = result.rows[i];
      // The projector is made in float64 whatever the run's type.
      const bool twice = row.piece == "projector" && options.dtype == at::kFloat;
      row.operations_fraction = row.operations / row.seconds / peak.operations * (twice ? 2 : 1);
      row.bytes_fraction = row.bytes / row.seconds / peak.bytes;
    }
    result.peaks.push_back(peak);
  }
  return result;
}

Table bench_table(const BenchResult& result) {
  Table table;
  std::string peaks;
  for (const auto& p : result.peaks) {
    peaks += fmt::format("{}{} thread{}: {:.1f} GFLOP/s, {:.1f} GB/s", peaks.empty() ? "" : "; ", p.threads,
                         p.threads == 1 ? "" : "s", p.operations / 1e9, p.bytes / 1e9);
  }
  table.title = "This machine's measured peaks: " + peaks;
  table.keys = 5;
  const auto fixed = NumberFormat::fixed;
  table.columns = {"piece",
                   "n",
                   "d",
                   "m",
                   "threads",
                   "ms",
                   {"quartiles", 3},
                   {"GFLOP/s", 1, fixed},
                   {"of peak", 0, fixed},
                   {"GB/s", 2, fixed},
                   {"of peak ", 0, fixed},
                   "kernel"};
  for (const auto& r : result.rows) {
    const auto percent = [](double fraction) { return fmt::format("{:.0f}%", 100 * fraction); };
    table.rows.push_back({r.piece, r.size.samples, r.size.dimension, r.size.width, r.threads, 1e3 * r.seconds,
                          fmt::format("{} to {}", format_number(1e3 * r.low, 3), format_number(1e3 * r.high, 3)),
                          r.operations / r.seconds / 1e9, percent(r.operations_fraction), r.bytes / r.seconds / 1e9,
                          percent(r.bytes_fraction), r.kernel});
  }
  return table;
}

nlohmann::json bench_json(const BenchResult& result, const BenchOptions& options) {
  nlohmann::json json;
  json["environment"] = environment(options.device);
  json["environment"].erase("threads");
  json["environment"]["processors"] = build_info().processors;
  json["environment"]["dtype"] = options.dtype == at::kFloat ? "float32" : "float64";
  for (const auto& p : result.peaks) {
    json["peaks"].push_back(
        {{"threads", p.threads}, {"gflops", p.operations / 1e9}, {"gigabytes_per_second", p.bytes / 1e9}});
  }
  for (const auto& r : result.rows) {
    json["rows"].push_back({{"piece", r.piece},
                            {"n", r.size.samples},
                            {"d", r.size.dimension},
                            {"m", r.size.width},
                            {"threads", r.threads},
                            {"kernel", r.kernel},
                            {"repetitions", r.repetitions},
                            {"seconds", r.seconds},
                            {"low", r.low},
                            {"high", r.high},
                            {"gflops", r.operations / r.seconds / 1e9},
                            {"of_peak_operations", r.operations_fraction},
                            {"gigabytes_per_second", r.bytes / r.seconds / 1e9},
                            {"of_peak_bytes", r.bytes_fraction}});
  }
  json["peak_memory_bytes"] = result.peak_memory_bytes;
  return json;
}

}  // namespace entk
