#include "entk/kernels/gpu/cuda_kernels.h"

#include <cuda_runtime.h>

#include <string>

#include "entk/base/error.h"

namespace entk::kernels::fused {

namespace {

/// The machine of fused_kernels.h, on a GPU.
struct CudaMachine {
  float* memory;

  __device__ __forceinline__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ __forceinline__ std::int64_t block_x() const { return blockIdx.x; }
  __device__ __forceinline__ std::int64_t block_y() const { return blockIdx.y; }
  __device__ __forceinline__ std::int64_t block_z() const { return blockIdx.z; }
  __device__ __forceinline__ float* shared() const { return memory; }
  __device__ __forceinline__ void barrier() const { __syncthreads(); }
  __device__ __forceinline__ float shuffle_xor(float value, int mask) const {
    return __shfl_xor_sync(0xffffffffu, value, mask);
  }

  __device__ __forceinline__ void mma(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) const {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }

  /// A source size of 0 fills with zeros.
  __device__ __forceinline__ void copy(float* to, const float* from, bool valid) const {
    const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(__cvta_generic_to_global(from)),
                 "r"(valid ? 16 : 0)
                 : "memory");
  }
  __device__ __forceinline__ void commit() const { asm volatile("cp.async.commit_group;" ::: "memory"); }
  __device__ __forceinline__ void wait_all_but_one() const { asm volatile("cp.async.wait_group 1;" ::: "memory"); }
  __device__ __forceinline__ void wait_all() const { asm volatile("cp.async.wait_group 0;" ::: "memory"); }
};

extern __shared__ float4 shared_memory[];  // float4: asynchronous copies need 16-byte places

__device__ __forceinline__ CudaMachine machine() { return {reinterpret_cast<float*>(shared_memory)}; }

__global__ void __launch_bounds__(threads) pack_kernel(const __grid_constant__ PackArgs a) {
  auto m = machine();
  pack_body(m, a);
}
template <bool split>
__global__ void __launch_bounds__(threads, 3) forward_kernel(const __grid_constant__ ForwardArgs a) {
  auto m = machine();
  forward_body<split>(m, a);
}
__global__ void __launch_bounds__(threads) reduce_kernel(const __grid_constant__ ReduceArgs a) {
  auto m = machine();
  reduce_body(m, a);
}
__global__ void __launch_bounds__(threads) along_kernel(const __grid_constant__ AlongArgs a) {
  auto m = machine();
  along_body(m, a);
}
// Three blocks fit a processor of 228 KiB where a tile of features is at most 112.
template <bool split, int fragments>
__global__ void __launch_bounds__(threads, fragments < 8 ? 3 : 2) pull_kernel(const __grid_constant__ PullArgs a) {
  auto m = machine();
  pull_body<split, fragments>(m, a);
}
__global__ void __launch_bounds__(threads) update_kernel(const __grid_constant__ UpdateArgs a) {
  auto m = machine();
  update_body(m, a);
}
__global__ void __launch_bounds__(threads) objective_kernel(const __grid_constant__ ObjectiveArgs a) {
  auto m = machine();
  objective_body(m, a);
}
__global__ void __launch_bounds__(threads) value_kernel(const __grid_constant__ ValueArgs a) {
  auto m = machine();
  value_body(m, a);
}
__global__ void set_kernel(StepState* to, const StepState value) { *to = value; }

void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw RunError(std::string("CUDA: ") + what + ": " + cudaGetErrorString(error));
}

template <class Args>
void run(void (*kernel)(Args), const Grid& grid, const CudaTarget& target, const Args& args, const char* what) {
  const auto bytes = static_cast<std::size_t>(grid.shared_floats) * sizeof(float);
  // More than 48 KiB has to be asked for; the setting is the kernel's, so asking again is harmless.
  if (bytes > 48 * 1024) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)), what);
  }
  const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z));
  kernel<<<blocks, threads, bytes, target.stream>>>(args);
  check(cudaGetLastError(), what);
}

using PullKernel = void (*)(PullArgs);

PullKernel pull_kernel_of(int fragments, bool tf32) {
  switch (fragments) {
    case 2:
      return tf32 ? pull_kernel<false, 2> : pull_kernel<true, 2>;
    case 4:
      return tf32 ? pull_kernel<false, 4> : pull_kernel<true, 4>;
    case 7:
      return tf32 ? pull_kernel<false, 7> : pull_kernel<true, 7>;
    default:
      return tf32 ? pull_kernel<false, 8> : pull_kernel<true, 8>;
  }
}

}  // namespace

void launch(const CudaTarget& target, const PackArgs& a) { run(pack_kernel, pack_grid(a), target, a, "pack"); }
void launch(const CudaTarget& target, const ForwardArgs& a) {
  run(target.tf32 ? forward_kernel<false> : forward_kernel<true>, forward_grid(a), target, a, "forward");
}
void launch(const CudaTarget& target, const ReduceArgs& a) { run(reduce_kernel, reduce_grid(a), target, a, "reduce"); }
void launch(const CudaTarget& target, const AlongArgs& a) { run(along_kernel, along_grid(a), target, a, "along"); }
void launch(const CudaTarget& target, const PullArgs& a) {
  run(pull_kernel_of(a.plan.fragments, target.tf32), pull_grid(a), target, a, "pull-back");
}
void launch(const CudaTarget& target, const UpdateArgs& a) { run(update_kernel, update_grid(a), target, a, "update"); }
void launch(const CudaTarget& target, const ObjectiveArgs& a) {
  run(objective_kernel, objective_grid(a), target, a, "objective");
}
void launch(const CudaTarget& target, const ValueArgs& a) { run(value_kernel, value_grid(a), target, a, "value"); }

void launch_set(const CudaTarget& target, StepState* on_device, const StepState& value) {
  set_kernel<<<1, 1, 0, target.stream>>>(on_device, value);
  check(cudaGetLastError(), "set");
}

std::int64_t pull_slots(const Layout& layout, int fragments, bool tf32) {
  int device = 0, major = 0, most_shared = 0, processors = 0, blocks = 0;
  check(cudaGetDevice(&device), "device");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "device");
  check(cudaDeviceGetAttribute(&most_shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "device");
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "device");
  const int bytes = pull_shared(layout, fragments) * static_cast<int>(sizeof(float));
  const int forward_bytes = forward_shared * static_cast<int>(sizeof(float));
  if (major < 8 || bytes > most_shared || forward_bytes > most_shared) return 0;
  const PullKernel kernel = pull_kernel_of(fragments, tf32);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "pull-back");
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, bytes), "pull-back");
  return std::int64_t{blocks} * processors;
}

}  // namespace entk::kernels::fused
