// The primitive that all heavy work is: W → (t_1, …, t_P) on fixed points, and its pull-back.
//
//   t_p(x;W) = m^(-1/2)/p! Σ_r a_r σ^(p)(w0_r·x) (w_r·x)^p,      f_L = t_1, f_Q = t_2    (12)
//   with g_p = ∂D/∂t_p:  ∂D/∂W = Gᵀ X,  G = Σ_p g_p 1ᵀ ∘ S_p ∘ Z^(p−1)/(p−1)!,  Z = X Wᵀ
//
// Any differentiable expression D of the vectors costs nothing beside this n×m work.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "entk/base/philox.h"
#include "entk/kernels/cpu/tile_kernels.h"

namespace entk {

/// σ as the kernels see it: σ^(p) on a tensor of any shape, p ≥ 0, and its code where the kernels
/// have their own.
struct ActivationFunctions {
  std::function<at::Tensor(const at::Tensor& z, int order)> derivative;  ///< σ^(order)
  std::optional<kernels::KernelActivation> kind;                         ///< none: tables are made through `derivative`
  double shift = 0.0;                                                    ///< of sigmoid and tanh
  std::vector<double> coefficients;                                      ///< of a polynomial
};

/// Whether tables σ^(p)(W0 x) and Z are kept between calls (fast) or recomputed tile by tile with
/// nothing n×m kept at all (small); `reference` is the plain ATen form on any device.
enum class KernelMode { automatic, keep, recompute, reference };

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
  at::Tensor extra{};                         ///< E: m×d, or undefined
  std::optional<kernels::NoiseCode> noise{};  ///< Ξ
  std::optional<RandomStream> signs{};  ///< diagonal of S: its signs, one a neuron, of Purpose::signs; S = I without
};

/// Takes steps and holds what is kept between them.
class Stepper {
 public:
  virtual ~Stepper() = default;
  /// (t_1 … t_P) at the current W: P×n. Valid until the next step.
  virtual at::Tensor terms() const = 0;
  /// Updates w (m×d, contiguous) in place, and the terms. cotangents: P×n.
  virtual void step(const at::Tensor& w, const at::Tensor& cotangents, const Update& update) = 0;
};

/// The primitive on fixed points X and a fixed start (W0, a, σ). Immutable; safe to share between
/// runs and threads. All tensors have X's type and device.
class TaylorPrimitive {
 public:
  virtual ~TaylorPrimitive() = default;

  std::int64_t samples() const { return x_.size(0); }    ///< n
  std::int64_t dimension() const { return x_.size(1); }  ///< d
  std::int64_t width() const { return w0_.size(0); }     ///< m
  int orders() const { return orders_; }                 ///< P
  const at::Tensor& points() const { return x_; }        ///< X: n×d
  /// keep, recompute or reference: what was chosen; and on what it runs (avx512, cuda, aten …).
  virtual KernelMode mode() const = 0;
  virtual const char* backend() const = 0;  ///< avx512, avx2, portable, cuda or aten
  /// Whether products are of numbers rounded to TF32.
  virtual bool in_tf32() const { return false; }

  /// (t_1 … t_P): P×n. w: m×d.
  virtual at::Tensor terms(const at::Tensor& w) const = 0;
  /// Gᵀ X: m×d. cotangents: P×n.
  virtual at::Tensor pull_back(const at::Tensor& w, const at::Tensor& cotangents) const = 0;
  /// Derivatives along v of t_1 and t_2: rows f_L(X;V) and rowsum(S2∘Z∘(XVᵀ)), 2×n.
  virtual at::Tensor terms_along(const at::Tensor& w, const at::Tensor& v) const = 0;
  /// (g_0 1ᵀ∘S1 + g_1 1ᵀ∘S2∘Z + g_2 1ᵀ∘S2∘(XVᵀ))ᵀ X for rows g_0, g_1, g_2 of cotangents (3×n).
  virtual at::Tensor pull_back_along(const at::Tensor& w, const at::Tensor& v, const at::Tensor& cotangents) const = 0;
  /// pull_back as a few ATen lines on whole n×m arrays, differentiable by ordinary autograd.
  at::Tensor reference_pull_back(const at::Tensor& w, const at::Tensor& cotangents) const;
  /// A stepper that starts at w.
  virtual std::unique_ptr<Stepper> stepper(const at::Tensor& w) const = 0;

 protected:
  TaylorPrimitive(at::Tensor x, at::Tensor w0, at::Tensor a, ActivationFunctions activation, int orders)
      : x_(std::move(x)), w0_(std::move(w0)), a_(std::move(a)), activation_(std::move(activation)), orders_(orders) {}

  at::Tensor x_, w0_, a_;
  ActivationFunctions activation_;
  int orders_;
};

/// x: n×d, w0: m×d, a: m, one floating type (float32 or float64) and one device.
/// Held fixed: what is made of them is differentiable in w alone.
/// @throws InputError naming the argument whose shape, type, device or value is wrong, or that requires a gradient.
std::shared_ptr<const TaylorPrimitive> make_primitive(const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a,
                                                      const ActivationFunctions& activation,
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
/// As configurations have it.
const char* mode_name(KernelMode mode);

/// Whether the second half of the neurons repeats the first with opposite signs (8)(9).
bool has_twins(const at::Tensor& w0, const at::Tensor& a);

}  // namespace entk
