// What a TaylorModel expands: a start that is held fixed, and the displacement from it that is trained.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "entk/kernels/primitive.h"

namespace entk {

/// f(x;0) and (t_1 … t_P) at points: length n, and P×n.
struct TermsAtPoints {
  at::Tensor terms;    ///< P×n
  at::Tensor initial;  ///< f(x;0)
};

/// A two-layer network, or any module.
class Expandable {
 public:
  virtual ~Expandable() = default;

  /// W, the one trained parameter: m×d for a two-layer network, all of a module's parameters as one vector.
  virtual const at::Tensor& displacement() const = 0;
  /// What decides the expansion and is held fixed, by name.
  virtual std::vector<std::pair<std::string, at::Tensor>> start() const = 0;
  /// Another with the same start, at W = 0.
  virtual std::shared_ptr<Expandable> same_start() const = 0;
  /// The same in float64, at W = 0; in its own type where it cannot be copied.
  virtual std::shared_ptr<Expandable> exact() const = 0;
  /// @throws InputError naming x unless it is points that f takes.
  virtual void check_points(const std::string& name, const at::Tensor& x) const = 0;

  /// f(x;0): length n.
  virtual at::Tensor initial_output(const at::Tensor& x) const = 0;
  /// The primitive on x, which takes W's type and device.
  virtual std::shared_ptr<const Primitive> primitive(const at::Tensor& x, const PrimitiveOptions& options) const = 0;
  /// At W, as expressions of x too: ordinary autograd, slower.
  virtual TermsAtPoints reference(const at::Tensor& x, int orders) const = 0;
  /// What a user should know where a term of order up to `order` vanishes on all points; empty otherwise.
  virtual std::string vanishing_terms(int order, const at::Tensor& x) const = 0;
};

}  // namespace entk
