#include "entk/models/derivative_faults.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <unordered_set>
#include <vector>

namespace entk {

namespace {

using torch::autograd::Node;
namespace generated = torch::autograd::generated;

template <class N>
bool in_training(const Node& node) {
  return static_cast<const N&>(node).training;
}
bool always(const Node&) { return true; }

/// An operation's node in a graph; whether the node is one that is wrong; which of its edges leads to what must
/// depend on what is differentiated; and whether it is itself a derivative.
struct Fault {
  const char* node;
  const char* operation;
  bool (*wrong)(const Node&) = always;
  std::size_t edge = 0;
  bool derivative = false;
};
constexpr const char* layer = "layer_norm";
constexpr const char* batch = "batch_norm in training mode, or instance_norm,";
const Fault faults[] = {
    {"NativeLayerNormBackward0", layer},
    {"NativeLayerNormBackwardBackward0", layer, always, 1, true},
    {"NativeBatchNormBackward0", batch, in_training<generated::NativeBatchNormBackward0>},
    {"NativeBatchNormLegitBackward0", batch, in_training<generated::NativeBatchNormLegitBackward0>},
    {"NativeBatchNormLegitBackward1", batch, in_training<generated::NativeBatchNormLegitBackward1>},
    {"NativeBatchNormBackwardBackward0", batch,
     [](const Node& node) { return static_cast<const generated::NativeBatchNormBackwardBackward0&>(node).train; }, 1,
     true},
    {"BatchNormWithUpdateBackward0", batch},
    {"BatchNormBackwardBackward0", batch, always, 1, true},
    {"CudnnBatchNormBackward0", batch, in_training<generated::CudnnBatchNormBackward0>},
    {"CudnnBatchNormBackwardBackward0", batch, always, 0, true},
    {"MiopenBatchNormBackward0", batch, in_training<generated::MiopenBatchNormBackward0>},
    {"MiopenBatchNormBackwardBackward0", batch, always, 0, true},
    {"WeightNormInterfaceBackward0", "weight_norm"},
};

}  // namespace

std::string wrongly_differentiated(const at::Tensor& output, bool beyond_second) {
  std::unordered_set<const Node*> seen;
  std::vector<const Node*> left;
  const auto add = [&](const Node* node) {
    if (node && seen.insert(node).second) left.push_back(node);
  };
  add(output.grad_fn().get());
  while (!left.empty()) {
    const Node& node = *left.back();
    left.pop_back();
    const auto& edges = node.next_edges();
    const auto name = node.name();
    for (const auto& fault : faults) {
      if ((beyond_second || fault.derivative) && name == fault.node && edges[fault.edge].is_valid() &&
          fault.wrong(node)) {
        return fault.operation;
      }
    }
    for (const auto& edge : edges) add(edge.function.get());
  }
  return {};
}

}  // namespace entk
