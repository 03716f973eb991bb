#include "entk/base/philox.h"

#include <cmath>

namespace entk {

namespace {

double to_unit(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t bits = (std::uint64_t{high} << 32 | low) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace

double portable_log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);  // exact: x = m 2^exponent, m in [1/2, 1)
  if (m < 0.70710678118654752440) {
    m *= 2.0;
    --exponent;
  }
  // log m = 2 atanh(s), s = (m − 1)/(m + 1), |s| ≤ 0.1716: the series to s^23 leaves 1e-18.
  const double s = (m - 1.0) / (m + 1.0);
  const double s2 = s * s;
  double tail = 0.0;
  for (int odd = 23; odd >= 3; odd -= 2) tail = (tail + 1.0 / odd) * s2;
  // ln 2 in two parts: exponent times the high part is exact.
  constexpr double ln2_high = 0x1.62e42fefa38p-1;
  constexpr double ln2_low = 0x1.ef35793c7673p-45;
  return exponent * ln2_high + (2.0 * s + (2.0 * s * tail + exponent * ln2_low));
}

void portable_sincos2pi(double u, double& sine, double& cosine) {
  // u = quarter/4 + r exactly, |r| ≤ 1/8.
  const double quarter = std::floor(u * 4.0 + 0.5);
  const double r = u - quarter * 0.25;
  const double t = r * 6.283185307179586476925;
  const double t2 = t * t;
  double s = 0.0;
  for (int k = 19; k >= 3; k -= 2) s = (1.0 + s) * (-t2 / (k * (k - 1.0)));
  s = t + t * s;
  double c = 0.0;
  for (int k = 18; k >= 2; k -= 2) c = (1.0 + c) * (-t2 / (k * (k - 1.0)));
  c = 1.0 + c;
  switch (static_cast<int>(quarter) & 3) {
    case 0:
      sine = s, cosine = c;
      break;
    case 1:
      sine = c, cosine = -s;
      break;
    case 2:
      sine = -s, cosine = -c;
      break;
    default:
      sine = -c, cosine = s;
      break;
  }
}

double RandomStream::uniform(std::uint64_t index) const {
  const Words w = block(index / 2);
  return index % 2 == 0 ? to_unit(w[0], w[1]) : to_unit(w[2], w[3]);
}

double RandomStream::normal(std::uint64_t index) const {
  const Words w = block(index / 2);
  const double radius = std::sqrt(-2.0 * portable_log(1.0 - to_unit(w[0], w[1])));
  double sine = 0.0, cosine = 0.0;
  portable_sincos2pi(to_unit(w[2], w[3]), sine, cosine);
  return radius * (index % 2 == 0 ? cosine : sine);
}

int RandomStream::sign(std::uint64_t index) const {
  const Words w = block(index / 128);
  return (w[index / 32 % 4] >> (index % 32)) & 1u ? 1 : -1;
}

std::uint64_t RandomStream::below(std::uint64_t index, std::uint64_t bound) const {
  const Words w = block(index);
  const std::uint64_t bits = std::uint64_t{w[0]} << 32 | w[1];
  return static_cast<std::uint64_t>((static_cast<unsigned __int128>(bits) * bound) >> 64);
}

}  // namespace entk
