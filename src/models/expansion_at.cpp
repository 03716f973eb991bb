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

ExpansionAt expansion_at(const Expandable& of, const at::Tensor& x, const PrimitiveOptions& options) {
  auto primitive = of.primitive(x, options);
  auto initial = of.initial_output(primitive->points());
  return {std::move(primitive), std::move(initial)};
}

ExpansionCache::Identity::Identity(const at::Tensor& t)
    : values(t.detach()), version(t.is_inference() ? unknown : t._version()) {}

bool ExpansionCache::Identity::operator==(const Identity& other) const {
  return values.data_ptr() == other.values.data_ptr() && values.sizes() == other.values.sizes() &&
         values.strides() == other.values.strides() && values.scalar_type() == other.values.scalar_type() &&
         version == other.version && version != unknown;
}

const ExpansionAt& ExpansionCache::at(const Expandable& of, const at::Tensor& x, int orders) {
  of.check_points("x", x);
  check_like("x", x, "W", of.displacement());
  const Identity points(x);
  std::vector<Identity> start;
  for (const auto& [name, values] : of.start()) start.emplace_back(values);
  for (const auto& entry : entries_) {
    if (entry.orders >= orders && entry.x == points && entry.start == start) return entry.expansion;
  }
  if (entries_.size() == remembered) entries_.erase(entries_.begin());
  entries_.push_back({points, start, orders, expansion_at(of, x, {.orders = orders, .memory_limit = table_limit})});
  return entries_.back().expansion;
}

}  // namespace entk
