// The top eigenpairs of a symmetric positive semidefinite operator, with the same bits for every
// number of threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

namespace entk {

struct Eigenpairs {
  at::Tensor values;   ///< descending
  at::Tensor vectors;  ///< n×count, orthonormal columns
  double residual;     ///< max_i ‖A v_i − λ_i v_i‖ / λ_1
};

/// Of a matrix held whole (n×n, float64): LAPACK up to 1500 rows, else subspace iteration.
Eigenpairs top_eigenpairs(const at::Tensor& matrix, std::int64_t count);

/// By Chebyshev-filtered subspace iteration on products with blocks of vectors (n×b → n×b), to a
/// residual of 1e-12 or until it no longer falls. @throws RunError if it stays above 1e-8.
Eigenpairs top_eigenpairs(const std::function<at::Tensor(const at::Tensor&)>& product, std::int64_t n,
                          std::int64_t count, const at::TensorOptions& options);

/// Bytes at the peak of top_eigenpairs, the matrix among them.
double top_eigenpairs_bytes(double n, double count);

}  // namespace entk
