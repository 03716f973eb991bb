// Regression on a kernel: what gradient descent on a model linear in its parameters ends at, without descent.
//
//   min_v  E_n[(y − f)²] + ridge ‖v‖²,  f(x) = φ(x)·v:   f(x) = K(x,X) α,  α = (K(X,X) + n ridge I)^(-1) y,  v = Φᵀα
//
// With ridge 0: the least-norm v among those of least loss, α = K⁺ y, the limit of descent from v = 0. For the NTK v is
// vec(W) and f is f_L.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

namespace entk {

/// K(x,x') of two sets of points, n×d and n'×d: n×n', float64.
using KernelFunction = std::function<at::Tensor(const at::Tensor& x, const at::Tensor& x2)>;

/// What kernel_regression may be told.
struct KernelRegressionOptions {
  double ridge = 0;  ///< times ‖v‖², beside the mean square
  /// Without a ridge, eigenvalues of at most this share of the largest count as zero.
  double cut = 1e-12;
};

/// The fit: f(x) = K(x,X) α.
struct KernelRegression {
  at::Tensor coefficients;  ///< α: n, float64
  at::Tensor fitted;        ///< f(X) = Kα: n
  double squared_norm = 0;  ///< ‖v‖² = αᵀKα
  std::int64_t rank = 0;    ///< eigenvalues above the cut; n where there is a ridge
  std::string notice;       ///< that K is singular; empty where it is not
};

/// kernel: K(X,X), n×n, float64, symmetric; y: n. By Cholesky's factors where K is well enough conditioned for the cut
/// to take nothing (by inverse iteration), else by eigenvectors. The bits do not depend on the number of threads.
/// @throws InputError for shapes, a negative ridge, or values that are not finite.
KernelRegression kernel_regression(const at::Tensor& kernel, const at::Tensor& y,
                                   const KernelRegressionOptions& options = {});

/// f at x (n'×d): K(x, train) α in blocks of rows, so that no more than 2048×n of the kernel is there at once.
at::Tensor kernel_prediction(const KernelFunction& kernel, const at::Tensor& x, const at::Tensor& train,
                             const at::Tensor& coefficients);

/// Bytes of kernel_regression at its peak, K among them.
double kernel_regression_bytes(double points);

}  // namespace entk
