#include "entk/spectrum/activation_spectrum.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "entk/base/error.h"
#include "entk/kernels/primitive_parts.h"

namespace entk {

std::function<double(double)> scalar_derivative(const Activation& activation, int order) {
  kernels::check_activation(activation);
  return [activation, order](double z) {
    return activation.derivative(at::full({1}, z, at::kDouble), order).item<double>();
  };
}

SigmaSpectrum sigma_spectrum(const Activation& activation, int dimension, int max_degree) {
  return sigma_spectrum(scalar_derivative(activation, 1), scalar_derivative(activation, 2), dimension, max_degree,
                        {.breaks = activation.kinks});
}

PopulationForm population_form(const Activation& activation, int dimension, double tolerance) {
  if (!(tolerance > 0)) throw InputError(fmt::format("tolerance: expected a number above 0, got {}", tolerance));
  const auto slope = scalar_derivative(activation, 1);
  PopulationForm form;
  for (int degree : {4, 6, 8, 12, 16, 24, 32, 48}) {
    form = population_form(slope, dimension, degree, {.breaks = activation.kinks});
    if (std::fabs(form.truncation.trace) <= tolerance) break;
  }
  return form;
}

}  // namespace entk
