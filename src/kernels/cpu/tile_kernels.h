// The innermost loops of the Taylor terms on CPU, one set for each instruction set.
//
// A tile is 64 columns, one column a neuron. With Z = X Wᵀ (n×64 of it at a time) and tables
// S_p = m^(-1/2) a_r σ^(p)(w0_r·x) / its own factorial kept outside,
//   forward    t_p(x) += Σ_r S_p Z^p                                (terms without their 1/p!)
//   form       G = Σ_p g_p S_p Z^(p−1)/(p−1)!                       (g_p = ∂D/∂f_p)
//   pull       ∂J/∂W += Gᵀ X
// For a symmetric start the tile holds 32 neurons in columns 0…31 and their twins, whose tables
// differ by sign alone, in columns 32…63: tables then have 32 columns.
//
// Layouts (T is float or double; samples are padded with zero rows to a multiple of 6):
//   x_forward   [sample block][feature][6]     x_backward  [feature block][sample][6]
//   weights     [feature][64]                  z, g        [sample][64]
//   tables      [sample][order][64 or 32]      sums        [order][sample]
#pragma once

#include <cstdint>

namespace entk::kernels {

inline constexpr int tile_columns = 64;
inline constexpr int sample_block = 6;
inline constexpr int feature_block = 6;
inline constexpr int max_orders = 4;

/// Instruction sets, worst to best.
enum class Isa { portable, avx2, avx512 };

/// Activations whose derivatives the kernels evaluate themselves; others come from ATen. Their parameters are the shift
/// of σ(z − shift) for sigmoid and tanh, the coefficients from degree 0 for a polynomial, none for the others.
enum class KernelActivation { sigmoid, tanh, softplus, silu, relu, erf, polynomial };

/// One normal draw for each entry of W: see base/philox.h for the counters.
struct NoiseCode {
  std::uint64_t seed;
  std::uint32_t step;
  double deviation;
};

/// Memory that the next piece of work reads, fetched into cache while this one multiplies.
struct Prefetch {
  struct Part {
    const void* from = nullptr;
    std::int64_t bytes = 0;
  };
  Part part[2];
};

template <class T>
struct TileKernels {
  Isa isa;

  /// z[i][column] for `columns` = 32 or 64 columns of weights with row stride `columns`.
  void (*product)(std::int64_t sample_blocks, std::int64_t features, const T* x_forward, const T* weights, int columns,
                  T* z);

  /// Z (kept where z is not null) and, for orders 1…orders, sums[p][i] = Σ_r S_p Z^p over the tile.
  void (*forward)(std::int64_t sample_blocks, std::int64_t features, const T* x_forward, const T* weights, int orders,
                  bool twins, const T* tables, T* z, T* sums, std::int64_t sums_stride);

  /// G from Z, in place or not; g_p are rows of `cotangents` (stride `cotangents_stride`).
  void (*form)(std::int64_t samples, int orders, bool twins, const T* tables, const T* z, const T* cotangents,
               std::int64_t cotangents_stride, T* g);

  /// As `form`, along V: G = g'_1 S1 + g'_2 S2 Z + g_2 S2 Z_V (Hessian products, order 2).
  void (*form_along)(std::int64_t samples, bool twins, const T* tables, const T* z, const T* z_along,
                     const T* cotangents, std::int64_t cotangents_stride, T* g);

  /// sums[0][i] = Σ_r S1 Z_V, sums[1][i] = Σ_r S2 Z Z_V over the tile.
  void (*sums_along)(std::int64_t samples, bool twins, const T* tables, const T* z, const T* z_along, T* sums,
                     std::int64_t sums_stride);

  /// gradient[feature][64] += Gᵀ X over `samples` rows; x_backward points at the first of them.
  void (*pull)(std::int64_t samples, std::int64_t features, const T* g, const T* x_backward,
               std::int64_t x_backward_stride, T* gradient, const Prefetch& ahead);

  /// `rows` rows of W (row stride `stride`) to columns first…first+rows−1 of weights, and back.
  void (*rows_to_tile)(const T* rows, std::int64_t stride, int count, std::int64_t features, T* weights, int columns,
                       int first);
  void (*tile_to_rows)(const T* weights, int columns, int first, int count, std::int64_t features, T* rows,
                       std::int64_t stride);

  /// tables[i][p−1][column] = scale[column] σ^(p)(z[i][column]), p = 1…orders ≤ 2.
  void (*activate)(KernelActivation kind, const double* parameters, int count, std::int64_t samples, int columns,
                   int orders, const T* z, const T* scale, T* tables);

  /// w −= rate · (gradient + extra + noise); the last two may be null.
  void (*update)(std::int64_t count, T rate, const T* gradient, const T* extra, const T* noise, T* w);

  /// to += from.
  void (*add)(std::int64_t count, const T* from, T* to);

  /// values[j] = deviation · normal(first + j).
  void (*noise)(const NoiseCode& code, std::uint64_t first, std::int64_t count, T* values);

  /// out[i] = Σ_c a_c max(z_ic, 0) over a row of z: `tiles` pieces of 64 columns, `tile_stride` apart.
  void (*relu_outputs)(std::int64_t rows, std::int64_t tiles, std::int64_t tile_stride, const T* z, const T* a, T* out);
  /// gradient_a_c += Σ_i g_i max(z_ic, 0), and z_ic ← g_i a_c where z_ic > 0, else 0: for one tile.
  void (*relu_slopes)(std::int64_t rows, T* z, const T* a, const T* g, T* gradient_a);

  /// Multiplies and adds that fill the vector units; returns the operations done (peak probe).
  double (*peak_probe)(std::int64_t iterations, T* sink);
};

/// The best instruction set of this processor that entk was built for.
Isa best_isa();
/// What runs now: best_isa(), or what the environment variable ENTK_ISA names, if lower.
Isa selected_isa();
const char* isa_name(Isa isa);
/// @throws InputError where this processor lacks it.
template <class T>
const TileKernels<T>& tile_kernels(Isa isa);

namespace portable {
template <class T>
const TileKernels<T>& table();
}
namespace avx2 {
template <class T>
const TileKernels<T>& table();
}
namespace avx512 {
template <class T>
const TileKernels<T>& table();
}

}  // namespace entk::kernels
