// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw (SC 2011).
//
// Every random number in entk is a pure function of (purpose, seed, step, index): nothing is drawn
// "next", so nothing depends on the order of evaluation, on the number of threads or on the device.
//   key     = the 64-bit seed
//   counter = (block low, block high, step, purpose), each block giving four 32-bit words
#pragma once

#include <array>
#include <cstdint>

#include "entk/base/philox_round.h"

namespace entk {

/// One block of the generator.
using Words = std::array<std::uint32_t, 4>;

/// The ten rounds of Philox4x32.
constexpr Words philox4x32(Words counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    philox_round(counter[0], counter[1], counter[2], counter[3], key[0], key[1]);
    philox_next_key(key[0], key[1]);
  }
  return counter;
}

/// The numbers of one purpose, seed and step, addressed by index.
///
/// Doubles are made with additions, multiplications, divisions and square roots alone (no libm), so
/// they have the same bits on every processor.
class RandomStream {
 public:
  /// What is drawn for this purpose by this seed, in this step.
  explicit RandomStream(Purpose purpose, std::uint64_t seed, std::uint32_t step = 0)
      : purpose_(static_cast<std::uint32_t>(purpose)), seed_(seed), step_(step) {}

  std::uint64_t seed() const { return seed_; }  ///< of all that is drawn
  std::uint32_t step() const { return step_; }  ///< 0 for what has none

  /// The four words of a block.
  Words block(std::uint64_t index) const {
    return philox4x32({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), step_, purpose_},
                      {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
  }
  /// Uniform on [0, 1) with 53 bits; two to a block.
  double uniform(std::uint64_t index) const;
  /// Standard normal by Box and Muller; two to a block.
  double normal(std::uint64_t index) const;
  /// +1 or −1, each with probability one half; 128 to a block.
  int sign(std::uint64_t index) const;
  /// Uniform on {0, …, bound − 1} (bias below bound/2⁶⁴).
  std::uint64_t below(std::uint64_t index, std::uint64_t bound) const;

 private:
  std::uint32_t purpose_;
  std::uint64_t seed_;
  std::uint32_t step_;
};

/// log(x) for finite x > 0, and sin and cos of 2πu for u in [0, 1), to about one unit in the last
/// place, with the same bits on every IEEE processor.
double portable_log(double x);
/// See portable_log.
void portable_sincos2pi(double u, double& sine, double& cosine);

}  // namespace entk
