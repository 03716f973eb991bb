// The linear term f_L (3)(12): the NTK model.
#pragma once

#include "entk/models/expansion_at.h"
#include "entk/models/network.h"

namespace entk {

/// f_L(x;W), for a two-layer network m^(-1/2) Σ_r a_r σ'(w0_r·x) w_r·x, as a module whose one parameter is W.
class LinearTermImpl : public torch::nn::Cloneable<LinearTermImpl> {
 public:
  /// Of what is expanded, whose W it shares.
  explicit LinearTermImpl(std::shared_ptr<Expandable> of);
  /// Of this network, whose W it shares.
  explicit LinearTermImpl(const Network& of) : LinearTermImpl(std::shared_ptr<Expandable>(of.ptr())) {}
  /// x: n×d; length n. Differentiable in W and x as TaylorModel::forward is.
  at::Tensor forward(const at::Tensor& x);
  void reset() override;  ///< torch's: registers W again

 private:
  std::shared_ptr<Expandable> of_;
  ExpansionCache cache_;
};
TORCH_MODULE(LinearTerm);

}  // namespace entk
