#include "entk/runs/memory.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <mutex>

#include "entk/base/check.h"
#include "entk/base/group.h"
#include "entk/base/threads.h"
#include "entk/kernels/network_function.h"
#include "entk/kernels/network_primitive.h"
#include "entk/kernels/shard.h"
#include "entk/models/module_primitive.h"
#include "entk/models/whole_module_primitive.h"
#include "entk/spectrum/empirical_ntk.h"
#include "entk/spectrum/legendre.h"
#include "entk/spectrum/kernel_regression.h"
#include "entk/spectrum/projector_bytes.h"

namespace entk {

namespace {

std::int64_t read_number(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  return file >> value ? value : std::numeric_limits<std::int64_t>::max();
}

std::int64_t available_bytes() {
  std::ifstream meminfo("/proc/meminfo");
  for (std::string key, unit; meminfo >> key;) {
    std::int64_t kilobytes = 0;
    meminfo >> kilobytes;
    std::getline(meminfo, unit);
    if (key == "MemAvailable:") return kilobytes * 1024;
  }
  return std::numeric_limits<std::int64_t>::max();
}

/// Bytes of the process: 0: its addresses, 1: what of them is resident.
std::int64_t pages_now(int which) {
  std::ifstream statm("/proc/self/statm");
  std::int64_t pages[2] = {0, 0};
  statm >> pages[0] >> pages[1];
  return pages[which] * sysconf(_SC_PAGESIZE);
}

/// What a module's run holds: its parameters, the displacement (of a pair twice as many), and its primitive's.
struct ModuleRun {
  std::int64_t parameters = 0, displacement = 0;
  ModuleBytes bytes{};
};

bool is_two_layer(const RunConfig& c) { return !c.model.kind || c.model.kind.name() == "two_layer"; }

/// None for a two-layer network.
std::optional<ModuleRun> module_run(const RunConfig& c, c10::Device device) {
  if (is_two_layer(c)) return std::nullopt;
  const auto shapes = c.model.kind.make(network_options(c, c10::kMeta));
  if (shapes.is_empty() || std::dynamic_pointer_cast<NetworkImpl>(shapes.ptr())) return std::nullopt;
  ModuleRun run{};
  for (const auto& t : shapes.ptr()->parameters()) run.parameters += t.requires_grad() ? t.numel() : 0;
  const bool pair = c.model.initialisation == Initialisation::symmetric;
  run.displacement = pair ? 2 * run.parameters : run.parameters;
  // Parameters above the memory are enough to refuse it.
  const double least = 16 * static_cast<double>(run.parameters);
  if (!device.is_cpu() || least > static_cast<double>(memory_limit_bytes())) return run;
  // What follows is the same for runs of other data and weights, of which a study asks for each.
  static std::mutex mutex;
  static std::map<std::string, ModuleBytes> known;
  const auto whole = to_json(c);
  const auto key =
      nlohmann::json({whole["model"], whole["train"]["kernel"], whole["dtype"], c.data.dimension, run.parameters})
          .dump();
  const std::lock_guard lock(mutex);
  if (const auto found = known.find(key); found != known.end()) {
    run.bytes = found->second;
    return run;
  }
  const auto kind = pair ? ModuleStartKind::pair : ModuleStartKind::plain;
  const ExpandedModuleImpl expanded(point_module(c.model.kind.make(network_options(c))), kind);
  const bool kernel = c.model.kernel != ModelKernel::none;
  const auto points = at::linspace(-1, 1, 3 * c.data.dimension, expanded.displacement().options().requires_grad(false));
  run.bytes = module_bytes(
      [&](const at::Tensor& x) {
        if (c.model.whole_network) return make_whole_module_primitive(expanded.module(), kind, x);
        return expanded.primitive(x, {.orders = kernel ? 1 : static_cast<int>(c.model.order), .mode = c.train.kernel});
      },
      points.view({3, c.data.dimension}));
  release_free_memory();
  known.emplace(key, run.bytes);
  return run;
}

bool any_weight(const RunConfig& c) {
  return std::any_of(c.lambda.begin(), c.lambda.end(), [](double weight) { return weight != 0; }) ||
         std::any_of(c.regularizers.terms.begin(), c.regularizers.terms.end(),
                     [](const WeightedTerm& term) { return term.weight != 0; });
}

/// What a run has resident beyond what is counted here, as bench/memory.py measures it: the program, LibTorch and MKL;
/// and for each worker MKL's buffers and pieces of freed memory that the allocator keeps.
constexpr double used_library_bytes = 145e6, each_worker_bytes = 7e6;

}  // namespace

std::int64_t resident_bytes_now() { return pages_now(1); }

void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, 8 << 20);
  mallopt(M_TRIM_THRESHOLD, 32 << 20);
}

void release_free_memory() {
#if !defined(__SANITIZE_ADDRESS__)  // which has an allocator of its own; the C library's was never begun
  malloc_trim(0);
#endif
}

std::int64_t estimate_peak_bytes(const RunConfig& c, c10::Device device) {
  // What each part holds, in the order of the run; a data file's sizes: with_file_sizes.
  const int element = static_cast<int>(c10::elementSize(c.dtype));
  const int workers = static_cast<int>(c.threads > 0 ? c.threads : threads());
  const auto bytes = [&](double entries) { return entries * element; };
  const auto module = module_run(c, device);
  const auto rule = descent_options(c).update;
  // Of this process; of a module, rows of d numbers that hold its displacement.
  const std::int64_t width =
      module ? (module->displacement + c.data.dimension - 1) / c.data.dimension : c.model.width / group().size();
  const double n = static_cast<double>(c.data.samples), d = static_cast<double>(c.data.dimension);
  const double tests = static_cast<double>(c.data.test_samples);
  const double unlabeled = static_cast<double>(c.data.unlabeled_samples);
  const bool twins = !module && c.model.initialisation == Initialisation::symmetric,
             unlabeled_projector = c.projector.source == ProjectorSource::unlabeled;
  const bool weighted = c.lambda[0] != 0 || c.lambda[1] != 0 || c.lambda[2] != 0;
  const double weights = bytes(static_cast<double>(width) * d);  // a matrix like W

  const double data = bytes((n + tests + unlabeled) * (d + 1));
  const double drawing = (n + tests + unlabeled) * d * 8 + (element == 4 ? data : 0);  // float64 first
  // W0, its half in float64, W.
  const double own = module ? bytes(static_cast<double>(module->parameters)) : 0;  // a module's parameters
  const double making = module ? weights + 2 * own + 8 * static_cast<double>(module->parameters)
                               : weights + static_cast<double>(width) * d * (twins ? 4 : 8) + weights;

  if (c.model.kernel != ModelKernel::none) {
    // The network in float64, K and its factors; then K at blocks of test points.
    const ProjectorSizes all{c.data.samples, c.data.dimension, c.model.width, 0, twins, 8, workers};
    const auto kernel = [&](double rows) {
      if (!module) return feature_kernel_bytes(rows, n, all);
      const double factors = (rows + n) * module->bytes.working_a_point * 8 / element;
      return 8 * rows * n + std::min(factors, static_cast<double>(NtkOptions{}.memory_limit));
    };
    const double fitting = std::max({kernel(n), kernel_regression_bytes(n), kernel(std::min(tests, 2048.0))});
    const double resident =
        std::max(static_cast<double>(resident_bytes_now()), used_library_bytes + workers * each_worker_bytes);
    const double whole =
        resident + (device.is_cpu() ? std::max({drawing, data + making, data + 6 * weights + fitting}) : drawing);
    return whole < 9e18 ? static_cast<std::int64_t>(whole) : std::numeric_limits<std::int64_t>::max();
  }

  // Projectors: beside them W0, and the W of the networks that they are made of.
  const std::int64_t rank = c.projector.rank > 0 ? c.projector.rank : c.data.dimension + 1;
  const ProjectorSizes sizes{c.data.samples, c.data.dimension, width, rank, twins, element, workers};
  ProjectorBytes sigma, harmonic, population;
  double tables = 0;  // of terms at other points than the projector's, made when training begins
  double table_making = 0, fresh = 0;
  if (c.projector.source == ProjectorSource::harmonic) {
    harmonic = harmonic_projector_bytes(sizes);
  } else if (c.projector.source != ProjectorSource::none) {
    auto own = sizes;
    if (unlabeled_projector) own.points = c.data.unlabeled_samples;
    sigma = sigma_projector_bytes(own);
    const auto transfer = [&](double points, double of) {
      table_making = std::max(table_making, feature_kernel_bytes(std::min(points, 2048.0), of, sizes));
      return bytes(points * static_cast<double>(rank));
    };
    if (unlabeled_projector) tables += transfer(n, unlabeled);
    if (c.r1.points == R1Points::unlabeled) tables += transfer(unlabeled, n) + bytes(2 * unlabeled * d);
    if (c.r1.points == R1Points::fresh) {
      const double points = static_cast<double>(c.r1.samples);
      fresh = feature_kernel_bytes(std::min(points, 2048.0), n, sizes) +
              bytes(points * (3 * d + static_cast<double>(rank)));
    }
  }
  if (c.projector.population_degree >= 0) {
    auto own = sizes;
    own.points = 0;
    own.rank = static_cast<std::int64_t>(
        cumulative_multiplicity(static_cast<int>(c.data.dimension), static_cast<int>(c.projector.population_degree)));
    if (c.projector.source != ProjectorSource::harmonic || own.rank != sizes.rank)
      population = harmonic_projector_bytes(own);
  }
  const double projecting = (module                                    ? 4
                             : harmonic.making + population.making > 0 ? 3
                                                                       : 2) *
                                weights +
                            std::max({sigma.making, harmonic.making, sigma.kept + harmonic.kept + population.making});

  // The primitives at the training points (with the projector's, where a weight asks for both) and at the test points.
  const double points = n + (unlabeled_projector && weighted ? unlabeled : 0);
  double held = 0, step = 0, testing = 0;
  if (unlabeled_projector) held += weighted ? bytes((n + unlabeled) * d) : bytes(3 * 2 * unlabeled * d);
  const auto at = [&](double samples) {
    return PrimitiveSizes{static_cast<std::int64_t>(samples), c.data.dimension, width, twins,
                          static_cast<int>(c.model.order),    element};
  };
  const auto limit = static_cast<std::int64_t>(c.train.memory_limit_gb * 1e9);
  const auto mode = module ? KernelMode::recompute : resolved_mode(at(points), c.train.kernel, limit);
  if (module) {
    // The module at the start, in the problem, in the model and in either primitive, where each worker has its own.
    held += (4 + 2 * (workers - 1)) * own;
    const auto& b = module->bytes;
    const auto batch = static_cast<double>(module_batch(c.data.samples)), batches = std::ceil(n / batch);
    // An optimizer and small minibatches take points anew at each step (Stepping).
    const bool small = rule.batch > 0 && 2 * rule.batch < c.data.samples && !any_weight(c);
    const double kept = rule.optimizer || small ? 0 : batches * b.kept + n * b.kept_a_point;
    if (kept <= static_cast<double>(limit)) held += kept;
    const auto moment = [&](double samples) {
      const auto at_once = static_cast<double>(module_batch(static_cast<std::int64_t>(samples)));
      const double busy = std::min(static_cast<double>(workers), std::ceil(samples / at_once));
      return busy * (std::max(0.0, b.working - 2 * weights) + b.kept + at_once * (b.working_a_point + b.kept_a_point));
    };
    step = moment(n) + (static_cast<double>(module_lanes(c.data.samples)) + 1) * weights;
    if (tests > 0) testing = moment(tests);
  } else if (c.model.whole_network) {
    const auto moment = [&](double samples) {
      return static_cast<double>(network_primitive_bytes(static_cast<std::int64_t>(samples), width, element, workers));
    };
    step = moment(points), testing = moment(tests);
  } else {
    held += static_cast<double>(primitive_bytes(at(points), mode));
    if (tests > 0) held += static_cast<double>(primitive_bytes(at(tests), KernelMode::recompute));
    // Each thread's tiles of 64 neurons by d: W, the gradient, half of its rows, half of W0; and its tables.
    held += workers * (bytes(4 * 64 * d) + (mode == KernelMode::recompute ? 4e6 : 0));
  }
  // f at W0 before the first step, where twins do not cancel.
  const auto most = std::max(c.data.samples, c.data.test_samples);
  const auto initial = twins || module ? 0.0 : static_cast<double>(network_output_bytes(most, width, element, workers));
  // Where steps are not fused: the gradient and the noise.
  if (c.model.whole_network || mode == KernelMode::reference) step += (c.train.noise_variance > 0 ? 2 : 1) * weights;
  // ∂E/∂W, and R4's powers on the way to it.
  const bool displacement = c.lambda[3] != 0 || fresh > 0 || (harmonic.kept > 0 && weighted);
  const double extra = displacement ? weights : 0;
  step += std::max({displacement ? 2 * weights : 0, fresh, harmonic.at_work});
  // A record: the gradient; R4's squares; population values.
  const double record = std::max({testing, weights, std::max(harmonic.at_work, population.at_work), fresh});
  // The vectors of Lanczos' method.
  const double tuning = c.train.learning_rate ? 0 : 24 * weights;
  // An optimizer's tensors, which a checkpoint has a copy of, twice while it is written; the best W.
  const double remembered = static_cast<double>(rule.held) * weights;
  const double kept = remembered + (c.train.keep_best ? weights : 0);
  // W0, W and X serialised, the projector's basis and unlabeled points with them.
  // Of several processes the first one brings all rows together to write them, unless they are written in blocks.
  const bool in_blocks = !module && c.model.width > one_file_width;
  const double whole = in_blocks || !leads() ? 0
                       : group().size() == 1 ? 2 * weights + own
                                             : 4 * group().size() * weights;
  const double saving = whole + 2 * kept + bytes((n + unlabeled) * d) + sigma.kept;
  const double training = (module ? 3 : 2) * weights + sigma.kept + harmonic.kept + population.kept + tables + extra +
                          kept + std::max(table_making, held + std::max({initial, step, record, saving, tuning}));
  const double peak = std::max({drawing, data + making, data + projecting, data + training});
  const double libraries = used_library_bytes + workers * each_worker_bytes;
  const double base = std::max(static_cast<double>(resident_bytes_now()), libraries);
  const double total = device.is_cpu() ? base + peak : base + drawing;
  return total < 9e18 ? static_cast<std::int64_t>(total) : std::numeric_limits<std::int64_t>::max();
}

std::int64_t control_group_limit(const std::filesystem::path& mount, std::istream& groups) {
  auto limit = std::numeric_limits<std::int64_t>::max();
  for (std::string line; std::getline(groups, line);) {
    // "0::/system.slice/job", or in version 1 "4:memory:/slurm/job": the least on the way up to the root.
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const bool second_version = controllers.empty();
    if (!second_version && ("," + controllers + ",").find(",memory,") == std::string::npos) continue;
    const auto root = second_version ? mount : mount / "memory";
    const auto* file = second_version ? "memory.max" : "memory.limit_in_bytes";
    for (auto group = std::filesystem::path(line.substr(second + 1)).lexically_normal();; group = group.parent_path()) {
      limit = std::min(limit, read_number(root / group.relative_path() / file));
      if (group.empty() || group == group.parent_path()) break;
    }
  }
  return limit;
}

std::int64_t memory_limit_bytes() {
  const std::int64_t held = resident_bytes_now();
  std::int64_t limit = available_bytes();
  if (limit != std::numeric_limits<std::int64_t>::max()) limit += held;
  std::ifstream groups("/proc/self/cgroup");
  limit = std::min(limit, control_group_limit("/sys/fs/cgroup", groups));
  rlimit address{};
  if (getrlimit(RLIMIT_AS, &address) == 0 && address.rlim_cur != RLIM_INFINITY) {
    // It bounds addresses, of which libraries and threads take far more than memory: what is left may be filled.
    const std::int64_t left = static_cast<std::int64_t>(address.rlim_cur) - pages_now(0);
    limit = std::min(limit, held + std::max<std::int64_t>(0, left));
  }
  return limit;
}

void check_fits(double bytes, const std::string& smaller) {
  const auto limit = static_cast<double>(memory_limit_bytes());
  if (bytes <= limit) return;
  throw InputError(fmt::format("memory: this run would take about {:.1f} GB, and {:.1f} GB are there; make {}",
                               bytes / 1e9, limit / 1e9, smaller));
}

void check_memory(const RunConfig& config, c10::Device device) {
  const auto size = is_two_layer(config) ? fmt::format("model.width ({})", config.model.width)
                                         : fmt::format("the {} of model.kind", config.model.kind.name());
  check_fits(static_cast<double>(estimate_peak_bytes(config, device)),
             fmt::format("data.samples ({}), data.test_samples ({}) or {} smaller, or train.memory_limit_gb "
                         "({}), above which tables are recomputed",
                         config.data.samples, config.data.test_samples, size, config.train.memory_limit_gb));
}

}  // namespace entk
