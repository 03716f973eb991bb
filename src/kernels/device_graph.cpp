#include "entk/kernels/device_graph.h"

#if ENTK_HAS_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <exception>
#endif

namespace entk {

#if ENTK_HAS_CUDA

namespace {

class CudaGraph final : public DeviceGraph {
 public:
  explicit CudaGraph(c10::Device device) : device_(device) {}
  at::cuda::CUDAGraph& graph() { return graph_; }
  void play() override {
    const c10::cuda::CUDAGuard guard(device_);
    graph_.replay();
  }

 private:
  c10::Device device_;
  at::cuda::CUDAGraph graph_;
};

}  // namespace

std::unique_ptr<DeviceGraph> record_graph(c10::Device device, const std::function<void()>& work) {
  if (!device.is_cuda()) return nullptr;
  const c10::cuda::CUDAGuard guard(device);
  auto recorded = std::make_unique<CudaGraph>(device);
  // What is recorded reads memory that the present stream has written: nothing of it may be pending
  // when memory changes hands between the two streams.
  c10::cuda::getCurrentCUDAStream(device.index()).synchronize();
  const c10::cuda::CUDAStreamGuard stream(c10::cuda::getStreamFromPool(false, device.index()));
  bool recording = false;
  try {
    // Relaxed: other threads may allocate meanwhile; waiting for this stream is an error all the same.
    recorded->graph().capture_begin({0, 0}, cudaStreamCaptureModeRelaxed);
    recording = true;
    work();
    recording = false;
    recorded->graph().capture_end();
    return recorded;
  } catch (const std::exception&) {
    if (recording) {
      try {
        recorded->graph().capture_end();
      } catch (const std::exception&) {  // it says again that the recording is broken
      }
    }
    cudaGetLastError();
    return nullptr;
  }
}

#else

std::unique_ptr<DeviceGraph> record_graph(c10::Device, const std::function<void()>&) { return nullptr; }

#endif

}  // namespace entk
