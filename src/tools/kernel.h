// What a kernel says of a configuration's data: itself, its eigenvalues and the regression on it.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

#include "entk/config/run_config.h"
#include "entk/io/pt_file.h"

namespace entk {

struct KernelResult {
  /// K: n×n and, where there are test points, K_test: n'×n; eigenvalues of K/n, descending; coefficients α; f and
  /// f_test, the fit; X, y, X_test, y_test; of ntk W too: m×d, whose f_L is the fit.
  TensorDict tensors;
  /// kernel, ridge, dimension, samples, test_samples, width (null for ntk_infinite), rank, norm = √(αᵀKα), train_loss,
  /// test_loss and those of the zero model (null without test points), largest and least eigenvalue of K/n.
  nlohmann::json numbers;
  std::vector<std::string> notices;
};

/// The kernel model.kernel of a run's configuration. @throws InputError where that is none.
KernelResult measure_kernel(const RunConfig& config, c10::Device device);

}  // namespace entk
