#include "entk/models/point_graph.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/functions/accumulate_grad.h>
#include <torch/csrc/autograd/generated/Functions.h>
#include <torch/csrc/autograd/graph_task.h>
#include <torch/custom_class.h>

#include <unordered_map>
#include <unordered_set>

#include "entk/kernels/network_function.h"

namespace entk {

namespace {

namespace generated = torch::autograd::generated;
using torch::autograd::Node;

/// Linear in each input that is differentiated, and in all of them together; a pool of maxima where it is at θ0.
const std::unordered_set<std::string> linear_operations = {
    "ViewBackward0",    "UnsafeViewBackward0", "ReshapeAliasBackward0",  "AliasBackward0",
    "TBackward0",       "TransposeBackward0",  "TransposeBackward1",     "PermuteBackward0",
    "SqueezeBackward0", "SqueezeBackward1",    "SqueezeBackward2",       "UnsqueezeBackward0",
    "ExpandBackward0",  "CloneBackward0",      "AddBackward0",           "AddBackward1",
    "SubBackward0",     "SubBackward1",        "RsubBackward1",          "NegBackward0",
    "MulBackward1",     "DivBackward1",        "MeanBackward0",          "MeanBackward1",
    "SumBackward0",     "SumBackward1",        "AvgPool2DBackward0",     "AvgPool3DBackward0",
    "SelectBackward0",  "SliceBackward0",      "CatBackward0",           "AdaptiveAvgPool2DBackward0",
    "MulBackward0",     "DivBackward0",        "ConstantPadNdBackward0", "MaxPool2DWithIndicesBackward0",
};
/// Of those, what moves a parameter's entries about.
const std::unordered_set<std::string> rearrangements = {
    "ViewBackward0",      "UnsafeViewBackward0", "ReshapeAliasBackward0", "AliasBackward0",   "TBackward0",
    "TransposeBackward0", "TransposeBackward1",  "PermuteBackward0",      "SqueezeBackward0", "SqueezeBackward1",
    "SqueezeBackward2",   "UnsqueezeBackward0",  "CloneBackward0",        "NegBackward0",
};
const std::unordered_set<std::string> entrywise_operations = {
    "TanhBackward0", "SigmoidBackward0",   "ReluBackward0", "GeluBackward0", "SiluBackward0",       "SoftplusBackward0",
    "EluBackward0",  "LeakyReluBackward0", "ErfBackward0",  "ExpBackward0",  "LogBackward0",        "SinBackward0",
    "CosBackward0",  "PowBackward0",       "SqrtBackward0", "MishBackward0", "LogSigmoidBackward0",
};

at::Tensor zeros_of(const Node& node) {
  const auto& of = node.input_metadata(0);
  return at::zeros({}, of.options()).expand(C10_AS_INTARRAYREF_SLOW(of.shape_as_dim_vector()));
}

void add(at::Tensor& to, const at::Tensor& t) { to = to.defined() ? to + t : t; }

/// Calls a node in a differentiation of its own: within somebody else's the engine would be asked which of the node's
/// results that one wants.
struct Alone : torch::autograd::Function<Alone> {
  struct Call : torch::CustomClassHolder {
    Node* node = nullptr;
    at::Tensor bar{};
    bool again = false;  // it will be differentiated itself
    torch::autograd::variable_list found{};
  };
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& of,
                            const c10::intrusive_ptr<Call>& call) {
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    return of.clone();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 const torch::autograd::variable_list&) {
    const auto call = c10::static_intrusive_pointer_cast<Call>(ctx->saved_data["call"].toCapsule());
    const at::AutoGradMode recording(call->again);
    call->found = (*call->node)({call->bar});
    return {at::Tensor(), at::Tensor()};
  }
};

/// The node's vector–Jacobian product.
torch::autograd::variable_list call(Node& node, const at::Tensor& bar) {
  const auto* others = torch::autograd::get_current_graph_task_exec_info();
  if (!others || others->empty()) return node({bar});
  const auto call = c10::make_intrusive<Alone::Call>();
  call->node = &node;
  call->bar = bar;
  call->again = at::GradMode::is_enabled();
  const at::AutoGradMode recording(true);
  torch::autograd::backward({Alone::apply(at::zeros({1}).requires_grad_(true), call)}, {}, false, false);
  return call->found;
}

at::Tensor as_matrix(const at::Tensor& t) { return t.dim() == 1 ? t.unsqueeze(1) : t; }

std::int64_t bytes_of(const at::Tensor& t) { return t.defined() ? static_cast<std::int64_t>(t.nbytes()) : 0; }

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_pulled(const Node& node, const at::Tensor& bar,
                                                                  const at::Tensor& a, const at::Tensor& b,
                                                                  std::array<bool, 3> mask) {
  const auto& n = static_cast<const generated::ConvolutionBackward0&>(node);
  return at::convolution_backward_symint(bar, a, b, std::nullopt, n.stride, n.padding, n.dilation, n.transposed,
                                         n.output_padding, n.groups, mask);
}

}  // namespace

std::optional<PointGraph> PointGraph::of(const at::Tensor& output, const ModuleStart& start) {
  PointGraph graph;
  graph.points_ = output.size(0);
  std::unordered_map<const Node*, int> index;
  std::vector<std::pair<NodePointer, std::size_t>> open;
  if (!output.grad_fn() || output.output_nr() != 0) return std::nullopt;
  open.emplace_back(output.grad_fn(), 0);
  while (!open.empty()) {  // inputs before what is made of them
    auto& [node, next] = open.back();
    if (next < node->next_edges().size()) {
      const auto& edge = node->next_edge(next++);
      if (edge.is_valid() && edge.input_nr != 0) return std::nullopt;
      if (edge.is_valid() && !index.contains(edge.function.get())) open.emplace_back(edge.function, 0);
      continue;
    }
    if (!index.contains(node.get())) {
      Operation op;
      op.node = node;
      if (auto* leaf = dynamic_cast<torch::autograd::AccumulateGrad*>(node.get())) {
        op.kind = Kind::parameter;
        std::size_t i = 0;
        const auto& parameters = start.parameters();
        for (; i < parameters.size() && !parameters[i].is_same(leaf->variable); ++i) op.first += parameters[i].numel();
        if (i == parameters.size()) return std::nullopt;
        op.parameter = static_cast<std::int64_t>(i);
      } else {
        if (node->num_inputs() != 1) return std::nullopt;  // one result
        for (const auto& edge : node->next_edges()) {
          op.inputs.push_back(edge.is_valid() ? index.at(edge.function.get()) : -1);
        }
        if (!graph.read(op)) return std::nullopt;
        const auto size = zeros_of(*node);
        if (op.of_points && (size.dim() == 0 || size.numel() % graph.points_ != 0)) return std::nullopt;
      }
      index.emplace(node.get(), static_cast<int>(graph.operations_.size()));
      graph.operations_.push_back(std::move(op));
    }
    open.pop_back();
  }
  if (!graph.operations_.back().of_points) return std::nullopt;
  return graph;
}

bool PointGraph::read(Operation& op) {
  const auto& name = op.node->name();
  const auto known = [&](std::size_t i) { return i < op.inputs.size() && op.inputs[i] >= 0; };
  const auto of_points = [&](std::size_t i) { return known(i) && operations_[op.inputs[i]].of_points; };
  const auto product = [&](Kind kind, at::Tensor a, at::Tensor b) {
    op.kind = kind;
    op.of_points = true;
    if (a.defined()) op.a = a.detach();
    if (b.defined()) op.b = b.detach();
    op.uses = known(1) || known(2);
    return !(known(0) && !of_points(0)) && !of_points(1) && !of_points(2);
  };
  if (name == "AddmmBackward0") {
    const auto& node = static_cast<generated::AddmmBackward0&>(*op.node);
    op.alpha = node.alpha.toDouble();
    op.beta = node.beta.toDouble();
    op.inputs = {op.inputs[1], op.inputs[2], op.inputs[0]};
    return product(Kind::product, node.mat1_.unpack(), node.mat2_.unpack());
  }
  if (name == "MmBackward0") {
    const auto& node = static_cast<generated::MmBackward0&>(*op.node);
    op.inputs.push_back(-1);
    return product(Kind::product, node.self_.unpack(), node.mat2_.unpack());
  }
  if (name == "MvBackward0") {
    const auto& node = static_cast<generated::MvBackward0&>(*op.node);
    op.inputs.push_back(-1);
    op.vector = true;
    return product(Kind::product, node.self_.unpack(), node.vec_.unpack());
  }
  if (name == "ConvolutionBackward0") {
    const auto& node = static_cast<generated::ConvolutionBackward0&>(*op.node);
    return product(Kind::convolution, node.input_.unpack(), node.weight_.unpack());
  }
  std::size_t valid = 0, points = 0;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    valid += known(i) ? 1 : 0;
    points += of_points(i) ? 1 : 0;
  }
  op.of_points = points > 0;
  op.uses = op.of_points && points < valid;
  if (entrywise_operations.contains(name) || is_elementwise(*op.node)) {
    op.kind = Kind::entrywise;
    return op.of_points && op.inputs.size() == 1;
  }
  if (!linear_operations.contains(name)) return false;
  op.kind = Kind::linear;
  if ((name == "MulBackward0" || name == "DivBackward0") && (valid != 1 || (name == "DivBackward0" && !known(0)))) {
    return false;
  }
  if (!op.of_points) {
    op.keeps_size = rearrangements.contains(name);
    if (name == "MulBackward0") {
      const auto& node = static_cast<generated::MulBackward0&>(*op.node);
      const auto factor = known(0) ? node.other_.unpack() : node.self_.unpack();
      if (factor.numel() != 1) return false;  // it may be of points
      op.alpha = factor.item<double>();
      op.keeps_size = true;
    } else if (name == "DivBackward0") {
      const auto factor = static_cast<generated::DivBackward0&>(*op.node).other_.unpack();
      if (factor.numel() != 1) return false;
      op.alpha = 1 / factor.item<double>();
      op.keeps_size = true;
    }
  }
  return true;
}

/// The transpose of what a linear operation does: in each input.
PointGraph::Tensors PointGraph::pull(const Operation& op, const at::Tensor& bar) const {
  auto found = call(*op.node, bar);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (op.inputs[i] < 0 || !found[i].defined()) continue;
    const auto& edge = op.node->next_edge(i);  // broadcasting is undone by the engine, otherwise
    const auto sizes = C10_AS_INTARRAYREF_SLOW(edge.function->input_metadata(edge.input_nr).shape_as_dim_vector());
    if (found[i].sizes() != sizes) found[i] = at::sum_to(found[i], sizes);
  }
  return found;
}

at::Tensor PointGraph::apply(const Operation& op, const at::Tensor& a, const at::Tensor& b) const {
  if (op.kind == Kind::convolution) {
    const auto& n = static_cast<const generated::ConvolutionBackward0&>(*op.node);
    return at::convolution_symint(a, b, {}, n.stride, n.padding, n.dilation, n.transposed, n.output_padding, n.groups);
  }
  auto product = a.mm(as_matrix(b));
  if (op.alpha != 1) product.mul_(op.alpha);
  return op.vector ? product.squeeze(1) : product;
}

at::Tensor PointGraph::to_points(const Operation& op, const at::Tensor& bar, const at::Tensor& b) const {
  if (op.kind == Kind::convolution) {
    const auto like = op.a.defined() ? op.a : at::empty_like(zeros_of(*op.node->next_edge(0).function));
    return std::get<0>(convolution_pulled(*op.node, bar, like, b, {true, false, false}));
  }
  auto product = as_matrix(bar).mm(as_matrix(b).t());
  return op.alpha != 1 ? product.mul_(op.alpha) : product;
}

at::Tensor PointGraph::to_weight(const Operation& op, const at::Tensor& a, const at::Tensor& bar) const {
  if (op.kind == Kind::convolution) {
    const auto like = zeros_of(*op.node->next_edge(1).function);
    return std::get<1>(convolution_pulled(*op.node, bar, a, like, {false, true, false}));
  }
  const auto product = a.t().mm(as_matrix(bar));
  return (op.vector ? product.squeeze(1) : product) * op.alpha;
}

at::Tensor PointGraph::weighted(const at::Tensor& t, const at::Tensor& weights) const {
  return (t.reshape({points_, -1}) * weights.unsqueeze(1)).view(t.sizes());
}

/// At each point.
at::Tensor PointGraph::inner(const at::Tensor& a, const at::Tensor& b) const {
  return (a.reshape({points_, -1}) * b.reshape({points_, -1})).sum(1);
}

at::Tensor PointGraph::linear(const Operation& op, const Tensors& t, bool points_too) const {
  Tensors reached, along;
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const int input = op.inputs[i];
    if (input < 0 || !t[input].defined() || (operations_[input].of_points && !points_too)) continue;
    if (!op.pulled[i].defined() || !op.pulled[i].requires_grad()) continue;
    reached.push_back(op.pulled[i]);
    along.push_back(t[input].reshape(op.pulled[i].sizes()));
  }
  if (reached.empty()) return {};
  return torch::autograd::grad(reached, {op.unit}, along, true, false, true)[0];
}

/// What parameters alone move in an operation of points.
at::Tensor PointGraph::shifted(const Operation& op, const Tensors& t) const {
  if (op.kind == Kind::linear) return linear(op, t, false);
  at::Tensor sum;
  if (op.inputs[1] >= 0 && t[op.inputs[1]].defined()) sum = apply(op, op.a, t[op.inputs[1]]);
  if (op.inputs[2] >= 0 && t[op.inputs[2]].defined()) {
    auto c = t[op.inputs[2]];
    if (op.kind == Kind::convolution) {
      std::vector<std::int64_t> sizes(zeros_of(*op.node).dim(), 1);
      sizes[1] = c.numel();
      c = c.view(sizes);
    }
    sum = sum.defined() ? sum.add_(c, op.beta) : (c * op.beta).expand_as(zeros_of(*op.node)).contiguous();
  }
  return sum;
}

PointGraph::Tensors PointGraph::moved_parameters(const Tensors& parts) const {
  Tensors t(operations_.size());
  for (std::size_t i = 0; i < t.size(); ++i) {
    const auto& op = operations_[i];
    if (op.kind == Kind::parameter) t[i] = parts[op.parameter];
    if (op.kind == Kind::linear && !op.of_points) t[i] = linear(op, t, false);
  }
  return t;
}

PointGraph::Tensors PointGraph::adjoints(const at::Tensor& cotangent) const {
  Tensors bars(operations_.size());
  bars.back() = cotangent;
  for (std::size_t i = bars.size(); i-- > 0;) {
    const auto& op = operations_[i];
    if (op.of_points && bars[i].defined()) pull_points(op, bars[i], bars);
  }
  return bars;
}

void PointGraph::pull_points(const Operation& op, const at::Tensor& bar, Tensors& bars) const {
  if (op.kind == Kind::entrywise && op.slope.defined()) return add(bars[op.inputs[0]], bar * op.slope);
  if (op.kind == Kind::product || op.kind == Kind::convolution) {
    if (op.inputs[0] >= 0) add(bars[op.inputs[0]], to_points(op, bar, op.b));
    return;
  }
  bool any = false;
  for (const int input : op.inputs) any = any || (input >= 0 && operations_[input].of_points);
  if (!any) return;
  const auto pulled = pull(op, bar);
  for (std::size_t k = 0; k < pulled.size(); ++k) {
    const int input = op.inputs[k];
    if (input >= 0 && operations_[input].of_points && pulled[k].defined()) add(bars[input], pulled[k]);
  }
}

/// What an operation does to displacements.
void PointGraph::prepare(Operation& op, int order) const {
  const at::AutoGradMode recording(true);
  if (op.kind == Kind::linear) {
    op.unit = zeros_of(*op.node).requires_grad_(true);
    op.pulled = pull(op, op.unit);
  }
  if (op.kind != Kind::entrywise) return;
  const auto one = at::ones_like(zeros_of(*op.node), at::MemoryFormat::Contiguous);
  const auto slope = call(*op.node, one)[0];
  op.slope = slope.detach();
  const auto name = op.node->name();
  if (order == 1 || name == "ReluBackward0" || name == "LeakyReluBackward0" || !slope.requires_grad()) return;
  const auto& edge = op.node->next_edge(0);
  op.curvature = torch::autograd::Engine::get_default_engine().execute({torch::autograd::impl::gradient_edge(slope)},
                                                                       {one}, true, false, false, {edge})[0];
  if (op.curvature.defined() && !op.curvature.any().item<bool>()) op.curvature.reset();  // relu, or a line
}

void PointGraph::fix(int order) {
  for (auto& op : operations_) prepare(op, order);
  const at::NoGradGuard no_grad;
  const auto bars = adjoints(at::ones_like(zeros_of(*operations_.back().node), at::MemoryFormat::Contiguous));
  for (std::size_t i = 0; i < bars.size(); ++i) {
    auto& op = operations_[i];
    if (op.uses) op.adjoint = bars[i].defined() ? bars[i] : at::zeros_like(zeros_of(*op.node));
    if (op.curvature.defined()) op.curvature = bars[i].defined() ? op.curvature * bars[i] : at::Tensor();
  }
}

at::Tensor PointGraph::linear_term(const Tensors& parts) const {
  const auto t = moved_parameters(parts);
  at::Tensor sum;
  for (const auto& op : operations_) {
    if (!op.uses) continue;
    if (const auto s = shifted(op, t); s.defined()) add(sum, inner(op.adjoint, s));
  }
  return sum;
}

PointGraph::Motion PointGraph::moved(const Tensors& parts, bool with_adjoints) const {
  const std::size_t count = operations_.size();
  auto t = moved_parameters(parts);
  for (std::size_t i = 0; i < count; ++i) {
    const auto& op = operations_[i];
    if (!op.of_points) continue;
    if (op.kind == Kind::linear) {
      t[i] = linear(op, t, true);
    } else if (op.kind == Kind::entrywise) {
      if (t[op.inputs[0]].defined()) t[i] = t[op.inputs[0]] * op.slope;
    } else {
      if (op.uses) t[i] = shifted(op, t);
      if (op.inputs[0] < 0 || !t[op.inputs[0]].defined()) continue;
      if (op.kind == Kind::product && !op.vector && t[i].defined()) {
        t[i].addmm_(t[op.inputs[0]], op.b, 1, op.alpha);
      } else {
        add(t[i], apply(op, t[op.inputs[0]], op.b));
      }
    }
  }
  Motion motion;
  auto second = at::zeros({points_}, zeros_of(*operations_.back().node).options());
  auto first = t.back().defined() ? t.back() : at::zeros_like(second);
  if (with_adjoints) {
    motion.operands.resize(count);
    motion.adjoints.resize(count);
  }
  Tensors c(count);
  for (std::size_t i = count; i-- > 0;) {
    const auto& op = operations_[i];
    if (!op.of_points) continue;
    const int in = op.inputs.empty() ? -1 : op.inputs[0];
    if (op.kind == Kind::entrywise && op.curvature.defined() && t[in].defined()) {
      const auto bent = op.curvature * t[in];
      second.add_(inner(bent, t[in]), 0.5);
      if (with_adjoints) add(c[in], bent);
    }
    if ((op.kind == Kind::product || op.kind == Kind::convolution) && in >= 0 && op.inputs[1] >= 0 &&
        t[op.inputs[1]].defined()) {
      const auto turned = to_points(op, op.adjoint, t[op.inputs[1]]);
      if (t[in].defined()) second.add_(inner(t[in], turned));
      if (with_adjoints) add(c[in], turned);
    }
    if (!with_adjoints) continue;
    if (c[i].defined()) pull_points(op, c[i], c);
    if (op.uses) {
      motion.adjoints[i] = c[i];
      if (op.kind != Kind::linear && in >= 0) motion.operands[i] = t[in];
    }
    c[i].reset();
    t[i].reset();
  }
  motion.terms = at::stack({first, second});
  return motion;
}

at::Tensor PointGraph::terms_along(const Motion& motion, const Tensors& parts) const {
  const auto t = moved_parameters(parts);
  auto sums = at::zeros_like(motion.terms);
  auto first = sums[0], second = sums[1];
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    const auto& op = operations_[i];
    if (!op.uses) continue;
    if (const auto s = shifted(op, t); s.defined()) {
      first.add_(inner(op.adjoint, s));
      if (motion.adjoints[i].defined()) second.add_(inner(motion.adjoints[i], s));
    }
    if (motion.operands[i].defined() && op.inputs[1] >= 0 && t[op.inputs[1]].defined()) {
      second.add_(inner(motion.operands[i], to_points(op, op.adjoint, t[op.inputs[1]])));
    }
  }
  return sums;
}

/// Where a weight's gradient lies in the vector of all, in the layout that a product has it in; undefined where it
/// takes another way.
at::Tensor PointGraph::place(int index, const at::Tensor& sum) const {
  const auto& op = operations_[index];
  if (op.kind == Kind::parameter) {
    const auto& leaf = static_cast<const torch::autograd::AccumulateGrad&>(*op.node).variable;
    return sum.narrow(0, op.first, leaf.numel()).view(leaf.sizes());
  }
  if (op.node->name() == "TBackward0") {
    const auto of = place(op.inputs[0], sum);
    return of.defined() ? of.t() : of;
  }
  return {};
}

void PointGraph::add_gradient(const at::Tensor& first, const std::vector<Weighted>& second,
                              const at::Tensor& sum) const {
  Tensors bars(operations_.size());
  for (std::size_t i = operations_.size(); i-- > 0;) {
    const auto& op = operations_[i];
    if (op.of_points && op.uses) {
      auto bar = weighted(op.adjoint, first);
      for (const auto& s : second) {
        if (s.motion->adjoints[i].defined()) bar.add_(weighted(s.motion->adjoints[i], s.weights));
      }
      if (op.kind == Kind::linear) {
        const auto pulled = pull(op, bar);
        for (std::size_t k = 0; k < pulled.size(); ++k) {
          const int input = op.inputs[k];
          if (input >= 0 && !operations_[input].of_points && pulled[k].defined()) add(bars[input], pulled[k]);
        }
        continue;
      }
      if (op.inputs[1] >= 0) {
        const auto to = op.kind == Kind::product && !op.vector ? place(op.inputs[1], sum) : at::Tensor();
        const auto spread = [&](const at::Tensor& a, const at::Tensor& by) {
          if (to.defined()) {
            at::Tensor(to).addmm_(a.t(), by, 1, op.alpha);
          } else {
            add(bars[op.inputs[1]], to_weight(op, a, by));
          }
        };
        spread(op.a, bar);
        for (const auto& s : second) {
          if (s.motion->operands[i].defined()) spread(s.motion->operands[i], weighted(op.adjoint, s.weights));
        }
      }
      if (op.inputs[2] >= 0) {
        add(bars[op.inputs[2]], op.kind == Kind::convolution
                                    ? bar.transpose(0, 1).flatten(1).sum(1)
                                    : at::sum_to(bar, zeros_of(*operations_[op.inputs[2]].node).sizes()) * op.beta);
      }
      continue;
    }
    if (op.of_points || !bars[i].defined()) continue;
    if (op.kind == Kind::parameter) {
      at::Tensor(sum.narrow(0, op.first, bars[i].numel())).add_(bars[i].reshape(-1));
    } else {
      const auto pulled = pull(op, bars[i]);
      for (std::size_t k = 0; k < pulled.size(); ++k) {
        if (op.inputs[k] >= 0 && pulled[k].defined()) add(bars[op.inputs[k]], pulled[k]);
      }
    }
    bars[i].reset();
  }
}

/// The factor by which a parameter's entries, moved about, enter an operation; none where they enter otherwise.
std::optional<double> PointGraph::scale_of(int index, std::vector<bool>& used) const {
  double scale = 1;
  while (operations_[index].kind != Kind::parameter) {
    const auto& op = operations_[index];
    if (!op.keeps_size) return std::nullopt;
    scale *= op.alpha;
    int only = -1;
    for (const int input : op.inputs) {
      if (input >= 0 && only >= 0) return std::nullopt;
      if (input >= 0) only = input;
    }
    index = only;
  }
  if (used[index]) return std::nullopt;
  used[index] = true;
  return scale;
}

/// Of each point's values that something of `sizes`, broadcast, was added to: n×1×its entries; undefined where points
/// do not share it.
at::Tensor PointGraph::for_all_points(const at::Tensor& bar, at::IntArrayRef sizes) const {
  const auto dimensions = static_cast<std::size_t>(bar.dim()), missing = dimensions - sizes.size();
  if (bar.size(0) % points_ != 0 || (missing == 0 && sizes[0] != 1)) return {};
  std::vector<std::int64_t> places{points_, bar.size(0) / points_}, repeated{1};
  for (std::size_t d = 1; d < dimensions; ++d) {
    places.push_back(bar.size(static_cast<std::int64_t>(d)));
    if (d < missing || sizes[d - missing] == 1) repeated.push_back(static_cast<std::int64_t>(d) + 1);
  }
  return bar.reshape(places).sum(repeated).reshape({points_, 1, -1});
}

std::optional<std::vector<PointGraph::Factor>> PointGraph::factors(const at::Tensor& cotangent) const {
  const at::NoGradGuard no_grad;
  const auto bars = adjoints(cotangent);
  std::vector<bool> used(operations_.size(), false);
  std::vector<Factor> found;
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    const auto& op = operations_[i];
    if (!op.uses) continue;
    const auto bar = bars[i].defined() ? bars[i] : at::zeros_like(zeros_of(*op.node));
    const auto columns = [](const at::Tensor& t) { return t.dim() > 1 ? t.size(-1) : 1; };
    if (bar.numel() % (points_ * columns(bar)) != 0) return std::nullopt;  // no rows of points
    const auto places = [&](const at::Tensor& t) { return t.reshape({points_, -1, columns(t)}); };
    if (op.kind == Kind::linear) {
      const auto* sum =
          op.node->name() == "AddBackward0" ? static_cast<generated::AddBackward0*>(op.node.get()) : nullptr;
      if (!sum || sum->alpha.toDouble() != 1) return std::nullopt;
      for (const int input : op.inputs) {
        if (input < 0 || operations_[input].of_points) continue;
        const auto scale = scale_of(input, used);
        const auto b = for_all_points(bar, zeros_of(*operations_[input].node).sizes());
        if (!scale || !b.defined()) return std::nullopt;
        found.push_back({{}, b, *scale});
      }
      continue;
    }
    auto b = places(bar), a = op.inputs[1] >= 0 && op.kind == Kind::product ? places(op.a) : at::Tensor();
    if (op.kind == Kind::convolution) {
      const auto& n = static_cast<const generated::ConvolutionBackward0&>(*op.node);
      if (bar.dim() != 4 || n.transposed || n.groups != 1) return std::nullopt;
      b = bar.flatten(2).transpose(1, 2);
      if (op.inputs[1] >= 0) {
        const auto sizes = zeros_of(*op.node->next_edge(1).function).sizes().vec();
        const auto both = [](const std::vector<c10::SymInt>& of) {  // one number is of both directions
          const auto values = C10_AS_INTARRAYREF_SLOW(of).vec();
          return values.size() == 1 ? std::vector<std::int64_t>(2, values[0]) : values;
        };
        a = at::im2col(op.a, at::IntArrayRef(sizes).slice(2), both(n.dilation), both(n.padding), both(n.stride))
                .transpose(1, 2);
      }
    }
    if (op.inputs[1] >= 0) {
      const auto scale = scale_of(op.inputs[1], used);
      if (!scale) return std::nullopt;
      found.push_back({a, b, *scale * op.alpha});
    }
    if (op.inputs[2] >= 0) {
      const auto scale = scale_of(op.inputs[2], used);
      const auto one = for_all_points(b.flatten(0, 1), zeros_of(*operations_[op.inputs[2]].node).sizes());
      if (!scale || !one.defined()) return std::nullopt;
      found.push_back({{}, one, *scale * op.beta});
    }
  }
  return found;
}

std::int64_t PointGraph::bytes() const {
  std::int64_t count = 0;
  for (const auto& op : operations_) {
    if (op.kind == Kind::product || op.kind == Kind::convolution) count += bytes_of(op.a);
    count += bytes_of(op.slope) + bytes_of(op.curvature) + bytes_of(op.adjoint);
  }
  return count;
}

std::int64_t PointGraph::Motion::bytes() const {
  std::int64_t count = 0;
  for (const auto& t : operands) count += bytes_of(t);
  for (const auto& t : adjoints) count += bytes_of(t);
  return count;
}

}  // namespace entk
