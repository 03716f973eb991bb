// What a script does with an installed entk, and the command line as a library with a loss of its own. Without
// arguments it trains a small model; exit 0 where that made the loss smaller.
#include <entk/entk.h>

#include <cstdio>

namespace {

bool trains() {
  const auto data = entk::sphere_data({.dimension = 5, .samples = 40, .test_samples = 0},
                                      entk::figure1_target(5, entk::InputLaw::sphere, 1));
  const entk::Network network(entk::NetworkOptions{.dimension = 5, .width = 40});
  const auto sigma = entk::SigmaProjector::from_features(network, data.train.x, 6);
  const auto result =
      entk::Trainer(entk::TaylorModel(network), entk::square_loss() + 1.0 * entk::R3(sigma), {.steps = 20}).fit(data);
  const double first = result.records.front().train_loss, last = result.last.train_loss;
  std::printf("training loss %g to %g\n", first, last);
  return last < first;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 1) return trains() ? 0 : 1;
  entk::Catalogue own;
  own.loss("own_loss", "the square loss under another name", {},
           [](const entk::Parameters&) { return entk::square_loss(); });
  return entk::run_program(argc, argv, own);
}
