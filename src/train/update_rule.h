// How gradients move W.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

namespace torch::optim {
class Optimizer;
}

namespace entk {

/// What a learning rate is to a rule.
enum class UpdateKind {
  gradient,  ///< W moves by −η times gradients, present and past
  scaled,    ///< by η times something whose length is not the gradient's, as Adam's
  search,    ///< L_λ is evaluated several times a step, and must be one function meanwhile: no noise
};

/// The default is descent (21), taken within the kernels. A script's own is
///   {.update = {.optimizer = [](const at::Tensor& w) { return std::make_shared<torch::optim::RMSprop>(…{w}, …); }}}
struct UpdateRule {
  UpdateKind kind = UpdateKind::gradient;  ///< what a learning rate is to it
  /// Points whose loss a step takes; 0: all. Terms keep all of their own points, and so does the record. A step of a
  /// module without regularizers costs what these points cost, any other what all points cost.
  std::int64_t batch = 0;
  /// Makes a torch optimizer of the parameter W. Each step's η_t/η times η multiplies the rates that it was made
  /// with; noise is added to its gradients.
  std::function<std::shared_ptr<torch::optim::Optimizer>(const at::Tensor& w)> optimizer{};
  /// The optimizer moves each entry of W by that entry's gradients alone, and what it remembers is torch's SGD's or
  /// Adam's: one run over many processes takes it.
  bool of_entries = false;
  std::int64_t held = 0;  ///< tensors like W that the optimizer keeps, for the memory estimate
};

/// Minibatches of n points: every epoch is a fresh shuffle, cut into ceil(n/size) parts of which the last may be
/// shorter; the parts of epoch e are a pure function of the seed and e (Purpose::minibatch).
class Minibatches {
 public:
  /// 1 ≤ size ≤ samples.
  Minibatches(std::int64_t samples, std::int64_t size, std::uint64_t seed)
      : samples_(samples), size_(size), seed_(seed) {}
  /// The points of a step, in ascending order: int64 on the CPU.
  at::Tensor at(std::int64_t step);

 private:
  std::int64_t samples_, size_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<std::int64_t> shuffled_;  // of epoch_
};

}  // namespace entk
