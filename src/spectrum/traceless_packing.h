// Orthonormal coordinates of the symmetric d×d matrices of trace zero: the quadratic harmonics xᵀMx.
// Internal to this room.
//
// pack(M) = (√2 M_ij for i < j; H diag M), H: (d−1)×d with orthonormal rows of sum zero (Helmert's), so
// that pack(M)·pack(N) = tr(MN) for M, N symmetric of trace zero, and a multiple of the identity packs
// to zero.
#pragma once

#include <ATen/ATen.h>

#include <cmath>

namespace entk {

class TracelessPacking {
 public:
  explicit TracelessPacking(std::int64_t dimension) : d_(dimension) {
    std::vector<std::int64_t> i, j, where(d_ * d_);
    for (std::int64_t a = 0; a < d_; ++a) {
      for (std::int64_t b = a + 1; b < d_; ++b) {
        where[a * d_ + b] = where[b * d_ + a] = static_cast<std::int64_t>(i.size());
        i.push_back(a), j.push_back(b);
      }
    }
    const auto pairs = static_cast<std::int64_t>(i.size());
    for (std::int64_t a = 0; a < d_; ++a) where[a * d_ + a] = pairs + a;
    i_ = at::tensor(i, at::kLong), j_ = at::tensor(j, at::kLong), where_ = at::tensor(where, at::kLong);
    helmert_ = at::zeros({d_ - 1, d_}, at::kDouble);
    for (std::int64_t k = 1; k < d_; ++k) {
      const double size = std::sqrt(static_cast<double>(k * (k + 1)));
      helmert_[k - 1].narrow(0, 0, k).fill_(1.0 / size);
      helmert_[k - 1][k].fill_(-static_cast<double>(k) / size);
    }
  }

  std::int64_t size() const { return d_ * (d_ + 1) / 2 - 1; }

  void to(at::Device device) {
    for (auto* t : {&i_, &j_, &where_, &helmert_}) *t = t->to(device);
  }

  /// pack(½(xyᵀ + yxᵀ)) for each row of x and y: b×d, b×d → b×size.
  at::Tensor rows(const at::Tensor& x, const at::Tensor& y) const {
    const auto off = x.index_select(1, i_) * y.index_select(1, j_) + x.index_select(1, j_) * y.index_select(1, i_);
    return at::cat({off * std::sqrt(0.5), (x * y).mm(helmert_.t())}, 1);
  }
  /// Of symmetric matrices: b×d×d → b×size.
  at::Tensor pack(const at::Tensor& matrices) const {
    const auto off = matrices.flatten(1).index_select(1, i_ * d_ + j_) * std::sqrt(2.0);
    return at::cat({off, matrices.diagonal(0, 1, 2).mm(helmert_.t())}, 1);
  }
  /// b×size → b×d×d.
  at::Tensor unpack(const at::Tensor& packed) const {
    const auto pairs = i_.size(0);
    const auto off = packed.narrow(1, 0, pairs) * std::sqrt(0.5);
    const auto diagonal = packed.narrow(1, pairs, d_ - 1).mm(helmert_);
    return at::cat({off, diagonal}, 1).index_select(1, where_).view({packed.size(0), d_, d_});
  }

 private:
  std::int64_t d_;
  at::Tensor i_, j_;    // the pairs i < j
  at::Tensor where_;    // entry of (√2 M_ij; M_ii) that each M_ij is
  at::Tensor helmert_;  // (d−1)×d
};

}  // namespace entk
