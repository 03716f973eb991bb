#include "entk/theory/landscape.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/kernels/shard.h"
#include "entk/theory/expressive_solution.h"

namespace entk {

namespace {

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}
/// With n − 1; 0 for one value.
double standard_deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  double sum = 0;
  for (const double value : values) sum += (value - mean(values)) * (value - mean(values));
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

std::string statement_of(const Landscape& l, const at::TensorOptions& tensor_options) {
  const char* precision = tensor_options.dtype() == at::kDouble ? "float64" : "float32";
  const auto& z = l.lanczos;
  if (l.verdict == StationaryVerdict::not_sosp) {
    return fmt::format(
        "not a second-order stationary point: a direction with Rayleigh quotient {:.4g}, below -gamma = {:.4g} "
        "(residual {:.1e}, {} iterations, {})",
        z.rayleigh, -l.gamma, z.residual, z.iterations, precision);
  }
  if (l.verdict == StationaryVerdict::undecided) {
    return fmt::format(
        "undecided: least Rayleigh quotient {:.4g} (residual {:.1e}) after {} iterations in {}, and the random start "
        "misses a direction below -gamma = {:.4g} with a probability of up to {:.1e}: more iterations are needed{}",
        z.rayleigh, z.residual, z.iterations, precision, -l.gamma, l.failure_probability,
        l.gradient_norm > l.nu ? fmt::format("; gradient norm {:.4g} above nu = {:.4g}", l.gradient_norm, l.nu) : "");
  }
  const auto curvature = fmt::format(
      "no direction below -gamma = {:.4g} found: least Rayleigh quotient {:.4g} (residual {:.1e}) after {} iterations "
      "in {}; "
      "the random start misses one with probability at most {:.1e}",
      -l.gamma, z.rayleigh, z.residual, z.iterations, precision, l.failure_probability);
  if (l.verdict == StationaryVerdict::none_found) return curvature;
  return fmt::format("not first-order stationary: gradient norm {:.4g} above nu = {:.4g}; {}", l.gradient_norm, l.nu,
                     curvature);
}

}  // namespace

Landscape landscape(const ObjectiveHessian& hessian, at::IntArrayRef shape, const at::TensorOptions& tensor_options,
                    const LandscapeOptions& options) {
  if (!(options.nu >= 0) || !(options.gamma >= 0)) {
    throw InputError(fmt::format("nu and gamma: expected at least 0, got {} and {}", options.nu, options.gamma));
  }
  if (!(options.failure_probability >= 0 && options.failure_probability < 1)) {
    throw InputError(
        fmt::format("failure_probability: expected at least 0, below 1, got {}", options.failure_probability));
  }
  if (shape != hessian.gradient().sizes()) {
    throw InputError(fmt::format("shape: expected W's, [{}], got [{}]", fmt::join(hessian.gradient().sizes(), ", "),
                                 fmt::join(shape, ", ")));
  }
  Landscape l;
  const auto rows = static_cast<double>(sum_of_all(shape[0]));
  const double m = shape.size() == 2 ? rows : std::sqrt(rows);
  l.nu = options.nu > 0 ? options.nu : std::pow(m, -0.5);
  l.gamma = options.gamma > 0 ? options.gamma : std::pow(m, -0.75);
  l.value = hessian.value();
  l.gradient_norm = neuron_norm(hessian.gradient());
  const std::int64_t size = sum_of_all(c10::multiply_integers(shape));
  const auto missed = [&](int iterations, double smallest, double largest) {
    return lanczos_failure_probability(size, iterations, smallest, largest, l.gamma);
  };
  LanczosOptions lanczos{.max_iterations = options.max_iterations, .seed = options.seed};
  lanczos.done = [&](const LanczosProgress& p) {
    if (options.interrupted && options.interrupted(p)) return true;
    if (p.smallest < -l.gamma) return p.residual <= 1e-3 * std::fabs(p.smallest);
    return missed(p.iterations, p.smallest, p.largest) <= options.failure_probability;
  };
  l.lanczos = lanczos_smallest([&](const at::Tensor& v) { return hessian.product(v); }, shape, tensor_options, lanczos);
  if (l.lanczos.rayleigh < -l.gamma) {
    l.verdict = StationaryVerdict::not_sosp;
  } else {
    // An exhausted Krylov space holds a part of every eigenspace with probability 1.
    l.failure_probability =
        l.lanczos.invariant ? 0 : missed(l.lanczos.iterations, l.lanczos.smallest, l.lanczos.largest);
    l.verdict = l.failure_probability > options.failure_probability ? StationaryVerdict::undecided
                : l.gradient_norm <= l.nu                           ? StationaryVerdict::none_found
                                                                    : StationaryVerdict::not_first_order;
  }
  l.statement = statement_of(l, tensor_options);
  return l;
}

LemmaThree lemma_three(const ObjectiveHessian& hessian, const at::Tensor& w, const at::Tensor& low,
                       const at::Tensor& solution, const at::Tensor& solution_low, double solution_value, int draws,
                       std::uint64_t seed) {
  if (draws < 2) throw InputError(fmt::format("draws of signs: expected at least 2, got {}", draws));
  const auto& gradient = hessian.gradient();
  if (gradient.dim() != 2) {
    throw InputError("Lemma 3: it is of a two-layer network's neurons, and a module's W, a vector, has none");
  }
  for (const auto& [name, t] :
       {std::pair{"W", &w}, {"low", &low}, {"solution", &solution}, {"solution_low", &solution_low}}) {
    check_matrix(name, *t, gradient.size(0), gradient.size(1));
    check_like(name, *t, "the Hessian", gradient);
  }
  LemmaThree out;
  std::vector<double> forms;
  const SerialTorch serial;
  for (int i = 0; i < draws; ++i) {
    const auto signs = random_signs(w.size(0), seed, static_cast<std::uint32_t>(i)).to(solution.options());
    forms.push_back(hessian.quadratic_form(signs.unsqueeze(1) * solution));
  }
  out.draws = draws;
  out.hessian_part = mean(forms);
  out.standard_error = standard_deviation(forms) / std::sqrt(static_cast<double>(draws));
  out.gradient_part = neuron_dot(hessian.gradient(), w - 2 * solution_low + low);
  out.value = hessian.value();
  out.solution_value = solution_value;
  out.left_side = out.hessian_part - out.gradient_part + 2 * out.value - 2 * solution_value;
  return out;
}

}  // namespace entk
