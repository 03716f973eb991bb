// The same short training run twice, on two devices, in two precisions, or with two numbers of threads,
// and how far apart the results are.
#pragma once

#include "entk/config/run_config.h"
#include "entk/io/pt_file.h"
#include "entk/report/table.h"

namespace entk {

/// What a run is compared by: "W", "f_L", "f_Q" (at the test points), "gradient", "train_loss",
/// "test_loss", "R1" … "R4" (at every record), all float64 on CPU.
TensorDict comparison_quantities(const RunConfig& config, c10::Device device);

/// The same with the neurons in another order (a twin of the run): what rounding alone does.
TensorDict permuted_quantities(const RunConfig& config, std::uint64_t permutation);

struct Comparison {
  std::string quantity;
  double percentile99, maximum;  ///< of |a − b|/scale over entries; scale: rms of a (losses: see below)
  double tolerance99, tolerance_maximum;
  bool within() const { return percentile99 <= tolerance99 && maximum <= tolerance_maximum; }
};

/// Tolerances for each quantity: of the 99th percentile, and of the maximum.
using Tolerances = std::map<std::string, std::pair<double, double>>;

/// float32 against float64 where a run is not chaotic: test loss 2e-6 of itself, training loss 1e-6 of
/// its initial value, W and what is made from it 1e-4.
Tolerances precision_tolerances();
/// Two devices in float64: 1e-9 everywhere.
Tolerances float64_tolerances();
/// Two numbers of threads: the same bits.
Tolerances identical_tolerances();
/// Two devices in float32: three times the worst of `twins` runs with permuted neurons on one device.
Tolerances twin_tolerances(const RunConfig& config, const TensorDict& reference, int twins);

/// @throws InputError where a quantity is missing or has another shape.
std::vector<Comparison> compare_quantities(const TensorDict& a, const TensorDict& b, const Tolerances& tolerances);
Table comparison_table(const std::vector<Comparison>& comparisons);

}  // namespace entk
