// The primitive that all heavy work is: a displacement W → (t_1, …, t_P) on fixed points, and its pull-back.
//
//   t_p(x;W) = D^p f(x;θ0)[W, …, W]/p!,      f_L = t_1, f_Q = t_2
//   with g_p = ∂D/∂t_p:  ∂D/∂W = Σ_p ⟨g_p, ∂t_p/∂W⟩
//
// Any differentiable expression D of the vectors costs nothing beside it. Two makers: two-layer networks, by kernels
// (taylor_primitive.h), and any torch::nn module, by automatic differentiation (models/module_primitive.h). What
// works with a primitive does not ask which it is.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "entk/base/philox.h"
#include "entk/kernels/cpu/tile_kernels.h"

namespace entk {

/// Whether tables σ^(p)(W0 x) and Z are kept between calls (fast) or recomputed tile by tile with
/// nothing n×m kept at all (small); `reference` is the plain ATen form on any device.
enum class KernelMode { automatic, keep, recompute, reference };
/// As configurations have it.
const char* mode_name(KernelMode mode);

/// How a primitive works.
struct PrimitiveOptions {
  int orders = 2;                           ///< 1 … 4
  KernelMode mode = KernelMode::automatic;  ///< automatic: keep where it fits memory_limit
  std::int64_t memory_limit = 4000000000;   ///< bytes for tables and Z together
  std::optional<kernels::Isa> isa{};        ///< CPU only; the selected one by default
  /// entk's CUDA kernels alone: products of numbers rounded to TF32, some 1e-3 of relative error. Torch's own
  /// permission (at::globalContext().setAllowTF32CuBLAS(true)) does the same.
  bool tf32 = false;

  bool operator==(const PrimitiveOptions&) const = default;  ///< in everything
};

/// One step of perturbed gradient descent (21): W ← S (W − η (∂D/∂W + E + Ξ)).
struct Update {
  double learning_rate = 1.0;                 ///< η
  at::Tensor extra{};                         ///< E: like W, or undefined
  std::optional<kernels::NoiseCode> noise{};  ///< Ξ
  /// Diagonal of S: its signs, one a neuron (a row of W), of Purpose::signs; S = I without.
  std::optional<RandomStream> signs{};
};

/// Takes steps and holds what is kept between them.
class Stepper {
 public:
  virtual ~Stepper() = default;
  /// (t_1 … t_P) at the current W: P×n. Valid until the next step.
  virtual at::Tensor terms() const = 0;
  /// Updates w (contiguous) in place, and the terms. cotangents: P×n.
  virtual void step(const at::Tensor& w, const at::Tensor& cotangents, const Update& update) = 0;
};

/// On fixed points and a fixed start. Immutable; safe to share between runs and threads. All tensors have the points'
/// type and device; w and v have the displacement's shape.
class Primitive {
 public:
  virtual ~Primitive() = default;

  std::int64_t samples() const { return x_.size(0); }  ///< n
  int orders() const { return orders_; }               ///< P
  const at::Tensor& points() const { return x_; }      ///< X: n rows
  /// W's shape: m×d for a two-layer network, one vector of all parameters for a module.
  at::IntArrayRef displacement_sizes() const { return displacement_sizes_; }
  /// keep, recompute or reference: what was chosen; and on what it runs (avx512, cuda, aten …).
  virtual KernelMode mode() const = 0;
  virtual const char* backend() const = 0;  ///< avx512, avx2, portable, cuda, aten or module

  /// Whether products are of numbers rounded to TF32.
  virtual bool in_tf32() const { return false; }

  /// (t_1 … t_P): P×n.
  virtual at::Tensor terms(const at::Tensor& w) const = 0;
  /// Σ_p ⟨g_p, ∂t_p/∂W⟩, like w. cotangents: P×n.
  virtual at::Tensor pull_back(const at::Tensor& w, const at::Tensor& cotangents) const = 0;
  /// Derivatives of t_1 and t_2 along v: f_L(X;V) and D²f(X;θ0)[W, V], 2×n.
  virtual at::Tensor terms_along(const at::Tensor& w, const at::Tensor& v) const = 0;
  /// ⟨g_0, Df[·]⟩ + ⟨g_1, D²f[W, ·]⟩ + ⟨g_2, D²f[V, ·]⟩ for rows g_0, g_1, g_2 of cotangents (3×n), like w.
  virtual at::Tensor pull_back_along(const at::Tensor& w, const at::Tensor& v, const at::Tensor& cotangents) const = 0;
  /// pull_back as an expression of w and cotangents for ordinary autograd: slower, with nothing bounded.
  virtual at::Tensor reference_pull_back(const at::Tensor& w, const at::Tensor& cotangents) const = 0;
  /// A stepper that starts at w.
  virtual std::unique_ptr<Stepper> stepper(const at::Tensor& w) const = 0;

 protected:
  Primitive(at::Tensor x, at::IntArrayRef displacement_sizes, int orders)
      : x_(std::move(x)), displacement_sizes_(displacement_sizes.vec()), orders_(orders) {}

  at::Tensor x_;
  std::vector<std::int64_t> displacement_sizes_;
  int orders_;
};

}  // namespace entk
