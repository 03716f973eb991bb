#include "entk/spectrum/harmonic_projector.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/threads.h"
#include "entk/kernels/primitive_parts.h"
#include "entk/kernels/shard.h"
#include "entk/spectrum/activation_spectrum.h"
#include "entk/spectrum/legendre.h"
#include "entk/spectrum/projector_bytes.h"
#include "entk/spectrum/traceless_packing.h"

namespace entk {

namespace {

constexpr int spectrum_degree = 8;
constexpr std::int64_t block = 512;          // rows of a tile. Part of the bits.
constexpr std::int64_t groups_at_once = 16;  // of neurons, for the threads
constexpr std::int64_t points_a_stripe = 1024, points_a_tile = 256;
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
  std::int64_t rank, dimension;
  Shard shard;
  bool twins;
  at::ScalarType dtype;
  Activation activation;
  at::Tensor w0, a;  // this process's rows in float64; of a symmetric start the first half alone
  SigmaSpectrum spectrum;
  PopulationForm form;
  double c, A, B, C, D;  // of the blocks of orthonormal Y
  TracelessPacking packing;
  at::Tensor scale, cholesky;  // s_i = G_ii^(-1/2), and the lower factor of s_i G_ij s_j
  std::vector<std::string> warnings;

  bool cpu() const { return w0.is_cpu(); }
  double root_width() const { return std::sqrt(static_cast<double>(shard.width)); }
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
  at::Tensor weights() const { return a.square() * ((twins ? 2.0 : 1.0) / static_cast<double>(shard.width)); }
  Tiles groups() const { return {w0.size(0), pair_group}; }
  /// Σ over the groups of neurons of all processes, each a matrix.
  template <class Make>
  at::Tensor sum(Make&& make) const {
    return sum_of_groups(shard, groups().count(), make,
                         [](const at::Tensor& to, const at::Tensor& from) { to.add_(from); });
  }

  at::Tensor mean_of_monomial_products() const;
  at::Tensor gram() const;
  /// Δ of a symmetric start, or W: rows of w0, float64.
  at::Tensor distinct(const at::Tensor& w) const {
    const auto v = w.detach().to(at::kDouble);
    const auto half = w0.size(0);
    return twins ? v.narrow(0, 0, half) - v.narrow(0, half, half) : v;
  }
  at::Tensor all_rows(const at::Tensor& first) const { return twins ? at::cat({first, -first}) : first; }
  void check_w(const at::Tensor& w) const { check_matrix("W", w, (twins ? 2 : 1) * w0.size(0), dimension); }
};

// Σ_r (a_r²/m) φ_r φ_rᵀ, φ_r the monomials of w0_r: r×r, exactly symmetric.
at::Tensor HarmonicProjector::State::mean_of_monomial_products() const {
  auto products = at::empty({rank, rank}, w0.options());
  const Tiles across{rank};
  const auto roots = weights().sqrt();
  // Rows by rows: of these as many sums are held as the tree over groups is high.
  for (std::int64_t i = 0; i < across.count(); ++i) {
    const auto first = across.first(i);
    products.narrow(0, first, across.length(i)).narrow(1, first, rank - first).copy_(sum([&](std::int64_t g) {
      // Transposed: its tiles are rows.
      const auto phi = (monomials(groups().of(w0, g)) * groups().of(roots, g).unsqueeze(1)).t().contiguous();
      auto rows = at::empty({across.length(i), rank - first}, w0.options());
      kernels::for_each_tile(cpu(), across.count() - i, [&](std::int64_t right) {
        auto tile = rows.narrow(1, across.first(right), across.length(i + right));
        at::mm_out(tile, across.of(phi, i), across.of(phi, i + right).t());
      });
      return rows;
    }));
  }
  kernels::for_each_tile(cpu(), across.count(), [&](std::int64_t i) {
    // A diagonal tile is made by one product and may differ from its transpose in the last bit.
    auto diagonal = across.of(across.of(products, i), i, 1);
    diagonal.copy_(diagonal.triu() + diagonal.triu(1).t());
    for (std::int64_t j = i + 1; j < across.count(); ++j) {
      across.of(across.of(products, j), i, 1).copy_(across.of(across.of(products, i), j, 1).t());
    }
  });
  return products;
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
  const std::int64_t d = network.dimension();
  const auto shard = shard_with(network.width());
  const auto m = shard.width;
  const int k = harmonic_degree(d, rank);
  const bool twins = network.symmetric();
  if ((twins ? m / 2 : m) * d < rank) {
    throw InputError(fmt::format("projector.rank: {} is above the rank {} that Σ can have at width {}", rank,
                                 (twins ? m / 2 : m) * d, m));
  }
  const std::int64_t rows = twins ? network.width() / 2 : network.width();
  const auto w0 = network.w0.detach().narrow(0, 0, rows).to(at::kDouble).contiguous();
  check_unit_rows(w0);
  auto spectrum = sigma_spectrum(network.activation(), static_cast<int>(d), spectrum_degree);
  const auto check = check_degrees(spectrum, k);
  const auto& b = spectrum.blocks;
  // x_j is orthonormal under the inputs, xᵀMx of tr(M²) = 1 has E[(xᵀMx)²] = 2d/(d+2).
  const double s = std::sqrt((static_cast<double>(d) + 2) / (2 * static_cast<double>(d)));
  auto state = std::make_shared<State>(State{k,
                                             rank,
                                             d,
                                             shard,
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
  kernels::check_constant("w", w);
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto& s = *state_;
  s.check_w(w);
  const auto delta = s.distinct(w);
  const auto groups = s.groups();
  const std::int64_t d = s.dimension, linear = s.degree >= 1 ? 1 + d : 1;
  const auto length = s.degree >= 2 ? linear + d * d : linear;
  at::Tensor sums;  // of the groups that stand together
  const auto all = s.sum([&](std::int64_t g) {
    if (g % groups_at_once == 0) {
      sums = at::empty({std::min(groups_at_once, groups.count() - g), length}, s.w0.options());
      kernels::for_each_tile(s.cpu(), sums.size(0), [&](std::int64_t i) {
        const auto w0 = groups.of(s.w0, g + i), v = groups.of(delta, g + i) * groups.of(s.a, g + i).unsqueeze(1);
        const auto p = (v * w0).sum(1);
        const auto out = sums[i];
        out[0] = s.c * p.sum();
        if (s.degree >= 1) out.narrow(0, 1, d).copy_(s.A * v.sum(0) + s.B * w0.t().mv(p));
        if (s.degree >= 2) {
          out.narrow(0, linear, d * d).copy_(w0.t().mm(v * (2 * s.C) + w0 * (s.D * p).unsqueeze(1)).view(-1));
        }
      });
    }
    return sums.narrow(0, g % groups_at_once, 1);
  })[0];
  std::vector<at::Tensor> parts{all.narrow(0, 0, linear)};
  if (s.degree >= 2) {
    const auto square = all.narrow(0, linear, d * d).view({d, d});
    parts.push_back(s.packing.pack((0.5 * (square + square.t())).unsqueeze(0))[0]);
  }
  return at::cat(parts) / s.root_width();
}

// Row r, times m^(-1/2) a_r: (c g_0 + B g_1·w + D wᵀMw) w + A g_1 + 2C M w.
at::Tensor HarmonicProjector::combine(const at::Tensor& g) const {
  kernels::check_constant("g", g);
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
  kernels::check_constant("g", g);
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
  kernels::check_constant("x", x);
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  const auto& s = *state_;
  check_matrix("x", x, -1, s.dimension);
  const auto points = x.detach().to(s.w0.options()).contiguous();
  const auto weights = s.weights();
  auto out = at::empty({points.size(0), s.rank}, s.w0.options());
  const Tiles stripes{points.size(0), points_a_stripe};
  const auto groups = s.groups();
  for (std::int64_t stripe = 0; stripe < stripes.count(); ++stripe) {
    const auto those = stripes.of(points, stripe);
    const Tiles tiles{those.size(0), points_a_tile};
    // Their r sums, then rowsum(S) and SW0 where the degree asks for them.
    const auto columns = s.rank + (s.degree >= 1 ? 1 : 0) + (s.degree >= 2 ? s.dimension : 0);
    const auto sums = s.sum([&](std::int64_t g) {
      const auto w0 = groups.of(s.w0, g), monomials = s.monomials(w0);
      auto of_group = at::empty({those.size(0), columns}, s.w0.options());
      kernels::for_each_tile(s.cpu(), tiles.count(), [&](std::int64_t t) {
        const auto z = tiles.of(those, t).mm(w0.t());
        const auto slopes = s.activation.derivative(z, 1) * groups.of(weights, g);
        const auto rows = tiles.of(of_group, t);
        // c, B and D come last: they are common factors.
        rows.narrow(1, 0, s.rank).copy_((slopes * z).mm(monomials));
        if (s.degree >= 1) rows.select(1, s.rank).copy_(slopes.sum(1));
        if (s.degree >= 2) rows.narrow(1, s.rank + 1, s.dimension).copy_(slopes.mm(w0));
      });
      return of_group;
    });
    kernels::for_each_tile(s.cpu(), tiles.count(), [&](std::int64_t t) {
      const auto p = tiles.of(those, t), from = tiles.of(sums, t);
      auto rows = tiles.of(stripes.of(out, stripe), t);
      rows.copy_(from.narrow(1, 0, s.rank));
      rows.narrow(1, 0, 1).mul_(s.c);
      if (s.degree >= 1) {
        rows.narrow(1, 1, s.dimension).mul_(s.B).add_(from.narrow(1, s.rank, 1) * p, s.A);
      }
      if (s.degree >= 2) {
        const auto gradient = from.narrow(1, s.rank + 1, s.dimension);
        rows.narrow(1, 1 + s.dimension, s.packing.size()).mul_(s.D).add_(s.packing.rows(p, gradient), 2 * s.C);
      }
    });
  }
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
  kernels::check_constant("v", v);
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
  // G with the tree's open sums of some of its rows over groups of neurons, or with its factor and a copy on the way;
  // monomials of a group, and what packs, scales and turns them. Or the table twice in float64, and its open sums, or a
  // factor each worker (ATen's cholesky_solve copies it).
  const auto group = static_cast<double>(pair_group);
  const double open = 1 + std::floor(std::log2(std::max(1.0, std::ceil((s.twins ? 0.5 : 1.0) * s.width / group))));
  const double gram =
      8 * (r * r + std::max(2 * r * r, open * std::min(r, static_cast<double>(block)) * r) + 7 * group * r + w0);
  const double stripe = std::min(n, static_cast<double>(points_a_stripe)) * (r + d);
  const double table = 8 * (r * r + w0 + n * r +
                            std::max(open * stripe + s.workers * 256.0 * r + 2 * group * r, n * r + s.workers * r * r));
  bytes.making = std::max(gram, n > 0 ? table : 0);
  // W, Δ, 𝓕g, all rows of it and the product with Σ, in float64; the copied factor.
  bytes.at_work = 8 * (r * r + 5 * weights);
  return bytes;
}

}  // namespace entk
