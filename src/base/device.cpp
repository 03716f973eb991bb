#include "entk/base/device.h"

#include <ATen/Context.h>
#include <torch/version.h>
#include <sched.h>

#include <fstream>

#include "entk/base/error.h"
#include "entk/base/group.h"
#include "entk_git.h"

namespace entk {

namespace {

int cuda_device_count() { return at::hasCUDA() ? static_cast<int>(at::detail::getCUDAHooks().deviceCount()) : 0; }

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

}  // namespace

c10::Device pick_device(const std::string& name) {
  const int devices = cuda_device_count();
  if (name == "cpu") return c10::Device(c10::kCPU);
  if (name == "auto" && devices == 0) return c10::Device(c10::kCPU);
  // A scheduler may show each process its own one alone.
  const auto here = group().on_machine();
  int index = devices > 1 ? static_cast<int>(here.first) : 0;
  if (name != "cuda" && name != "auto") {
    const bool numbered = name.rfind("cuda:", 0) == 0 && name.size() > 5 && name.size() < 9 &&
                          name.find_first_not_of("0123456789", 5) == std::string::npos;
    if (!numbered) {
      throw InputError("device: expected cpu, cuda, cuda:N or auto, got '" + name + "'");
    }
    index = std::stoi(name.substr(5));
  }
  if (ENTK_TORCH_HAS_CUDA == 0) {
    throw InputError("device: '" + name +
                     "' asked for, but the LibTorch of this build is a CPU build; a build against a "
                     "CUDA wheel of torch has it (see docs/cuda.md)");
  }
  if (devices > 1 && here.count > devices) {
    throw InputError("device: " + std::to_string(here.count) + " processes on this machine and " +
                     std::to_string(devices) + " usable CUDA devices: expected one for each");
  }
  if (index >= devices) {
    throw InputError("device: '" + name + "' asked for, but this machine has " + std::to_string(devices) +
                     " usable CUDA device(s)");
  }
  return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
}

BuildInfo build_info() {
  cpu_set_t set;
  const int processors = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return {ENTK_VERSION,        ENTK_GIT_REVISION,  ENTK_GIT_DIRTY != 0,
          TORCH_VERSION,       ENTK_HAS_CUDA != 0, ENTK_TORCH_HAS_CUDA != 0,
          cuda_device_count(), cpu_model(),        processors};
}

}  // namespace entk
