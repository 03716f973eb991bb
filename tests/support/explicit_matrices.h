// The definitions, written out with explicit matrices at small sizes in float64: Φ built, its SVD
// taken, Σ from samples. What the fast forms are compared with.
#pragma once

#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include "entk/models/network.h"

namespace entk::testing {

/// Φ: n×md, row i is φ(x_i) = vec over (r, k) of m^(-1/2) a_r σ'(w0_r·x) x_k (13).
inline torch::Tensor features(const NetworkImpl& network, const torch::Tensor& x) {
  const auto s1 = network.activation().derivative(x.mm(network.w0.t()), 1) * network.a /
                  std::sqrt(static_cast<double>(network.width()));
  return (s1.unsqueeze(2) * x.unsqueeze(1)).flatten(1);
}

/// Π_{≤r} of Σ = ΦᵀΦ/n: md×md, from the SVD of Φ.
inline torch::Tensor projector(const torch::Tensor& phi, std::int64_t rank) {
  const auto v = std::get<2>(torch::linalg_svd(phi, false)).narrow(0, 0, rank);
  return v.t().mm(v);
}

inline Network float64_network(std::int64_t d, std::int64_t m, Initialisation initialisation, std::uint64_t seed = 3) {
  return Network(NetworkOptions{.dimension = d,
                                .width = m,
                                .activation = sigmoid(1.0),
                                .initialisation = initialisation,
                                .seed = seed,
                                .dtype = torch::kFloat64});
}

inline torch::Tensor random_matrix(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  torch::manual_seed(seed);
  return torch::randn({rows, columns}, torch::kFloat64);
}

}  // namespace entk::testing
