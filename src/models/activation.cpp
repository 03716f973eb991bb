#include "entk/models/activation.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/differentiation.h"
#include "entk/base/group.h"
#include "entk/base/threads.h"
#include "entk/base/users_code.h"
#include "entk/kernels/primitive_parts.h"

namespace entk {

namespace {

using Polynomial = std::vector<double>;  // from degree 0

at::Tensor evaluate(const Polynomial& p, const at::Tensor& x) {
  if (p.empty()) return at::zeros_like(x);
  auto value = at::full_like(x, p.back());
  for (std::size_t j = p.size() - 1; j-- > 0;) value = value * x + p[j];
  return value;
}

Polynomial differentiate(const Polynomial& p) {
  Polynomial d;
  for (std::size_t j = 1; j < p.size(); ++j) d.push_back(static_cast<double>(j) * p[j]);
  return d;
}

Polynomial add_scaled(Polynomial p, const Polynomial& q, double factor, int shift = 0) {
  if (p.size() < q.size() + shift) p.resize(q.size() + shift, 0.0);
  for (std::size_t j = 0; j < q.size(); ++j) p[j + shift] += factor * q[j];
  return p;
}

/// sigmoid^(k)(z) = s c R_k(c − s), s = sigmoid(z), c = 1 − s = sigmoid(−z): no cancellation.
/// R_1 = 1, R_{k+1}(t) = t R_k − (1 − t²)/2 R_k'.
at::Tensor sigmoid_derivative(const at::Tensor& z, int order) {
  const auto s = at::sigmoid(z);
  if (order == 0) return s;
  const auto c = at::sigmoid(-z);
  Polynomial r{1.0};
  for (int k = 1; k < order; ++k) {
    const auto slope = differentiate(r);
    auto next = add_scaled({}, r, 1.0, 1);
    next = add_scaled(next, slope, -0.5);
    r = add_scaled(next, slope, 0.5, 2);
  }
  return s * c * evaluate(r, c - s);
}

/// d^k/dz^k e^(−b z²) = H_k(z) e^(−b z²), H_0 = 1, H_{k+1} = H_k' − 2b z H_k.
at::Tensor gaussian_derivative(const at::Tensor& z, int order, double b) {
  Polynomial h{1.0};
  for (int k = 0; k < order; ++k) h = add_scaled(differentiate(h), h, -2.0 * b, 1);
  const auto exponential = at::exp(-b * z * z);
  if (order == 0) return exponential;
  // Beyond 40 the exponential is 0 in any type, and H_k may overflow.
  return evaluate(h, z.clamp(-40, 40)) * exponential;
}

std::string shifted_name(const char* name, double shift) {
  if (shift == 0.0) return fmt::format("{}(z)", name);
  return fmt::format("{}(z {} {})", name, shift < 0 ? '+' : '-', std::fabs(shift));
}

void check_shift(const char* name, double shift) {
  if (!std::isfinite(shift)) {
    throw InputError(fmt::format("activation {}: shift: expected a finite number, got {}", name, shift));
  }
}

void check_arguments(const at::Tensor& x, const at::Tensor& w0) {
  check_matrix("x", x, -1, -1);
  check_matrix("w0", w0, -1, x.size(1));
  check_like("w0", w0, "x", x);
}

/// Refuses derivatives that differences of the function before them contradict. At each point the derivative has to lie
/// between the two one-sided differences, a little widened: curvature and kinks widen the interval of themselves. One
/// of two steps will do: the large one where a user's function computes in float32, the small one where it varies fast.
/// Points where σ is not finite are left out.
void check_derivatives(const std::string& name, const std::function<at::Tensor(const at::Tensor&, int)>& derivative,
                       int highest) {
  // Not where kinks like to be: no integer, and no multiple of 1/10.
  const auto z =
      at::cat({at::arange(200, at::kDouble) * 0.06 - 5.97, at::tensor({-19.7, -11.3, 8.7, 14.3}, at::kDouble)});
  const auto at_points = [&](int order, double shift) {
    const auto of = [&](const at::Tensor& argument) {
      const auto value = of_user(fmt::format("activation {}: derivative {} failed", name, order),
                                 [&] { return derivative(argument, order); });
      if (!value.defined() || value.sizes() != argument.sizes()) {
        throw InputError(fmt::format("activation {}: derivative {}: expected {} numbers for as many arguments, got {}",
                                     name, order, argument.numel(), value.defined() ? value.numel() : 0));
      }
      check_floating(fmt::format("activation {}: derivative {}", name, order), value);
      return value.detach().to(at::kCPU, at::kDouble);
    };
    const auto all = of(z + shift), some = of((z + shift).slice(0, 0, std::nullopt, 3));
    if (!at::allclose(all.slice(0, 0, std::nullopt, 3), some, 1e-4, 1e-5, /*equal_nan=*/true)) {
      throw InputError(fmt::format(
          "activation {}: derivative {}: expected a function of every entry alone: it has other values where it is "
          "asked for fewer",
          name, order));
    }
    return all;
  };
  if (!at_points(0, 0).isfinite().any().item<bool>()) {
    throw InputError(fmt::format("activation {}: expected finite values, got none from -20 to 15", name));
  }
  for (int order = 1; order <= highest; ++order) {
    const auto given = at_points(order, 0), middle = at_points(order - 1, 0);
    auto wrong = at::ones_like(z, at::kBool);
    at::Tensor expected;
    for (const double h : {1e-3, 1e-5}) {
      const auto left = (middle - at_points(order - 1, -h)) / h, right = (at_points(order - 1, h) - middle) / h;
      const auto slack = 1e-3 * at::maximum(left.abs(), right.abs()) + 1e-4 * middle.abs() +
                         2e-4 * at::clamp_max(at::nan_to_num(middle.abs(), 0, 0).max(), 1);
      const auto within = (given >= at::minimum(left, right) - slack) & (given <= at::maximum(left, right) + slack);
      wrong = wrong & at::isfinite(left) & at::isfinite(right) & ~within;
      expected = 0.5 * (left + right);
    }
    if (!wrong.any().item<bool>()) continue;
    const auto first = wrong.to(at::kInt).argmax().item<std::int64_t>();
    throw InputError(
        fmt::format("activation {}: derivative {} at z = {:.4g}: expected {:.6g} by differences of {}, got {:.6g}",
                    name, order, z[first].item<double>(), expected[first].item<double>(),
                    order == 1 ? "σ" : fmt::format("derivative {}", order - 1), given[first].item<double>()));
  }
}

}  // namespace

void check_derivatives(const Activation& sigma) {
  kernels::check_activation(sigma);
  if (sigma.kind) return;
  int highest = 2;
  try {
    while (highest < 4 && sigma.derivative(at::zeros({1}, at::kDouble), highest + 1).defined()) ++highest;
  } catch (const std::exception&) {
    // It ends there.
  }
  check_derivatives(sigma.name, sigma.derivative, highest);
}

Activation sigmoid(double shift) {
  check_shift("sigmoid", shift);
  return {.name = shifted_name("sigmoid", shift),
          .derivative = [shift](const at::Tensor& z, int order) { return sigmoid_derivative(z - shift, order); },
          .kind = kernels::KernelActivation::sigmoid,
          .parameters = {shift}};
}

Activation tanh(double shift) {
  check_shift("tanh", shift);
  // tanh(z) = 2 sigmoid(2z) − 1.
  return {.name = shifted_name("tanh", shift),
          .derivative =
              [shift](const at::Tensor& z, int order) {
                if (order == 0) return at::tanh(z - shift);
                return std::pow(2.0, order + 1) * sigmoid_derivative(2.0 * (z - shift), order);
              },
          .kind = kernels::KernelActivation::tanh,
          .parameters = {shift}};
}

Activation erf() {
  return {.name = "erf(z)",
          .derivative =
              [](const at::Tensor& z, int order) {
                if (order == 0) return at::erf(z);
                return (2.0 / std::sqrt(M_PI)) * gaussian_derivative(z, order - 1, 1.0);
              },
          .kind = kernels::KernelActivation::erf};
}

Activation softplus() {
  return {.name = "softplus(z)",
          .derivative =
              [](const at::Tensor& z, int order) {
                if (order > 0) return sigmoid_derivative(z, order - 1);
                // log(1 + e^z) = p + log(1 + e^(−|z|)), p = max(z, 0), −|z| = z − 2p: ATen's derivative of p at 0
                // is 1, that of |z| would be 0 and the sum's wrong.
                const auto p = at::clamp_min(z, 0);
                return p + at::log1p(at::exp(z - 2 * p));
              },
          .kind = kernels::KernelActivation::softplus};
}

Activation gelu() {
  // (zΦ)^(k) = zΦ^(k) + kΦ^(k−1), Φ' = e^(−z²/2)/√(2π).
  return {.name = "gelu(z)", .derivative = [](const at::Tensor& z, int order) {
            const auto phi = [&](int k) {
              if (k == 0) return 0.5 * at::erfc(z / -std::sqrt(2.0));
              return gaussian_derivative(z, k - 1, 0.5) / std::sqrt(2.0 * M_PI);
            };
            if (order == 0) return z * phi(0);
            const auto last = phi(order - 1);
            return z * phi(order) + (order == 1 ? last : order * last);
          }};
}

Activation silu() {
  return {.name = "silu(z)",
          .derivative =
              [](const at::Tensor& z, int order) {
                if (order == 0) return z * at::sigmoid(z);
                return z * sigmoid_derivative(z, order) + order * sigmoid_derivative(z, order - 1);
              },
          .kind = kernels::KernelActivation::silu};
}

Activation relu() {
  return {.name = "relu(z)",
          .derivative =
              [](const at::Tensor& z, int order) {
                if (order == 0) return at::relu(z);
                const auto nothing = z - z;  // keeps NaN
                return order == 1 ? at::gt(z, 0).to(z.scalar_type()) + nothing : nothing;
              },
          .kinks = {0.0},
          .kind = kernels::KernelActivation::relu};
}

Activation polynomial(std::vector<double> coefficients) {
  if (coefficients.empty()) throw InputError("activation polynomial: coefficients: expected at least one");
  std::string name = "polynomial(";
  for (std::size_t j = 0; j < coefficients.size(); ++j) {
    if (!std::isfinite(coefficients[j])) {
      throw InputError(
          fmt::format("activation polynomial: coefficients[{}]: expected a finite number, got {}", j, coefficients[j]));
    }
    name += fmt::format("{}{}", j ? ", " : "", coefficients[j]);
  }
  return {.name = name + ")",
          .derivative =
              [coefficients](const at::Tensor& z, int order) {
                Polynomial p = coefficients;
                for (int k = 0; k < order; ++k) p = differentiate(p);
                return evaluate(p, z);
              },
          .kind = kernels::KernelActivation::polynomial,
          .parameters = coefficients};
}

Activation activation(std::string name, Activation::Function sigma, std::vector<Activation::Function> derivatives) {
  if (!sigma) throw InputError(fmt::format("activation {}: σ is missing", name));
  std::vector<Activation::Function> known{std::move(sigma)};
  for (auto& f : derivatives) {
    if (!f) throw InputError(fmt::format("activation {}: derivative {} is empty", name, known.size()));
    known.push_back(std::move(f));
  }
  const auto derivative = [known](const at::Tensor& z, int order) {
    const int given = std::min<int>(order, static_cast<int>(known.size()) - 1);
    if (given == order) return known[order](z);
    const Differentiating recording;
    const auto argument = recordable(z.detach()).requires_grad_(true);
    auto value = known[given](argument);
    for (int k = given; k < order; ++k) {
      // A derivative that no longer depends on z is constant in it: the next one is zero.
      if (!value.requires_grad()) return at::zeros_like(z);
      auto next = torch::autograd::grad({value.sum()}, {argument}, {}, true, true, true)[0];
      if (!next.defined()) return at::zeros_like(z);
      value = next;
    }
    return value.detach();
  };
  // σ' and σ'' are checked where autograd makes them too: a σ that leaves autograd's graph has none.
  check_derivatives(name, derivative, std::max(2, static_cast<int>(known.size()) - 1));
  return {.name = std::move(name), .derivative = derivative};
}

AssumptionTwo assumption_two(const Activation& sigma, double lowest, double highest) {
  kernels::check_activation(sigma);
  if (!(lowest <= highest) || !std::isfinite(lowest) || !std::isfinite(highest)) {
    throw InputError(
        fmt::format("arguments: expected a finite interval, lowest to highest, got {} to {}", lowest, highest));
  }
  const SerialTorch serial;
  const auto z = at::linspace(lowest, highest, 20001, at::kDouble);
  const auto sup = [&](int order) { return sigma.derivative(z, order).abs().max().item<double>(); };
  AssumptionTwo report{lowest, highest, sup(0), sup(1), sup(2), false, ""};
  report.holds = report.sup_value < 1 && report.sup_first < 1 && report.sup_second < 1;
  if (!report.holds) {
    report.warning = fmt::format(
        "Assumption 2 asks for |σ|, |σ'|, |σ''| < 1; over the arguments seen, [{:.3g}, {:.3g}], {} reaches "
        "{:.3g}, {:.3g}, {:.3g}",
        lowest, highest, sigma.name, report.sup_value, report.sup_first, report.sup_second);
  }
  return report;
}

std::string vanishing_terms(const Activation& sigma, int order, const at::Tensor& x, const at::Tensor& w0) {
  check_arguments(x, w0);
  kernels::check_activation(sigma);
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  constexpr std::int64_t tile = 256;
  const auto vanishes_here = [&](int p) {
    for (std::int64_t i = 0; i < x.size(0); i += tile) {
      const auto rows = x.narrow(0, i, std::min(tile, x.size(0) - i));
      for (std::int64_t r = 0; r < w0.size(0); r += tile) {
        const auto z = rows.mm(w0.narrow(0, r, std::min(tile, w0.size(0) - r)).t());
        if (sigma.derivative(z, p).ne(0).any().item<bool>()) return false;
      }
    }
    return true;
  };
  std::string names;
  for (int p = 1; p <= order; ++p) {
    if (largest_of_all(vanishes_here(p) ? 0 : 1) > 0) continue;  // of the neurons of all processes
    names += fmt::format("{}{}", names.empty() ? "" : ", ", p == 1 ? "f_L" : p == 2 ? "f_Q" : fmt::format("t_{}", p));
  }
  if (names.empty()) return names;
  return fmt::format("{} of {} on these inputs: 0 for every W, as the derivative of σ in it is 0 at every argument",
                     names, sigma.name);
}

std::pair<double, double> argument_range(const at::Tensor& x, const at::Tensor& w0) {
  check_arguments(x, w0);
  const SerialTorch serial;
  double lowest = INFINITY, highest = -INFINITY;
  constexpr std::int64_t tile = 512;
  for (std::int64_t from = 0; from < w0.size(0); from += tile) {
    const auto z = x.mm(w0.narrow(0, from, std::min(tile, w0.size(0) - from)).t());
    lowest = std::min(lowest, z.min().item<double>());
    highest = std::max(highest, z.max().item<double>());
  }
  return {-largest_of_all(-lowest), largest_of_all(highest)};  // of the neurons of all processes
}

}  // namespace entk
