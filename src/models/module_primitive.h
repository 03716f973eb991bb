// The primitive of any torch::nn module, by automatic differentiation.
//
//   t_p(x;δ) = D^p f(x;θ0)[δ, …, δ]/p!,   Σ_p ⟨g_p, ∂t_p/∂δ⟩ = ∂/∂θ0 Σ_p ⟨g_p, t_{p−1}⟩ with δ held fixed
//
// Points go through the module some at a time, on copies of it shared out over threads where it can be copied; nothing
// n×p is kept. Up to order 2 and where it has rules for all operations, by point_graph.h, which a stepper keeps at its
// points (KernelMode::keep); by autograd otherwise (KernelMode::reference). The same bits for every number of threads.
#pragma once

#include "entk/models/expanded_module.h"
#include "entk/models/expansion_terms.h"

namespace entk {

/// x: n×…, rows being what the module's forward takes; options.orders 1 … 4. The displacement is the module's, or a
/// pair's.
/// @throws InputError for orders out of range, and where the module's output at a point is not one number, depends on
/// the other points, is drawn at random, or cannot be differentiated.
std::shared_ptr<const Primitive> make_module_primitive(const PointModule& module, ModuleStartKind kind,
                                                       const at::Tensor& x, const PrimitiveOptions& options);

/// Internal to the library: @throws InputError where what f gives at a point, or its terms up to an order, depends on
/// the other points, or is drawn at random.
void check_function_of_points(const FunctionAtStart& f, const ModuleStart& start, const at::Tensor& x, int orders);
/// What a module's primitive allocates on a CPU.
struct ModuleBytes {
  double kept = 0, kept_a_point = 0;        ///< by a stepper: for a batch of points, and for each point
  double working = 0, working_a_point = 0;  ///< beside it, by each worker: at most, and for each point of its batch
};
/// Measured at three points and at one: `make` makes the primitive at some, `points` are three or more.
ModuleBytes module_bytes(const std::function<std::shared_ptr<const Primitive>(const at::Tensor& x)>& make,
                         const at::Tensor& points);
/// How many points a worker has at a time of so many, on a CPU; how many sums of gradients there are.
std::int64_t module_batch(std::int64_t samples);
std::int64_t module_lanes(std::int64_t samples);
/// Internal to the library: t_0 … t_P at x for a displacement, as expressions of both: (P+1)×n.
at::Tensor module_terms(const PointModule& module, ModuleStartKind kind, const at::Tensor& x, int orders,
                        const at::Tensor& displacement);
/// The module's output at x. @throws InputError where its forward fails.
at::Tensor forward_at(const PointModule& module, const at::Tensor& x);
/// The module's output at x as a vector of one number a point. @throws InputError where it is not.
at::Tensor output_at(const PointModule& module, const at::Tensor& x);

}  // namespace entk
