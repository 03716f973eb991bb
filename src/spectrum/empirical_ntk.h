// The empirical NTK of any torch::nn module at its parameters θ0:
//
//   K(x,x')_{oo'} = ⟨∇_θ f_o(x;θ0), ∇_θ f_o'(x';θ0)⟩,   o, o' ≤ O its outputs
//
// by the way that takes fewest multiplications (Novak, Sohl-Dickstein and Schoenholz, ICML 2022, Table 1, p
// parameters, F of one forward pass a point): structured derivatives, Σ (a aᵀ)∘(b bᵀ) over the layers, where each
// parameter enters once, in a product with what is of points (dense layers, convolutions, biases); otherwise Jacobian
// contraction, n n' O² p, or NTK-vector products, some 3 n n' O F.
// A layer that is used at many places (a convolution) has F far above p; many outputs of dense layers favour products.
#pragma once

#include "entk/models/expanded_module.h"

namespace entk {

/// What is made of several outputs.
enum class NtkOutputs {
  trace,  ///< (1/O) Σ_o K_oo: n×n'
  full,   ///< n×n'×O×O
};
/// How: automatic is what takes fewer multiplications.
enum class NtkMethod { automatic, jacobian_contraction, ntk_vector_products, structured_derivatives };

/// What is asked, and how.
struct NtkOptions {
  NtkOutputs outputs = NtkOutputs::trace;             ///< of several outputs
  NtkMethod method = NtkMethod::automatic;            ///< automatic: the cheaper
  std::int64_t memory_limit = std::int64_t{1} << 30;  ///< bytes of derivatives held at a time
};

/// K of one module, for points of its choice, call after call: the first call with points of a shape checks what the
/// module does with them and makes a copy of it for each thread, which those after it use (a quarter of the first
/// call's time for a million parameters). Calls from several threads wait for each other.
class EmpiricalNtk {
 public:
  /// Of a module at its parameters.
  explicit EmpiricalNtk(const PointModule& module, const NtkOptions& options = {});

  /// K(x, x2), in the parameters' type and on their device; the bits do not depend on the number of threads. Points are
  /// rows of x and x2, outputs n, or n×O. Without x2: K(x, x), exactly symmetric, in half the time.
  /// @throws InputError where x does not fit the module, its outputs are no vector a point, depend on the other points
  /// or are drawn at random, or structured derivatives are asked of a module that has none.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& x2 = {}) const;

  struct Known;  ///< internal to the library

 private:
  std::shared_ptr<Known> known_;
};

/// One such call.
inline at::Tensor empirical_ntk(const PointModule& module, const at::Tensor& x, const at::Tensor& x2 = {},
                                const NtkOptions& options = {}) {
  return EmpiricalNtk(module, options)(x, x2);
}
/// Of a module at its parameters.
template <ModuleOfPoints M>
at::Tensor empirical_ntk(const std::shared_ptr<M>& module, const at::Tensor& x, const at::Tensor& x2 = {},
                         const NtkOptions& options = {}) {
  return empirical_ntk(point_module(module), x, x2, options);
}
/// The same.
template <ModuleOfPoints M>
at::Tensor empirical_ntk(const torch::nn::ModuleHolder<M>& module, const at::Tensor& x, const at::Tensor& x2 = {},
                         const NtkOptions& options = {}) {
  return empirical_ntk(module.ptr(), x, x2, options);
}

}  // namespace entk
