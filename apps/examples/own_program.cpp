// The whole program `entk`, with an activation, a regularizer, an observable, a target and a study of one's own:
//
//   own_program figure1 --preset quick --set model.activation.name=sine --set data.target.name=bump
//     --sweep regularizers.group_lasso=0,0.1,1 --seeds 1,11 --set 'observables=["movement","sparsity"]'
//   own_program widths
#include <entk/entk.h>

#include <cmath>

namespace {

// What `own_program widths` shows: test loss and sparsity over the width, and whether the loss falls.
entk::Findings width_findings(const entk::RunsSoFar& runs) {
  entk::Findings found{.table = {"Final values", {"width", "test loss", "sparsity"}, {}}};
  entk::Series loss{.label = "test loss"};
  for (const auto& c : runs.curves) {
    if (!entk::has_runs(c)) continue;
    const auto test = entk::last_summary(c, "test_loss");
    found.table.rows.push_back({c.swept[0].get<double>(), test, entk::last_summary(c, "sparsity")});
    loss.x.push_back(c.swept[0].get<double>());
    loss.y.push_back(test.value);
  }
  found.figures = {{"widths",
                    {.panels = {{.title = "Sine on a bump", .x = {"width", true}, .series = {loss}}}},
                    "Final test loss."}};
  const auto& first = runs.curves.front();
  const auto& last = runs.curves.back();
  found.claims = {entk::judged({.source = "bump",
                                .statement = "A wider network learns the bump better.",
                                .reason = "test loss at the largest width below that at the smallest",
                                .evidence = {{"their ratio", entk::last_ratio(last, first, "test_loss"), 0, 1}}},
                               entk::is_complete(first) && entk::is_complete(last))};
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  entk::Own own;
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
  const nlohmann::json widths = {{"model", {{"activation", "sine"}}},
                                 {"data", {{"dimension", 10}, {"samples", 100}, {"target", "bump"}}},
                                 {"train", {{"steps", 500}}},
                                 {"observables", {"sparsity"}},
                                 {"seeds", {1, 2, 3}},
                                 {"sweep", {{"model.width", {50, 200, 800}}}}};
  own.study(entk::runs_study({.name = "widths",
                              .summary = "Test loss over the width, sine on a bump",
                              .title = "Widths",
                              .presets = {{"standard", widths}}},
                             width_findings));
  return entk::run_program(argc, argv, own);
}
