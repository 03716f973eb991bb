#include "entk/spectrum/population_form.h"

#include <torch/types.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "entk/base/error.h"
#include "entk/spectrum/population_evaluator.h"

namespace entk {

namespace {

constexpr int beyond = 16;  // degrees looked at past J, for the truncation

// Σ of the terms from `first` on.
double tail(const std::vector<double>& terms, std::size_t first) {
  double sum = 0.0;
  for (std::size_t j = first; j < terms.size(); ++j) sum += std::fabs(terms[j]);
  return sum;
}

}  // namespace

PopulationForm population_form(const std::function<double(double)>& dsigma, int dimension, int max_degree,
                               const QuadratureOptions& options) {
  if (dimension < 2) {
    throw InputError(fmt::format("dimension: expected 2 or more (a sphere), got {}", dimension));
  }
  if (max_degree < 0 || max_degree > highest_degree - beyond - 2) {
    throw InputError(fmt::format("max_degree: expected 0 to {}, got {}", highest_degree - beyond - 2, max_degree));
  }
  const double d = dimension;
  const int top = max_degree + beyond;
  auto finer = options;
  finer.nodes = std::max(options.nodes, top + 4);
  const auto eta = harmonic_coefficients(dsigma, dimension, std::sqrt(d), top + 2, finer);
  const auto a = harmonic_coefficients(dsigma, dimension + 2, std::sqrt(d), top + 1, finer);
  const auto b0 = harmonic_coefficients(dsigma, dimension + 4, std::sqrt(d), top, finer);

  PopulationForm form;
  form.dimension = dimension;
  for (int j = 0; j <= top; ++j) {
    form.alpha.push_back(a.norms[j] * a.norms[j]);
    // d/(d+2) √(B(d+4,j)/B(d,j+2)) (d+2) = d √(…), with the quotient of the multiplicities in
    // closed form.
    const double quotient = (j + d + 1) * (j + d) * (j + 2) * (j + 1) / ((d + 2) * (d + 1) * d * (d - 1));
    form.beta.push_back(d * std::sqrt(quotient) * b0.norms[j] * eta.norms[j + 2]);
    // d/(d+2) (d+2)²/d B(d+4,j)/B(d+2,j+1).
    form.gamma.push_back((j + 1) * (j + d + 1) / (d + 1) * a.norms[j + 1] * a.norms[j + 1]);
  }
  const auto kept = static_cast<std::size_t>(max_degree) + 1;
  form.truncation.beta = tail(form.beta, kept);
  form.truncation.gamma = tail(form.gamma, kept);
  form.alpha.resize(kept), form.beta.resize(kept), form.gamma.resize(kept);

  const auto at_one = [](const std::vector<double>& terms) { return std::accumulate(terms.begin(), terms.end(), 0.0); };
  const double alpha = at_one(form.alpha);
  form.truncation.alpha = std::max(0.0, a.mean_square - alpha);
  const double trace = d * eta.mean_square, captured = d * alpha + 2 * at_one(form.beta) + 2 * at_one(form.gamma);
  form.truncation.trace = trace > 0 ? (trace - captured) / trace : 0.0;

  for (const auto* c : {&eta, &a, &b0}) {
    if (c->mean_square == 0) continue;
    const double worst = *std::max_element(c->errors.begin(), c->errors.begin() + kept);
    form.quadrature_error = std::max(form.quadrature_error, worst / std::sqrt(c->mean_square));
  }
  return form;
}

FormValues evaluate(const PopulationForm& form, const at::Tensor& rho) {
  if (!rho.defined() || !rho.device().is_cpu() || rho.scalar_type() != torch::kFloat64) {
    throw InputError(fmt::format(
        "population form: rho: expected float64 on the cpu, got {}",
        rho.defined() ? fmt::format("{} on {}", c10::toString(rho.scalar_type()), rho.device().str()) : "nothing"));
  }
  const population::Evaluator evaluator(form);
  const auto flat = rho.detach().contiguous().view({-1});
  FormValues values{torch::empty_like(flat), torch::empty_like(flat), torch::empty_like(flat)};
  population::Lanes in, alpha, beta, gamma;
  for (std::int64_t at = 0; at < flat.numel(); at += population::lanes) {
    const int count = population::load(flat.data_ptr<double>() + at, flat.numel() - at, in);
    evaluator(in, alpha, beta, gamma);
    std::copy_n(alpha.begin(), count, values.alpha.data_ptr<double>() + at);
    std::copy_n(beta.begin(), count, values.beta.data_ptr<double>() + at);
    std::copy_n(gamma.begin(), count, values.gamma.data_ptr<double>() + at);
  }
  return {values.alpha.view(rho.sizes()), values.beta.view(rho.sizes()), values.gamma.view(rho.sizes())};
}

}  // namespace entk
