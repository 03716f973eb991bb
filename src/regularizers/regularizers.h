// The paper's regularizers R1 to R4 (16)–(19), (24)–(27), on a precomputed projector of Σ.
#pragma once

#include <array>

#include "entk/regularizers/term.h"
#include "entk/spectrum/harmonic_projector.h"
#include "entk/spectrum/sigma_projector.h"

namespace entk {

/// R1 = E_μ[f_L(x; Π_{>r}W)²] (16)(24), over the points that made the projector:
/// ‖(I − U_kU_kᵀ) f_L(X;W)‖²/N. Biased low there (docs/mathematics.md); with a projector from the
/// training inputs' own features it is R3. Keeps movement out of the medium directions Q2.
Term R1(const SigmaProjector& sigma);
/// R2 = E_μ[f_L(x; Π_{≤r}W)²] (17)(25), over the same points: ‖U_kᵀ f_L(X;W)‖²/N.
Term R2(const SigmaProjector& sigma);
/// R3 = E_n[f_L(x; Π_{>r}W)²] (18)(26), over the training inputs. Made by the training inputs' own
/// features: ‖(I − U_kU_kᵀ) f_L(X;W)‖²/n.
Term R3(const SigmaProjector& sigma);
/// R3 for a projector from other points than the training inputs x:
/// ‖f_L(x;W) − K(x,X_u) U_k S_k^(-2) U_kᵀ f_L(X_u;W)‖²/n. The n×r table is made here, once.
Term R3(const SigmaProjector& sigma, const Expandable& of, const at::Tensor& x);
/// R4 = ‖W‖_{2,4}^8 = (Σ_r ‖w_r‖⁴)² (19)(27), of two-layer networks alone. Of degree 8: its scale is wild.
Term R4();

/// R1 at other points than the projector's: ‖f_L(x;W) − K(x,X) U_k S_k^(-2) U_kᵀ f_L(X;W)‖²/N with X the
/// projector's points. Unbiased for that projector where x are drawn independently of it.
Term R1_at(const SigmaProjector& sigma, const Expandable& of, const at::Tensor& x);
/// The same on the fresh inputs that `draw` gives at every step, as the paper's experiment estimates it
/// (Appendix G: 100 of them). K(x,X) is made anew each step.
Term R1_fresh(const SigmaProjector& sigma, std::function<at::Tensor(std::int64_t step)> draw);

/// In population, by the projector in closed form: E over the sphere itself, no sample. R1 and R2 are
/// quadratic forms vec(V)ᵀΣvec(V) of V = Π_{>r}W and Π_{≤r}W, exact up to the truncation of
/// sigma.form(); each evaluation goes through the pairs of neurons, O(m²d).
Term R1(const HarmonicProjector& sigma);
/// As R1 here.
Term R2(const HarmonicProjector& sigma);
/// R3 at the training inputs x, with that projector: ‖f_L(x;W) − (Φ𝓕G^(-1)) 𝓕ᵀvec(W)‖²/n. The n×r table
/// is made here, once.
Term R3(const HarmonicProjector& sigma, const at::Tensor& x);

/// R1 to R4 at once, `of` being the network or model->expanded(), weighted by λ1 … λ4; x are the training inputs. All
/// four are present, so that a record can show them, whatever the weights.
std::vector<Term> paper_regularizers(const SigmaProjector& sigma, const Expandable& of, const at::Tensor& x,
                                     const std::array<double, 4>& lambda);
/// The same, R1 and R2 in population.
std::vector<Term> paper_regularizers(const HarmonicProjector& sigma, const at::Tensor& x,
                                     const std::array<double, 4>& lambda);

}  // namespace entk
