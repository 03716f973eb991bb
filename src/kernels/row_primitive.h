// A primitive that can be taken at some of its points, for a step that reads those alone.
#pragma once

#include "entk/kernels/primitive.h"

namespace entk {

/// Safe to share, as every primitive is; so is what it gives.
class RowPrimitive : public Primitive {
 public:
  /// The same at these rows of points(): int64, on their device. Null where all points cost no more.
  virtual std::shared_ptr<const Primitive> at_rows(const at::Tensor& rows) const = 0;

 protected:
  using Primitive::Primitive;
};

/// at_rows() of a primitive that has it, or null.
inline std::shared_ptr<const Primitive> at_rows(const Primitive& primitive, const at::Tensor& rows) {
  const auto* of = dynamic_cast<const RowPrimitive*>(&primitive);
  return of ? of->at_rows(rows) : nullptr;
}

}  // namespace entk
