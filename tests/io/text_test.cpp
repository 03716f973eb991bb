#include "entk/io/text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace entk::text_test {
namespace {

TEST(Text, ShortestIsTheShortestFormThatReadsBack) {
  EXPECT_EQ(shortest(0.1), "0.1");
  EXPECT_EQ(shortest(-0.0), "-0");
  EXPECT_EQ(shortest(1.0 / 3), "0.3333333333333333");
  EXPECT_EQ(shortest(1e-300), "1e-300");
  EXPECT_EQ(shortest(5e-324), "5e-324");
  EXPECT_EQ(shortest(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(shortest(std::nan("")), "nan");
  EXPECT_EQ(shortest(-std::nan("")), "nan");
  EXPECT_EQ(shortest(-INFINITY), "-inf");
}

TEST(Text, WholeNumbersHaveNoExponent) {
  EXPECT_EQ(shortest(100000), "100000");
  EXPECT_EQ(shortest(999999999999999.0), "999999999999999");
  EXPECT_EQ(shortest(1e15), "1e+15");
}

TEST(Text, EveryDoubleReadsBackAsItself) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100000; ++i) {
    const auto value = std::bit_cast<double>(random());
    const auto back = parse_double(shortest(value));
    ASSERT_TRUE(back) << shortest(value);
    if (std::isnan(value)) continue;
    ASSERT_EQ(std::bit_cast<std::uint64_t>(*back), std::bit_cast<std::uint64_t>(value));
  }
}

TEST(Text, ParseDoubleTakesAllOfANumberInRangeAndNothingElse) {
  EXPECT_EQ(parse_double("-2.5e3"), -2500.0);
  EXPECT_TRUE(std::isnan(*parse_double("nan")));
  for (const char* text : {"", " 1", "1 ", "1,5", "0x10", "1e999", "+1", "1.5f"}) {
    EXPECT_FALSE(parse_double(text)) << text;
  }
}

TEST(Text, StrangeBytesAreShownAsHexAndLongTextIsCut) {
  EXPECT_EQ(in_quotes("a\n\x1b[2J\xff"), "'a\\x0a\\x1b[2J\\xff'");
  EXPECT_EQ(in_quotes(std::string(100, 'x')), "'" + std::string(80, 'x') + "...'");
}

}  // namespace
}  // namespace entk::text_test
