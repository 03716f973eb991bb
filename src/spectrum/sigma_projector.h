// The projector Π_{≤r} on the top r eigenvectors of the feature covariance Σ (5)(14), as it is
// needed: through f_L at points, never as a matrix of md rows.
//
//   K(X,X) = U S² Uᵀ,  V_k = Φᵀ U_k S_k^(-1) spans the top right singular vectors of Φ,
//   f_L(X; Π_{≤r}W) = U_k U_kᵀ f_L(X;W)                     on the points that made it,
//   f_L(x; Π_{≤r}W) = K(x,X) U_k S_k^(-2) U_kᵀ f_L(X;W)     elsewhere.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "entk/models/expanded_module.h"
#include "entk/models/network.h"

namespace entk {

/// Whose points made a projector.
enum class SigmaSource {
  features,   ///< Σ = ΦᵀΦ/n of the training inputs: the paper's estimate in Figure 1
  unlabeled,  ///< the same of N unlabeled inputs
};

/// What making one may take.
struct ProjectorOptions {
  /// A sample's kernel is kept whole up to this many bytes (8 N²); beyond, it is made again in row
  /// blocks for each product.
  std::int64_t kernel_limit = std::int64_t{4} << 30;
};

/// Immutable; copies share. Eigenvalues are those of K/n, the empirical Σ's.
class SigmaProjector {
 public:
  /// @throws InputError if rank is outside 1 … n, or above the numerical rank of K.
  static SigmaProjector from_features(const Expandable& of, const at::Tensor& x, std::int64_t rank,
                                      const ProjectorOptions& options = {});
  /// The same from unlabeled points.
  static SigmaProjector from_unlabeled(const Expandable& of, const at::Tensor& x_unlabeled, std::int64_t rank,
                                       const ProjectorOptions& options = {});
  /// The same.
  static SigmaProjector from_features(const Network& network, const at::Tensor& x, std::int64_t rank,
                                      const ProjectorOptions& options = {}) {
    return from_features(held_network(network), x, rank, options);
  }
  /// The same.
  static SigmaProjector from_unlabeled(const Network& network, const at::Tensor& x_unlabeled, std::int64_t rank,
                                       const ProjectorOptions& options = {}) {
    return from_unlabeled(held_network(network), x_unlabeled, rank, options);
  }
  /// Of any module, at its parameters.
  template <ModuleOfPoints M>
  static SigmaProjector from_features(const torch::nn::ModuleHolder<M>& module, const at::Tensor& x, std::int64_t rank,
                                      const ProjectorOptions& options = {}) {
    return from_features(*ExpandedModule(point_module(module.ptr())), x, rank, options);
  }
  /// The same.
  template <ModuleOfPoints M>
  static SigmaProjector from_unlabeled(const torch::nn::ModuleHolder<M>& module, const at::Tensor& x_unlabeled,
                                       std::int64_t rank, const ProjectorOptions& options = {}) {
    return from_unlabeled(*ExpandedModule(point_module(module.ptr())), x_unlabeled, rank, options);
  }
  /// From what a checkpoint kept: the same bits without the eigendecomposition. @throws InputError for shapes and
  /// types, a basis that is not orthonormal, or eigenvalues of its columns that are not above 0.
  static SigmaProjector restored(SigmaSource source, at::Tensor points, at::Tensor basis, at::Tensor eigenvalues);

  SigmaSource source() const { return state_->source; }        ///< whose points
  std::int64_t rank() const { return state_->basis.size(1); }  ///< r
  /// X, the points that made it: n×d for a two-layer network.
  const at::Tensor& points() const { return state_->points; }
  /// U_k: n×r, in W's floating type.
  const at::Tensor& basis() const { return state_->basis; }
  /// The top r eigenvalues of K/n and, where n > r, the next one; float64, descending.
  const at::Tensor& eigenvalues() const { return state_->eigenvalues; }
  /// (λ_r − λ_{r+1})/λ_r; 1 where there is no next one.
  double relative_gap() const;
  /// What a user should know, as a gap below 1e-6 at the cut.
  const std::vector<std::string>& warnings() const { return state_->warnings; }

  /// U_kᵀ u: length r. u = f_L at points(); a differentiable expression of u.
  at::Tensor coefficients(const at::Tensor& u) const;
  /// f_L(X; Π_{≤r}W) = U_k U_kᵀ u.
  at::Tensor low(const at::Tensor& u) const;
  /// f_L(X; Π_{>r}W) = u − U_k U_kᵀ u.
  at::Tensor high(const at::Tensor& u) const;
  /// K(x,X) U_k S_k^(-2): n'×r, so that f_L(x; Π_{≤r}W) = transfer · coefficients(f_L(X;W)).
  at::Tensor transfer(const Expandable& of, const at::Tensor& x) const;

 private:
  struct State {
    SigmaSource source;
    at::Tensor points, basis, eigenvalues;
    std::vector<std::string> warnings;
  };
  static SigmaProjector make(SigmaSource source, const Expandable& of, const at::Tensor& x, std::int64_t rank,
                             const ProjectorOptions& options);
  explicit SigmaProjector(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  std::shared_ptr<const State> state_;
};

}  // namespace entk
