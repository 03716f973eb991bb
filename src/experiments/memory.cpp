#include "entk/experiments/memory.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/spectrum/legendre.h"
#include "entk/spectrum/sigma_projector.h"

namespace entk {

namespace {

std::int64_t read_number(const char* path) {
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

}  // namespace

std::int64_t resident_bytes_now() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::int64_t estimate_peak_bytes(const RunConfig& c, c10::Device device) {
  // What each part holds, in the order of the run; a data file's sizes: with_file_sizes.
  const std::int64_t element = c.dtype == "float64" ? 8 : 4;
  const double n = static_cast<double>(c.data.samples), d = static_cast<double>(c.data.dimension);
  const double tests = static_cast<double>(c.data.test_samples);
  const double unlabeled = static_cast<double>(c.data.unlabeled_samples);
  const double m = static_cast<double>(c.model.width);
  const bool twins = c.model.initialisation == "symmetric";

  const double data = (n + tests + unlabeled) * d * static_cast<double>(element);
  const double drawing = (n + tests + unlabeled) * d * 8;  // float64 first
  const double weights = m * d * static_cast<double>(element);
  const bool unlabeled_projector = c.projector.source == "unlabeled";
  const double points = n + (unlabeled_projector ? unlabeled : 0);
  const PrimitiveSizes sizes{static_cast<std::int64_t>(points), c.data.dimension, c.model.width, twins,
                             static_cast<int>(c.model.order), static_cast<int>(element)};
  const auto mode = resolved_mode(sizes, read_kernel_mode(c.train.kernel),
                                  static_cast<std::int64_t>(c.train.memory_limit_gb * 1e9));
  const bool harmonic = c.projector.source == "harmonic";
  const double sides = c.projector.source == "none" || harmonic ? 0 : (unlabeled_projector ? unlabeled : n);
  // The harmonic projectors: Cholesky's factor stays, and R3's n×r table; while they are made, G, a copy
  // of it, and three tables.
  const double recorded = c.projector.population_degree < 0
                              ? 0
                              : cumulative_multiplicity(static_cast<int>(c.data.dimension), static_cast<int>(c.projector.population_degree));
  const double r = std::max(harmonic ? static_cast<double>(c.projector.rank) : 0, recorded);
  const double kept = r * r * 8 + (harmonic ? n * r * static_cast<double>(element) : 0);
  const double harmonic_making = 3 * r * r * 8 + (harmonic ? 3 * n * r * 8 : 0) + r * 512 * 8;
  // K with LAPACK's eigenvectors and workspace, or with the blocks of a subspace iteration; σ' for 512 neurons.
  const double rank = c.projector.rank > 0 ? static_cast<double>(c.projector.rank) : d + 1;
  const bool dense = sides <= 1500 || 3 * rank > sides;
  const double kernel = std::min(sides * sides * 8, std::max(static_cast<double>(ProjectorOptions{}.kernel_limit), sides * 2048 * 8));
  const double eigenvectors = dense ? 4 * sides * sides * 8 : kernel + 8 * sides * (1.125 * rank + 12) * 8;
  const double projector = eigenvectors + sides * 512 * 8 * 2 + sides * d * 8;
  const double tables = static_cast<double>(primitive_bytes(sizes, mode));
  const double test_forward = static_cast<double>(primitive_bytes(
      {static_cast<std::int64_t>(tests), c.data.dimension, c.model.width, twins, static_cast<int>(c.model.order),
       static_cast<int>(element)},
      KernelMode::recompute));
  // W0, W and X serialised: more than ∇L_λ.
  const double recording = 2 * weights + n * d * static_cast<double>(element);
  // Each thread's tiles of 64 neurons by d, large where d is beyond m. The step's: W, the gradient, half of its
  // rows; beside them those of the loss on test points: W and, for half as many neurons, W0.
  const double tiles = 4 * 64 * d * static_cast<double>(element) * static_cast<double>(c.threads > 0 ? c.threads : threads());
  // W, and W0 in the problem and in the model.
  const double training = 3 * weights + tables + tiles + std::max(test_forward, recording);
  const double making = drawing + weights * (twins ? 2 : 3);
  const double peak = data + std::max({making, weights * 2 + std::max(projector, harmonic_making), training + kept});
  const double base = static_cast<double>(resident_bytes_now());
  const double total = device.is_cpu() ? base + peak : base + drawing;
  return total < 9e18 ? static_cast<std::int64_t>(total) : std::numeric_limits<std::int64_t>::max();
}

std::int64_t memory_limit_bytes() {
  const std::int64_t held = resident_bytes_now();
  std::int64_t limit = available_bytes();
  if (limit != std::numeric_limits<std::int64_t>::max()) limit += held;
  limit = std::min(limit, read_number("/sys/fs/cgroup/memory.max"));
  rlimit address{};
  if (getrlimit(RLIMIT_AS, &address) == 0 && address.rlim_cur != RLIM_INFINITY) {
    limit = std::min<std::int64_t>(limit, static_cast<std::int64_t>(address.rlim_cur));
  }
  return limit;
}

void check_fits(double bytes, const std::string& smaller) {
  const auto limit = static_cast<double>(memory_limit_bytes());
  if (bytes <= limit) return;
  throw InputError(fmt::format("memory: this run would take about {:.1f} GB, and {:.1f} GB are there; make {}", bytes / 1e9,
                               limit / 1e9, smaller));
}

void check_memory(const RunConfig& config, c10::Device device) {
  check_fits(static_cast<double>(estimate_peak_bytes(config, device)),
             fmt::format("data.samples ({}), data.test_samples ({}) or model.width ({}) smaller, or train.memory_limit_gb "
                         "({}), above which tables are recomputed",
                         config.data.samples, config.data.test_samples, config.model.width, config.train.memory_limit_gb));
}

}  // namespace entk
