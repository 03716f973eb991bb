// The primitive by the fused kernels: what they are called with, and in which order. What launches
// them is behind an interface: a GPU, or the tests' emulation of one.
#pragma once

#include "entk/kernels/gpu/fused_kernels.h"
#include "entk/kernels/taylor_primitive.h"

namespace entk::kernels::fused {

/// Runs kernels one after the other, on pointers of its own device.
class Launcher {
 public:
  virtual ~Launcher() = default;
  virtual const char* name() const = 0;
  /// Whether products are of numbers rounded to TF32.
  virtual bool in_tf32() const = 0;
  /// Blocks of the pull-back that run at the same time.
  virtual std::int64_t slots() const = 0;
  virtual void pack(const PackArgs& args) const = 0;
  virtual void forward(const ForwardArgs& args) const = 0;
  virtual void reduce(const ReduceArgs& args) const = 0;
  virtual void along(const AlongArgs& args) const = 0;
  virtual void pull(const PullArgs& args) const = 0;
  virtual void update(const UpdateArgs& args) const = 0;
  virtual void objective(const ObjectiveArgs& args) const = 0;
  virtual void value(const ValueArgs& args) const = 0;
  /// *on_device = value.
  virtual void set(StepState* on_device, const StepState& value) const = 0;
};

struct FusedOptions {
  int orders = 2;
  KernelMode mode = KernelMode::keep;  ///< keep or recompute
  /// Bytes for what a group of tiles needs while it is worked on.
  std::int64_t workspace = std::int64_t{256} << 20;
};

/// x: n×d, w0: m×d, a: m, float32 on the launcher's device.
std::shared_ptr<const TaylorPrimitive> make_fused_primitive(std::shared_ptr<const Launcher> launcher,
                                                            const at::Tensor& x, const at::Tensor& w0,
                                                            const at::Tensor& a, const Activation& activation,
                                                            const FusedOptions& options);

}  // namespace entk::kernels::fused
