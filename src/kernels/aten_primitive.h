// The primitive as a plain loop over tiles of neurons in ATen: any device, nothing n×m kept.
#pragma once

#include "entk/kernels/taylor_primitive.h"

namespace entk::kernels {

std::shared_ptr<const TaylorPrimitive> make_aten_primitive(const at::Tensor& x, const at::Tensor& w0,
                                                           const at::Tensor& a, const Activation& activation,
                                                           int orders);

}  // namespace entk::kernels
