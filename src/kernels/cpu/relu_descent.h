// Gradient descent on a whole two-layer ReLU network with biases, as Figure 2 trains it:
//
//   f(x) = c + Σ_r a_r max(w_r·x + b_r, 0),   L = (1/n) Σ_i (f(x_i) − y_i)²,   every weight −= η ∂L/∂·
//
// A step is one sweep over the samples: the hidden layer of some rows is made, used forward and backward,
// and never written out. Nothing n×m is kept.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

namespace entk {

struct ReluWeights {
  at::Tensor w;  ///< m×d
  at::Tensor b;  ///< m
  at::Tensor a;  ///< m
  at::Tensor c;  ///< 1
};

/// Weights uniform on ±√(1.5/fan_in), zero biases; the same bits on every machine (float64, CPU).
/// @throws InputError for sizes below 1.
ReluWeights relu_start(std::int64_t dimension, std::int64_t width, std::uint64_t seed);

/// f at the rows of x (n×d) in plain ATen lines: length n.
at::Tensor relu_output(const at::Tensor& x, const ReluWeights& weights);

/// Full-batch descent from a start; x, y and weights have one type and device.
class ReluDescent {
 public:
  virtual ~ReluDescent() = default;
  virtual void step() = 0;
  /// L before the last step (NaN before the first).
  virtual double loss() const = 0;
  /// A copy of the current weights.
  virtual ReluWeights weights() const = 0;
};

/// On CPU in fused tiles, the same bits for any number of threads; elsewhere in ATen lines.
/// @throws InputError naming the argument whose shape, type, device or value is wrong.
std::unique_ptr<ReluDescent> make_relu_descent(const at::Tensor& x, const at::Tensor& y, const ReluWeights& start,
                                               double learning_rate);
/// The same in ATen lines and autograd's formulas written out, on any device: the oracle of the tiles.
std::unique_ptr<ReluDescent> make_reference_relu_descent(const at::Tensor& x, const at::Tensor& y,
                                                         const ReluWeights& start, double learning_rate);

}  // namespace entk
