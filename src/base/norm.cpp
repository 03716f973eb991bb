#include "entk/base/norm.h"

#include <ATen/ATen.h>

#include <cmath>

#include "entk/base/error.h"

namespace entk {

double frobenius_norm(const at::Tensor& a) {
  if (!a.defined()) throw InputError("norm: expected a tensor, got nothing");
  constexpr std::int64_t block = std::int64_t{1} << 18;
  const at::NoGradGuard no_grad;
  auto sum = at::zeros({}, a.options().dtype(at::kDouble));
  for (const auto& part : a.reshape({-1}).split(block)) {
    const auto values = part.to(at::kDouble);
    sum += at::dot(values, values);
  }
  return std::sqrt(sum.item<double>());
}

}  // namespace entk
