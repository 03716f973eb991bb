#include "entk/kernels/cpu/tile_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "entk/base/error.h"
#include "entk/base/philox.h"
#include "entk/kernels/noise.h"
#include "tests/support/special_points.h"
#include "tests/support/testing.h"

namespace entk::kernels {
namespace {

std::vector<Isa> isas() {
  std::vector<Isa> all;
  for (Isa isa : {Isa::portable, Isa::avx2, Isa::avx512}) {
    if (isa <= best_isa()) all.push_back(isa);
  }
  return all;
}

/// One tile of random numbers in the kernels' layouts, and the same in plain ones.
template <class T>
struct Tile {
  Tile(int n, int d, int orders, bool twins, int neurons, double scale = 1.0)
      : n(n),
        d(d),
        orders(orders),
        twins(twins),
        width(twins ? tile_columns / 2 : tile_columns),
        padded((n + sample_block - 1) / sample_block * sample_block),
        neurons(neurons) {
    const RandomStream stream(Purpose::probe, 1000 * n + 10 * d + orders);
    std::uint64_t next = 0;
    auto fill = [&](std::vector<T>& v, std::size_t count, double factor) {
      v.resize(count);
      for (auto& e : v) e = static_cast<T>(factor * stream.normal(next++));
    };
    fill(x, n * d, 1.0);
    fill(w, tile_columns * d, scale);
    fill(v, tile_columns * d, scale);
    fill(s, n * orders * width, 0.1);
    fill(g, 3 * n, 1.0);
    // Columns without a neuron are zero, as the caller promises.
    for (int column = 0; column < tile_columns; ++column) {
      if (column % width < neurons) continue;
      for (int k = 0; k < d; ++k) w[column * d + k] = v[column * d + k] = 0;
    }
    const int pieces = (d + feature_block - 1) / feature_block;
    x_forward.assign(padded * d, 0);
    x_backward.assign(pieces * padded * feature_block, 0);
    for (int i = 0; i < n; ++i) {
      for (int k = 0; k < d; ++k) {
        x_forward[(i / 6 * d + k) * 6 + i % 6] = x[i * d + k];
        x_backward[(k / 6 * padded + i) * 6 + k % 6] = x[i * d + k];
      }
    }
    tables.assign(padded * orders * width, 0);
    std::copy(s.begin(), s.end(), tables.begin());
    cotangents.assign(max_orders * padded, 0);
    for (int p = 0; p < max_orders; ++p) {
      for (int i = 0; i < n; ++i) cotangents[p * padded + i] = g[(p % 3) * n + i];
    }
  }
  // The tile's table of column `column` with its sign.
  long double table(int i, int p, int column) const {
    const bool twin = twins && column >= width;
    return (twin ? -1.0L : 1.0L) * s[(i * orders + p) * width + column % width];
  }
  long double dot(const std::vector<T>& rows, int i, int column) const {
    long double sum = 0;
    for (int k = 0; k < d; ++k) sum += static_cast<long double>(x[i * d + k]) * rows[column * d + k];
    return sum;
  }
  long double absolute_dot(const std::vector<T>& rows, int i, int column) const {
    long double sum = 0;
    for (int k = 0; k < d; ++k) sum += std::fabs(static_cast<long double>(x[i * d + k]) * rows[column * d + k]);
    return sum;
  }
  std::vector<T> columns_of(const TileKernels<T>& kernels, const std::vector<T>& rows) const {
    std::vector<T> columns(d * tile_columns);
    kernels.rows_to_tile(rows.data(), d, tile_columns, d, columns.data(), tile_columns, 0);
    return columns;
  }

  int n, d, orders;
  bool twins;
  int width, padded, neurons;
  std::vector<T> x, w, v, s, g;
  std::vector<T> x_forward, x_backward, tables, cotangents;
};

/// The componentwise bound 4 (L + log₂ m + 8) eps Σ|terms| + count · smallest subnormal.
template <class T>
long double bound(double length, double width, long double absolute, double count) {
  return 4 * (length + std::log2(width) + 8) * std::numeric_limits<T>::epsilon() * absolute +
         count * std::numeric_limits<T>::denorm_min();
}

template <class T, class F>
void for_shapes(F&& check) {
  for (int n : {1, 2, 3, 6, 7, 97, 193}) {
    for (int d : {1, 2, 3, 5, 6, 7, 31, 100}) {
      if (n * d > 700 && (n != 97 || d != 31)) continue;  // long double is slow
      for (int orders = 1; orders <= max_orders; ++orders) {
        for (bool twins : {false, true}) {
          SCOPED_TRACE(fmt::format("n={} d={} orders={} twins={}", n, d, orders, twins));
          const Tile<T> tile(n, d, orders, twins, n % 2 ? 29 : 64);
          check(tile);
          if (::testing::Test::HasFatalFailure()) return;
        }
      }
    }
  }
}

template <class T>
void check_forward(const TileKernels<T>& kernels, const Tile<T>& t) {
  const auto columns = t.columns_of(kernels, t.w);
  std::vector<T> z(t.padded * tile_columns, NAN), sums(t.orders * t.padded, NAN), without(sums);
  kernels.forward(t.padded / 6, t.d, t.x_forward.data(), columns.data(), t.orders, t.twins, t.tables.data(), z.data(),
                  sums.data(), t.padded);
  kernels.forward(t.padded / 6, t.d, t.x_forward.data(), columns.data(), t.orders, t.twins, t.tables.data(), nullptr,
                  without.data(), t.padded);
  ASSERT_EQ(sums, without) << "keeping Z changes the sums";
  for (int i = 0; i < t.n; ++i) {
    for (int p = 0; p < t.orders; ++p) {
      long double want = 0, absolute = 0;
      for (int column = 0; column < tile_columns; ++column) {
        want += t.table(i, p, column) * std::pow(t.dot(t.w, i, column), p + 1);
        absolute += std::fabs(t.table(i, p, column)) * std::pow(t.absolute_dot(t.w, i, column), p + 1);
      }
      const long double got = sums[p * t.padded + i];
      ASSERT_LE(std::fabs(got - want), bound<T>((p + 1) * t.d, 64, absolute, 64 * t.d)) << "i=" << i << " p=" << p;
    }
    for (int column = 0; column < tile_columns; ++column) {
      ASSERT_LE(std::fabs(z[i * 64 + column] - t.dot(t.w, i, column)),
                bound<T>(t.d, 1, t.absolute_dot(t.w, i, column), t.d));
    }
  }
}

/// G of one entry and the sum of its terms' absolute values.
template <class T>
std::pair<long double, long double> g_of(const Tile<T>& t, int i, int column) {
  long double value = 0, absolute = 0, factorial = 1;
  for (int p = 0; p < t.orders; ++p) {
    if (p > 1) factorial *= p;
    const long double g = t.cotangents[p * t.padded + i];
    value += g * t.table(i, p, column) * std::pow(t.dot(t.w, i, column), p) / factorial;
    absolute += std::fabs(g * t.table(i, p, column)) * std::pow(t.absolute_dot(t.w, i, column), p) / factorial;
  }
  return {value, absolute};
}

template <class T>
void check_pull(const TileKernels<T>& kernels, const Tile<T>& t) {
  const auto columns = t.columns_of(kernels, t.w);
  std::vector<T> z(t.padded * tile_columns), g(z.size()), gradient(t.d * tile_columns, 0);
  kernels.product(t.padded / 6, t.d, t.x_forward.data(), columns.data(), tile_columns, z.data());
  kernels.form(t.padded, t.orders, t.twins, t.tables.data(), z.data(), t.cotangents.data(), t.padded, g.data());
  kernels.pull(t.padded, t.d, g.data(), t.x_backward.data(), t.padded * 6, gradient.data(), {});
  std::vector<T> rows(tile_columns * t.d);
  kernels.tile_to_rows(gradient.data(), tile_columns, 0, tile_columns, t.d, rows.data(), t.d);
  for (int column = 0; column < tile_columns; ++column) {
    std::vector<std::pair<long double, long double>> terms;
    for (int i = 0; i < t.n; ++i) terms.push_back(g_of(t, i, column));
    for (int k = 0; k < t.d; ++k) {
      long double want = 0, absolute = 0;
      for (int i = 0; i < t.n; ++i) {
        const auto [value, size] = terms[i];
        want += value * t.x[i * t.d + k];
        absolute += size * std::fabs(static_cast<long double>(t.x[i * t.d + k]));
      }
      const double length = std::max(1, t.orders - 1) * t.d + std::log2(t.n);
      ASSERT_LE(std::fabs(rows[column * t.d + k] - want), bound<T>(length, 64, absolute, t.n * t.d))
          << "column " << column << " feature " << k;
    }
  }
}

template <class T>
void check_along(const TileKernels<T>& kernels, const Tile<T>& t) {
  if (t.orders != 2) return;
  const auto columns = t.columns_of(kernels, t.w), directions = t.columns_of(kernels, t.v);
  std::vector<T> z(t.padded * tile_columns), v(z), g(z), sums(2 * t.padded);
  kernels.product(t.padded / 6, t.d, t.x_forward.data(), columns.data(), tile_columns, z.data());
  kernels.product(t.padded / 6, t.d, t.x_forward.data(), directions.data(), tile_columns, v.data());
  kernels.sums_along(t.padded, t.twins, t.tables.data(), z.data(), v.data(), sums.data(), t.padded);
  kernels.form_along(t.padded, t.twins, t.tables.data(), z.data(), v.data(), t.cotangents.data(), t.padded, g.data());
  for (int i = 0; i < t.n; ++i) {
    long double want[2] = {}, absolute[2] = {};
    for (int column = 0; column < tile_columns; ++column) {
      const long double zv = t.dot(t.v, i, column), zw = t.dot(t.w, i, column);
      const long double av = t.absolute_dot(t.v, i, column), aw = t.absolute_dot(t.w, i, column);
      const long double s1 = t.table(i, 0, column), s2 = t.table(i, 1, column);
      want[0] += s1 * zv, absolute[0] += std::fabs(s1) * av;
      want[1] += s2 * zw * zv, absolute[1] += std::fabs(s2) * aw * av;
      const long double g0 = t.cotangents[i], g1 = t.cotangents[t.padded + i], g2 = t.cotangents[2 * t.padded + i];
      const long double value = g0 * s1 + s2 * (g1 * zw + g2 * zv);
      const long double size = std::fabs(g0 * s1) + std::fabs(s2) * (std::fabs(g1) * aw + std::fabs(g2) * av);
      ASSERT_LE(std::fabs(g[i * 64 + column] - value), bound<T>(t.d, 64, size, t.d));
    }
    for (int p = 0; p < 2; ++p) {
      ASSERT_LE(std::fabs(sums[p * t.padded + i] - want[p]), bound<T>(2 * t.d, 64, absolute[p], 64 * t.d));
    }
  }
}

template <class T>
class TileKernelsOf : public ::testing::Test {};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(TileKernelsOf, Types);

TYPED_TEST(TileKernelsOf, ForwardSumsStayWithinTheComponentwiseBound) {
  for (Isa isa : isas()) {
    SCOPED_TRACE(isa_name(isa));
    for_shapes<TypeParam>([&](const auto& t) { check_forward<TypeParam>(tile_kernels<TypeParam>(isa), t); });
  }
}

TYPED_TEST(TileKernelsOf, PullBackStaysWithinTheComponentwiseBound) {
  for (Isa isa : isas()) {
    SCOPED_TRACE(isa_name(isa));
    for_shapes<TypeParam>([&](const auto& t) { check_pull<TypeParam>(tile_kernels<TypeParam>(isa), t); });
  }
}

TYPED_TEST(TileKernelsOf, DirectionalSumsStayWithinTheComponentwiseBound) {
  for (Isa isa : isas()) {
    SCOPED_TRACE(isa_name(isa));
    for_shapes<TypeParam>([&](const auto& t) { check_along<TypeParam>(tile_kernels<TypeParam>(isa), t); });
  }
}

TYPED_TEST(TileKernelsOf, TinyAndLargeValuesStayWithinTheBound) {
  for (Isa isa : isas()) {
    const auto& kernels = tile_kernels<TypeParam>(isa);
    const double tiny = sizeof(TypeParam) == 4 ? 1e-22 : 1e-160, large = sizeof(TypeParam) == 4 ? 1e15 : 1e120;
    for (double scale : {tiny, large}) {
      SCOPED_TRACE(fmt::format("{} scale {}", isa_name(isa), scale));
      check_forward<TypeParam>(kernels, Tile<TypeParam>(13, 7, 2, true, 32, scale));
      check_pull<TypeParam>(kernels, Tile<TypeParam>(13, 7, 2, true, 32, scale));
    }
  }
}

TYPED_TEST(TileKernelsOf, EveryInstructionSetOfThisProcessorRan) {
  for (Isa isa : isas()) {
    EXPECT_EQ(tile_kernels<TypeParam>(isa).isa, isa);
    ::testing::Test::RecordProperty(std::string("ran_") + isa_name(isa), "yes");
  }
  if (best_isa() != Isa::avx512) {
    EXPECT_THROW(tile_kernels<TypeParam>(Isa::avx512), InputError);
    GTEST_SKIP() << "this processor's best is " << isa_name(best_isa());
  }
}

TYPED_TEST(TileKernelsOf, NotANumberReachesTheSumsAndTheGradient) {
  for (Isa isa : isas()) {
    SCOPED_TRACE(isa_name(isa));
    const auto& kernels = tile_kernels<TypeParam>(isa);
    Tile<TypeParam> t(8, 5, 2, true, 32);
    t.w[3 * 5 + 2] = NAN;
    const auto columns = t.columns_of(kernels, t.w);
    std::vector<TypeParam> z(t.padded * tile_columns), g(z.size()), gradient(t.d * tile_columns, 0), sums(2 * t.padded);
    kernels.forward(t.padded / 6, t.d, t.x_forward.data(), columns.data(), 2, true, t.tables.data(), z.data(),
                    sums.data(), t.padded);
    for (int i = 0; i < t.n; ++i) EXPECT_TRUE(std::isnan(sums[i])) << i;
    kernels.form(t.padded, 2, true, t.tables.data(), z.data(), t.cotangents.data(), t.padded, g.data());
    kernels.pull(t.padded, t.d, g.data(), t.x_backward.data(), t.padded * 6, gradient.data(), {});
    for (int k = 0; k < t.d; ++k) {
      for (int column = 0; column < tile_columns; ++column) {
        EXPECT_EQ(std::isnan(gradient[k * tile_columns + column]), column == 3) << column;
      }
    }
  }
}

TYPED_TEST(TileKernelsOf, TranspositionsAreInverse) {
  for (Isa isa : isas()) {
    const auto& kernels = tile_kernels<TypeParam>(isa);
    for (int count : {1, 5, 16, 32, 33, 64}) {
      for (int d : {1, 3, 16, 17, 100}) {
        const Tile<TypeParam> t(1, d, 1, false, 64);
        std::vector<TypeParam> columns(d * tile_columns, -1), rows(count * d);
        const int first = tile_columns - count;
        kernels.rows_to_tile(t.w.data(), d, count, d, columns.data(), tile_columns, first);
        for (int r = 0; r < count; ++r) {
          for (int k = 0; k < d; ++k) ASSERT_EQ(columns[k * tile_columns + first + r], t.w[r * d + k]);
        }
        kernels.tile_to_rows(columns.data(), tile_columns, first, count, d, rows.data(), d);
        ASSERT_TRUE(std::equal(rows.begin(), rows.end(), t.w.begin()));
      }
    }
  }
}

std::vector<double> parameters_of(KernelActivation kind, double shift, const std::vector<double>& coefficients) {
  if (kind == KernelActivation::polynomial) return coefficients;
  if (kind == KernelActivation::sigmoid || kind == KernelActivation::tanh) return {shift};
  return {};
}

/// σ' and σ'' in long double.
std::pair<long double, long double> derivatives(KernelActivation kind, const std::vector<double>& parameters,
                                                long double z) {
  const auto sigmoid = [](long double t) {
    const long double s = 1 / (1 + std::exp(-t)), c = 1 / (1 + std::exp(t));
    return std::array<long double, 3>{s, s * c, s * c * (c - s)};
  };
  switch (kind) {
    case KernelActivation::sigmoid: {
      const auto s = sigmoid(z - parameters[0]);
      return {s[1], s[2]};
    }
    case KernelActivation::tanh: {
      const auto s = sigmoid(2 * (z - parameters[0]));
      return {4 * s[1], 8 * s[2]};
    }
    case KernelActivation::softplus:
      return {sigmoid(z)[0], sigmoid(z)[1]};
    case KernelActivation::silu:
      return {sigmoid(z)[0] + z * sigmoid(z)[1], 2 * sigmoid(z)[1] + z * sigmoid(z)[2]};
    case KernelActivation::relu:
      return {z > 0 ? 1.0L : 0.0L, 0.0L};
    case KernelActivation::erf: {
      const long double first = 2 / std::sqrt(3.14159265358979323846264338327950288L) * std::exp(-z * z);
      return {first, -2 * z * first};
    }
    case KernelActivation::polynomial: {
      long double first = 0, second = 0;
      const int degree = static_cast<int>(parameters.size()) - 1;
      for (int j = 1; j <= degree; ++j) first += j * parameters[j] * std::pow(z, j - 1);
      for (int j = 2; j <= degree; ++j) second += j * (j - 1) * parameters[j] * std::pow(z, j - 2);
      return {first, second};
    }
  }
  return {};
}

TYPED_TEST(TileKernelsOf, ActivationsHaveTheirDerivativesToAFewUnitsInTheLastPlace) {
  using T = TypeParam;
  const double eps = std::numeric_limits<T>::epsilon();
  for (Isa isa : isas()) {
    for (auto kind :
         {KernelActivation::sigmoid, KernelActivation::tanh, KernelActivation::softplus, KernelActivation::silu,
          KernelActivation::relu, KernelActivation::erf, KernelActivation::polynomial}) {
      SCOPED_TRACE(fmt::format("{} activation {}", isa_name(isa), static_cast<int>(kind)));
      const auto parameters = parameters_of(kind, 1.0, {0.5, -1.0, 0.25, 2.0});
      const int samples = 600, columns = 32;
      std::vector<T> z(samples * columns), scale(columns, 1), tables(2 * z.size());
      for (std::size_t i = 0; i < z.size(); ++i) z[i] = static_cast<T>(24.0 * i / z.size() - 12.0);
      tile_kernels<T>(isa).activate(kind, parameters.data(), parameters.size(), samples, columns, 2, z.data(),
                                    scale.data(), tables.data());
      for (int i = 0; i < samples; ++i) {
        for (int c = 0; c < columns; ++c) {
          const long double at = z[i * columns + c];
          const auto [first, second] = derivatives(kind, parameters, at);
          // The argument z − shift rounds, and so do sums of opposite signs: errors are of the terms' size.
          const double size = 1 + std::fabs(at) + (kind == KernelActivation::polynomial ? 8 * at * at : 0);
          const double relative = kind == KernelActivation::polynomial || kind == KernelActivation::silu
                                      ? 8 * eps * size
                                      : 8 * eps * size * std::fabs(first);
          // Exponentials below the smallest normal number stop there.
          const double least = 200.0 * std::numeric_limits<T>::min();
          ASSERT_NEAR(tables[i * 64 + c], first, relative + least) << at;
          ASSERT_NEAR(tables[i * 64 + 32 + c], second, 4 * relative + 16 * eps * std::fabs(second) * size + least)
              << at;
        }
      }
    }
  }
}

TYPED_TEST(TileKernelsOf, ActivationsAtTheEndsOfTheRangeAreFiniteAndNaNStaysNaN) {
  using T = TypeParam;
  for (Isa isa : isas()) {
    for (auto kind :
         {KernelActivation::sigmoid, KernelActivation::tanh, KernelActivation::softplus, KernelActivation::erf}) {
      const auto parameters = parameters_of(kind, 0.0, {});
      std::vector<T> z(32), scale(32, 1), tables(64);
      for (int i = 0; i < 30; ++i) z[i] = static_cast<T>((i % 2 ? 1 : -1) * std::pow(10.0, i / 2));
      z[30] = NAN;
      tile_kernels<T>(isa).activate(kind, parameters.data(), parameters.size(), 1, 32, 2, z.data(), scale.data(),
                                    tables.data());
      for (int i = 0; i < 30; ++i) {
        EXPECT_TRUE(std::isfinite(tables[i]) && std::isfinite(tables[32 + i])) << z[i];
      }
      EXPECT_TRUE(std::isnan(tables[30]) && std::isnan(tables[62]));
    }
  }
}

TYPED_TEST(TileKernelsOf, ActivationsAreRightWhereFormulasBreak) {
  using T = TypeParam;
  for (Isa isa : isas()) {
    for (auto kind :
         {KernelActivation::sigmoid, KernelActivation::tanh, KernelActivation::softplus, KernelActivation::silu,
          KernelActivation::relu, KernelActivation::erf, KernelActivation::polynomial}) {
      const auto parameters = parameters_of(kind, 0.0, {0.5, -1.0, 0.25});
      auto points = testing::special_points();
      points.insert(points.end(), {1e38, -1e38});
      std::vector<T> z(32), scale(32, 1), tables(64);
      for (std::size_t i = 0; i < points.size(); ++i) z[i] = static_cast<T>(points[i]);
      tile_kernels<T>(isa).activate(kind, parameters.data(), parameters.size(), 1, 32, 2, z.data(), scale.data(),
                                    tables.data());
      for (std::size_t i = 0; i < points.size(); ++i) {
        SCOPED_TRACE(fmt::format("{} activation {} at {}", isa_name(isa), static_cast<int>(kind), points[i]));
        const auto [first, second] = derivatives(kind, parameters, static_cast<long double>(z[i]));
        const auto tolerance = [&](long double want) {
          return testing::special_tolerance(points[i], static_cast<double>(want), std::numeric_limits<T>::epsilon(),
                                            100.0 * std::numeric_limits<T>::min());
        };
        EXPECT_NEAR(tables[i], static_cast<double>(first), tolerance(first));
        EXPECT_NEAR(tables[32 + i], static_cast<double>(second), tolerance(second));
      }
    }
  }
}

TYPED_TEST(TileKernelsOf, NoiseIsTheBoxMullerTransformOfItsCounters) {
  using T = TypeParam;
  for (Isa isa : isas()) {
    const NoiseCode code{0x123456789abcdefull, 17, 0.5};
    for (std::uint64_t first : {std::uint64_t{0}, std::uint64_t{3}, (std::uint64_t{1} << 34) - 7}) {
      std::vector<T> values(501);
      tile_kernels<T>(isa).noise(code, first, values.size(), values.data());
      for (std::size_t j = 0; j < values.size(); ++j) {
        const std::uint64_t entry = first + j;
        const Words words = RandomStream(Purpose::noise, code.seed, code.step).block(entry / 4);
        const int pair = entry % 4 / 2 * 2;
        const double u1 = ((words[pair] >> 8) + 1) * 0x1p-24, u2 = (words[pair + 1] >> 8) * 0x1p-24;
        const double angle = 6.283185307179586476925 * u2;
        const double want = 0.5 * std::sqrt(-2 * std::log(u1)) * (entry % 2 == 0 ? std::cos(angle) : std::sin(angle));
        // Float: the logarithm near 1 and the angle's product carry a few rounding errors of the radius.
        ASSERT_NEAR(values[j], want, 16 * std::numeric_limits<T>::epsilon() * (1 + std::fabs(want))) << entry;
      }
    }
  }
}

TYPED_TEST(TileKernelsOf, AnEntryOfNoiseDoesNotDependOnWhereTheDrawStarts) {
  using T = TypeParam;
  const NoiseCode code{5, 2, 1.0};
  for (Isa isa : isas()) {
    std::vector<T> all(1000), part(1000);
    tile_kernels<T>(isa).noise(code, 0, 1000, all.data());
    for (int from : {1, 2, 63, 64, 127, 500}) {
      tile_kernels<T>(isa).noise(code, from, 1000 - from, part.data());
      ASSERT_TRUE(std::equal(all.begin() + from, all.end(), part.begin())) << from;
    }
  }
}

TYPED_TEST(TileKernelsOf, NoiseOfAMatrixIsThatOfItsEntriesHoweverItIsSharedOut) {
  using T = TypeParam;
  const NoiseCode code{5, 2, 0.7};
  const auto w = torch::empty({401, 100}, c10::CppTypeToScalarType<T>::value);  // some three shares
  std::vector<T> all(w.numel());
  tile_kernels<T>(selected_isa()).noise(code, 0, w.numel(), all.data());
  for (int count : {1, 3}) {
    const testing::ThreadCount threads(count);
    const auto noise = noise_like(w, code);
    ASSERT_TRUE(std::equal(all.begin(), all.end(), noise.template const_data_ptr<T>())) << count;
  }
}

TYPED_TEST(TileKernelsOf, UpdateSubtractsTheRateTimesTheSum) {
  using T = TypeParam;
  for (Isa isa : isas()) {
    for (int count : {1, 15, 16, 67}) {
      std::vector<T> w(count), g(count), e(count), noise(count);
      for (int j = 0; j < count; ++j) w[j] = j, g[j] = 2 * j, e[j] = 1, noise[j] = -3;
      tile_kernels<T>(isa).update(count, T(0.5), g.data(), e.data(), noise.data(), w.data());
      for (int j = 0; j < count; ++j) ASSERT_EQ(w[j], T(1));
      tile_kernels<T>(isa).update(count, T(1), g.data(), nullptr, nullptr, w.data());
      for (int j = 0; j < count; ++j) ASSERT_EQ(w[j], T(1 - 2 * j));
    }
  }
}

}  // namespace
}  // namespace entk::kernels
