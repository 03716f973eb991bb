// Coefficients of a function of t = w·x/√d against the Legendre polynomials of dimension D:
//   c_j = E_t[g(s t) P_j(t)],   so that   g(s t) = Σ_j B(D,j) c_j P_j(t).
// With g = σ', s = √d, D = d they are the η_j that decide the spectrum of Σ (5)(14); with D = d+2,
// d+4 and the same s, those of its population form. docs/harmonics.md, section 2.
#pragma once

#include <functional>
#include <vector>

#include "entk/spectrum/quadrature.h"

namespace entk {

/// Degrees beyond this are refused.
constexpr int highest_degree = 1000;

/// How integrals are taken.
struct QuadratureOptions {
  int nodes = 256;                  ///< of Gauss's rule, used where there are no breaks
  std::vector<double> breaks = {};  ///< where g or a derivative jumps, as arguments z = s t of g
  int per_panel = 32;               ///< nodes of a panel between breaks
};

/// Coefficients of degrees 0 … L. Norms are what to compare between degrees: values fall off as
/// B(D,j)^(−1/2) for any g.
struct HarmonicCoefficients {
  int dimension = 0;           ///< D
  std::vector<double> values;  ///< c_j
  std::vector<double> norms;   ///< √B(D,j) c_j: the L² norm of g's part of degree j, with c_j's sign
  std::vector<double> errors;  ///< of norms: the change when the nodes are taken half as many again
  double mean_square = 0.0;    ///< E[g²] = Σ_j norms_j² over all degrees

  int max_degree() const { return static_cast<int>(values.size()) - 1; }  ///< L
};

/// c_0 … c_L of g(scale·t) in the given dimension, from the finer of two rules.
/// @throws InputError for an impossible dimension, degree, scale or option, NotFiniteError where g
/// is not finite.
HarmonicCoefficients harmonic_coefficients(const std::function<double(double)>& g, int dimension, double scale,
                                           int max_degree, const QuadratureOptions& options = {});

/// The same from values at a rule's nodes alone; `errors` are then zero, nothing being known of
/// them.
HarmonicCoefficients harmonic_coefficients(const std::vector<double>& values, const Quadrature& rule, int dimension,
                                           int max_degree);

/// Degrees whose coefficient is zero, by symmetry or below what can be told from zero, and degrees
/// where it is nearly so. Relative to the L² norm of g.
struct Vanishing {
  static constexpr double zero_below = 1e-12;   ///< some thousand roundings of the quadrature
  static constexpr double nearly_below = 1e-6;  ///< of g's norm
  std::vector<int> zero;                        ///< |norms_j| ≤ max(zero_below·‖g‖, errors_j)
  std::vector<int> nearly;                      ///< not zero, |norms_j| ≤ nearly_below·‖g‖

  bool is_zero(int degree) const;  ///< whether it is among them
};
/// Which they are.
Vanishing vanishing(const HarmonicCoefficients& coefficients);

}  // namespace entk
