// A float32 product on tensor cores at float32 accuracy, from three products of TF32 numbers.
//
// TF32 keeps 10 bits behind the leading one. With x = high + low + rest, high rounded to nearest and
// low = x − high exactly (at most 12 bits, of which the tensor core reads 11), |rest| ≤ 2^-23 |x|:
//   x y = low_x high_y + high_x low_y + high_x high_y + error,   |error| ≤ (2·2^-23 + 2^-22) |x y|
// Below some 1e-33 `low` runs out of exponent and the product is as good as TF32's alone.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define ENTK_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define ENTK_HOST_DEVICE inline
#endif

namespace entk::kernels {

ENTK_HOST_DEVICE std::uint32_t float_bits(float x) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(x);
#else
  std::uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
#endif
}

ENTK_HOST_DEVICE float float_of(std::uint32_t bits) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(bits);
#else
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
#endif
}

/// The part of a float that a tensor core reads as TF32.
inline constexpr std::uint32_t tf32_mask = 0xffffe000u;

/// x rounded to TF32, ties away from zero; NaN stays NaN.
ENTK_HOST_DEVICE float round_to_tf32(float x) { return x != x ? x : float_of((float_bits(x) + 0x1000u) & tf32_mask); }

struct SplitFloat {
  std::uint32_t high, low;
};

/// x = high + low for finite x below 3.4e38. A NaN comes through `low`.
ENTK_HOST_DEVICE SplitFloat split_tf32(float x) {
  const std::uint32_t high = (float_bits(x) + 0x1000u) & tf32_mask;
  return {high, float_bits(x - float_of(high))};
}

}  // namespace entk::kernels
