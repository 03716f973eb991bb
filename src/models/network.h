// The two-layer network (1) and its start (8)(9).
//
//   f(x;W) = m^(-1/2) Σ_r a_r σ(w0_r·x + w_r·x)
//
// W0, W: m×d, one row a neuron (the paper writes the transpose); a: m. W alone is trained.
#pragma once

#include <torch/nn/cloneable.h>
#include <torch/nn/pimpl.h>

#include "entk/kernels/taylor_primitive.h"
#include "entk/models/activation.h"
#include "entk/models/expandable.h"

namespace entk {

/// How W0 and a are drawn.
enum class Initialisation {
  symmetric,  ///< a = (+1…, −1…), W0's second half repeats its first: f(·;0) = 0 (8)(9)
  plain,      ///< independent rows of W0 and independent signs a_r
};

/// Size and start of a network.
struct NetworkOptions {
  std::int64_t dimension;                                     ///< d
  std::int64_t width;                                         ///< m; even for the symmetric start
  Activation activation = sigmoid(1.0);                       ///< σ
  Initialisation initialisation = Initialisation::symmetric;  ///< of W0 and a
  std::uint64_t seed = 1;                                     ///< of W0 and a
  at::ScalarType dtype = at::kFloat;                          ///< float32 or float64
  c10::Device device = c10::kCPU;                             ///< of its tensors; kMeta: shapes alone
};

/// W0 and a that many networks have in common: nobody may write to them.
struct SharedStart {
  at::Tensor w0;  ///< m×d
  at::Tensor a;   ///< m
};

/// f(x;W) as a module: parameter `W` (zero at first), buffers `W0` (rows uniform on the unit sphere)
/// and `a`.
class NetworkImpl : public torch::nn::Cloneable<NetworkImpl>, public Expandable {
 public:
  /// @throws InputError for sizes below 1, or an odd width with the symmetric start.
  explicit NetworkImpl(const NetworkOptions& options);
  /// A start of one's own, which is copied: w0: m×d, a: m. @throws InputError
  NetworkImpl(const at::Tensor& w0, const at::Tensor& a, Activation activation);
  /// One that is not copied. @throws InputError
  NetworkImpl(const SharedStart& start, Activation activation);

  /// f(x;W) for x: n×d; length n. Differentiable in W and x to any order.
  /// @throws InputError for an x that does not fit, and where W0 or a requires a gradient.
  at::Tensor forward(const at::Tensor& x);
  /// f(x;0): length n; zeros, without work, for a symmetric start.
  at::Tensor initial_output(const at::Tensor& x) const override;

  void reset() override;  ///< torch's: registers W, W0 and a again

  const at::Tensor& displacement() const override { return w; }
  std::vector<std::pair<std::string, at::Tensor>> start() const override { return {{"W0", w0}, {"a", a}}; }
  std::shared_ptr<Expandable> same_start() const override;
  std::shared_ptr<Expandable> exact() const override;
  void check_points(const std::string& name, const at::Tensor& x) const override;
  std::shared_ptr<const Primitive> primitive(const at::Tensor& x, const PrimitiveOptions& options) const override;
  TermsAtPoints reference(const at::Tensor& x, int orders) const override;
  std::string vanishing_terms(int order, const at::Tensor& x) const override;

  std::int64_t dimension() const { return w0.size(1); }         ///< d
  std::int64_t width() const { return w0.size(0); }             ///< m
  const Activation& activation() const { return activation_; }  ///< σ
  /// Whether the second half repeats the first with opposite signs.
  bool symmetric() const;

  at::Tensor w;   ///< m×d, the displacement from the start
  at::Tensor w0;  ///< m×d
  at::Tensor a;   ///< m

 private:
  Activation activation_;
};
TORCH_MODULE(Network);

/// The one that is held. @throws InputError where there is none.
const NetworkImpl& held_network(const Network& network);

/// The primitive on x for this network's start; x takes the network's type and device.
std::shared_ptr<const TaylorPrimitive> make_primitive(const NetworkImpl& network, const at::Tensor& x,
                                                      const PrimitiveOptions& options = {});

}  // namespace entk
