// A regularizer of one's own: Σ_r ‖w_r‖ / √m, which asks that few neurons move. How many of them do,
// and what it costs, as its weight grows.
#include <entk/entk.h>

#include <cmath>
#include <cstdio>

int main() {
  const std::int64_t d = 20, m = 400;
  const auto target = entk::figure1_target(d, entk::InputLaw::sphere, /*seed=*/1);
  const auto data = entk::sphere_data({.dimension = d, .samples = 150, .test_samples = 500}, target);

  const auto group_lasso = entk::regularizer("group lasso", [](const at::Tensor& w) {  // w: m×d
    const auto norms = (w.square().sum(1) + 1e-12).sqrt();                             // m; smooth at 0
    return norms.sum() / std::sqrt(static_cast<double>(w.size(0)));
  });

  for (const double weight : {0.0, 0.001, 0.01}) {
    const entk::Network network(entk::NetworkOptions{.dimension = d, .width = m});
    const auto sigma = entk::SigmaProjector::from_features(network, data.train.x, /*rank=*/d + 1);
    const auto objective = entk::square_loss() + 10.0 * entk::R3(sigma) + weight * group_lasso;
    const auto result = entk::Trainer(entk::TaylorModel(network), objective, {.steps = 1000}).fit(data);
    const auto norms = network->w.detach().norm(2, 1);
    const auto moved = (norms > 0.1 * norms.max()).sum().item<std::int64_t>();
    std::printf("weight %-6g training loss %.4f   test loss %.4f   neurons that moved %d of %d\n", weight,
                result.last.train_loss, result.last.test_loss, static_cast<int>(moved), static_cast<int>(m));
  }
}
