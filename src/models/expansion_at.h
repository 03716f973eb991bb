// Taylor terms at fixed points, ready to be evaluated for many W.
#pragma once

#include "entk/models/expandable.h"

namespace entk {

/// The primitive on x beside f(x;0), which W does not change.
struct ExpansionAt {
  std::shared_ptr<const Primitive> primitive;  ///< on the points
  at::Tensor initial;                          ///< f(x;0): length n
};
/// x is held fixed: what is made of it is differentiable in W alone. @throws InputError where x requires a gradient.
ExpansionAt expansion_at(const Expandable& of, const at::Tensor& x, const PrimitiveOptions& options = {});

/// Remembers the expansions at the points last seen, so that forward(x) in a loop builds its tables
/// once. Not thread-safe.
class ExpansionCache {
 public:
  /// The expansion at x with at least `orders` terms.
  const ExpansionAt& at(const Expandable& of, const at::Tensor& x, int orders);

 private:
  /// Which values a tensor had: it changes when they are written in place, or replaced by set_data
  /// (as Module::to does).
  struct Identity {
    explicit Identity(const at::Tensor& t);
    bool operator==(const Identity& other) const;

    at::Tensor values;  // shares the storage, so that its address is not used again
    std::uint64_t version;
  };
  struct Entry {
    Identity x;
    std::vector<Identity> start;
    int orders;
    ExpansionAt expansion;
  };
  std::vector<Entry> entries_;
};

}  // namespace entk
