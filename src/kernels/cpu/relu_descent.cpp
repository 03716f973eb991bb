#include "entk/kernels/cpu/relu_descent.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "entk/base/check.h"
#include "entk/base/philox.h"
#include "entk/base/threads.h"
#include "entk/kernels/cpu/aligned_buffer.h"
#include "entk/kernels/cpu/tile_kernels.h"

namespace entk {

namespace {

using kernels::AlignedBuffer;
using kernels::feature_block;
using kernels::sample_block;
using kernels::tile_columns;

/// Rows whose hidden layer is made at a time: it stays in the first cache levels.
constexpr std::int64_t rows_at_once = 8 * sample_block;
/// Parts of the sample with a gradient of their own, summed by a fixed tree: bounds their memory.
constexpr std::int64_t most_parts = 64, least_rows_a_part = 10 * rows_at_once;

template <class T>
class FusedReluDescent final : public ReluDescent {
 public:
  FusedReluDescent(const at::Tensor& x, const at::Tensor& y, const ReluWeights& start, double learning_rate)
      : kernels_(kernels::tile_kernels<T>(kernels::selected_isa())),
        n_(x.size(0)),
        d_(x.size(1)),
        m_(start.w.size(0)),
        features_(d_ + 1),
        tiles_((m_ + tile_columns - 1) / tile_columns),
        padded_((n_ + sample_block - 1) / sample_block * sample_block),
        rate_(static_cast<T>(learning_rate)) {
    const std::int64_t blocks = (padded_ + rows_at_once - 1) / rows_at_once;
    const std::int64_t blocks_a_part =
        std::max(least_rows_a_part / rows_at_once, (blocks + most_parts - 1) / most_parts);
    part_rows_ = blocks_a_part * rows_at_once;
    parts_ = (padded_ + part_rows_ - 1) / part_rows_;
    pack(x.contiguous(), y.contiguous());
    load(start);
    gradients_ = AlignedBuffer<T>(static_cast<std::size_t>(parts_ * stride()));
    losses_.resize(static_cast<std::size_t>(parts_));
  }

  void step() override {
    scratch_.resize(std::max<std::size_t>(scratch_.size(), static_cast<std::size_t>(threads())));
    parallel_for_workers(parts_, [this](std::int64_t part, int worker) { sweep(part, scratch_[worker]); });
    for (std::int64_t apart = 1; apart < parts_; apart *= 2) {
      for (std::int64_t i = 0; i + apart < parts_; i += 2 * apart) {
        kernels_.add(size(), gradients_.data() + (i + apart) * stride(), gradients_.data() + i * stride());
        losses_[i] += losses_[i + apart];
      }
    }
    loss_ = losses_[0] / static_cast<double>(n_);
    kernels_.update(size(), rate_, gradients_.data(), nullptr, nullptr, weights_.data());
  }

  double loss() const override { return loss_; }

  ReluWeights weights() const override {
    const auto options = at::TensorOptions(c10::CppTypeToScalarType<T>::value);
    ReluWeights out{at::empty({m_, d_}, options), at::empty({m_}, options), at::empty({m_}, options),
                    at::empty({1}, options)};
    visit([](T& from, T& to) { to = from; }, out);
    return out;
  }

 private:
  struct Scratch {
    AlignedBuffer<T> z, out, g;
  };

  // One flat array of weights, and one of gradients a part: tiles of [feature][64] with b as the last
  // feature (every x ends in 1), then a, then c.
  std::int64_t tile_size() const { return features_ * tile_columns; }
  std::int64_t at_a() const { return tiles_ * tile_size(); }
  std::int64_t at_c() const { return at_a() + tiles_ * tile_columns; }
  std::int64_t size() const { return at_c() + 1; }
  std::int64_t stride() const { return (size() + 15) / 16 * 16; }

  /// f(entry of weights_, entry of the tensors) for every weight.
  template <class F>
  void visit(F&& f, const ReluWeights& tensors) const {
    T* flat = const_cast<T*>(weights_.data());
    T *w = tensors.w.template data_ptr<T>(), *b = tensors.b.template data_ptr<T>(),
      *a = tensors.a.template data_ptr<T>();
    for (std::int64_t r = 0; r < m_; ++r) {
      T* tile = flat + r / tile_columns * tile_size() + r % tile_columns;
      for (std::int64_t k = 0; k < d_; ++k) f(tile[k * tile_columns], w[r * d_ + k]);
      f(tile[d_ * tile_columns], b[r]);
      f(flat[at_a() + r], a[r]);
    }
    f(flat[at_c()], tensors.c.template data_ptr<T>()[0]);
  }

  void load(const ReluWeights& start) {
    weights_ = AlignedBuffer<T>(static_cast<std::size_t>(stride()));
    visit([](T& to, T& from) { to = from; },
          {start.w.contiguous(), start.b.contiguous(), start.a.contiguous(), start.c.contiguous()});
  }

  void pack(const at::Tensor& x, const at::Tensor& y) {
    const std::int64_t pieces = (features_ + feature_block - 1) / feature_block;
    x_forward_ = AlignedBuffer<T>(static_cast<std::size_t>(padded_ * features_));
    x_backward_ = AlignedBuffer<T>(static_cast<std::size_t>(pieces * padded_ * feature_block));
    const T* rows = x.template const_data_ptr<T>();
    for (std::int64_t i = 0; i < n_; ++i) {
      for (std::int64_t k = 0; k < features_; ++k) {
        const T value = k < d_ ? rows[i * d_ + k] : T(1);
        x_forward_.data()[i / sample_block * sample_block * features_ + k * sample_block + i % sample_block] = value;
        x_backward_.data()[(k / feature_block * padded_ + i) * feature_block + k % feature_block] = value;
      }
    }
    const T* targets = y.template const_data_ptr<T>();
    y_.assign(targets, targets + n_);
  }

  /// The gradient's share of one part of the sample, and its loss.
  void sweep(std::int64_t part, Scratch& s) {
    if (s.z.size() == 0) {
      s.z = AlignedBuffer<T>(static_cast<std::size_t>(tiles_ * rows_at_once * tile_columns));
      s.out = AlignedBuffer<T>(rows_at_once);
      s.g = AlignedBuffer<T>(rows_at_once);
    }
    T* gradient = gradients_.data() + part * stride();
    std::fill(gradient, gradient + stride(), T(0));
    const T* weights = weights_.data();
    const T *a = weights + at_a(), c = weights[at_c()];
    const T scale = static_cast<T>(2.0 / static_cast<double>(n_));
    constexpr std::int64_t z_tile = rows_at_once * tile_columns;
    double loss = 0;
    T gradient_c = 0;
    const std::int64_t end = std::min(padded_, (part + 1) * part_rows_);
    for (std::int64_t i = part * part_rows_; i < end; i += rows_at_once) {
      const std::int64_t rows = std::min(rows_at_once, end - i);
      for (std::int64_t tile = 0; tile < tiles_; ++tile) {
        kernels_.product(rows / sample_block, features_, x_forward_.data() + i * features_,
                         weights + tile * tile_size(), tile_columns, s.z.data() + tile * z_tile);
      }
      kernels_.relu_outputs(rows, tiles_, z_tile, s.z.data(), a, s.out.data());
      T* g = s.g.data();
      for (std::int64_t j = 0; j < rows; ++j) {
        // Padded rows have no residual.
        const T residual = i + j < n_ ? s.out.data()[j] + c - y_[static_cast<std::size_t>(i + j)] : T(0);
        loss += static_cast<double>(residual) * static_cast<double>(residual);
        g[j] = scale * residual;
        gradient_c += g[j];
      }
      for (std::int64_t tile = 0; tile < tiles_; ++tile) {
        T* z = s.z.data() + tile * z_tile;
        kernels_.relu_slopes(rows, z, a + tile * tile_columns, g, gradient + at_a() + tile * tile_columns);
        kernels_.pull(rows, features_, z, x_backward_.data() + i * feature_block, padded_ * feature_block,
                      gradient + tile * tile_size(), {});
      }
    }
    gradient[at_c()] = gradient_c;
    losses_[static_cast<std::size_t>(part)] = loss;
  }

  const kernels::TileKernels<T>& kernels_;
  std::int64_t n_, d_, m_, features_, tiles_, padded_, part_rows_ = 0, parts_ = 0;
  T rate_;
  double loss_ = NAN;
  AlignedBuffer<T> x_forward_, x_backward_, weights_, gradients_;
  std::vector<T> y_;
  std::vector<double> losses_;
  std::vector<Scratch> scratch_;
};

class ReferenceReluDescent final : public ReluDescent {
 public:
  ReferenceReluDescent(const at::Tensor& x, const at::Tensor& y, const ReluWeights& start, double learning_rate)
      : x_(x),
        y_(y),
        weights_{start.w.clone(), start.b.clone(), start.a.clone(), start.c.clone()},
        rate_(learning_rate) {}

  void step() override {
    const at::NoGradGuard no_grad;
    const auto z = at::addmm(weights_.b, x_, weights_.w.t());  // n×m
    const auto h = z.clamp_min(0);
    const auto residual = h.mv(weights_.a) + weights_.c - y_;
    loss_ = residual.square().mean();
    const auto g = residual * (2.0 / static_cast<double>(x_.size(0)));
    const auto slopes = g.unsqueeze(1) * weights_.a * z.gt(0);  // n×m
    const auto of_a = h.t().mv(g), of_c = g.sum().unsqueeze(0);
    weights_.w.sub_(slopes.t().mm(x_), rate_);
    weights_.b.sub_(slopes.sum(0), rate_);
    weights_.a.sub_(of_a, rate_);
    weights_.c.sub_(of_c, rate_);
  }
  double loss() const override { return loss_.defined() ? loss_.item<double>() : NAN; }
  ReluWeights weights() const override {
    return {weights_.w.clone(), weights_.b.clone(), weights_.a.clone(), weights_.c.clone()};
  }

 private:
  at::Tensor x_, y_;
  ReluWeights weights_;
  double rate_;
  at::Tensor loss_;
};

void check_arguments(const at::Tensor& x, const at::Tensor& y, const ReluWeights& start, double learning_rate) {
  check_matrix("x", x, -1, -1);
  check_floating("x", x);
  check_vector("y", y, x.size(0));
  check_matrix("w", start.w, -1, x.size(1));
  check_vector("b", start.b, start.w.size(0));
  check_vector("a", start.a, start.w.size(0));
  check_vector("c", start.c, 1);
  const std::pair<const char*, const at::Tensor*> others[] = {
      {"y", &y}, {"w", &start.w}, {"b", &start.b}, {"a", &start.a}, {"c", &start.c}};
  check_finite("x", x);
  for (const auto& [name, t] : others) {
    check_like(name, *t, "x", x);
    check_finite(name, *t);
  }
  if (!(learning_rate > 0) || !std::isfinite(learning_rate)) {
    throw InputError(fmt::format("learning_rate: expected a positive number, got {}", learning_rate));
  }
}

}  // namespace

ReluWeights relu_start(std::int64_t dimension, std::int64_t width, std::uint64_t seed) {
  if (dimension < 1 || width < 1) {
    throw InputError(fmt::format("dimension and width: expected at least 1, got {} and {}", dimension, width));
  }
  const RandomStream stream(Purpose::relu_weights, seed);
  const auto uniform = [&](at::IntArrayRef shape, std::int64_t first, std::int64_t fan_in) {
    const double bound = std::sqrt(1.5 / static_cast<double>(fan_in));
    auto t = at::empty(shape, at::kDouble);
    double* values = t.mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < t.numel(); ++i)
      values[i] = bound * (2 * stream.uniform(static_cast<std::uint64_t>(first + i)) - 1);
    return t;
  };
  return {uniform({width, dimension}, 0, dimension), at::zeros({width}, at::kDouble),
          uniform({width}, width * dimension, width), at::zeros({1}, at::kDouble)};
}

at::Tensor relu_output(const at::Tensor& x, const ReluWeights& weights) {
  check_matrix("x", x, -1, -1);
  check_matrix("w", weights.w, -1, x.size(1));
  check_like("w", weights.w, "x", x);
  return at::addmm(weights.b, x, weights.w.t()).clamp_min(0).mv(weights.a) + weights.c;
}

std::unique_ptr<ReluDescent> make_reference_relu_descent(const at::Tensor& x, const at::Tensor& y,
                                                         const ReluWeights& start, double learning_rate) {
  check_arguments(x, y, start, learning_rate);
  return std::make_unique<ReferenceReluDescent>(x, y, start, learning_rate);
}

std::unique_ptr<ReluDescent> make_relu_descent(const at::Tensor& x, const at::Tensor& y, const ReluWeights& start,
                                               double learning_rate) {
  if (!x.is_cpu()) return make_reference_relu_descent(x, y, start, learning_rate);
  check_arguments(x, y, start, learning_rate);
  if (x.scalar_type() == at::kFloat) return std::make_unique<FusedReluDescent<float>>(x, y, start, learning_rate);
  return std::make_unique<FusedReluDescent<double>>(x, y, start, learning_rate);
}

}  // namespace entk
