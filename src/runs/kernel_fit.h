// The model of a run with model.kernel: regression on a kernel, in closed form (spectrum/kernel_regression.h).
#pragma once

#include "entk/runs/problem.h"
#include "entk/spectrum/kernel_regression.h"
#include "entk/train/record.h"

namespace entk {

struct KernelFit {
  KernelFunction kernel;
  at::Tensor gram;              ///< K(X,X), float64
  KernelRegression regression;  ///< on y − f(X;0)
  at::Tensor train, test;       ///< f at the training and test points, float64; test: undefined where there are none
  at::Tensor w;                 ///< of ntk: W = Φᵀα, m×d in the run's type, with f_L(·;W) this fit; else undefined
  double zero_train_loss = 0, zero_test_loss = 0;  ///< of f(·;0)
  double train_loss = 0, test_loss = 0;            ///< mean squares; NaN where there are no test points
  std::vector<std::string> notices;
};

/// K(x,x') for model.kernel: ntk, quadratic_ntk (feature_kernel of order 1, 2 at the problem's start) or ntk_infinite.
KernelFunction run_kernel(const Problem& problem);
/// @throws InputError unless the problem's configuration has a kernel.
KernelFit fit_kernel(const Problem& problem);
/// What metrics.csv says of it: f(·;0) at step 0, the fit at any other; norm_W where it is one of a W.
Record kernel_record(const KernelFit& fit, std::int64_t step);

}  // namespace entk
