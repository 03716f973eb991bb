// A module of one's own: a network with two hidden layers, the expansion of all its parameters trained with R3, and
// where that ends.
#include <entk/entk.h>
#include <torch/nn/modules/linear.h>

#include <cstdio>

struct DeepImpl : torch::nn::Cloneable<DeepImpl> {
  DeepImpl() { reset(); }
  void reset() override {
    torch::manual_seed(1);
    first = register_module("first", torch::nn::Linear(10, 60));
    second = register_module("second", torch::nn::Linear(60, 60));
    last = register_module("last", torch::nn::Linear(60, 1));
  }
  at::Tensor forward(const at::Tensor& x) { return last(torch::tanh(second(torch::tanh(first(x))))); }
  torch::nn::Linear first{nullptr}, second{nullptr}, last{nullptr};
};
TORCH_MODULE(Deep);

int main() {
  const auto target = entk::figure1_target(10, entk::InputLaw::sphere, /*seed=*/1);
  const auto data = entk::sphere_data({.dimension = 10, .samples = 100, .test_samples = 300}, target);
  const Deep module;
  const entk::TaylorModel model(module, {.pair = true});  // two copies with opposite signs: 0 at the start
  const auto train = data.to(at::kCPU, at::kFloat).train;
  const auto sigma = entk::SigmaProjector::from_features(module, train.x, /*rank=*/11);
  const auto objective = entk::square_loss() + 1.0 * entk::R3(sigma);
  const auto result = entk::Trainer(model, objective, {.learning_rate = 0.02, .steps = 200}).fit(data);
  const entk::BoundObjective bound(model, objective, train, {});
  const entk::ObjectiveHessian hessian(bound, model->displacement());
  const auto place = entk::landscape(hessian, hessian.gradient().sizes(), train.x.options(), {.max_iterations = 40});
  std::printf("training loss %.4f   test loss %.4f\n%s\n", result.last.train_loss, result.last.test_loss,
              place.statement.c_str());
}
