#include "entk/train/update_rule.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "entk/base/philox.h"

namespace entk {

at::Tensor Minibatches::at(std::int64_t step) {
  const std::int64_t parts = (samples_ + size_ - 1) / size_, epoch = step / parts;
  if (epoch != epoch_) {
    epoch_ = epoch;
    shuffled_.resize(static_cast<std::size_t>(samples_));
    std::iota(shuffled_.begin(), shuffled_.end(), std::int64_t{0});
    const RandomStream stream(Purpose::minibatch, seed_, static_cast<std::uint32_t>(epoch));
    for (std::size_t i = shuffled_.size() - 1; i > 0; --i) std::swap(shuffled_[i], shuffled_[stream.below(i, i + 1)]);
  }
  const std::int64_t first = step % parts * size_, last = std::min(first + size_, samples_);
  auto points = at::empty({last - first}, at::kLong);
  std::copy(shuffled_.begin() + first, shuffled_.begin() + last, points.mutable_data_ptr<std::int64_t>());
  return std::get<0>(points.sort());
}

}  // namespace entk
