#include "entk/runs/kernel_fit.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "entk/base/error.h"
#include "entk/base/threads.h"
#include "entk/spectrum/feature_kernel.h"

namespace entk {

namespace {

constexpr double much_left_out = 1e-6;

double mean_square_of(const at::Tensor& t) { return t.defined() ? t.square().mean().item<double>() : NAN; }

}  // namespace

KernelFunction run_kernel(const Problem& p) {
  const auto kind = p.config.model.kernel;
  if (kind == ModelKernel::ntk_infinite) {
    return [activation = *p.activation](const at::Tensor& x, const at::Tensor& x2) {
      return infinite_ntk(activation, x, x2).values;
    };
  }
  if (kind == ModelKernel::none)
    throw InputError("model.kernel: expected ntk, ntk_infinite or quadratic_ntk, got none");
  return [of = p.expanded(), order = kind == ModelKernel::ntk ? 1 : 2](const at::Tensor& x, const at::Tensor& x2) {
    return x.is_same(x2) ? feature_kernel(*of, x, order) : feature_kernel(*of, x, x2, order);
  };
}

KernelFit fit_kernel(const Problem& p) {
  const SerialTorch serial;
  const at::NoGradGuard no_grad;
  KernelFit fit;
  fit.kernel = run_kernel(p);
  const auto exact = [](const at::Tensor& t) { return t.to(at::kDouble); };
  const auto of = p.expanded()->exact();
  const auto initial = [&](const at::Tensor& points) {
    return p.config.model.initial_output ? of->initial_output(points) : at::zeros({points.size(0)}, points.options());
  };
  const auto x = exact(p.data.train.x), y = exact(p.data.train.y);
  const auto start = initial(x);
  fit.gram = fit.kernel(x, x);
  fit.regression = kernel_regression(fit.gram, y - start, {.ridge = p.config.model.ridge});
  fit.train = start + fit.regression.fitted;
  fit.train_loss = mean_square_of(y - fit.train);
  fit.zero_train_loss = mean_square_of(y - start);
  at::Tensor error, zero_error;
  if (p.data.test.x.defined()) {
    const auto x_test = exact(p.data.test.x), y_test = exact(p.data.test.y);
    const auto start_test = initial(x_test);
    fit.test = start_test + kernel_prediction(fit.kernel, x_test, x, fit.regression.coefficients);
    error = y_test - fit.test;
    zero_error = y_test - start_test;
  }
  fit.test_loss = mean_square_of(error);
  fit.zero_test_loss = mean_square_of(zero_error);
  if (!fit.regression.notice.empty()) fit.notices.push_back(fit.regression.notice);
  if (p.config.model.kernel == ModelKernel::ntk) {
    const auto primitive = of->primitive(x, {.orders = 1, .mode = KernelMode::recompute});
    fit.w = primitive->pull_back(at::zeros_like(of->displacement()), fit.regression.coefficients.unsqueeze(0))
                .to(p.data.train.x.scalar_type());
  } else if (p.config.model.kernel == ModelKernel::ntk_infinite) {
    const double left_out = infinite_ntk(*p.activation, x.narrow(0, 0, 1), x.narrow(0, 0, 1)).left_out;
    if (left_out > much_left_out) {
      fit.notices.push_back(fmt::format("ntk_infinite: its series in harmonics leaves out {:.1e} of K(x,x)", left_out));
    }
  }
  return fit;
}

Record kernel_record(const KernelFit& fit, std::int64_t step) {
  const bool zero = step == 0;
  Record record;
  record.step = step;
  record.train_loss = record.regularized_loss = zero ? fit.zero_train_loss : fit.train_loss;
  record.test_loss = zero ? fit.zero_test_loss : fit.test_loss;
  record.norm_w = !fit.w.defined() ? NAN : zero ? 0 : std::sqrt(fit.regression.squared_norm);
  record.norm_gradient = NAN;
  return record;
}

}  // namespace entk
