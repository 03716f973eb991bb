// Finds the first step whose loss was not finite.
#pragma once

#include <ATen/core/Tensor.h>

namespace entk {

/// On a device losses are kept there until somebody looks: seeing one costs two small launches in a recorded step, and
/// no synchronisation.
class Latch {
 public:
  /// Steps between looks, at most.
  static constexpr std::int64_t look_every = 500;

  explicit Latch(const at::TensorOptions& options);
  void see(const at::Tensor& loss, std::int64_t step);
  /// The recorded look that is played next is at `step`.
  void set(std::int64_t step);
  /// see() for a recording, which counts its steps itself.
  void see_recorded(const at::Tensor& loss);
  /// −1 where every loss was finite.
  std::int64_t read();
  bool is_free_to_read() const { return losses_.is_cpu(); }

 private:
  void append(std::int64_t step);

  at::Tensor losses_, place_;  // of steps first_kept_, first_kept_ + 1, …; where a recording puts the next one
  std::int64_t kept_ = 0, first_kept_ = 0, place_now_ = 0, first_ = -1;
};

}  // namespace entk
