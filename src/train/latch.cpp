#include "entk/train/latch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace entk {

Latch::Latch(const at::TensorOptions& options)
    : losses_(at::zeros({look_every + 1}, options)), place_(at::zeros({1}, options.dtype(at::kLong))) {
  if (losses_.is_cpu()) return;
  see_recorded(at::zeros({}, options));  // so that no kernel is loaded while a step is recorded
  place_.zero_();
}

void Latch::see(const at::Tensor& loss, std::int64_t step) {
  if (loss.is_cpu()) {
    if (!std::isfinite(loss.item<double>()) && read() < 0) first_ = step;
    return;
  }
  append(step);
  losses_.select(0, kept_ - 1).copy_(loss);
}

void Latch::set(std::int64_t step) {
  append(step);
  if (place_now_ != kept_ - 1) place_.fill_(kept_ - 1);
  place_now_ = kept_;
}

void Latch::see_recorded(const at::Tensor& loss) {
  losses_.index_copy_(0, place_, loss.to(losses_.scalar_type()).view({1}));
  place_.add_(1);
}

std::int64_t Latch::read() {
  if (first_ < 0 && kept_ > 0) {
    const auto losses = losses_.narrow(0, 0, kept_).cpu().to(at::kDouble);
    const double* values = losses.const_data_ptr<double>();
    const double* wrong = std::find_if_not(values, values + kept_, [](double v) { return std::isfinite(v); });
    if (wrong != values + kept_) first_ = first_kept_ + (wrong - values);
  }
  kept_ = 0;
  return first_;
}

void Latch::append(std::int64_t step) {
  if (kept_ == losses_.size(0)) read();
  if (kept_ == 0) first_kept_ = step;
  ++kept_;
}

}  // namespace entk
