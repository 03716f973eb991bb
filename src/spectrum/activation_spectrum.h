// The spectrum and the population form of an activation as the models know it.
#pragma once

#include "entk/models/activation.h"
#include "entk/spectrum/population_form.h"
#include "entk/spectrum/sigma_spectrum.h"

namespace entk {

/// σ^(order) of one number.
std::function<double(double)> scalar_derivative(const Activation& activation, int order);

/// Nodes for a smooth activation; for relu, breaks at its kink. An activation of one's own with kinks
/// needs them named: `warnings` of the spectrum say so.
QuadratureOptions quadrature_for(const Activation& activation);

/// sigma_spectrum of σ' and σ''. @throws InputError as there.
SigmaSpectrum sigma_spectrum(const Activation& activation, int dimension, int max_degree);

/// population_form at the lowest of a few degrees whose truncation leaves out at most `tolerance` of
/// tr Σ, or at degree 48. @throws InputError as there.
PopulationForm population_form(const Activation& activation, int dimension, double tolerance = 1e-6);

}  // namespace entk
