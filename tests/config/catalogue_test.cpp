// The catalogue: names of a user's own next to the built-in ones, their parameters and messages.
#include "entk/config/catalogue.h"

#include <ATen/ATen.h>

#include "entk/base/error.h"
#include "tests/support/errors.h"
#include "tests/support/testing.h"

namespace entk::catalogue_test {
namespace {

using nlohmann::json;
using testing::error_of;

Activation make_sine(const Parameters& p) {
  return activation("sine", [shift = p["shift"]](const at::Tensor& z) { return (z + shift).sin(); });
}

Catalogue with_sine() {
  Catalogue own;
  own.activation("sine", "sin(z + shift)", {{"shift", 1.0, {.at_least = -3, .at_most = 3}}}, make_sine);
  return with_built_ins(own);
}

template <class E>
struct NamedOf;
template <class M, class... S>
struct NamedOf<Entry<M, S...>> {
  using Type = Named<M, S...>;
};
/// What a configuration's value stands for.
template <class E>
typename NamedOf<E>::Type made(const Catalogue& names, const json& value, const std::string& path = "thing") {
  return {names.shelf<E>().entries(), value, "c.json", path};
}

TEST(Catalogue, AUsersOwnIsMadeAsTheBuiltInOnesAre) {
  const auto names = with_sine();
  const auto z = at::linspace(-1, 1, 5, at::kDouble);
  const auto at_default = *made<ActivationEntry>(names, {{"name", "sine"}});
  const auto shifted = *made<ActivationEntry>(names, {{"name", "sine"}, {"shift", 2}});
  const auto built_in = *made<ActivationEntry>(names, {{"name", "tanh"}, {"shift", 2}});
  EXPECT_TRUE(testing::close(at_default(z), (z + 1).sin(), 1e-15));
  EXPECT_TRUE(testing::close(shifted(z), (z + 2).sin(), 1e-15));
  EXPECT_TRUE(testing::close(built_in(z), (z - 2).tanh(), 1e-15));
}

TEST(Catalogue, MessagesNameKeyWhatWasExpectedWhatIsThereAndTheNearestName) {
  const auto names = with_sine();
  const auto refused = [&](const json& value) {
    return error_of([&] { made<ActivationEntry>(names, value, "model.activation"); });
  };
  const auto unknown = refused({{"name", "sien"}});
  EXPECT_NE(unknown.find("c.json: model.activation.name: expected one of sigmoid, tanh"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("got \"sien\" (did you mean sine?)"), std::string::npos) << unknown;
  EXPECT_EQ(refused({{"name", "sine"}, {"shfit", 1}}),
            "c.json: model.activation.shfit: unknown key; did you mean 'shift'?");
  EXPECT_EQ(refused({{"name", "sine"}, {"shift", "1"}}),
            "c.json: model.activation.shift: expected a number of at least -3 and of at most 3, got \"1\"");
  EXPECT_EQ(refused({{"name", "sine"}, {"shift", 4}}),
            "c.json: model.activation.shift: expected a number of at least -3 and of at most 3, got 4");
}

TEST(Catalogue, WhatAMakerAsksForMustBeDeclared) {
  const Parameters p(JsonReader({{"shift", 1}}, "c"), {{"shift", 0.5}});
  EXPECT_EQ(p["shift"], 1.0);
  EXPECT_EQ(error_of([&] { p["shfit"]; }),
            "parameter 'shfit': asked for, but not among those declared (did you mean 'shift'?)");
}

TEST(Catalogue, DefaultsDecideTypesAndValuesAreCheckedBeforeAnythingIsMade) {
  const std::vector<Parameter> declared = {{"flag", false},
                                           {"count", 3},
                                           {"size", 0.5},
                                           {"word", "a", {.one_of = {"a", "b"}}},
                                           {"list", json::array({1.0})},
                                           {"free", nullptr}};
  const auto refused = [&](const json& value) {
    return error_of([&] { Parameters(JsonReader(value, "c"), declared); });
  };
  EXPECT_EQ(
      refused({{"flag", true}, {"count", 4}, {"size", 1}, {"word", "b"}, {"list", {1, 2}}, {"free", {{"any", 1}}}}),
      "nothing thrown");
  EXPECT_EQ(refused({{"flag", 1}}), "c: flag: expected true or false, got 1");
  EXPECT_EQ(refused({{"count", 0.5}}), "c: count: expected an integer, got 0.5");
  EXPECT_EQ(refused({{"word", "c"}}), "c: word: expected one of a, b, got \"c\" (did you mean a?)");
  EXPECT_EQ(refused({{"list", 1}}), "c: list: expected a list, each entry a number, got 1");
}

TEST(Catalogue, NamesAreEachThereOnceAndFitIntoPaths) {
  Catalogue own;
  own.activation("sigmoid", "", {}, [](const Parameters&) { return sigmoid(); });
  EXPECT_EQ(error_of([&] { with_built_ins(own); }), "activation 'sigmoid': there is one of this name already");
  const auto refused = [](const std::string& name, std::vector<Parameter> parameters = {}) {
    return error_of([&] { Catalogue().loss(name, "", parameters, [](const Parameters&) { return square_loss(); }); });
  };
  EXPECT_EQ(refused("a.b"), "loss 'a.b': expected a name of letters, digits, '_' and '-'");
  EXPECT_EQ(refused(""), "loss '': expected a name of letters, digits, '_' and '-'");
  EXPECT_NE(refused("a", {{"name", 1.0}}).find("parameter 'name'"), std::string::npos);
  EXPECT_NE(refused("a", {{"b", 1.0}, {"b", 1.0}}).find("parameter 'b'"), std::string::npos);
  EXPECT_EQ(error_of([] { Catalogue().loss("a", "", {}, {}); }), "loss 'a': its maker is empty");
}

TEST(Catalogue, ASchedulesFactorIsOfTheStep) {
  Catalogue own;
  own.schedule("warmup", "min(1, (t + 1)/steps)", {{"steps", 10}}, [](const Parameters& p) {
    return schedule([steps = p["steps"]](std::int64_t t) { return std::min(1.0, static_cast<double>(t + 1) / steps); });
  });
  const auto warmup = *made<ScheduleEntry>(with_built_ins(own), {{"name", "warmup"}, {"steps", 4}});
  EXPECT_EQ(learning_rate_at(warmup, 2.0, 0), 0.5);
  EXPECT_EQ(learning_rate_at(warmup, 2.0, 3), 2.0);
  EXPECT_EQ(learning_rate_at(warmup, 2.0, 90), 2.0);
}

TEST(Catalogue, EveryBuiltInIsMadeFromItsDefaults) {
  const auto names = built_in_catalogue();
  for (const auto& e : names.shelf<ScheduleEntry>().entries())
    EXPECT_EQ(made<ScheduleEntry>(names, e.name)->horizon, 20000) << e.name;
  for (const auto& e : names.shelf<ActivationEntry>().entries()) {
    if (e.name == "polynomial") continue;  // its coefficients must be given
    EXPECT_FALSE(made<ActivationEntry>(names, e.name)->name.empty()) << e.name;
  }
  for (const auto& e : names.shelf<LossEntry>().entries()) EXPECT_EQ(made<LossEntry>(names, e.name)->name, e.name);
  const auto x = at::ones({3, 4}, at::kDouble);
  for (const auto& e : names.shelf<TargetEntry>().entries()) {
    if (e.name == "multi_index") continue;  // its terms must be given
    const auto target = made<TargetEntry>(names, e.name).make(TargetSetting{4, InputLaw::sphere, 1});
    EXPECT_EQ(target.value(x).size(0), 3) << e.name;
  }
  for (const auto& kind : names.list()) {
    EXPECT_FALSE(kind.entries.empty()) << kind.kind;
    for (const auto& e : kind.entries) EXPECT_FALSE(e.meaning.empty()) << e.name;
  }
}

}  // namespace
}  // namespace entk::catalogue_test
