// An activation of one's own: σ(z) = sin(z + 1), with σ' given and σ'' left to autograd. Beside the
// paper's sigmoid: how well f_L + f_Q learns Figure 1's target, with and without R3.
#include <entk/entk.h>

#include <cstdio>

namespace {

entk::Activation sine() {
  const auto sigma = [](const at::Tensor& z) { return (z + 1).sin(); };
  const auto first = [](const at::Tensor& z) { return (z + 1).cos(); };
  return entk::activation("sin(z + 1)", sigma, {first});
}

double test_loss(const entk::Activation& activation, double lambda3) {
  const std::int64_t d = 20;
  const auto target = entk::figure1_target(d, entk::InputLaw::sphere, /*seed=*/1);
  const auto data = entk::sphere_data({.dimension = d, .samples = 150, .test_samples = 500}, target);
  const entk::Network network(entk::NetworkOptions{.dimension = d, .width = 400, .activation = activation});
  const auto sigma = entk::SigmaProjector::from_features(network, data.train.x, /*rank=*/d + 1);
  const auto objective = entk::square_loss() + lambda3 * entk::R3(sigma);
  entk::Trainer trainer(entk::TaylorModel(network), objective, {.learning_rate = 0.3, .steps = 1500});
  return trainer.fit(data, entk::pick_device("auto")).last.test_loss;
}

}  // namespace

int main() {
  for (const auto& activation : {entk::sigmoid(1.0), sine()}) {
    for (const double lambda3 : {0.0, 10.0}) {
      std::printf("%-15s lambda3 %4g   test loss %.4f\n", activation.name.c_str(), lambda3,
                  test_loss(activation, lambda3));
    }
  }
}
