// The primitive on a GPU by entk's own kernels. Compiled where LibTorch has CUDA and nvcc is found.
#pragma once

#include "entk/kernels/taylor_primitive.h"

namespace entk::kernels {

/// Null for what the kernels do not cover, which the plain ATen form does: float64, compute capability
/// below 8.0, more than some eight million samples. mode: keep or recompute.
///
/// Products have float32 accuracy, by three TF32 products each, unless `tf32` or torch
/// (at::globalContext().setAllowTF32CuBLAS(true)) allows one, with some 1e-3 of relative error.
std::shared_ptr<const TaylorPrimitive> make_cuda_primitive(const at::Tensor& x, const at::Tensor& w0,
                                                           const at::Tensor& a, const Activation& activation,
                                                           int orders, KernelMode mode, bool tf32);

}  // namespace entk::kernels
