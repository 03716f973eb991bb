#include "entk/models/expansion_at.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "entk/base/check.h"

namespace entk {

namespace {

// Training and test points, and one more.
constexpr std::size_t remembered = 3;
constexpr std::int64_t table_limit = std::int64_t{1} << 30;
// A tensor made under c10::InferenceMode does not tell when it is written to: it is equal to none.
constexpr auto unknown = std::numeric_limits<std::uint64_t>::max();

}  // namespace

ExpansionAt expansion_at(const NetworkImpl& network, const at::Tensor& x, const PrimitiveOptions& options) {
  auto primitive = make_primitive(network, x, options);
  auto initial = network.initial_output(primitive->points());
  return {std::move(primitive), std::move(initial)};
}

ExpansionCache::Identity::Identity(const at::Tensor& t)
    : values(t.detach()), version(t.is_inference() ? unknown : t._version()) {}

bool ExpansionCache::Identity::operator==(const Identity& other) const {
  return values.data_ptr() == other.values.data_ptr() && values.sizes() == other.values.sizes() &&
         values.strides() == other.values.strides() && values.scalar_type() == other.values.scalar_type() &&
         version == other.version && version != unknown;
}

const ExpansionAt& ExpansionCache::at(const NetworkImpl& network, const at::Tensor& x, int orders) {
  check_matrix("x", x, -1, network.dimension());
  check_like("x", x, "W", network.w);
  const Identity points(x), w0(network.w0), a(network.a);
  for (const auto& entry : entries_) {
    if (entry.orders >= orders && entry.x == points && entry.w0 == w0 && entry.a == a) return entry.expansion;
  }
  if (entries_.size() == remembered) entries_.erase(entries_.begin());
  entries_.push_back(
      {points, w0, a, orders, expansion_at(network, x, {.orders = orders, .memory_limit = table_limit})});
  return entries_.back().expansion;
}

}  // namespace entk
