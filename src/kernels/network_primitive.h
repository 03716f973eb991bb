// The network (1) itself in the primitive's form: two vectors at fixed points and their pull-back.
//
//   t_1 = f_L(x;W),   t_2 = f(x;W) − f(x;0) − f_L(x;W)      (f_Q and everything beyond it)
//   ∂D/∂W = Gᵀ X,  G = m^(-1/2) a_r [ (g_1 − g_2) σ'(w0_r·x) + g_2 σ'(w0_r·x + w_r·x) ]
//
// So the trainer, the losses and R1 to R4 take the whole network as they take its expansion.
#pragma once

#include "entk/kernels/taylor_primitive.h"

namespace entk {

/// Tiles of neurons shared out over threads on CPU, one after another elsewhere; the same bits for every
/// number of threads. orders() is 2. Nothing n×m is kept, whatever options.mode says.
/// terms_along and pull_back_along throw RunError: second derivatives are network_output's.
/// @throws InputError as make_primitive, and unless options.orders is 2.
std::shared_ptr<const TaylorPrimitive> make_network_primitive(const at::Tensor& x, const at::Tensor& w0,
                                                              const at::Tensor& a, const Activation& activation,
                                                              const PrimitiveOptions& options = {});

/// Bytes that it takes for a moment beyond its arguments and results.
std::int64_t network_primitive_bytes(std::int64_t samples, std::int64_t width, int element_size, int workers);

}  // namespace entk
