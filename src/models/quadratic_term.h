// The quadratic term f_Q (12): the QuadNTK model.
#pragma once

#include "entk/models/expansion_at.h"
#include "entk/models/network.h"

namespace entk {

/// f_Q(x;W), for a two-layer network m^(-1/2)/2 Σ_r a_r σ''(w0_r·x) (w_r·x)², as a module whose one parameter is
/// W. Its gradient at W = 0 is zero.
class QuadraticTermImpl : public torch::nn::Cloneable<QuadraticTermImpl> {
 public:
  /// Of what is expanded, whose W it shares.
  explicit QuadraticTermImpl(std::shared_ptr<Expandable> of);
  /// Of this network, whose W it shares.
  explicit QuadraticTermImpl(const Network& of) : QuadraticTermImpl(std::shared_ptr<Expandable>(of.ptr())) {}
  /// x: n×d; length n. Differentiable in W and x as TaylorModel::forward is.
  at::Tensor forward(const at::Tensor& x);
  void reset() override;  ///< torch's: registers W again

 private:
  std::shared_ptr<Expandable> of_;
  ExpansionCache cache_;
};
TORCH_MODULE(QuadraticTerm);

}  // namespace entk
