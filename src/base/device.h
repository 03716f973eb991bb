// Devices by name, and what this build and this machine can do.
#pragma once

#include <c10/core/Device.h>

#include <string>

namespace entk {

/// "cpu", "cuda", "cuda:1", or "auto" (cuda where there is one). Of several processes on a machine with several devices
/// each has its own by "cuda". @throws InputError that says what is there otherwise.
c10::Device pick_device(const std::string& name = "auto");

/// What `entk --version` and environment.json report.
struct BuildInfo {
  std::string version;       ///< of entk
  std::string git_revision;  ///< "unknown" outside a checkout
  bool git_dirty;            ///< whether the checkout had changes
  std::string torch;         ///< version of LibTorch
  bool cuda_kernels;         ///< entk's own CUDA kernels were compiled
  bool cuda_torch;           ///< LibTorch has CUDA
  int cuda_devices;          ///< usable now
  std::string cpu_model;     ///< as the operating system names it
  int processors;            ///< that this process may use
};
/// What this program and this machine are.
BuildInfo build_info();

}  // namespace entk
