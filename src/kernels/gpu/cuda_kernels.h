// Launches of the fused kernels on a CUDA stream; no LibTorch, so that nvcc sees little.
#pragma once

#include <cuda_runtime_api.h>

#include "entk/kernels/gpu/fused_kernels.h"

namespace entk::kernels::fused {

/// Where kernels go, and how they multiply.
struct CudaTarget {
  cudaStream_t stream;
  bool tf32;
};

/// @throws RunError with CUDA's message.
void launch(const CudaTarget& target, const PackArgs& args);
void launch(const CudaTarget& target, const ForwardArgs& args);
void launch(const CudaTarget& target, const ReduceArgs& args);
void launch(const CudaTarget& target, const AlongArgs& args);
void launch(const CudaTarget& target, const PullArgs& args);
void launch(const CudaTarget& target, const UpdateArgs& args);
void launch(const CudaTarget& target, const ObjectiveArgs& args);
void launch(const CudaTarget& target, const ValueArgs& args);
void launch_set(const CudaTarget& target, StepState* on_device, const StepState& value);

/// Blocks of the pull-back that the present device holds at a time; 0 where it cannot run them: older
/// than compute capability 8.0, or too little shared memory.
std::int64_t pull_slots(const Layout& layout, int fragments, bool tf32);

}  // namespace entk::kernels::fused
