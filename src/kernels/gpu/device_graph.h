// Work on a device recorded once and played again without its launches: a CUDA graph.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>

namespace entk {

/// A recording.
class DeviceGraph {
 public:
  virtual ~DeviceGraph() = default;
  /// Does the recorded work again, on the current stream and on the memory it was recorded with.
  virtual void play() = 0;
};

/// Records what `work` launches, without doing it. Work has been done before at least once, so that
/// libraries have what they allocate; it must not wait for the device. Null where this build or device
/// has no graphs, or where `work` cannot be recorded: then it is to be done as it is.
std::unique_ptr<DeviceGraph> record_graph(c10::Device device, const std::function<void()>& work);

/// Makes graphs; record_graph by default.
using GraphRecorder = std::function<std::unique_ptr<DeviceGraph>(c10::Device, const std::function<void()>&)>;

}  // namespace entk
