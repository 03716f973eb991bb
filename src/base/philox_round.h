// What every place that draws shares: the CPU's streams, the tiles' noise, CUDA kernels. No library is needed.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define ENTK_EVERYWHERE __host__ __device__ __forceinline__
#else
#define ENTK_EVERYWHERE [[gnu::always_inline]] inline  ///< of functions for the host and CUDA kernels
#endif

namespace entk {

/// What a random number is for. Two purposes never share a counter, whatever the seed.
/// The numbers are part of the files' meaning: append, never renumber.
enum class Purpose : std::uint32_t {
  first_layer = 1,   ///< rows of W0
  second_layer = 2,  ///< a, for the plain initialisation
  train_inputs = 3,
  test_inputs = 4,
  unlabeled_inputs = 5,
  target_low_degree = 6,  ///< coefficients of f_k
  target_directions = 7,  ///< β_i
  noise = 8,              ///< Ξ_t of (21), keyed by step and entry
  fresh_inputs = 9,       ///< fresh unlabeled points, keyed by step
  signs = 10,             ///< random signs S of a training step, keyed by step
  minibatch = 11,
  displacement = 12,  ///< a small random start W(0)
  lanczos_start = 13,
  sketch = 14,  ///< random starts of subspace iterations
  ball = 15,    ///< a uniform point of a ball, for perturbation at small gradients
  label_noise = 16,
  probe = 17,         ///< points for checks and examples
  relu_weights = 18,  ///< Figure 2's network
  convolution = 19,   ///< Appendix G's network
  theory_signs = 20,  ///< random signs S of W_L + S W_Q, keyed by draw
};

/// A round of Philox4x32, of ten, on the four words of a counter.
ENTK_EVERYWHERE constexpr void philox_round(std::uint32_t& c0, std::uint32_t& c1, std::uint32_t& c2, std::uint32_t& c3,
                                            std::uint32_t key0, std::uint32_t key1) {
  const std::uint64_t product0 = std::uint64_t{0xD2511F53u} * c0, product1 = std::uint64_t{0xCD9E8D57u} * c2;
  c0 = static_cast<std::uint32_t>(product1 >> 32) ^ c1 ^ key0;
  c1 = static_cast<std::uint32_t>(product1);
  c2 = static_cast<std::uint32_t>(product0 >> 32) ^ c3 ^ key1;
  c3 = static_cast<std::uint32_t>(product0);
}
/// The key of the next round.
ENTK_EVERYWHERE constexpr void philox_next_key(std::uint32_t& key0, std::uint32_t& key1) {
  key0 += 0x9E3779B9u;
  key1 += 0xBB67AE85u;
}

}  // namespace entk
