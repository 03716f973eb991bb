#include "entk/tools/kernel.h"

#include <ATen/ATen.h>

#include <cmath>

#include "entk/base/threads.h"
#include "entk/runs/kernel_fit.h"

namespace entk {

KernelResult measure_kernel(const RunConfig& config, c10::Device device) {
  const auto problem = make_problem(config, device);
  const auto fit = fit_kernel(problem);
  const SerialTorch serial;
  const auto& data = problem.data;
  const auto exact = [](const at::Tensor& t) { return t.to(at::kDouble); };
  const auto n = data.train.x.size(0);
  const auto values = at::linalg_eigvalsh(fit.gram).flip(0).contiguous() / static_cast<double>(n);

  KernelResult result;
  result.notices = problem.notices;
  result.notices.insert(result.notices.end(), fit.notices.begin(), fit.notices.end());
  result.tensors = {{"K", fit.gram},  {"eigenvalues", values},    {"coefficients", fit.regression.coefficients},
                    {"f", fit.train}, {"X", exact(data.train.x)}, {"y", exact(data.train.y)}};
  if (fit.test.defined()) {
    const auto x = exact(data.test.x);
    result.tensors["K_test"] = fit.kernel(x, result.tensors["X"]);
    result.tensors["f_test"] = fit.test;
    result.tensors["X_test"] = x;
    result.tensors["y_test"] = exact(data.test.y);
  }
  if (fit.w.defined()) result.tensors["W"] = fit.w;

  const auto& model = problem.config.model;
  const auto number = [](double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(); };
  result.numbers = {
      {"kernel", word_of(model.kernel)},
      {"ridge", model.ridge},
      {"dimension", data.train.x.size(1)},
      {"samples", n},
      {"test_samples", fit.test.defined() ? fit.test.size(0) : 0},
      {"width", model.kernel == ModelKernel::ntk_infinite || problem.module ? nlohmann::json()
                                                                            : nlohmann::json(problem.w0.size(0))},
      {"rank", fit.regression.rank},
      {"norm", std::sqrt(std::max(0.0, fit.regression.squared_norm))},
      {"train_loss", number(fit.train_loss)},
      {"test_loss", number(fit.test_loss)},
      {"zero_train_loss", number(fit.zero_train_loss)},
      {"zero_test_loss", number(fit.zero_test_loss)},
      {"largest_eigenvalue", values[0].item<double>()},
      {"least_eigenvalue", values[n - 1].item<double>()},
      {"notices", result.notices}};
  return result;
}

}  // namespace entk
