// The linear term f_L (3)(12): the NTK model.
#pragma once

#include "entk/models/expansion_at.h"

namespace entk {

/// f_L(x;W) = m^(-1/2) Σ_r a_r σ'(w0_r·x) w_r·x as a module whose one parameter is the network's W.
class LinearTermImpl : public torch::nn::Cloneable<LinearTermImpl> {
 public:
  /// Of this network, whose W it shares.
  explicit LinearTermImpl(Network of);
  /// x: n×d; length n. Differentiable in W and x as TaylorModel::forward is.
  at::Tensor forward(const at::Tensor& x);
  void reset() override;  ///< torch's: registers W again

  Network network;  ///< with W, W0, a and σ

 private:
  ExpansionCache cache_;
};
TORCH_MODULE(LinearTerm);

}  // namespace entk
