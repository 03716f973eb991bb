// Tiles of neurons against tiles of neurons: each is computed serially, the order of the sums is
// fixed, and threads share out the rows of tiles; processes do, each with its own neurons' rows, and send each other
// the neurons of the columns, a group at a time.
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
#include "entk/kernels/shard.h"
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
  at::Tensor w0{}, v{}, p{};
  std::int64_t first = 0;  // of all processes' rows
  std::int64_t width = 0;  // m
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
  in.p = (in.v * in.w0).sum(1);
  const auto shard = shard_with(w0.size(0) * (rows == Rows::first_half ? 2 : 1));
  in.first = shard.first;
  in.width = shard.width;
  return in;
}

// f of all neurons, in order: of several processes of a group of them at a time.
void for_columns(const Inputs& in, const std::function<void(const Inputs& columns)>& f) {
  if (group().size() == 1) return f(in);
  for (int root = 0; root < group().size(); ++root) {
    const auto from = shard_of(in.width, root, group().size());
    for (std::int64_t at = 0; at < from.count; at += pair_group) {
      const auto count = std::min(pair_group, from.count - at);
      Inputs columns{.first = from.first + at, .width = in.width};
      for (const auto part : {&Inputs::w0, &Inputs::v, &Inputs::p}) {
        auto sizes = (in.*part).sizes().vec();
        sizes[0] = count;
        auto& rows = columns.*part = torch::empty(sizes, torch::kFloat64);
        if (root == group().rank()) rows.copy_((in.*part).narrow(0, at, count));
        spread(rows, root);
      }
      f(columns);
    }
  }
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
//   Σ_s [ α v_s + (β p_s + γ w0_r·v_s) w0_s ] to `sum`, and Σ_s [ β w0_r·v_s + γ p_s ], times w0_r, to `along`.
void add_product_rows(const Evaluator& evaluator, const at::Tensor& w0_i, const Inputs& columns, at::Tensor sum,
                      double* along) {
  for (std::int64_t index = 0; index < tiles_of(columns); ++index) {
    const Range I{0, w0_i.size(0)}, J = range_of(columns, index);
    const auto w0_j = rows_of(columns.w0, J), v_j = rows_of(columns.v, J);
    const double* p_j = columns.p.data_ptr<double>() + J.begin;
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
        load(p_j + s, J.size - s, p);
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
}

// Tile (I, J)'s share of m times the quadratic form:
//   Σ_{r,s} α v_r·v_s + β (p_r w0_r·v_s + v_r·w0_s p_s) + γ (p_r p_s + v_r·w0_s w0_r·v_s).
double quadratic_tile(const Evaluator& evaluator, const Inputs& in, Range I, const Inputs& columns, Range J) {
  const auto w0_i = rows_of(in.w0, I), v_i = rows_of(in.v, I);
  const auto w0_jt = rows_of(columns.w0, J).t(), v_jt = rows_of(columns.v, J).t();
  const double *p_i = in.p.data_ptr<double>() + I.begin, *p_j = columns.p.data_ptr<double>() + J.begin;
  const auto rho_ij = w0_i.mm(w0_jt), gram_ij = v_i.mm(v_jt);    // |I|×|J|
  const auto left_ij = w0_i.mm(v_jt), right_ij = v_i.mm(w0_jt);  // |I|×|J|
  Lanes rho, gram, left, right, p, alpha, beta, gamma;
  double sum = 0.0;
  for (std::int64_t r = 0; r < I.size; ++r) {
    const double p_r = p_i[r];
    Lanes parts{};
    for (std::int64_t s = 0; s < J.size; s += lanes) {
      const std::int64_t at = r * J.size + s, left_over = J.size - s;
      load(rho_ij.data_ptr<double>() + at, left_over, rho);
      load(gram_ij.data_ptr<double>() + at, left_over, gram);
      load(left_ij.data_ptr<double>() + at, left_over, left);
      load(right_ij.data_ptr<double>() + at, left_over, right);
      load(p_j + s, left_over, p);
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
  std::vector<double> sums(static_cast<std::size_t>(tiles_of(in)), 0.0);
  // The form is symmetric: tiles above the diagonal count twice. Long rows of tiles come first.
  for_columns(in, [&](const Inputs& columns) {
    parallel_for(tiles_of(in), [&](std::int64_t i) {
      const SerialTorch here;
      const Range I = range_of(in, i);
      for (std::int64_t j = 0; j < tiles_of(columns); ++j) {
        const Range J = range_of(columns, j);
        const auto right = columns.first + J.begin - (in.first + I.begin);
        if (right < 0) continue;
        sums[i] += (right > 0 ? 2.0 : 1.0) * quadratic_tile(evaluator, in, I, columns, J);
      }
    });
  });
  const auto all = numbers_of_all(sums);
  return std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(in.width);
}

at::Tensor population_product(const PopulationForm& form, const at::Tensor& a, const at::Tensor& w0,
                              const at::Tensor& w, Rows rows) {
  const SerialTorch serial;
  const Inputs in = checked(form, a, w0, w, rows);
  const Evaluator evaluator(form);
  auto sum = torch::zeros_like(in.w0), along = torch::zeros({in.w0.size(0), 1}, torch::kFloat64);
  for_columns(in, [&](const Inputs& columns) {
    parallel_for(tiles_of(in), [&](std::int64_t i) {
      const SerialTorch here;
      const Range I = range_of(in, i);
      add_product_rows(evaluator, rows_of(in.w0, I), columns, rows_of(sum, I), along.data_ptr<double>() + I.begin);
    });
  });
  return (sum + along * in.w0) * (a.detach().to(torch::kFloat64) / static_cast<double>(in.width)).unsqueeze(1);
}

}  // namespace entk
