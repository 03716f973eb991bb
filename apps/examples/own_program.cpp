// The whole program `entk`, with an activation, a regularizer, an observable and a target of one's own:
//
//   own_program figure1 --preset quick --set model.activation.name=sine --set data.target.name=bump
//     --sweep regularizers.group_lasso=0,0.1,1 --seeds 1,11 --set 'observables=["movement","sparsity"]'
#include <entk/entk.h>

#include <cmath>

int main(int argc, char** argv) {
  entk::Catalogue own;
  own.activation("sine", "sin(z + shift)", {{"shift", 1.0}}, [](const entk::Parameters& p) {
    return entk::activation("sine", [shift = p["shift"]](const at::Tensor& z) { return (z + shift).sin(); });
  });
  own.regularizer("group_lasso", "sum of the neurons' norms over sqrt(m)", {{"epsilon", 1e-12, {.above = 0}}},
                  [](const entk::Parameters& p, const entk::Setting&) {
                    return entk::regularizer("group_lasso", [epsilon = p["epsilon"]](const at::Tensor& w) {  // w: m×d
                      return (w.square().sum(1) + epsilon).sqrt().sum() / std::sqrt(static_cast<double>(w.size(0)));
                    });
                  });
  own.observable("sparsity", "share of neurons that moved less than a tenth of the largest", {},
                 [](const entk::Parameters&, const entk::Setting&) {
                   return entk::observable("sparsity", [](const entk::Observation& in) {
                     const auto norms = in.w.norm(2, 1);
                     return (norms < 0.1 * norms.max()).to(at::kDouble).mean().item<double>();
                   });
                 });
  own.target("bump", "exp(-x_1^2/width)", {{"width", 2.0, {.above = 0}}},
             [](const entk::Parameters& p, const entk::TargetSetting&) {
               const auto bump = [width = p["width"]](const at::Tensor& x) {
                 return (-x.select(1, 0).square() / width).exp();
               };
               return entk::Target{"exp(-x_1^2/width)", bump, /*second_moment=*/std::nan("")};
             });
  return entk::run_program(argc, argv, own);
}
