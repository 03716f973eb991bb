#include "entk/train/progress.h"

#include <sstream>

#include "entk/train/trainer.h"
#include "tests/support/testing.h"

namespace entk::progress_test {
namespace {

TEST(Progress, IsALineAtEveryRecord) {
  std::ostringstream out;
  const Network network(NetworkOptions{.dimension = 4, .width = 8});
  const auto data =
      sphere_data({.dimension = 4, .samples = 10, .test_samples = 5}, figure1_target(4, InputLaw::sphere, 1));
  const auto result =
      Trainer(TaylorModel(network), square_loss(), {.steps = 3}, {.on_record = print_progress(out)}).fit(data);
  const auto text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);  // steps 0 to 3
  EXPECT_NE(
      text.find(fmt::format("step 3  training {:.4g}  test {:.4g}", result.last.train_loss, result.last.test_loss)),
      std::string::npos)
      << text;
}

}  // namespace
}  // namespace entk::progress_test
