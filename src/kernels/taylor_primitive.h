// The primitive of two-layer networks.
//
//   t_p(x;W) = m^(-1/2)/p! Σ_r a_r σ^(p)(w0_r·x) (w_r·x)^p,      f_L = t_1, f_Q = t_2    (12)
//   with g_p = ∂D/∂t_p:  ∂D/∂W = Gᵀ X,  G = Σ_p g_p 1ᵀ ∘ S_p ∘ Z^(p−1)/(p−1)!,  Z = X Wᵀ
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "entk/kernels/activation.h"
#include "entk/kernels/primitive.h"

namespace entk {

/// The primitive of a start (W0, a, σ). The displacement W is m×d, a row a neuron:
///   terms_along: rows f_L(X;V) and rowsum(S2∘Z∘(XVᵀ)),
///   pull_back_along: (g_0 1ᵀ∘S1 + g_1 1ᵀ∘S2∘Z + g_2 1ᵀ∘S2∘(XVᵀ))ᵀ X.
class TaylorPrimitive : public Primitive {
 public:
  std::int64_t dimension() const { return x_.size(1); }  ///< d
  std::int64_t width() const { return w0_.size(0); }     ///< m
  /// A few ATen lines on whole n×m arrays.
  at::Tensor reference_pull_back(const at::Tensor& w, const at::Tensor& cotangents) const override;

 protected:
  TaylorPrimitive(const at::Tensor& x, const at::Tensor& w0, at::Tensor a, Activation activation, int orders)
      : Primitive(x, w0.sizes(), orders), w0_(w0), a_(std::move(a)), activation_(std::move(activation)) {}

  at::Tensor w0_, a_;
  Activation activation_;
};

/// x: n×d, w0: m×d, a: m, one floating type (float32 or float64) and one device.
/// Held fixed: what is made of them is differentiable in w alone.
/// @throws InputError naming the argument whose shape, type, device or value is wrong, or that requires a gradient.
std::shared_ptr<const TaylorPrimitive> make_primitive(const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a,
                                                      const Activation& activation,
                                                      const PrimitiveOptions& options = {});

/// The sizes that decide how a primitive works.
struct PrimitiveSizes {
  std::int64_t samples;    ///< n
  std::int64_t dimension;  ///< d
  std::int64_t width;      ///< m
  bool twins;              ///< the second half repeats the first (has_twins)
  int orders = 2;          ///< P
  int element_size = 4;    ///< bytes of a number
};
/// Bytes that make_primitive and a stepper take beyond x, w0, a and w, for a mode (not automatic).
std::int64_t primitive_bytes(const PrimitiveSizes& sizes, KernelMode mode);
/// keep or recompute for automatic, by the limit; any other mode as it is.
KernelMode resolved_mode(const PrimitiveSizes& sizes, KernelMode mode, std::int64_t memory_limit);

/// Whether the second half of the neurons repeats the first with opposite signs (8)(9).
bool has_twins(const at::Tensor& w0, const at::Tensor& a);

}  // namespace entk
