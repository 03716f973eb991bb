// How fast each piece of the work is here, against what this machine can do.
//
// A piece's operations are the multiplies and adds of its products alone: 4ndm for a step (Z = XWᵀ and
// GᵀX), nothing for σ, for the passes over tables or for what is done twice. Its bytes are what must cross
// the memory bus once at least. Peaks are this machine's own, measured with as many threads.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "entk/kernels/taylor_primitive.h"
#include "entk/report/table.h"

namespace entk {

struct BenchSize {
  std::int64_t samples = 1000, dimension = 100, width = 10000;
  bool operator==(const BenchSize&) const = default;
};

struct BenchOptions {
  std::vector<BenchSize> sizes;
  std::vector<std::string> pieces;  ///< of bench_pieces()
  std::vector<int> threads;         ///< counts to run with, one after another
  c10::ScalarType dtype = c10::kFloat;
  c10::Device device = c10::kCPU;
  KernelMode kernel = KernelMode::automatic;
  double seconds = 0.5;               ///< spent on each piece at least, after a first call
  std::int64_t test_samples = 10000;  ///< of `evaluation`
};

/// features (tables of σ', σ''), projector (of rank d+1), forward (the terms), pull-back, step (of a run
/// with the square loss and 10 R3), evaluation (the loss on test_samples points, tables made anew); of a network of
/// three layers, d → m → m → 1, all of whose p parameters are trained: mlp-step (of its expansion to second order with
/// the square loss) and mlp-ntk (its empirical NTK at the n points).
const std::vector<std::string>& bench_pieces();
/// Those of the two-layer network.
std::vector<std::string> two_layer_pieces();

struct MachinePeak {
  int threads = 1;
  double operations = 0;  ///< multiplies and adds a second, in registers; a large product's on a GPU
  double bytes = 0;       ///< read and written a second, arrays far larger than the caches
};
MachinePeak measure_peak(c10::Device device, c10::ScalarType dtype, int threads);

struct BenchRow {
  BenchSize size;
  std::string piece, kernel;  ///< kernel: mode and instruction set, where the piece has them
  int threads = 1;
  std::int64_t repetitions = 0;
  double seconds = 0;        ///< median
  double low = 0, high = 0;  ///< quartiles
  double operations = 0, bytes = 0;
  /// Of this machine's peaks: the larger of the two fractions is what bounds the piece.
  double operations_fraction = 0, bytes_fraction = 0;
};

struct BenchResult {
  std::vector<MachinePeak> peaks;  ///< one for each number of threads, in the run's own type
  std::vector<BenchRow> rows;
  std::int64_t peak_memory_bytes = 0;  ///< of this process, after the first number of threads
};

/// One row for each size, number of threads and piece. @throws InputError for an unknown piece or what is asked for
/// twice.
BenchResult run_bench(const BenchOptions& options);

Table bench_table(const BenchResult& result);
/// Rows, peaks, versions, device and peak memory.
nlohmann::json bench_json(const BenchResult& result, const BenchOptions& options);

}  // namespace entk
