// Models in files: what is read is what was written, to the bit, and another kind of file is refused by name.
#include "entk/models/model_file.h"

#include "entk/base/error.h"
#include "entk/io/pt_file.h"
#include "tests/support/testing.h"

namespace entk::model_file_test {
namespace {

TaylorModel trained(const TaylorModelOptions& options) {
  const Network network(NetworkOptions{.dimension = 5, .width = 8, .activation = tanh(0.5)});
  const at::NoGradGuard no_grad;
  torch::manual_seed(3);
  network->w.copy_(torch::randn_like(network->w));
  return TaylorModel(network, options);
}

TEST(ModelFile, GivesTheSameOutputsAndOptions) {
  const testing::TemporaryFolder folder;
  const auto x = torch::randn({7, 5});
  for (const auto& options : {TaylorModelOptions{}, TaylorModelOptions{.order = 3, .linear_term = false},
                              TaylorModelOptions{.initial_output = false}, TaylorModelOptions{.whole_network = true}}) {
    auto model = trained(options);
    save_model(folder / "m.pt", model);
    auto read = load_model(folder / "m.pt", tanh(0.5));
    EXPECT_TRUE(testing::identical(read->network->w, model->network->w));
    EXPECT_TRUE(testing::identical(read->network->w0, model->network->w0));
    EXPECT_EQ(read->options().order, options.order);
    EXPECT_EQ(read->options().linear_term, options.linear_term);
    EXPECT_EQ(read->options().initial_output, options.initial_output);
    EXPECT_EQ(read->options().whole_network, options.whole_network);
    EXPECT_TRUE(testing::identical(read->forward(x).detach(), model->forward(x).detach()));
  }
}

TEST(ModelFile, AnotherActivationOrFileIsRefusedByName) {
  const testing::TemporaryFolder folder;
  save_model(folder / "m.pt", trained({}));
  const auto refused = [&](const char* file, const Activation& sigma) {
    try {
      load_model(folder / file, sigma);
    } catch (const InputError& e) {
      return std::string(e.what());
    }
    return std::string("nothing thrown");
  };
  EXPECT_NE(
      refused("m.pt", sigmoid()).find("activation: expected tanh(z - 0.5), with which it was saved, got sigmoid(z)"),
      std::string::npos);
  write_pt(folder / "x.pt", {{"W", torch::ones({2, 2})}});
  EXPECT_NE(refused("x.pt", sigmoid()).find("it has no entry 'W0'"), std::string::npos);
}

}  // namespace
}  // namespace entk::model_file_test
