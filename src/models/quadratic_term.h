// The quadratic term f_Q (12): the QuadNTK model.
#pragma once

#include "entk/models/expansion_at.h"

namespace entk {

/// f_Q(x;W) = m^(-1/2)/2 Σ_r a_r σ''(w0_r·x) (w_r·x)² as a module whose one parameter is the
/// network's W. Its gradient at W = 0 is zero.
class QuadraticTermImpl : public torch::nn::Cloneable<QuadraticTermImpl> {
 public:
  /// Of this network, whose W it shares.
  explicit QuadraticTermImpl(Network of);
  /// x: n×d; length n. Differentiable in W and x as TaylorModel::forward is.
  at::Tensor forward(const at::Tensor& x);
  void reset() override;  ///< torch's: registers W again

  Network network;  ///< with W, W0, a and σ

 private:
  ExpansionCache cache_;
};
TORCH_MODULE(QuadraticTerm);

}  // namespace entk
