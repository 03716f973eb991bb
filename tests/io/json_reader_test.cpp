#include "entk/io/json_reader.h"

#include <cmath>

#include "entk/io/strict_json.h"
#include "tests/io/io_testing.h"

namespace entk::json_reader_test {
namespace {

using nlohmann::json;
using testing::contains;
using testing::input_error;

JsonReader reader(const std::string& text) { return JsonReader(parse_json(text, "c.json"), "c.json"); }

template <class T>
std::string refusal(const std::string& value, const Range& range = {}) {
  return input_error([&] { reader("{\"k\": " + value + "}").get<T>("k", range); });
}

TEST(JsonReader, ReadsEveryType) {
  const auto r = reader(R"({"b": true, "i": -3, "u": 18446744073709551615, "d": 2.5, "s": "x", "id": 3,
                            "li": [1, -2], "ld": [1, 2.5], "ls": ["a"], "empty": []})");
  EXPECT_EQ(r.get<bool>("b"), true);
  EXPECT_EQ(r.get<std::int64_t>("i"), -3);
  EXPECT_EQ(r.get<std::uint64_t>("u"), ~std::uint64_t{0});
  EXPECT_EQ(r.get<double>("d"), 2.5);
  EXPECT_EQ(r.get<double>("id"), 3.0);
  EXPECT_EQ(r.get<std::string>("s"), "x");
  EXPECT_EQ(r.get<std::vector<std::int64_t>>("li"), (std::vector<std::int64_t>{1, -2}));
  EXPECT_EQ(r.get<std::vector<double>>("ld"), (std::vector<double>{1, 2.5}));
  EXPECT_EQ(r.get<std::vector<std::string>>("ls"), std::vector<std::string>{"a"});
  EXPECT_TRUE(r.get<std::vector<double>>("empty").empty());
  EXPECT_NO_THROW(r.finish());
}

TEST(JsonReader, NothingIsConvertedToAnInteger) {
  for (const char* value : {"1.9", "1.0", "1e3", "\"1\"", "true", "null", "[1]", "{}", "18446744073709551615",
                            "9223372036854775808", "1e400"}) {
    if (std::string(value) == "1e400") continue;  // not JSON that parse_json lets through
    EXPECT_TRUE(contains(refusal<std::int64_t>(value), "c.json: k: expected an integer, got ")) << value;
  }
  EXPECT_EQ(refusal<std::int64_t>("1.9"), "c.json: k: expected an integer, got 1.9");
}

TEST(JsonReader, NothingIsConvertedToAnUnsignedInteger) {
  for (const char* value : {"-1", "1.0", "\"1\"", "false", "18446744073709551616"}) {
    EXPECT_TRUE(contains(refusal<std::uint64_t>(value), "expected a non-negative integer, got ")) << value;
  }
}

TEST(JsonReader, NothingButANumberIsADouble) {
  for (const char* value : {"true", "\"1\"", "null", "[]", "{}"}) {
    EXPECT_TRUE(contains(refusal<double>(value), "expected a number, got ")) << value;
  }
  const JsonReader infinite(json{{"k", INFINITY}}, "c.json");
  EXPECT_THROW(infinite.get<double>("k"), InputError);
}

TEST(JsonReader, NothingIsConvertedToABoolAStringOrAList) {
  for (const char* value : {"1", "0", "\"true\"", "null"})
    EXPECT_TRUE(contains(refusal<bool>(value), "expected true or false"));
  for (const char* value : {"1", "true", "null", "[\"a\"]"})
    EXPECT_TRUE(contains(refusal<std::string>(value), "expected a string"));
  for (const char* value : {"1", "[1.5]", "[1, true]", "[[1]]", "{}"}) {
    EXPECT_TRUE(contains(refusal<std::vector<std::int64_t>>(value), "expected a list, each entry an integer, got "))
        << value;
  }
}

TEST(JsonReader, BoundsAreCheckedAndNamed) {
  EXPECT_EQ(refusal<std::int64_t>("0", {.at_least = 1}), "c.json: k: expected an integer of at least 1, got 0");
  EXPECT_EQ(refusal<double>("1", {.above = 0, .below = 1}), "c.json: k: expected a number above 0 and below 1, got 1");
  EXPECT_EQ(refusal<double>("0", {.above = 0}), "c.json: k: expected a number above 0, got 0");
  EXPECT_EQ(refusal<double>("1.1", {.at_most = 1}), "c.json: k: expected a number of at most 1, got 1.1");
  EXPECT_EQ(refusal<std::vector<double>>("[1, -1]", {.at_least = 0}),
            "c.json: k: expected a list, each entry a number of at least 0, got [1,-1]");
  EXPECT_EQ(refusal<double>("1", {.at_least = 1, .at_most = 1}), "nothing thrown");
  // Not the same double, so only exact comparison tells them apart.
  EXPECT_EQ(refusal<std::int64_t>("9007199254740993", {.at_most = 9007199254740992.0}).substr(0, 10), "c.json: k:");
}

TEST(JsonReader, AListMayHaveToHaveAValueAndEachOnce) {
  const Range both{.at_least = 1, .nonempty = true, .distinct = true};
  EXPECT_EQ(refusal<std::vector<std::int64_t>>("[]", both), "c.json: k: expected at least one value, got []");
  EXPECT_EQ(refusal<std::vector<std::int64_t>>("[1, 2, 1]", both), "c.json: k: expected each value once, got [1,2,1]");
  EXPECT_TRUE(contains(refusal<std::vector<std::int64_t>>("[0, 0]", both), "an integer of at least 1"));
  EXPECT_EQ(refusal<std::vector<std::int64_t>>("[2, 1]", both), "nothing thrown");
}

TEST(JsonReader, WhatWasNotAskedForIsTheRest) {
  const auto r = reader(R"({"own": 1, "a": 2, "b": {"c": 3}})");
  EXPECT_EQ(r.get<std::int64_t>("own"), 1);
  EXPECT_FALSE(r.has("other"));
  EXPECT_EQ(r.rest(), json::parse(R"({"a": 2, "b": {"c": 3}})"));
  EXPECT_NO_THROW(r.finish());
}

TEST(JsonReader, NamesOutsideTheListGiveTheNearest) {
  const Range range{.one_of = {"square", "logistic"}};
  EXPECT_EQ(refusal<std::string>("\"sqare\"", range),
            "c.json: k: expected one of square, logistic, got \"sqare\" (did you mean square?)");
  EXPECT_EQ(refusal<std::string>("\"hinge\"", range), "c.json: k: expected one of square, logistic, got \"hinge\"");
  EXPECT_EQ(refusal<std::string>("\"square\"", range), "nothing thrown");
}

TEST(JsonReader, KeysInsideAreNamedInFull) {
  const auto r = reader(R"({"train": {"schedule": {"steps": 1.5}}, "terms": [{"w": 1}, {"w": "x"}]})");
  EXPECT_TRUE(contains(input_error([&] { r.object("train").object("schedule").get<std::int64_t>("steps"); }),
                       "c.json: train.schedule.steps: expected"));
  EXPECT_TRUE(contains(input_error([&] { r.objects("terms")[1].get<double>("w"); }), "c.json: terms.1.w: expected"));
  EXPECT_TRUE(contains(input_error([&] { r.object("terms"); }), "c.json: terms: expected an object, got ["));
  EXPECT_TRUE(
      contains(input_error([&] { r.objects("train"); }), "c.json: train: expected a list of objects, got an object"));
}

TEST(JsonReader, AMissingKeyIsNamedWithWhatWasMeantInstead) {
  EXPECT_EQ(input_error([] { reader(R"({"stpes": 3})").get<std::int64_t>("steps"); }),
            "c.json: steps: missing, expected an integer; found the key 'stpes'");
  EXPECT_EQ(input_error([] { reader(R"({"x": 3})").object("train"); }), "c.json: train: missing, expected an object");
}

TEST(JsonReader, AFallbackIsForAMissingKeyOnly) {
  EXPECT_EQ(reader("{}").get_or<std::int64_t>("k", 7), 7);
  EXPECT_EQ(reader(R"({"k": 8})").get_or<std::int64_t>("k", 7), 8);
  EXPECT_TRUE(contains(input_error([] { reader(R"({"k": null})").get_or<std::int64_t>("k", 7); }), "got null"));
  EXPECT_TRUE(contains(input_error([] { reader(R"({"k": -1})").get_or<std::int64_t>("k", 7, {.at_least = 0}); }),
                       "at least 0"));
}

TEST(JsonReader, UnreadKeysAreErrorsWithTheNearestKnownKey) {
  const auto r = reader(R"({"steps": 1, "learning_rat": 2})");
  r.get<std::int64_t>("steps");
  r.get_or<double>("learning_rate", 1.0);
  EXPECT_EQ(input_error([&] { r.finish(); }), "c.json: learning_rat: unknown key; did you mean 'learning_rate'?");
}

TEST(JsonReader, WhereNoKeyIsNearAllAreListed) {
  const auto r = reader(R"({"zebra": 2})");
  r.get_or<double>("rate", 1.0);
  r.get_or<double>("steps", 1.0);
  EXPECT_EQ(input_error([&] { r.finish(); }), "c.json: zebra: unknown key; known keys: rate, steps");
}

TEST(JsonReader, UnreadKeysInsideAreFoundFromOutside) {
  const auto r = reader(R"({"train": {"steps": 1, "x": 2}, "terms": [{"w": 1, "v": 2}]})");
  r.object("train").get<std::int64_t>("steps");
  r.objects("terms")[0].get<double>("w");
  EXPECT_TRUE(contains(input_error([&] { r.finish(); }), "c.json: train.x: unknown key"));
  r.object("train").get<std::int64_t>("x");
  EXPECT_TRUE(contains(input_error([&] { r.finish(); }), "c.json: terms.0.v: unknown key"));
  r.objects("terms")[0].get<double>("v");
  EXPECT_NO_THROW(r.finish());
}

TEST(JsonReader, AskingWhetherAKeyIsThereDoesNotReadIt) {
  const auto r = reader(R"({"k": 1})");
  EXPECT_TRUE(r.has("k"));
  EXPECT_FALSE(r.has("j"));
  EXPECT_THROW(r.finish(), InputError);
  EXPECT_EQ(r.any("k"), 1);
  EXPECT_NO_THROW(r.finish());
}

TEST(JsonReader, OnlyAnObjectIsRead) {
  EXPECT_EQ(input_error([] { JsonReader(json::array(), "c.json"); }), "c.json: expected an object, got []");
}

TEST(JsonReader, FailNamesTheValueThatWasRead) {
  const auto r = reader(R"({"rank": 200})");
  EXPECT_EQ(input_error([&] { r.fail("rank", "at most the number of samples, 100"); }),
            "c.json: rank: expected at most the number of samples, 100, got 200");
}

TEST(NearestName, FindsMisspellingsAndNothingElse) {
  const std::vector<std::string> names = {"figure1", "figure2", "train", "evaluate", "spectrum"};
  EXPECT_EQ(nearest_name("figur1", names), "figure1");
  EXPECT_EQ(nearest_name("TRAIN", names), "train");
  EXPECT_EQ(nearest_name("trian", names), "train");
  EXPECT_EQ(nearest_name("evalaute", names), "evaluate");
  EXPECT_EQ(nearest_name("xyz", names), std::nullopt);
  EXPECT_EQ(nearest_name("", names), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(100000, 'x'), names), std::nullopt);
}

}  // namespace
}  // namespace entk::json_reader_test
