#include "entk/kernels/gpu/device_graph.h"

#if ENTK_HAS_CUDA
#include <ATen/ATen.h>
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <exception>
#include <map>
#include <mutex>
#endif

namespace entk {

#if ENTK_HAS_CUDA

namespace {

/// One recording at a time, and none while a graph is destroyed: torch's generator has a list of all
/// graphs that no lock of its own guards.
std::mutex& recordings() {
  static std::mutex mutex;
  return mutex;
}

class CudaGraph final : public DeviceGraph {
 public:
  CudaGraph(c10::Device device, std::unique_ptr<at::cuda::CUDAGraph> graph)
      : device_(device), graph_(std::move(graph)) {}
  ~CudaGraph() override {
    const std::lock_guard lock(recordings());
    graph_.reset();
  }
  void play() override {
    const c10::cuda::CUDAGuard guard(device_);
    graph_->replay();
  }

 private:
  c10::Device device_;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
};

/// Where work of the default stream is recorded, which cannot be recorded itself: one stream for each
/// device, since cuBLAS keeps a workspace for every stream that it has seen.
c10::cuda::CUDAStream stream_to_record(c10::Device device) {
  const auto current = c10::cuda::getCurrentCUDAStream(device.index());
  if (current != c10::cuda::getDefaultCUDAStream(device.index())) return current;
  static std::map<c10::DeviceIndex, c10::cuda::CUDAStream> streams;  // under the lock of recordings()
  const auto found = streams.find(device.index());
  if (found != streams.end()) return found->second;
  return streams.emplace(device.index(), c10::cuda::getStreamFromPool(false, device.index())).first->second;
}

template <class F>
void whatever_it_says(F&& work) {
  try {
    work();
  } catch (const std::exception&) {}
}

/// Records work on the current stream; whether it could be.
bool record(at::cuda::CUDAGraph& graph, c10::cuda::MempoolId_t pool, const std::function<void()>& work) {
  bool recording = false;
  try {
    // Relaxed: other threads may allocate meanwhile; waiting for this stream is an error all the same.
    graph.capture_begin(pool, cudaStreamCaptureModeRelaxed);
    recording = true;
    work();
    recording = false;
    graph.capture_end();
    return true;
  } catch (const std::exception&) {
    if (recording) whatever_it_says([&] { graph.capture_end(); });  // it says again that the recording is broken
    return false;
  }
}

/// After a recording that failed: torch 2.11's capture_end() throws before it tells its allocators, which go
/// on asking the graph for their pool, and its generator. Newer ones have told them by then, and say so.
void end_failed_recording(c10::Device device, c10::cuda::MempoolId_t pool, std::unique_ptr<at::cuda::CUDAGraph> graph,
                          const at::Tensor& anything) {
  namespace allocator = c10::cuda::CUDACachingAllocator;
  cudaGetLastError();
  auto* const host = at::getHostAllocator(at::kCUDA);
  whatever_it_says([&] { allocator::endAllocateToPool(device.index(), pool); });
  whatever_it_says([&] { host->end_allocate_to_pool(pool); });
  graph.reset();
  whatever_it_says([&] {
    if (allocator::getPoolUseCount(device.index(), pool) == 0) return;
    allocator::releasePool(device.index(), pool);
    host->release_pool(pool);
  });
  // The generator believes itself recorded until a recording ends well.
  at::cuda::CUDAGraph small;
  record(small, at::cuda::graph_pool_handle(), [&] { anything.zero_(); });
  cudaGetLastError();
}

}  // namespace

std::unique_ptr<DeviceGraph> record_graph(c10::Device device, const std::function<void()>& work) {
  if (!device.is_cuda()) return nullptr;
  const c10::cuda::CUDAGuard guard(device);
  // What is recorded reads memory that the present stream has written: nothing of it may be pending
  // when memory changes hands between the two streams.
  c10::cuda::getCurrentCUDAStream(device.index()).synchronize();
  const std::lock_guard lock(recordings());
  const c10::cuda::CUDAStreamGuard stream(stream_to_record(device));
  const auto anything = at::empty({1}, at::device(device));
  const auto pool = at::cuda::graph_pool_handle();
  auto graph = std::make_unique<at::cuda::CUDAGraph>();
  if (record(*graph, pool, work)) return std::make_unique<CudaGraph>(device, std::move(graph));
  end_failed_recording(device, pool, std::move(graph), anything);
  return nullptr;
}

#else

std::unique_ptr<DeviceGraph> record_graph(c10::Device, const std::function<void()>&) { return nullptr; }

#endif

}  // namespace entk
