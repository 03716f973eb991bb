#include "entk/spectrum/harmonic_projector.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/spectrum/activation_spectrum.h"
#include "entk/spectrum/legendre.h"
#include "entk/spectrum/projector_bytes.h"
#include "entk/spectrum/traceless_packing.h"

namespace entk {

namespace {

constexpr int spectrum_degree = 8;
constexpr std::int64_t block = 512;  // rows of a tile. Part of the bits.
constexpr std::int64_t most_partial_sums = 16;
constexpr std::int64_t neurons_a_block = 256;
constexpr double smallest_pivot = 1e-12;  // of the scaled G, whose diagonal is 1
constexpr double reported_truncation = 1e-3;

struct Tiles {
  std::int64_t size, rows = block;
  std::int64_t count() const { return (size + rows - 1) / rows; }
  std::int64_t first(std::int64_t tile) const { return tile * rows; }
  std::int64_t length(std::int64_t tile) const { return std::min(rows, size - first(tile)); }
  at::Tensor of(const at::Tensor& t, std::int64_t tile, std::int64_t dimension = 0) const {
    return t.narrow(dimension, first(tile), length(tile));
  }
};

void check_unit_rows(const at::Tensor& w0) {
  const auto norms = w0.square().sum(1);
  const auto off = (norms - 1).abs();
  if (off.max().item<double>() <= 1e-5) return;  // float32 rows are of unit norm to 1e-7
  const auto row = off.argmax().item<std::int64_t>();
  throw InputError(fmt::format("W0: the harmonic projector needs rows of unit norm, and row {} has norm {}", row,
                               std::sqrt(norms[row].item<double>())));
}

}  // namespace

struct HarmonicProjector::State {
  int degree;
  std::int64_t rank, width, dimension;
  bool twins;
  at::ScalarType dtype;
  Activation activation;
  at::Tensor w0, a;  // float64; of a symmetric start the first half alone
  SigmaSpectrum spectrum;
  PopulationForm form;
  double c, A, B, C, D;  // of the blocks of orthonormal Y
  TracelessPacking packing;
  at::Tensor scale, cholesky;  // s_i = G_ii^(-1/2), and the lower factor of s_i G_ij s_j
  std::vector<std::string> warnings;

  bool cpu() const { return w0.is_cpu(); }
  double root_width() const { return std::sqrt(static_cast<double>(width)); }
  at::Tensor part(const at::Tensor& g, int l) const {
    return l == 0 ? g.narrow(0, 0, 1) : l == 1 ? g.narrow(0, 1, dimension) : g.narrow(0, 1 + dimension, packing.size());
  }
  /// (1, w, pack(wwᵀ)), up to the degree: rows×r.
  at::Tensor monomials(const at::Tensor& rows) const {
    std::vector<at::Tensor> parts{at::ones({rows.size(0), 1}, rows.options())};
    if (degree >= 1) parts.push_back(rows);
    if (degree >= 2) parts.push_back(packing.rows(rows, rows));
    return at::cat(parts, 1);
  }
  /// a_r²/m, twins counted together.
  at::Tensor weights() const { return a.square() * ((twins ? 2.0 : 1.0) / static_cast<double>(width)); }

  at::Tensor mean_of_monomial_products() const;
  at::Tensor gram() const;
  /// Δ of a symmetric start, or W: rows of w0, float64.
  at::Tensor distinct(const at::Tensor& w) const {
    const auto v = w.detach().to(at::kDouble);
    return twins ? v.narrow(0, 0, width / 2) - v.narrow(0, width / 2, width / 2) : v;
  }
  at::Tensor all_rows(const at::Tensor& first) const { return twins ? at::cat({first, -first}) : first; }
  void check_w(const at::Tensor& w) const { check_matrix("W", w, width, dimension); }
};

// Σ_r (a_r²/m) φ_r φ_rᵀ, φ_r the monomials of w0_r: r×r, exactly symmetric.
at::Tensor HarmonicProjector::State::mean_of_monomial_products() const {
  auto sum = at::zeros({rank, rank}, w0.options());
  const Tiles across{rank}, neurons{w0.size(0)};
  std::vector<std::pair<std::int64_t, std::int64_t>> pairs;
  for (std::int64_t i = 0; i < across.count(); ++i) {
    for (std::int64_t j = i; j < across.count(); ++j) pairs.emplace_back(i, j);
  }
  const auto roots = weights().sqrt();
  auto phi = at::empty({rank, std::min(block, w0.size(0))}, w0.options());  // transposed: its tiles are rows
  for (std::int64_t t = 0; t < neurons.count(); ++t) {
    const auto now = phi.narrow(1, 0, neurons.length(t));
    now.copy_((monomials(neurons.of(w0, t)) * neurons.of(roots, t).unsqueeze(1)).t());
    kernels::for_each_tile(cpu(), static_cast<std::int64_t>(pairs.size()), [&](std::int64_t p) {
      const auto [i, j] = pairs[p];
      across.of(across.of(sum, i), j, 1).addmm_(across.of(now, i), across.of(now, j).t());
    });
  }
  kernels::for_each_tile(cpu(), across.count(), [&](std::int64_t i) {
    // A diagonal tile is made by one product and may differ from its transpose in the last bit.
    auto diagonal = across.of(across.of(sum, i), i, 1);
    diagonal.copy_(diagonal.triu() + diagonal.triu(1).t());
    for (std::int64_t j = i + 1; j < across.count(); ++j) {
      across.of(across.of(sum, j), i, 1).copy_(across.of(across.of(sum, i), j, 1).t());
    }
  });
  return sum;
}

// G = 𝓕ᵀ𝓕 from the moments of W0's rows.
at::Tensor HarmonicProjector::State::gram() const {
  auto g = mean_of_monomial_products();
  const double mass = g[0][0].item<double>();
  if (degree == 0) return g.mul_(c * c);
  const auto mean = part(g[0], 1).clone();                  // E w
  const auto second = part(part(g, 1).t(), 1).t().clone();  // E wwᵀ
  const auto block_of = [&](int k, int l) { return part(part(g, k).t(), l).t(); };
  g[0][0].mul_(c * c);
  block_of(0, 1).mul_(c * (A + B));
  block_of(1, 1).mul_(2 * A * B + B * B).diagonal().add_(A * A * mass);
  if (degree >= 2) {
    block_of(0, 2).mul_(c * (2 * C + D));
    // Row j: pack of ½(e_j meanᵀ + mean e_jᵀ), which maps M to (M mean)_j.
    const auto identity = at::eye(dimension, w0.options());
    block_of(1, 2)
        .mul_(A * D + 2 * B * C + B * D)
        .add_(packing.rows(identity, mean.expand({dimension, dimension})), 2 * A * C);
    auto quadratic = block_of(2, 2);
    quadratic.mul_(4 * C * D + D * D);
    // Row M: pack of ½(M E wwᵀ + E wwᵀ M).
    const Tiles rows{packing.size(), 64};
    kernels::for_each_tile(cpu(), rows.count(), [&](std::int64_t t) {
      auto basis = at::zeros({rows.length(t), packing.size()}, w0.options());
      basis.diagonal(rows.first(t)).fill_(1.0);
      const auto product = at::matmul(packing.unpack(basis), second);
      rows.of(quadratic, t).add_(packing.pack(product + product.transpose(1, 2)), 2 * C * C);
    });
    block_of(2, 1).copy_(block_of(1, 2).t());
    block_of(2, 0).copy_(block_of(0, 2).t());
  }
  block_of(1, 0).copy_(block_of(0, 1).t());
  return g;
}

int harmonic_degree(std::int64_t dimension, std::int64_t rank) {
  if (dimension < 2)
    throw InputError(fmt::format("dimension: the harmonic projector needs at least 2, got {}", dimension));
  const int d = static_cast<int>(dimension);
  for (int k = 0; k <= 2; ++k) {
    if (exact_cumulative_multiplicity(d, k) == rank) return k;
  }
  throw InputError(fmt::format(
      "projector.rank: the harmonic projector has rank n_0 = 1, n_1 = {} or n_2 = {} in dimension {}, got {}",
      dimension + 1, cumulative_multiplicity(d, 2), dimension, rank));
}

HarmonicProjector HarmonicProjector::make(const NetworkImpl& network, std::int64_t rank) {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const std::int64_t d = network.dimension(), m = network.width();
  const int k = harmonic_degree(d, rank);
  const bool twins = network.symmetric();
  const std::int64_t rows = twins ? m / 2 : m;
  if (rows * d < rank) {
    throw InputError(
        fmt::format("projector.rank: {} is above the rank {} that Σ can have at width {}", rank, rows * d, m));
  }
  const auto w0 = network.w0.detach().narrow(0, 0, rows).to(at::kDouble).contiguous();
  check_unit_rows(w0);
  auto spectrum = sigma_spectrum(network.activation(), static_cast<int>(d), spectrum_degree);
  const auto check = check_degrees(spectrum, k);
  const auto& b = spectrum.blocks;
  // x_j is orthonormal under the inputs, xᵀMx of tr(M²) = 1 has E[(xᵀMx)²] = 2d/(d+2).
  const double s = std::sqrt((static_cast<double>(d) + 2) / (2 * static_cast<double>(d)));
  auto state = std::make_shared<State>(State{k,
                                             rank,
                                             m,
                                             d,
                                             twins,
                                             network.w0.scalar_type(),
                                             network.activation(),
                                             w0,
                                             network.a.detach().narrow(0, 0, rows).to(at::kDouble).contiguous(),
                                             spectrum,
                                             population_form(network.activation(), static_cast<int>(d)),
                                             b.c,
                                             b.A,
                                             b.B,
                                             s * b.C,
                                             s * b.D,
                                             TracelessPacking(k >= 2 ? d : 1),
                                             {},
                                             {},
                                             spectrum.warnings});
  state->packing.to(w0.device());
  const double largest = *std::max_element(spectrum.lambda.begin(), spectrum.lambda.end());
  for (int l = 0; l <= k; ++l) {
    if (!(spectrum.lambda[l] > 1e-22 * largest)) {
      throw InputError(
          fmt::format("projector.rank: {} needs degree {}, whose eigenvalue vanishes for {}: Σ has no such directions",
                      rank, l, network.activation().name));
    }
  }
  state->warnings.insert(state->warnings.end(), check.warnings.begin(), check.warnings.end());
  if (std::fabs(state->form.truncation.trace) > reported_truncation) {
    state->warnings.push_back(fmt::format("population R1 and R2 leave out {:.1e} of tr Σ, the degrees above {}",
                                          state->form.truncation.trace, state->form.alpha.size() - 1));
  }
  auto g = state->gram();
  state->scale = g.diagonal().rsqrt();
  g.mul_(state->scale).mul_(state->scale.unsqueeze(1));
  const auto result = at::linalg_cholesky_ex(g);
  const at::Tensor factor = std::get<0>(result), info = std::get<1>(result);
  const bool definite = info.item<std::int64_t>() == 0 && at::isfinite(factor.diagonal()).all().item<bool>();
  if (!definite || factor.diagonal().square().min().item<double>() < smallest_pivot) {
    throw InputError(
        fmt::format("projector.rank: {} is above the numerical rank of the harmonic blocks of degree ≤ {} at width {}",
                    rank, k, m));
  }
  state->cholesky = factor;
  return HarmonicProjector(state);
}

std::int64_t HarmonicProjector::rank() const { return state_->rank; }
int HarmonicProjector::degree() const { return state_->degree; }
const SigmaSpectrum& HarmonicProjector::spectrum() const { return state_->spectrum; }
const PopulationForm& HarmonicProjector::form() const { return state_->form; }
const std::vector<std::string>& HarmonicProjector::warnings() const { return state_->warnings; }

// With V = diag(a)Δ and p_r = v_r·w0_r, times m^(-1/2):
//   degree 0: c Σ p_r,  degree 1: A Σ v_r + B Σ p_r w0_r,  degree 2: pack of W0ᵀ(2C V + D diag(p) W0).
at::Tensor HarmonicProjector::moments(const at::Tensor& w) const {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto& s = *state_;
  s.check_w(w);
  const auto delta = s.distinct(w);
  const std::int64_t rows = delta.size(0);
  const Tiles tiles{rows, std::max(block, (rows + most_partial_sums - 1) / most_partial_sums)};
  std::vector<at::Tensor> linear(tiles.count()), square(tiles.count());
  kernels::for_each_tile(s.cpu(), tiles.count(), [&](std::int64_t t) {
    const auto w0 = tiles.of(s.w0, t), v = tiles.of(delta, t) * tiles.of(s.a, t).unsqueeze(1);
    const auto p = (v * w0).sum(1);
    std::vector<at::Tensor> parts{s.c * p.sum(0, true)};
    if (s.degree >= 1) parts.push_back(s.A * v.sum(0) + s.B * w0.t().mv(p));
    linear[t] = at::cat(parts);
    if (s.degree >= 2) square[t] = w0.t().mm(v * (2 * s.C) + w0 * (s.D * p).unsqueeze(1));
  });
  for (std::size_t t = 1; t < linear.size(); ++t) {
    linear[0] += linear[t];
    if (s.degree >= 2) square[0] += square[t];
  }
  std::vector<at::Tensor> parts{linear[0]};
  if (s.degree >= 2) parts.push_back(s.packing.pack((0.5 * (square[0] + square[0].t())).unsqueeze(0))[0]);
  return at::cat(parts) / s.root_width();
}

// Row r, times m^(-1/2) a_r: (c g_0 + B g_1·w + D wᵀMw) w + A g_1 + 2C M w.
at::Tensor HarmonicProjector::combine(const at::Tensor& g) const {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto& s = *state_;
  check_vector("g", g, s.rank);
  const auto coefficients = g.detach().to(at::kDouble);
  auto out = at::empty_like(s.w0);
  at::Tensor quadratic;
  if (s.degree >= 2) quadratic = s.packing.unpack(s.part(coefficients, 2).unsqueeze(0))[0];
  const Tiles tiles{s.w0.size(0)};
  kernels::for_each_tile(s.cpu(), tiles.count(), [&](std::int64_t t) {
    const auto w0 = tiles.of(s.w0, t);
    auto along = (s.c * s.part(coefficients, 0)).expand({w0.size(0)});
    at::Tensor across;
    if (s.degree >= 1) {
      along = along + s.B * w0.mv(s.part(coefficients, 1));
      across = s.A * s.part(coefficients, 1);
    }
    if (s.degree >= 2) {
      const auto mw = w0.mm(quadratic);
      along = along + s.D * (mw * w0).sum(1);
      across = across + 2 * s.C * mw;
    }
    auto rows = w0 * along.unsqueeze(1);
    if (across.defined()) rows = rows + across;
    tiles.of(out, t).copy_(rows * (tiles.of(s.a, t) / s.root_width()).unsqueeze(1));
  });
  return s.all_rows(out);
}

at::Tensor HarmonicProjector::solve(const at::Tensor& g) const {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto& s = *state_;
  if (!g.defined() || g.dim() < 1 || g.dim() > 2 || g.size(0) != s.rank || g.numel() == 0) check_vector("g", g, s.rank);
  const auto right = g.detach().to(at::kDouble).reshape({s.rank, -1});
  auto out = at::empty({right.size(1), s.rank}, right.options());  // transposed
  const Tiles columns{right.size(1), 64};
  kernels::for_each_tile(s.cpu(), columns.count(), [&](std::int64_t t) {
    const auto scaled = (columns.of(right, t, 1) * s.scale.unsqueeze(1));
    columns.of(out, t).copy_((at::cholesky_solve(scaled, s.cholesky) * s.scale.unsqueeze(1)).t());
  });
  return out.t().reshape(g.sizes());
}

at::Tensor HarmonicProjector::low(const at::Tensor& w) const { return combine(solve(moments(w))); }
at::Tensor HarmonicProjector::high(const at::Tensor& w) const { return w.detach().to(at::kDouble) - low(w); }

// With S = σ'(XW0ᵀ) diag(a²/m) and Z = XW0ᵀ:
//   degree 0: c rowsum(S∘Z),  degree 1: A rowsum(S) X + B (S∘Z)W0,
//   degree 2: 2C pack(½(x gᵀ + g xᵀ)) for the rows g of SW0, plus D (S∘Z) times the rows pack(w0 w0ᵀ).
at::Tensor HarmonicProjector::features(const at::Tensor& x) const {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto& s = *state_;
  check_matrix("x", x, -1, s.dimension);
  const auto points = x.detach().to(s.w0.options()).contiguous();
  const auto weights = s.weights();
  auto out = at::zeros({points.size(0), s.rank}, s.w0.options());
  const Tiles tiles{points.size(0), 256}, neurons{s.w0.size(0), neurons_a_block};
  kernels::for_each_tile(s.cpu(), tiles.count(), [&](std::int64_t t) {
    const auto p = tiles.of(points, t);
    auto rows = tiles.of(out, t);
    auto gradient = at::zeros_like(p), total = at::zeros({p.size(0), 1}, p.options());
    for (std::int64_t k = 0; k < neurons.count(); ++k) {
      const auto w0 = neurons.of(s.w0, k);
      const auto z = p.mm(w0.t());
      const auto slopes = s.activation.derivative(z, 1) * neurons.of(weights, k);
      rows.addmm_(slopes * z, s.monomials(w0));  // c, B and D come last: they are common factors
      if (s.degree >= 1) total += slopes.sum(1, true);
      if (s.degree >= 2) gradient.addmm_(slopes, w0);
    }
    rows.narrow(1, 0, 1).mul_(s.c);
    if (s.degree >= 1) rows.narrow(1, 1, s.dimension).mul_(s.B).add_(total * p, s.A);
    if (s.degree >= 2) {
      rows.narrow(1, 1 + s.dimension, s.packing.size()).mul_(s.D).add_(s.packing.rows(p, gradient), 2 * s.C);
    }
  });
  return out;
}

at::Tensor HarmonicProjector::transfer(const at::Tensor& x) const {
  return solve(features(x).t()).t().to(state_->dtype).contiguous();
}

double HarmonicProjector::population_energy(const at::Tensor& v) const {
  const auto& s = *state_;
  s.check_w(v);
  return population_quadratic_form(s.form, s.a.cpu(), s.w0.cpu(), s.distinct(v).cpu(),
                                   s.twins ? Rows::first_half : Rows::all);
}

at::Tensor HarmonicProjector::population_product(const at::Tensor& v) const {
  const auto& s = *state_;
  s.check_w(v);
  const auto first = entk::population_product(s.form, s.a.cpu(), s.w0.cpu(), s.distinct(v).cpu(),
                                              s.twins ? Rows::first_half : Rows::all);
  return s.all_rows(first).to(v.device());
}

ProjectorBytes harmonic_projector_bytes(const ProjectorSizes& s) {
  const auto n = static_cast<double>(s.points), r = static_cast<double>(s.rank), d = static_cast<double>(s.dimension);
  const double weights = static_cast<double>(s.width) * d, w0 = s.twins ? weights / 2 : weights;
  ProjectorBytes bytes;
  // Cholesky's factor, W0 in float64, and the table.
  bytes.kept = 8 * (r * r + w0) + n * r * s.element_size;
  // G, its factor and a copy on the way, monomials of a tile; or the table twice in float64, and a factor each worker
  // (ATen's cholesky_solve copies it) with its monomials.
  const double gram = 8 * (3 * r * r + static_cast<double>(block) * 3 * r + w0);
  const double a_worker = r * r + 3 * static_cast<double>(neurons_a_block) * r;
  const double table = 8 * (r * r + w0 + 2 * n * r + s.workers * a_worker);
  bytes.making = std::max(gram, n > 0 ? table : 0);
  // W, Δ, 𝓕g, all rows of it and the product with Σ, in float64; the copied factor.
  bytes.at_work = 8 * (r * r + 5 * weights);
  return bytes;
}

}  // namespace entk
