// Losses ℓ, averaged over the sample (10): E_n ℓ(y, f).
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>

namespace entk {

/// A loss by its mean over a sample: (output, targets), both of length n, to a scalar.
struct Loss {
  std::string name;                                                                     ///< for records and messages
  std::function<at::Tensor(const at::Tensor& output, const at::Tensor& targets)> mean;  ///< a scalar
  /// Whether targets must be ±1.
  bool classification = false;
  bool recordable = false;  ///< as Term::recordable
  bool square = false;      ///< it is mean (f − y)²: devices have kernels of their own for it
};

/// mean (f − y)², without ½: the figures' loss. Unbounded, so outside section 2.1's assumptions.
Loss square_loss();
/// mean δ²(√(1 + ((f − y)/δ)²) − 1): ½(f − y)² near zero, linear far away. @throws InputError if δ ≤ 0.
Loss pseudo_huber_loss(double delta = 1.0);
/// mean log(1 + e^(−yf)), y = ±1.
Loss logistic_loss();

}  // namespace entk
