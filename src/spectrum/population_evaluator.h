// α, β, γ of a population form at 64 values of ρ at a time: the inner loop of everything that goes
// through the m×m pairs of neurons. Internal to this room.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "entk/spectrum/population_form.h"

namespace entk::population {

constexpr int lanes = 64;  // entries of ρ evaluated together; they stay in L1. Part of the bits.
using Lanes = std::array<double, lanes>;

// P_{j+1} = up[j] t P_j − down[j] P_{j−1}, for all the degrees of a series.
struct Recurrence {
  std::vector<double> up, down;
  Recurrence(int dimension, std::size_t count) : up(count), down(count) {
    for (std::size_t j = 0; j < count; ++j) {
      up[j] = (2.0 * j + dimension - 2.0) / (j + dimension - 2.0);
      down[j] = j / (j + dimension - 2.0);
    }
  }
};

// α, β, γ at `lanes` values of ρ.
class Evaluator {
 public:
  explicit Evaluator(const PopulationForm& form)
      : form_(form), low_(form.dimension + 2, form.alpha.size()), high_(form.dimension + 4, form.alpha.size()) {}

  void operator()(const Lanes& __restrict rho, Lanes& __restrict alpha, Lanes& __restrict beta,
                  Lanes& __restrict gamma) const {
    alpha.fill(0.0), beta.fill(0.0), gamma.fill(0.0);
    Lanes before{}, now;
    now.fill(1.0);
    for (std::size_t j = 0; j < form_.alpha.size(); ++j) {
      const double a = form_.alpha[j], up = low_.up[j], down = low_.down[j];
      for (int i = 0; i < lanes; ++i) {
        alpha[i] += a * now[i];
        const double next = up * rho[i] * now[i] - down * before[i];
        before[i] = now[i], now[i] = next;
      }
    }
    before.fill(0.0), now.fill(1.0);
    for (std::size_t j = 0; j < form_.beta.size(); ++j) {
      const double b = form_.beta[j], c = form_.gamma[j], up = high_.up[j], down = high_.down[j];
      for (int i = 0; i < lanes; ++i) {
        beta[i] += b * now[i], gamma[i] += c * now[i];
        const double next = up * rho[i] * now[i] - down * before[i];
        before[i] = now[i], now[i] = next;
      }
    }
  }

 private:
  const PopulationForm& form_;
  Recurrence low_, high_;
};

// Copies what there is of the next `lanes` entries, zeros after them. Returns how many there were.
inline int load(const double* from, std::int64_t left, Lanes& to) {
  const int count = static_cast<int>(std::min<std::int64_t>(left, lanes));
  std::copy_n(from, count, to.begin());
  std::fill(to.begin() + count, to.end(), 0.0);
  return count;
}

}  // namespace entk::population
