#include "entk/report/table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "entk/base/error.h"
#include "entk/base/philox.h"
#include "tests/support/testing.h"

namespace entk::table_test {
namespace {

Table small_table() {
  return {"Final values",
          {{"λ3", 4, NumberFormat::shortest}, "test loss", {"steps", 0, NumberFormat::fixed}, "note"},
          {{0.01, Uncertain{0.14123, 0.0032}, 20000, "a|b"},
           {10, Uncertain{0.5, NAN}, 20000, ""},
           {100, NAN, 5.4, "<diverged>"}}};
}

TEST(Number, SignificantDigitsWithoutNeedlessOnes) {
  EXPECT_EQ(format_number(0.5), "0.5");
  EXPECT_EQ(format_number(1234.5678), "1235");
  EXPECT_EQ(format_number(123456.7), "123457");
  EXPECT_EQ(format_number(0.00123456), "0.001235");
  EXPECT_EQ(format_number(1.23456e-7), "1.235e−7");
  EXPECT_EQ(format_number(-6.02214e23, 3), "−6.02e23");
  EXPECT_EQ(format_number(0.01, 3), "0.01");
  EXPECT_EQ(format_number(5e-324, 3), "4.94e−324");
  EXPECT_EQ(format_number(1623421800.0, 12), "1.6234218e9");
  EXPECT_EQ(format_number(20000), "20000");
  EXPECT_EQ(format_number(0.0), "0");
  EXPECT_EQ(format_number(9.9996, 4), "10.00");  // the exponent is that of the rounded number
  EXPECT_EQ(format_number(999999.7, 4), "1.000e6");
}

TEST(Number, NotFinite) {
  EXPECT_EQ(format_number(NAN), "–");
  EXPECT_EQ(format_number(INFINITY), "∞");
  EXPECT_EQ(format_number(-INFINITY, 2, NumberFormat::fixed), "−∞");
}

TEST(Number, FixedAndShortest) {
  EXPECT_EQ(format_number(2.0 / 3.0, 3, NumberFormat::fixed), "0.667");
  EXPECT_EQ(format_number(0.1, 4, NumberFormat::shortest), "0.1");
  EXPECT_EQ(format_number(2.0 / 3.0, 4, NumberFormat::shortest), "0.6666666666666666");
  EXPECT_EQ(format_number(100000, 4, NumberFormat::shortest), "100000");
  EXPECT_EQ(format_number(1e-5, 4, NumberFormat::shortest), "1e−5");
}

TEST(Number, TwoDigitsOfTheDeviationAndTheValueToMatch) {
  EXPECT_EQ(format_number(Uncertain{0.14123, 0.0032}), "0.1412 ± 0.0032");
  EXPECT_EQ(format_number(Uncertain{0.14123, 0.00996}), "0.141 ± 0.010");
  EXPECT_EQ(format_number(Uncertain{1234.5, 67.8}), "1234 ± 68");
  EXPECT_EQ(format_number(Uncertain{1.2345e-5, 3.1e-7}), "(1.234 ± 0.031)e−5");
  EXPECT_EQ(format_number(Uncertain{1e-9, 2.5e-7}), "(0.0 ± 2.5)e−7");
  EXPECT_EQ(format_number(Uncertain{0.5, 1.2e-12}), "0.5 ± 1.2e−12");
  EXPECT_EQ(format_number(Uncertain{0.5, 0.0}), "0.5 ± 0");
  EXPECT_EQ(format_number(Uncertain{0.5, NAN}), "0.5");
  EXPECT_EQ(format_number(Uncertain{NAN, 0.1}), "–");
}

TEST(Table, PlainText) {
  EXPECT_EQ(to_text(small_table()),
            "Final values\n"
            "  λ3        test loss  steps  note\n"
            "────  ───────────────  ─────  ──────────\n"
            "0.01  0.1412 ± 0.0032  20000  a|b\n"
            "  10              0.5  20000\n"
            " 100                –      5  <diverged>\n");
}

TEST(Table, Markdown) {
  EXPECT_EQ(to_markdown(small_table()),
            "**Final values**\n\n"
            "|   λ3 |       test loss | steps | note         |\n"
            "| ---: | --------------: | ----: | ------------ |\n"
            "| 0.01 | 0.1412 ± 0.0032 | 20000 | a\\|b         |\n"
            "|   10 |             0.5 | 20000 |              |\n"
            "|  100 |               – |     5 | \\<diverged\\> |\n");
}

TEST(Table, Csv) {
  EXPECT_EQ(to_csv(small_table()),
            "λ3,test loss,test loss deviation,steps,note\n"
            "0.01,0.14123,0.0032,20000,a|b\n"
            "10,0.5,nan,20000,\n"
            "100,nan,,5.4,<diverged>\n");
  EXPECT_EQ(to_csv({"", {"a,b", "c\"d"}, {{"line\nbreak", INFINITY}}}), "\"a,b\",\"c\"\"d\"\n\"line\nbreak\",inf\n");
}

TEST(Table, Html) {
  EXPECT_EQ(to_html({"T & t", {"n", "name"}, {{1, "<b>'\"&"}}}),
            "<table>\n<caption>T &amp; t</caption>\n<thead>\n"
            "<tr><th scope=\"col\" class=\"number\">n</th><th scope=\"col\">name</th></tr>\n</thead>\n"
            "<tbody>\n<tr><td class=\"number\">1</td><td>&lt;b&gt;&#39;&quot;&amp;</td></tr>\n</tbody>\n"
            "</table>\n");
}

TEST(Table, CsvNumbersReadBackAsTheSameDoubles) {
  Table table{"", {"x"}, {}};
  std::vector<double> values = {5e-324, std::numeric_limits<double>::max(), -0.1, 1.0 / 3.0, 1e23, -0.0, 1e9};
  const RandomStream random(Purpose::probe, 1);
  for (int i = 0; i < 1000; ++i) values.push_back(std::exp(100 * random.normal(i)));
  for (const double value : values) table.rows.push_back({value});
  std::istringstream lines(to_csv(table));
  std::string line;
  std::getline(lines, line);
  for (const double value : values) {
    ASSERT_TRUE(std::getline(lines, line));
    ASSERT_EQ(std::strtod(line.c_str(), nullptr), value) << line;
  }
}

TEST(Table, LineBreaksAndBytesThatAreNoTextDoNotBreakTheGrid) {
  const Table table{"", {"a"}, {{"x\ny"}, {std::string("\xff\x00z", 3)}}};
  EXPECT_EQ(to_text(table), "a\n───\nx y\n\uFFFD z\n");
  EXPECT_EQ(to_markdown(table), "| a   |\n| --- |\n| x y |\n| \uFFFD z |\n");
}

TEST(Table, ARowOfAnotherLengthIsRefused) {
  const Table table{"T", {"a", "b"}, {{1, 2}, {3}}};
  EXPECT_THROW(to_text(table), InputError);
  EXPECT_THROW(to_markdown(table), InputError);
  EXPECT_THROW(to_csv(table), InputError);
  EXPECT_THROW(to_html(table), InputError);
}

TEST(Table, TwoRowsWithOneKeyAreRefused) {
  const Table one{"T", {"a", "b", "c"}, {{1, 2, 3}, {1, 3, 4}}};
  EXPECT_THROW(to_text(one), InputError);
  EXPECT_THROW(to_markdown(one), InputError);
  EXPECT_THROW(to_csv(one), InputError);
  EXPECT_THROW(to_html(one), InputError);
  auto two = one;
  two.keys = 2;
  EXPECT_NO_THROW(to_csv(two));
  two.rows[1] = two.rows[0];
  EXPECT_THROW(to_csv(two), InputError);
}

TEST(Table, KeysAreShownInFull) {
  const Table table{"", {"λ", "loss"}, {{0.123456, 0.123456}, {0.123457, 2}}};
  EXPECT_EQ(to_text(table), "       λ    loss\n────────  ──────\n0.123456  0.1235\n0.123457       2\n");
}

TEST(Number, AnEstimateShowsItsIntervalAndInASentenceWhatItRestsOn) {
  const Estimate e{1.7312, 1.2134, 2.249, "fits to 4 points of each of 2 seeds"};
  EXPECT_EQ(format_number(e, 3), "1.73 [1.21, 2.25]");
  EXPECT_EQ(to_sentence(e), "1.73 (95% interval 1.21 to 2.25, fits to 4 points of each of 2 seeds)");
  EXPECT_EQ(format_number(Estimate{0.500001, 0.499999, 0.500003, ""}, 3), "0.500001 [0.499999, 0.500003]");
  EXPECT_EQ(to_sentence({.value = 0.5, .from = "one seed"}), "0.5 (no interval: one seed)");
  EXPECT_EQ(format_number(Estimate{.value = 0.5}, 3), "0.5");
  EXPECT_EQ(to_sentence(exact(2.5)), "2.5");
  const Table table{"", {"model", "exponent"}, {{"a", e}, {"b", Estimate{.value = 2}}, {"c", "–"}}};
  EXPECT_EQ(to_csv(table), "model,exponent,exponent low,exponent high\na,1.7312,1.2134,2.249\nb,2,nan,nan\nc,–,,\n");
}

}  // namespace
}  // namespace entk::table_test
