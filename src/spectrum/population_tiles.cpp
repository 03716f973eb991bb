// Tiles of neurons against tiles of neurons: each is computed serially, the order of the sums is
// fixed, and threads share out the rows of tiles.
#include "entk/spectrum/population_form.h"

#include <torch/types.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "entk/base/error.h"
#include "entk/base/threads.h"
#include "entk/spectrum/population_evaluator.h"

namespace entk {

namespace {

using population::Evaluator;
using population::Lanes;
using population::lanes;
using population::load;

constexpr std::int64_t tile = 128;  // rows; the tile² buffers of one step stay in L2. Part of the bits.

// W0, V = diag(a)W in float64, contiguous, and p_r = v_r·w0_r: a enters Σ through V alone.
struct Inputs {
  at::Tensor w0, v;
  std::vector<double> p;
  double width;  // m
};

Inputs checked(const PopulationForm& form, const at::Tensor& a, const at::Tensor& w0, const at::Tensor& w, Rows rows) {
  const auto expect = [](bool holds, const char* name, const std::string& wanted, const at::Tensor& got) {
    if (holds) return;
    throw InputError(fmt::format("population form: {}: expected {}, got {} of shape [{}] on {}", name, wanted,
                                 got.defined() ? c10::toString(got.scalar_type()) : "nothing",
                                 got.defined() ? fmt::format("{}", fmt::join(got.sizes(), ", ")) : "",
                                 got.defined() ? got.device().str() : "no device"));
  };
  const auto usable = [](const at::Tensor& t) { return t.defined() && t.device().is_cpu() && t.is_floating_point(); };
  expect(usable(w0) && w0.dim() == 2 && w0.size(0) > 0 && w0.size(1) == form.dimension, "w0",
         fmt::format("floating rows×{} on the cpu, with rows", form.dimension), w0);
  expect(usable(a) && a.dim() == 1 && a.size(0) == w0.size(0), "a", fmt::format("floating [{}] on the cpu", w0.size(0)),
         a);
  expect(usable(w) && w.sizes() == w0.sizes(), "w",
         fmt::format("floating [{}, {}] on the cpu", w0.size(0), form.dimension), w);
  Inputs in;
  in.w0 = w0.detach().to(torch::kFloat64).contiguous();
  in.v = (a.detach().to(torch::kFloat64).unsqueeze(1) * w.detach().to(torch::kFloat64)).contiguous();
  const auto norms = in.w0.square().sum(1);
  const double worst = (norms - 1).abs().max().item<double>();
  if (!(worst <= 1e-5)) {  // float32 rows are of unit norm to 1e-7
    const auto row = (norms - 1).abs().nan_to_num(INFINITY).argmax().item<std::int64_t>();
    throw InputError(fmt::format("population form: w0: expected rows of unit norm, got ‖w0_{}‖² = {}", row,
                                 norms[row].item<double>()));
  }
  const auto p = (in.v * in.w0).sum(1);
  in.p.assign(p.data_ptr<double>(), p.data_ptr<double>() + p.numel());
  in.width = static_cast<double>(w0.size(0)) * (rows == Rows::first_half ? 2 : 1);
  return in;
}

struct Range {
  std::int64_t begin, size;
};
std::int64_t tiles_of(const Inputs& in) { return (in.w0.size(0) + tile - 1) / tile; }
Range range_of(const Inputs& in, std::int64_t index) {
  return {index * tile, std::min(tile, in.w0.size(0) - index * tile)};
}
at::Tensor rows_of(const at::Tensor& t, Range range) { return t.narrow(0, range.begin, range.size); }

// Rows I of ΣW, times m and without a: for each tile J of columns
//   Σ_s [ α v_s + (β p_s + γ w0_r·v_s) w0_s ] + w0_r Σ_s [ β w0_r·v_s + γ p_s ].
at::Tensor product_rows(const Evaluator& evaluator, const Inputs& in, Range I) {
  const auto w0_i = rows_of(in.w0, I);
  auto sum = torch::zeros_like(w0_i);
  std::vector<double> along(I.size, 0.0);
  for (std::int64_t index = 0; index < tiles_of(in); ++index) {
    const Range J = range_of(in, index);
    const auto w0_j = rows_of(in.w0, J), v_j = rows_of(in.v, J);
    auto first = w0_i.mm(w0_j.t());  // |I|×|J|: ρ, then α
    auto second = w0_i.mm(v_j.t());  // |I|×|J|: w0_r·v_s, then the factor of w0_s
    double *x = first.data_ptr<double>(), *y = second.data_ptr<double>();
    Lanes rho, projection, p, alpha, beta, gamma;
    for (std::int64_t r = 0; r < I.size; ++r) {
      Lanes parts{};
      for (std::int64_t s = 0; s < J.size; s += lanes) {
        const std::int64_t at = r * J.size + s;
        const int count = load(x + at, J.size - s, rho);
        load(y + at, J.size - s, projection);
        load(in.p.data() + J.begin + s, J.size - s, p);
        evaluator(rho, alpha, beta, gamma);
        for (int i = 0; i < lanes; ++i) parts[i] += beta[i] * projection[i] + gamma[i] * p[i];
        for (int i = 0; i < lanes; ++i) beta[i] = beta[i] * p[i] + gamma[i] * projection[i];
        std::copy_n(alpha.begin(), count, x + at);
        std::copy_n(beta.begin(), count, y + at);
      }
      along[r] += std::accumulate(parts.begin(), parts.end(), 0.0);
    }
    sum.addmm_(first, v_j).addmm_(second, w0_j);
  }
  return sum + torch::from_blob(along.data(), {I.size, 1}, torch::kFloat64) * w0_i;
}

// Tile (I, J)'s share of m times the quadratic form:
//   Σ_{r,s} α v_r·v_s + β (p_r w0_r·v_s + v_r·w0_s p_s) + γ (p_r p_s + v_r·w0_s w0_r·v_s).
double quadratic_tile(const Evaluator& evaluator, const Inputs& in, Range I, Range J) {
  const auto w0_i = rows_of(in.w0, I), v_i = rows_of(in.v, I);
  const auto w0_jt = rows_of(in.w0, J).t(), v_jt = rows_of(in.v, J).t();
  const auto rho_ij = w0_i.mm(w0_jt), gram_ij = v_i.mm(v_jt);    // |I|×|J|
  const auto left_ij = w0_i.mm(v_jt), right_ij = v_i.mm(w0_jt);  // |I|×|J|
  Lanes rho, gram, left, right, p, alpha, beta, gamma;
  double sum = 0.0;
  for (std::int64_t r = 0; r < I.size; ++r) {
    const double p_r = in.p[I.begin + r];
    Lanes parts{};
    for (std::int64_t s = 0; s < J.size; s += lanes) {
      const std::int64_t at = r * J.size + s, left_over = J.size - s;
      load(rho_ij.data_ptr<double>() + at, left_over, rho);
      load(gram_ij.data_ptr<double>() + at, left_over, gram);
      load(left_ij.data_ptr<double>() + at, left_over, left);
      load(right_ij.data_ptr<double>() + at, left_over, right);
      load(in.p.data() + J.begin + s, left_over, p);
      evaluator(rho, alpha, beta, gamma);
      for (int i = 0; i < lanes; ++i) {
        parts[i] += alpha[i] * gram[i] + beta[i] * (p_r * left[i] + right[i] * p[i]) +
                    gamma[i] * (p_r * p[i] + right[i] * left[i]);
      }
    }
    sum += std::accumulate(parts.begin(), parts.end(), 0.0);
  }
  return sum;
}

}  // namespace

double population_quadratic_form(const PopulationForm& form, const at::Tensor& a, const at::Tensor& w0,
                                 const at::Tensor& w, Rows rows) {
  const SerialTorch serial;
  const Inputs in = checked(form, a, w0, w, rows);
  const Evaluator evaluator(form);
  const std::int64_t count = tiles_of(in);
  std::vector<double> sums(count, 0.0);
  // The form is symmetric: tiles above the diagonal count twice. Long rows of tiles come first.
  parallel_for(count, [&](std::int64_t i) {
    const SerialTorch here;
    for (std::int64_t j = i; j < count; ++j) {
      sums[i] += (j > i ? 2.0 : 1.0) * quadratic_tile(evaluator, in, range_of(in, i), range_of(in, j));
    }
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0) / in.width;
}

at::Tensor population_product(const PopulationForm& form, const at::Tensor& a, const at::Tensor& w0,
                              const at::Tensor& w, Rows rows) {
  const SerialTorch serial;
  const Inputs in = checked(form, a, w0, w, rows);
  const Evaluator evaluator(form);
  std::vector<at::Tensor> parts(tiles_of(in));
  parallel_for(tiles_of(in), [&](std::int64_t i) {
    const SerialTorch here;
    parts[i] = product_rows(evaluator, in, range_of(in, i));
  });
  return torch::cat(parts) * (a.detach().to(torch::kFloat64) / in.width).unsqueeze(1);
}

}  // namespace entk
