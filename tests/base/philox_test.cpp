#include "entk/base/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <regex>
#include <sstream>

namespace entk::philox_test {
namespace {

// Known answers published with the generator (Random123, kat_vectors).
TEST(Philox, GivesThePublishedKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}));
  EXPECT_EQ(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}), (Words{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}));
  EXPECT_EQ(philox4x32({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}),
            (Words{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}));
}

TEST(Philox, PortableLogIsWithinTwoUnitsInTheLastPlace) {
  const RandomStream stream(Purpose::probe, 7);
  for (int i = 0; i < 20000; ++i) {
    const double x = std::ldexp(0.5 + stream.uniform(i), static_cast<int>(stream.below(i, 120)) - 60);
    const double want = std::log(x);
    EXPECT_NEAR(portable_log(x), want, 3e-16 * std::fmax(std::fabs(want), 1e-3)) << x;
  }
  EXPECT_EQ(portable_log(1.0), 0.0);
}

TEST(Philox, PortableSineAndCosineAreWithinTwoUnitsInTheLastPlace) {
  const RandomStream stream(Purpose::probe, 8);
  for (int i = 0; i < 20000; ++i) {
    const double u = stream.uniform(i);
    double s = 0, c = 0;
    portable_sincos2pi(u, s, c);
    const long double angle = 6.283185307179586476925286766559L * u;
    EXPECT_NEAR(s, static_cast<double>(std::sin(angle)), 3e-16);
    EXPECT_NEAR(c, static_cast<double>(std::cos(angle)), 3e-16);
  }
}

TEST(Philox, NormalsHaveTheMomentsOfANormal) {
  const RandomStream stream(Purpose::probe, 3);
  const int count = 200000;
  double moment[5] = {};
  for (int i = 0; i < count; ++i) {
    const double z = stream.normal(i);
    for (int k = 1; k <= 4; ++k) moment[k] += std::pow(z, k) / count;
  }
  // Five standard errors of each sample moment.
  EXPECT_NEAR(moment[1], 0.0, 5 * std::sqrt(1.0 / count));
  EXPECT_NEAR(moment[2], 1.0, 5 * std::sqrt(2.0 / count));
  EXPECT_NEAR(moment[3], 0.0, 5 * std::sqrt(15.0 / count));
  EXPECT_NEAR(moment[4], 3.0, 5 * std::sqrt(96.0 / count));
}

// The bits themselves: a processor or compiler that rounds differently fails here.
TEST(Philox, NormalsHaveTheseBitsOnEveryMachine) {
  const RandomStream stream(Purpose::train_inputs, 1);
  std::uint64_t hash = 1469598103934665603ull;
  for (int i = 0; i < 4096; ++i) {
    const double z = stream.normal(i);
    std::uint64_t bits;
    std::memcpy(&bits, &z, sizeof bits);
    hash = (hash ^ bits) * 1099511628211ull;
  }
  EXPECT_EQ(hash, 0xc747f795c803d4cbull);
}

TEST(Philox, PurposesSeedsAndStepsDoNotShareNumbers) {
  const RandomStream a(Purpose::noise, 1, 0), b(Purpose::signs, 1, 0), c(Purpose::noise, 2, 0), d(Purpose::noise, 1, 1);
  EXPECT_NE(a.block(0), b.block(0));
  EXPECT_NE(a.block(0), c.block(0));
  EXPECT_NE(a.block(0), d.block(0));
  EXPECT_NE(b.block(0), RandomStream(Purpose::theory_signs, 1, 0).block(0))
      << "Theorem 2's signs are not those of a training step";
}

// A number taken twice would make two streams one; one moved would change what files mean.
TEST(Philox, PurposesAreNumberedFromOneInTheirOrder) {
  std::stringstream text;
  text << std::ifstream(ENTK_SOURCE_DIR "/src/base/philox_round.h").rdbuf();
  const std::string header = text.str(), begin = "enum class Purpose";
  ASSERT_NE(header.find(begin), std::string::npos);
  const auto first = header.find(begin), last = header.find("};", first);
  const std::string purposes = header.substr(first, last - first);
  const std::regex one(R"(\n  (\w+)( = (\d+))?,)");
  int count = 0;
  for (auto i = std::sregex_iterator(purposes.begin(), purposes.end(), one); i != std::sregex_iterator(); ++i) {
    EXPECT_EQ((*i)[3], std::to_string(++count)) << (*i)[1];
  }
  EXPECT_GE(count, 19);
}

TEST(Philox, SignsAreBalanced) {
  const RandomStream stream(Purpose::signs, 5);
  const int count = 100000;
  double sum = 0;
  for (int i = 0; i < count; ++i) sum += stream.sign(i);
  EXPECT_LT(std::fabs(sum), 5 * std::sqrt(count));
}

}  // namespace
}  // namespace entk::philox_test
