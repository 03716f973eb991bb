// What the exit code and the line of an exception are.
#include "entk/base/failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <nlohmann/json.hpp>

namespace entk::failure_test {
namespace {

template <class F>
Failure failure_of(F&& f, bool backtrace = false) {
  try {
    f();
  } catch (...) {
    return current_failure(backtrace);
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST(Failure, HasTheCodeOfWhatWasThrownAndALineForPeople) {
  const auto error = failure_of([] { throw SaveError("run/metrics.csv: no space"); });
  EXPECT_EQ(error.code, ExitCode::save_failed);
  EXPECT_EQ(error.message, "run/metrics.csv: no space");
  const auto product = [] { at::ones({2, 3}).mm(at::ones({2, 3})); };
  EXPECT_EQ(failure_of(product).code, ExitCode::failed);
  EXPECT_EQ(failure_of(product).message.find("frame #"), std::string::npos);
  EXPECT_NE(failure_of(product, true).message, failure_of(product).message);
  EXPECT_EQ(failure_of([] { throw std::bad_alloc(); }).message, "out of memory");
  EXPECT_EQ(failure_of([] { throw std::out_of_range("map::at"); }).message, "map::at");
  EXPECT_EQ(failure_of([] { throw 3; }).code, ExitCode::failed);
}

/// A maker of a user's own reads a value as what it is not.
TEST(Failure, JsonThatIsNotAsExpectedIsBadInput) {
  const nlohmann::json config = {{"train", {{"steps", "many"}}}};
  const auto type = failure_of([&] { (void)config["train"]["steps"].get<int>(); });
  EXPECT_EQ(type.code, ExitCode::bad_input);
  EXPECT_THAT(type.message, ::testing::StartsWith("a JSON value is not as expected: "));
  EXPECT_THAT(type.message, ::testing::HasSubstr("/train/steps"));
  EXPECT_THAT(type.message, ::testing::Not(::testing::HasSubstr("json.exception")));
  EXPECT_EQ(failure_of([&] { (void)config.at("model"); }).code, ExitCode::bad_input);
}

}  // namespace
}  // namespace entk::failure_test
