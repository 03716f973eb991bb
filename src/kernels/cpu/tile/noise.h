// Normal draws by counter: the Box–Muller transform of Philox's words.
#pragma once

#include "entk/base/philox_round.h"
#include "entk/kernels/cpu/tile/functions.h"
#include "entk/kernels/cpu/tile_kernels.h"

namespace entk::kernels::ENTK_ISA {
namespace {

constexpr int noise_blocks = 64 / 4;  // counter blocks at a time, whatever the lanes

/// Sixteen counter blocks: 64 words each of which 24 bits are used, exact in float and double.
template <class T>
ENTK_INLINE void noise_chunk(const NoiseCode& code, uint64_t first_block, T* out) {
  uint32_t c0[noise_blocks], c1[noise_blocks], c2[noise_blocks], c3[noise_blocks];
  for (int l = 0; l < noise_blocks; ++l) {
    c0[l] = static_cast<uint32_t>(first_block + l);
    c1[l] = static_cast<uint32_t>((first_block + l) >> 32);
    c2[l] = code.step;
    c3[l] = static_cast<uint32_t>(Purpose::noise);
  }
  uint32_t k0 = static_cast<uint32_t>(code.seed), k1 = static_cast<uint32_t>(code.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int l = 0; l < noise_blocks; ++l) philox_round(c0[l], c1[l], c2[l], c3[l], k0, k1);
    philox_next_key(k0, k1);
  }
  T u[4][noise_blocks];
  constexpr T unit = T(1) / T(1 << 24);
  for (int l = 0; l < noise_blocks; ++l) {
    u[0][l] = static_cast<T>(static_cast<int32_t>(c0[l] >> 8) + 1) * unit;  // (0, 1]
    u[1][l] = static_cast<T>(static_cast<int32_t>(c1[l] >> 8)) * unit;      // [0, 1)
    u[2][l] = static_cast<T>(static_cast<int32_t>(c2[l] >> 8) + 1) * unit;
    u[3][l] = static_cast<T>(static_cast<int32_t>(c3[l] >> 8)) * unit;
  }
  const T deviation = static_cast<T>(code.deviation);
  for (int pair = 0; pair < 4; pair += 2) {
    for (int l = 0; l < noise_blocks; l += lanes<T>) {
      const Vec<T> radius = deviation * square_root<T>(T(-2) * logarithm<T>(load<T>(&u[pair][l])));
      Vec<T> sine, cosine;
      sincos2pi<T>(load<T>(&u[pair + 1][l]), sine, cosine);
      store<T>(&u[pair][l], radius * cosine);
      store<T>(&u[pair + 1][l], radius * sine);
    }
  }
  for (int l = 0; l < noise_blocks; ++l) {
    for (int word = 0; word < 4; ++word) out[4 * l + word] = u[word][l];
  }
}

template <class T>
void noise(const NoiseCode& code, uint64_t first, int64_t count, T* values) {
  T chunk[4 * noise_blocks];
  uint64_t entry = first / 4 * 4;
  const uint64_t end = first + static_cast<uint64_t>(count);
  while (entry < end) {
    if (entry >= first && entry + 4 * noise_blocks <= end) {
      noise_chunk<T>(code, entry / 4, values + (entry - first));
    } else {
      noise_chunk<T>(code, entry / 4, chunk);
      for (int j = 0; j < 4 * noise_blocks; ++j) {
        if (entry + j >= first && entry + j < end) values[entry + j - first] = chunk[j];
      }
    }
    entry += 4 * noise_blocks;
  }
}

}  // namespace
}  // namespace entk::kernels::ENTK_ISA
