#include "entk/io/strict_json.h"

#include <cmath>

#include "tests/io/io_testing.h"

namespace entk::strict_json_test {
namespace {

using nlohmann::json;
using testing::contains;
using testing::input_error;

std::string refusal(const std::string& text) {
  return input_error([&] { parse_json(text, "c.json"); });
}

TEST(StrictJson, ReadsEveryKindOfValue) {
  const auto value = parse_json(
      R"({"a": [1, -2, 2.5, 1e3, true, false, null, "x\u00e9\n", {}, []], "b": {"c": 18446744073709551615}})",
      "c.json");
  EXPECT_EQ(value,
            json::parse(
                R"({"a": [1, -2, 2.5, 1000.0, true, false, null, "xé\n", {}, []], "b": {"c": 18446744073709551615}})"));
  EXPECT_TRUE(value["a"][0].is_number_integer());
  EXPECT_TRUE(value["a"][3].is_number_float());
  EXPECT_EQ(parse_json("3", "c.json"), 3);
}

TEST(StrictJson, DuplicateKeysAreRefusedWithKeyAndLine) {
  EXPECT_TRUE(
      contains(refusal("{\n\"steps\": 1,\n\"rate\": 2,\n\"steps\": 3}"), "c.json:4: the key 'steps' occurs twice"));
  EXPECT_TRUE(contains(refusal("{\"a\":{\"b\":1},\n\n\"c\":{\"b\":1, \"b\":\n2}}"), "c.json:3: the key 'b'"));
  EXPECT_TRUE(contains(refusal(R"({"a":1,"\u0061":2})"), "'a' occurs twice"));
  EXPECT_NO_THROW(parse_json(R"([{"a":1},{"a":2,"b":{"a":3}}])", "c.json"));
}

TEST(StrictJson, SyntaxErrorsCarryTheLine) {
  EXPECT_TRUE(contains(refusal("{\n\"a\": 1,\n}"), "c.json:3: syntax error"));
  EXPECT_TRUE(contains(refusal("{\"a\": 1\n\n\"b\": 2}"), "c.json:3: syntax error"));
  EXPECT_TRUE(contains(refusal("{\"a\": \"one\ntwo\"}"), "c.json:1: syntax error"));
  EXPECT_TRUE(contains(refusal("{\n\"a\": "), "c.json:2: syntax error"));
}

TEST(StrictJson, WhatIsNotJsonIsRefused) {
  for (const char* text :
       {"",        " ",      "NaN",  "[Infinity]", "[-Infinity]", "{'a': 1}", "[1,]",     "[1] x",       "[1] [2]",
        "// c\n1", "[01]",   "[.5]", "[1.]",       "[+1]",        "[0x10]",   "[\"\t\"]", "[\"\\x41\"]", "[tru]",
        "{\"a\"}", "{1: 2}", "]",    "\"a"}) {
    EXPECT_TRUE(contains(refusal(text), "syntax error")) << text;
  }
  EXPECT_TRUE(contains(refusal(std::string("[1\0]", 4)), "syntax error"));
  EXPECT_TRUE(contains(refusal(std::string("{\"a\": 1}\n\0, \"a\": 2}", 19)), "c.json:2: syntax error: a NUL byte"));
}

TEST(StrictJson, BadUtf8IsRefused) {
  for (const char* text : {"[\"\xff\"]", "[\"\xc0\x80\"]", "[\"\xed\xa0\x80\"]", "[\"\xf5\x80\x80\x80\"]", "[\"\xc3\"]",
                           "[\"\\ud800\"]"}) {
    EXPECT_TRUE(contains(refusal(text), "c.json:1: ")) << text;
  }
}

TEST(StrictJson, NumbersOutsideADoubleAreRefused) {
  EXPECT_TRUE(contains(refusal("[1,\n1e999]"), "c.json:2: number overflow"));
  EXPECT_TRUE(contains(refusal("[-1e400]"), "number overflow"));
  EXPECT_TRUE(contains(refusal("[1e-999]"), "1e-999 is too small"));
  EXPECT_EQ(parse_json("[0e-999, 5e-324]", "c.json"), (json{0.0, 5e-324}));
}

TEST(StrictJson, OneMebibyteAndSixtyFourLevelsAreTheMost) {
  const auto nested = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_NO_THROW(parse_json(nested(64), "c.json"));
  EXPECT_TRUE(contains(refusal(nested(65)), "at most 64 levels"));
  EXPECT_TRUE(contains(refusal(std::string(1000000, '[')), "at most 64 levels"));
  std::string objects = "1";
  for (int i = 0; i < 65; ++i) objects = "{\"a\":" + objects + "}";
  EXPECT_TRUE(contains(refusal(objects), "at most 64 levels"));
  EXPECT_NO_THROW(parse_json(std::string((1 << 20) - 1, ' ') + "1", "c.json"));
  EXPECT_TRUE(contains(refusal(std::string(1 << 20, ' ') + "1"), "at most 1048576"));
}

TEST(StrictJson, LoadNamesTheFile) {
  const testing::TemporaryFolder folder;
  testing::write_text(folder / "c.json", "{\n");
  EXPECT_TRUE(contains(input_error([&] { load_json(folder / "c.json"); }), (folder / "c.json").string() + ":2: "));
  EXPECT_TRUE(contains(input_error([&] { load_json(folder / "no.json"); }), (folder / "no.json").string()));
  testing::write_text(folder / "big.json", std::string((1 << 20) + 1, ' '));
  EXPECT_TRUE(contains(input_error([&] { load_json(folder / "big.json"); }), "at most 1048576"));
}

TEST(StrictJson, DumpIsSortedIndentedAndEndsWithANewline) {
  const json value = {{"b", {{"y", 1}, {"x", json::array({0.1, 2.0, "t"})}}},
                      {"a", json::array({json::array({1, 2}), json::object()})},
                      {"e", json::array()}};
  EXPECT_EQ(dump_json(value),
            "{\n"
            "  \"a\": [\n"
            "    [1, 2],\n"
            "    {}\n"
            "  ],\n"
            "  \"b\": {\n"
            "    \"x\": [0.1, 2.0, \"t\"],\n"
            "    \"y\": 1\n"
            "  },\n"
            "  \"e\": []\n"
            "}\n");
}

TEST(StrictJson, DumpedNumbersReadBackAsTheSameNumbersOfTheSameKind) {
  const json value = {
      0.1, 1.0, -0.0, 1e300, 5e-324, 1e15, 123456789.0, 1, -1, std::uint64_t{18446744073709551615u}, INT64_MIN};
  const auto back = parse_json(dump_json(value), "c.json");
  ASSERT_EQ(back.size(), value.size());
  for (std::size_t i = 0; i < value.size(); ++i) {
    EXPECT_EQ(back[i].is_number_float(), value[i].is_number_float()) << i;
    EXPECT_EQ(back[i], value[i]);
  }
  EXPECT_TRUE(std::signbit(back[2].get<double>()));
}

TEST(StrictJson, DumpRefusesNaNAndInfinityByName) {
  const auto message =
      testing::message_of<NotFiniteError>([] { dump_json({{"a", {{"b", json::array({1.0, NAN})}}}}); });
  EXPECT_EQ(message, "a.b.1 is nan, which JSON cannot hold");
  EXPECT_THROW(dump_json(-INFINITY), NotFiniteError);
}

TEST(StrictJson, DumpEscapesStringsAndReplacesWhatIsNotUtf8) {
  EXPECT_EQ(dump_json("a\"\n\x01\xc3\xa9"), "\"a\\\"\\n\\u0001\xc3\xa9\"\n");
  EXPECT_EQ(dump_json({{"k\xff", "\xff"}}), "{\n  \"k\xef\xbf\xbd\": \"\xef\xbf\xbd\"\n}\n");
}

TEST(StrictJson, DumpRefusesWhatCouldNotBeReadBack) {
  json deep = 1;
  for (int i = 0; i < 65; ++i) deep = json::array({deep});
  EXPECT_THROW(dump_json(deep), InputError);
  EXPECT_NO_THROW(parse_json(dump_json(deep[0]), "c.json"));
}

}  // namespace
}  // namespace entk::strict_json_test
