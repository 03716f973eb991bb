// The snippets of docs/extending.md, compiled and tried. Documentation.SnippetsAreThoseThatAreCompiled
// holds the two together.
#include <cmath>

#include <entk/entk.h>
#include <torch/optim.h>

#include "tests/support/testing.h"

namespace {

entk::Activation sine() {
  return entk::activation("sin(z + 1)", [](const at::Tensor& z) { return (z + 1).sin(); },
                          {[](const at::Tensor& z) { return (z + 1).cos(); }});  // σ'; σ'' by autograd
}

entk::DataSet small_data() {
  entk::Target product{"x_1 x_2", [](const at::Tensor& x) { return x.select(1, 0) * x.select(1, 1); },
                       /*second_moment=*/std::nan("")};
  const auto data = entk::gaussian_data({.dimension = 20, .samples = 400}, product);
  return entk::own_data({data.train.x.slice(0, 0, 60), data.train.y.slice(0, 0, 60)}, {},
                        data.train.x.slice(0, 60, 160));
}

double trained_loss(const entk::Network& network, const entk::Objective& objective, const entk::DataSet& data) {
  return entk::Trainer(entk::TaylorModel(network), objective, {.learning_rate = 0.1, .steps = 5})
      .fit(data)
      .last.regularized_loss;
}

TEST(Extending, AnActivationWithAutogradsSecondDerivative) {
  const entk::Network network(entk::NetworkOptions{.dimension = 20, .width = 400, .activation = sine()});
  const auto z = at::linspace(-2, 2, 9, at::kDouble);
  EXPECT_TRUE(entk::testing::close(sine().derivative(z, 2), -(z + 1).sin(), 1e-14));
  EXPECT_FALSE(entk::assumption_two(sine(), -5, 5).holds);  // |σ| reaches 1
  EXPECT_LT(trained_loss(network, entk::square_loss(), small_data()), 2.0);
}

TEST(Extending, RegularizersOfEachKind) {
  const auto data = small_data();
  const entk::Network network(entk::NetworkOptions{.dimension = 20, .width = 40});
  const auto sigma = entk::SigmaProjector::from_features(network, data.train.x, /*rank=*/21);
  // Of W alone: a lambda from W (m×d) to a scalar. Differentiated by autograd in W.
  const auto l1 = entk::regularizer("l1", [](const at::Tensor& w) { return w.abs().mean(); });

  // A sum over neurons, declared as one: the summands, one a row of W. A run over many processes (scale.md) takes it.
  const auto quartic =
      entk::neuron_regularizer("quartic", [](const at::Tensor& w) { return w.square().sum(1).square(); });

  // Of the vectors (f_L, f_Q, …) at the training points: costs next to nothing.
  const auto small_linear_term =
      entk::vector_regularizer("E_n f_L^2", [](const entk::TermInputs& in) { return in.f_linear().square().mean(); });

  // Of anything else, through the whole model: slower, and the run says so.
  const auto steepness = entk::model_regularizer("E_n |grad_x f|^2", [x = data.train.x](entk::TaylorModelImpl& model) {
    const auto points = x.clone().to(model.network->w.options()).requires_grad_(true);
    const auto output = model.forward(points);
    return torch::autograd::grad({output.sum()}, {points}, {}, true, /*create_graph=*/true)[0].square().sum(1).mean();
  });

  const auto objective =
      entk::square_loss() + 10.0 * entk::R3(sigma) + 0.1 * l1 + 0.1 * quartic + 0.01 * small_linear_term;
  EXPECT_TRUE(std::isfinite(trained_loss(network, objective + 0.01 * steepness, data)));
}

TEST(Extending, ALoss) {
  const auto data = small_data();
  const entk::Network network(entk::NetworkOptions{.dimension = 20, .width = 40});
  const auto sigma = entk::SigmaProjector::from_features(network, data.train.x, /*rank=*/21);
  const entk::Loss absolute{
      "absolute", [](const at::Tensor& output, const at::Tensor& targets) { return (output - targets).abs().mean(); }};
  const auto objective = absolute + 10.0 * entk::R3(sigma);
  EXPECT_TRUE(std::isfinite(trained_loss(network, objective, data)));
}

TEST(Extending, AnUpdateRule) {
  const entk::DescentOptions descent{.steps = 20, .update = {.optimizer = [](const at::Tensor& w) {
                                                    return std::make_shared<torch::optim::RMSprop>(
                                                        std::vector{w}, torch::optim::RMSpropOptions(0.01));
                                                  }}};
  const entk::Network network(entk::NetworkOptions{.dimension = 20, .width = 40});
  const auto result = entk::Trainer(entk::TaylorModel(network), entk::square_loss(), descent).fit(small_data());
  EXPECT_LT(result.last.train_loss, 0.9 * result.records[0].train_loss);
}

TEST(Extending, NamesOfACatalogue) {
  entk::Catalogue own;
  own.activation("sine", "sin(z + 1)", {}, [](const entk::Parameters&) { return sine(); });
  own.loss("quantile", "mean of max(q e, (q - 1) e), e = y - f", {{"q", 0.5, {.above = 0, .below = 1}}},
           [](const entk::Parameters& p) {
             return entk::Loss{"quantile", [q = p["q"]](const at::Tensor& f, const at::Tensor& y) {
                                 const auto e = y - f;
                                 return at::maximum(q * e, (q - 1) * e).mean();
                               }};
           });
  own.observable("largest", "largest |W_rk|", {}, [](const entk::Parameters&, const entk::Setting&) {
    return entk::observable("largest", [](const entk::Observation& in) { return in.w.abs().max().item<double>(); });
  });
  const auto names = entk::with_built_ins(own);
  const auto loss =
      *entk::Named<entk::Loss>(names.shelf<entk::LossEntry>().entries(), {{"name", "quantile"}, {"q", 0.25}});
  EXPECT_NEAR(loss.mean(at::zeros({2}), at::tensor({1.0f, -1.0f})).item<double>(), (0.25 + 0.75) / 2, 1e-6);
}

TEST(Extending, AProjector) {
  const auto data = small_data();
  const entk::Network network(entk::NetworkOptions{.dimension = 20, .width = 40});
  const auto of_training = entk::SigmaProjector::from_features(network, data.train.x, /*rank=*/21);
  const auto of_unlabeled = entk::SigmaProjector::from_unlabeled(network, data.unlabeled, /*rank=*/21);
  const auto points = of_unlabeled.points(), basis = of_unlabeled.basis(), eigenvalues = of_unlabeled.eigenvalues();
  const auto projector = entk::SigmaProjector::restored(entk::SigmaSource::unlabeled, points, basis, eigenvalues);
  const auto u = at::ones({100});
  EXPECT_TRUE(entk::testing::identical(projector.low(u), of_unlabeled.low(u)));
  EXPECT_EQ(of_training.rank(), 21);
}

TEST(Extending, ATarget) {
  entk::LowDegreePlusSparse options{.dimension = 20, .degree = 1};
  options.low_degree.linear = std::vector<double>(20, 1.0);  // scaled to E f_k² = 1
  options.alphas = {1.0, -0.5};
  const auto target = entk::low_degree_plus_sparse(options);
  EXPECT_EQ(target.value(at::ones({3, 20}, at::kDouble)).size(0), 3);
}

}  // namespace
