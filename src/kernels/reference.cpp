// The naive form: the oracle that every fast kernel is compared with. Slow on purpose.
#include "entk/kernels/reference.h"

#include <ATen/ATen.h>

#include <cmath>

#include "entk/kernels/network_function.h"

namespace entk {

at::Tensor reference_terms(const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a, const Activation& activation,
                           const at::Tensor& w, int orders) {
  const auto z0 = x.mm(w0.t()), z = x.mm(w.t());  // n×m
  const auto scale = a / std::sqrt(static_cast<double>(w0.size(0)));
  std::vector<at::Tensor> terms;
  double factorial = 1;
  for (int p = 1; p <= orders; ++p) {
    factorial *= p;
    terms.push_back((scale * elementwise(activation, z0, p) * z.pow(p)).sum(1) / factorial);
  }
  return at::stack(terms);
}

at::Tensor reference_pull_back(const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a,
                               const Activation& activation, const at::Tensor& w, const at::Tensor& cotangents) {
  const auto z0 = x.mm(w0.t()), z = x.mm(w.t());  // n×m
  const auto scale = a / std::sqrt(static_cast<double>(w0.size(0)));
  auto g = at::zeros_like(z);
  double factorial = 1;
  for (int p = 1; p <= cotangents.size(0); ++p) {
    if (p > 1) factorial *= p - 1;
    g = g + cotangents[p - 1].unsqueeze(1) * (scale * activation.derivative(z0, p)) * z.pow(p - 1) / factorial;
  }
  return g.t().mm(x);
}

}  // namespace entk
