// A stepper whose steps can be recorded once and played again, as a CUDA graph does.
#pragma once

#include "entk/kernels/taylor_primitive.h"

namespace entk {

/// step() in two parts: what changes from step to step goes to the device by prepare(); what is
/// recorded is take(). terms() has one address for the stepper's life.
class RecordableStepper : public Stepper {
 public:
  virtual void prepare(const Update& update) = 0;
  /// w: m×d, contiguous, updated in place. cotangents: P×n. extra: E of Update, or undefined; that of
  /// prepare() is not read. Launches work on the device and waits for nothing.
  virtual void take(const at::Tensor& w, const at::Tensor& cotangents, const at::Tensor& extra) = 0;

  void step(const at::Tensor& w, const at::Tensor& cotangents, const Update& update) final {
    prepare(update);
    take(w, cotangents, update.extra);
  }
};

}  // namespace entk
