// The activation σ: R → R of a network, as models, theory and kernels know it.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "entk/kernels/cpu/tile_kernels.h"

namespace entk {

/// An elementwise σ with its derivatives. The makers are in models/activation.h.
struct Activation {
  using Function = std::function<at::Tensor(const at::Tensor&)>;  ///< of every entry alone

  std::string name;  ///< with what defines it in parentheses, as in "sigmoid(z - 1)"
  std::function<at::Tensor(const at::Tensor& z, int order)> derivative;  ///< σ^(order) at every entry of z; order ≥ 0
  std::vector<double> kinks{};                      ///< arguments where σ' or σ'' jumps: integrals over σ are cut there
  std::optional<kernels::KernelActivation> kind{};  ///< none: kernels take their tables from `derivative`
  std::vector<double> parameters{};                 ///< that the kernels' own code takes

  /// σ(z); one node in autograd's graph, differentiable as often as `derivative` has orders. (Where `derivative` reads
  /// tensors that are trained, what autograd makes of it.)
  at::Tensor operator()(const at::Tensor& z) const;
};

}  // namespace entk
