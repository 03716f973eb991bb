// The spectrum and the population form of an activation as the models know it.
#pragma once

#include "entk/models/activation.h"
#include "entk/spectrum/population_form.h"
#include "entk/spectrum/sigma_spectrum.h"

namespace entk {

/// σ^(order) of one number.
std::function<double(double)> scalar_derivative(const Activation& activation, int order);

/// sigma_spectrum of σ' and σ'', cut at the activation's kinks: `warnings` say where one was not named. @throws
/// InputError as there.
SigmaSpectrum sigma_spectrum(const Activation& activation, int dimension, int max_degree);

/// population_form at the lowest of a few degrees whose truncation leaves out at most `tolerance` of
/// tr Σ, or at degree 48. @throws InputError as there.
PopulationForm population_form(const Activation& activation, int dimension, double tolerance = 1e-6);

}  // namespace entk
