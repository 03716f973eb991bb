// The primitive on CPU: tiles of 64 columns that stay in cache, shared out over threads.
#pragma once

#include "entk/kernels/taylor_primitive.h"

namespace entk::kernels {

/// As make_primitive, for CPU tensors of one type; mode is keep or recompute.
std::shared_ptr<const TaylorPrimitive> make_cpu_primitive(const at::Tensor& x, const at::Tensor& w0,
                                                          const at::Tensor& a, const Activation& activation, int orders,
                                                          KernelMode mode, Isa isa);

}  // namespace entk::kernels
