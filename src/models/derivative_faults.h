// Operations whose derivatives LibTorch gets wrong.
//
// Its fused norms keep mean and deviation (weight_norm: the norm) of the forward pass for their double backward, and
// hold them constant where that is differentiated once more: gradients and Hessians are right, what is beyond is not.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace entk {

/// The first such operation between `output` and what it is differentiated in, by the name that a user knows; empty
/// where there is none. `beyond_second`: more than two derivatives are to be taken of it (otherwise operations are
/// found alone of which one is already taken in the output).
std::string wrongly_differentiated(const at::Tensor& output, bool beyond_second);

}  // namespace entk
