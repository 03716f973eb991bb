#include "entk/kernels/gpu/cuda_primitive.h"

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "entk/kernels/gpu/cuda_kernels.h"
#include "entk/kernels/gpu/fused_primitive.h"

namespace entk::kernels {

namespace {

using namespace fused;

/// Launches on torch's current stream, so that kernels and torch's own operations come in order.
class CudaLauncher final : public Launcher {
 public:
  CudaLauncher(c10::Device device, bool tf32, std::int64_t slots) : device_(device), tf32_(tf32), slots_(slots) {}

  const char* name() const override { return tf32_ ? "cuda-tf32" : "cuda"; }
  bool in_tf32() const override { return tf32_; }
  std::int64_t slots() const override { return slots_; }
  void pack(const PackArgs& a) const override { go(a); }
  void forward(const ForwardArgs& a) const override { go(a); }
  void reduce(const ReduceArgs& a) const override { go(a); }
  void along(const AlongArgs& a) const override { go(a); }
  void pull(const PullArgs& a) const override { go(a); }
  void update(const UpdateArgs& a) const override { go(a); }
  void objective(const ObjectiveArgs& a) const override { go(a); }
  void value(const ValueArgs& a) const override { go(a); }
  void set(StepState* on_device, const StepState& value) const override {
    const c10::cuda::CUDAGuard guard(device_);
    launch_set(target(), on_device, value);
  }

 private:
  CudaTarget target() const { return {c10::cuda::getCurrentCUDAStream(device_.index()).stream(), tf32_}; }
  template <class Args>
  void go(const Args& args) const {
    const c10::cuda::CUDAGuard guard(device_);
    launch(target(), args);
  }

  c10::Device device_;
  bool tf32_;
  std::int64_t slots_;
};

}  // namespace

std::shared_ptr<const TaylorPrimitive> make_cuda_primitive(const at::Tensor& x, const at::Tensor& w0,
                                                           const at::Tensor& a, const Activation& activation,
                                                           int orders, KernelMode mode, bool tf32) {
  constexpr std::int64_t most_blocks = 65535;  // of a launch in its second dimension
  if (x.scalar_type() != at::kFloat || x.size(0) > most_blocks * forward_rows) return nullptr;
  const c10::cuda::CUDAGuard guard(x.device());
  tf32 = tf32 || at::globalContext().allowTF32CuBLAS();
  const Layout layout = make_layout(x.size(0), x.size(1), w0.size(0), orders, has_twins(w0, a));
  const std::int64_t slots = pull_slots(layout, plan_pull(layout, 1).fragments, tf32);
  if (slots == 0) return nullptr;
  return make_fused_primitive(std::make_shared<CudaLauncher>(x.device(), tf32, slots), x, w0, a, activation,
                              {.orders = orders, .mode = mode});
}

}  // namespace entk::kernels
