#include "entk/base/check.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

namespace entk {

namespace {

std::string wanted(std::int64_t size, const char* free_name) { return size < 0 ? free_name : std::to_string(size); }

/// LibTorch refuses sparse tensors in words of its own, and drops an imaginary part with a warning.
void check_real(const std::string& name, const at::Tensor& t) {
  if (!t.defined()) return;
  const auto type = t.scalar_type();
  if (t.layout() == at::kStrided && (at::isFloatingType(type) || at::isIntegralType(type, /*includeBool=*/false))) {
    return;
  }
  throw InputError(fmt::format("{}: expected real numbers in dense memory, got {}{}", name, toString(type),
                               t.layout() == at::kStrided ? "" : ", sparse"));
}

}  // namespace

std::string shape_text(const at::Tensor& t) {
  if (!t.defined()) return "nothing";
  return fmt::format("{} of shape [{}]", toString(t.scalar_type()), fmt::join(t.sizes(), ", "));
}

void check_matrix(const std::string& name, const at::Tensor& t, std::int64_t rows, std::int64_t columns) {
  check_real(name, t);
  const bool fits = t.defined() && t.dim() == 2 && t.numel() > 0 && (rows < 0 || t.size(0) == rows) &&
                    (columns < 0 || t.size(1) == columns);
  if (fits) return;
  throw InputError(fmt::format("{}: expected a matrix of shape [{}, {}] with at least one entry, got {}", name,
                               wanted(rows, "any"), wanted(columns, "any"), shape_text(t)));
}

void check_vector(const std::string& name, const at::Tensor& t, std::int64_t length) {
  check_real(name, t);
  if (t.defined() && t.dim() == 1 && t.numel() > 0 && (length < 0 || t.size(0) == length)) return;
  throw InputError(fmt::format("{}: expected a vector of length {} (at least 1), got {}", name, wanted(length, "any"),
                               shape_text(t)));
}

void check_sizes(const std::string& name, const at::Tensor& t, at::IntArrayRef sizes) {
  if (sizes.size() == 1) return check_vector(name, t, sizes[0]);
  if (sizes.size() == 2) return check_matrix(name, t, sizes[0], sizes[1]);
  check_real(name, t);
  if (t.defined() && t.sizes() == sizes) return;
  throw InputError(
      fmt::format("{}: expected a tensor of shape [{}], got {}", name, fmt::join(sizes, ", "), shape_text(t)));
}

void check_floating(const std::string& name, const at::Tensor& t) {
  check_real(name, t);
  if (t.scalar_type() == at::kFloat || t.scalar_type() == at::kDouble) return;
  throw InputError(fmt::format("{}: expected float32 or float64, got {}", name, toString(t.scalar_type())));
}

void check_like(const std::string& name, const at::Tensor& t, const std::string& other_name, const at::Tensor& other) {
  if (t.scalar_type() == other.scalar_type() && t.device() == other.device()) return;
  throw InputError(fmt::format("{}: expected the type and device of {} ({} on {}), got {} on {}", name, other_name,
                               toString(other.scalar_type()), other.device().str(), toString(t.scalar_type()),
                               t.device().str()));
}

void check_finite(const std::string& name, const at::Tensor& t) {
  check_real(name, t);
  if (t.numel() == 0) return;
  if (t.is_meta()) throw InputError(name + ": expected numbers, got a tensor of the device meta, which has none");
  // By the extremes, which NaN passes through: nothing of the tensor's size is made.
  const auto [least, greatest] = at::aminmax(t);
  if (std::isfinite(least.item<double>()) && std::isfinite(greatest.item<double>())) return;
  const auto finite = at::isfinite(t);
  if (finite.all().item<bool>()) return;
  const auto first = finite.flatten().to(at::kInt).argmin().item<std::int64_t>();
  std::string index;
  std::int64_t rest = first;
  for (std::int64_t dim = t.dim() - 1; dim >= 0; --dim) {
    index = std::to_string(rest % t.size(dim)) + (index.empty() ? "" : ", ") + index;
    rest /= t.size(dim);
  }
  throw InputError(
      fmt::format("{}: entry [{}] is {}; every entry must be finite", name, index, t.flatten()[first].item<double>()));
}

std::int64_t checked_product(const std::string& what, std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) {
    throw InputError(fmt::format("{}: {} times {} does not fit in 64 bits", what, a, b));
  }
  return product;
}

}  // namespace entk
