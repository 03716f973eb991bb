#include "entk/kernels/aten_primitive.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "entk/base/threads.h"
#include "entk/kernels/primitive_parts.h"

namespace entk::kernels {

namespace {

constexpr std::int64_t aten_tile = 256;

class AtenPrimitive final : public TaylorPrimitive, public std::enable_shared_from_this<AtenPrimitive> {
 public:
  AtenPrimitive(const at::Tensor& x, const at::Tensor& w0, const at::Tensor& a, const Activation& activation,
                int orders)
      : TaylorPrimitive(x.contiguous(), w0.contiguous(), a.contiguous(), activation, orders) {}

  KernelMode mode() const override { return KernelMode::reference; }
  const char* backend() const override { return "aten"; }

  at::Tensor terms(const at::Tensor& w) const override {
    check_weights("w", w, *this);
    const SerialTorch serial;
    const at::NoGradGuard no_grad;
    auto sums = at::zeros({orders_, samples()}, x_.options());
    for_tiles([&](const at::Tensor& w0, const at::Tensor& scale, std::int64_t from, std::int64_t count) {
      const auto z0 = x_.mm(w0.t()), z = x_.mm(w.narrow(0, from, count).t());
      double factorial = 1;
      auto power = z;
      for (int p = 1; p <= orders_; ++p) {
        factorial *= p;
        sums[p - 1] += (scale * activation_.derivative(z0, p) * power).sum(1) / factorial;
        if (p < orders_) power = power * z;
      }
    });
    return sums;
  }

  at::Tensor pull_back(const at::Tensor& w, const at::Tensor& cotangents) const override {
    check_weights("w", w, *this);
    check_cotangents(cotangents, orders_, *this);
    return pull_back_tiles([&](const at::Tensor& z0, const at::Tensor& scale, std::int64_t from, std::int64_t count) {
      const auto z = x_.mm(w.narrow(0, from, count).t());
      auto g = at::zeros_like(z), power = at::ones_like(z);
      double factorial = 1;
      for (int p = 1; p <= orders_; ++p) {
        if (p > 1) {
          factorial *= p - 1;
          power = power * z;
        }
        g += cotangents[p - 1].unsqueeze(1) * (scale * activation_.derivative(z0, p)) * power / factorial;
      }
      return g;
    });
  }

  at::Tensor terms_along(const at::Tensor& w, const at::Tensor& v) const override {
    check_weights("w", w, *this);
    check_weights("v", v, *this);
    const SerialTorch serial;
    const at::NoGradGuard no_grad;
    auto sums = at::zeros({2, samples()}, x_.options());
    for_tiles([&](const at::Tensor& w0, const at::Tensor& scale, std::int64_t from, std::int64_t count) {
      const auto z0 = x_.mm(w0.t()), z = x_.mm(w.narrow(0, from, count).t());
      const auto along = x_.mm(v.narrow(0, from, count).t());
      sums[0] += (scale * activation_.derivative(z0, 1) * along).sum(1);
      sums[1] += (scale * activation_.derivative(z0, 2) * z * along).sum(1);
    });
    return sums;
  }

  at::Tensor pull_back_along(const at::Tensor& w, const at::Tensor& v, const at::Tensor& cotangents) const override {
    check_weights("w", w, *this);
    check_weights("v", v, *this);
    check_cotangents(cotangents, 3, *this);
    return pull_back_tiles([&](const at::Tensor& z0, const at::Tensor& scale, std::int64_t from, std::int64_t count) {
      const auto z = x_.mm(w.narrow(0, from, count).t()), along = x_.mm(v.narrow(0, from, count).t());
      return cotangents[0].unsqueeze(1) * (scale * activation_.derivative(z0, 1)) +
             (cotangents[1].unsqueeze(1) * z + cotangents[2].unsqueeze(1) * along) *
                 (scale * activation_.derivative(z0, 2));
    });
  }

  std::unique_ptr<Stepper> stepper(const at::Tensor& w) const override { return plain_stepper(shared_from_this(), w); }

 private:
  template <class F>
  void for_tiles(F&& f) const {
    const auto scale = a_ / std::sqrt(static_cast<double>(width()));
    for (std::int64_t from = 0; from < width(); from += aten_tile) {
      const std::int64_t count = std::min(aten_tile, width() - from);
      f(w0_.narrow(0, from, count), scale.narrow(0, from, count), from, count);
    }
  }

  template <class F>
  at::Tensor pull_back_tiles(F&& form) const {
    const SerialTorch serial;
    const at::NoGradGuard no_grad;
    auto out = at::empty({width(), dimension()}, x_.options());
    for_tiles([&](const at::Tensor& w0, const at::Tensor& scale, std::int64_t from, std::int64_t count) {
      out.narrow(0, from, count).copy_(form(x_.mm(w0.t()), scale, from, count).t().mm(x_));
    });
    return out;
  }
};

}  // namespace

std::shared_ptr<const TaylorPrimitive> make_aten_primitive(const at::Tensor& x, const at::Tensor& w0,
                                                           const at::Tensor& a, const Activation& activation,
                                                           int orders) {
  return std::make_shared<AtenPrimitive>(x, w0, a, activation, orders);
}

}  // namespace entk::kernels
