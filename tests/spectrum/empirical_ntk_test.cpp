#include "entk/spectrum/empirical_ntk.h"

#include <gtest/gtest.h>

#include <cmath>

#include "entk/base/error.h"
#include "entk/io/pt_file.h"
#include "entk/models/convolutional_network.h"
#include "entk/models/mlp.h"
#include "tests/io/io_testing.h"
#include "tests/support/errors.h"
#include "tests/support/explicit_matrices.h"
#include "tests/support/modules.h"
#include "tests/support/testing.h"

namespace entk::empirical_ntk_test {
namespace {

using namespace entk::testing;  // NOLINT: tests alone

constexpr double tolerance = 1e-12;

/// J of all outputs, row by row: nO×p.
torch::Tensor jacobian(SmallMlp& module, const torch::Tensor& x) { return derivatives(module, x, false).jacobian; }

TEST(EmpiricalNtk, IsJacobianTimesJacobianByEitherMethodInAnyBlocks) {
  constexpr std::int64_t n = 7, n2 = 5, outputs = 3;
  SmallMlp module(std::vector<std::int64_t>{4, 6, outputs});
  const auto x = random_matrix(n, 4, 1), x2 = random_matrix(n2, 4, 2);
  const auto j = jacobian(module, x), j2 = jacobian(module, x2);
  const auto full = [&](const torch::Tensor& a, const torch::Tensor& b) {
    return a.mm(b.t()).view({a.size(0) / outputs, outputs, b.size(0) / outputs, outputs}).permute({0, 2, 1, 3});
  };
  for (const auto method : {NtkMethod::automatic, NtkMethod::jacobian_contraction, NtkMethod::ntk_vector_products,
                            NtkMethod::structured_derivatives}) {
    for (const std::int64_t limit : {std::int64_t{1} << 30, std::int64_t{4} * outputs * j.size(1) * 8}) {  // two rows
      NtkOptions options{.outputs = NtkOutputs::full, .method = method, .memory_limit = limit};
      EXPECT_TRUE(close(empirical_ntk(module, x, x2, options), full(j, j2), tolerance));
      const auto own = empirical_ntk(module, x, {}, options);
      EXPECT_TRUE(close(own, full(j, j), tolerance));
      EXPECT_TRUE(identical(own, own.permute({1, 0, 3, 2})));
      options.outputs = NtkOutputs::trace;
      EXPECT_TRUE(close(empirical_ntk(module, x, x2, options), full(j, j2).diagonal(0, 2, 3).mean(-1), tolerance));
    }
  }
}

TEST(EmpiricalNtk, HasTheSameBitsForAnyNumberOfThreads) {
  SmallMlp module(std::vector<std::int64_t>{4, 6, 2});
  const auto x = random_matrix(300, 4, 1);
  for (const auto method :
       {NtkMethod::jacobian_contraction, NtkMethod::ntk_vector_products, NtkMethod::structured_derivatives}) {
    const NtkOptions options{.outputs = NtkOutputs::full, .method = method};
    const auto want = empirical_ntk(module, x, {}, options);
    for (const int count : {1, 2, 3}) {
      const ThreadCount threads(count);
      EXPECT_TRUE(identical(empirical_ntk(module, x, {}, options), want));
    }
  }
}

TEST(EmpiricalNtk, OfConvolutionsByStructuredDerivativesIsJacobianTimesJacobian) {
  const ConvolutionalNetwork module(ConvolutionalOptions{
      .input_channels = 2, .height = 4, .width = 4, .blocks = 2, .channels = 3, .dtype = at::kDouble});
  const auto x = random_matrix(6, 32, 1).view({6, 2, 4, 4}), x2 = random_matrix(5, 32, 2).view({5, 2, 4, 4});
  for (const std::int64_t limit : {std::int64_t{1} << 30, std::int64_t{1000}}) {
    const auto by = [&](NtkMethod method, const torch::Tensor& other) {
      return empirical_ntk(module, x, other, {.method = method, .memory_limit = limit});
    };
    for (const auto& other : {x2, torch::Tensor()}) {
      EXPECT_TRUE(
          close(by(NtkMethod::structured_derivatives, other), by(NtkMethod::jacobian_contraction, other), tolerance));
      EXPECT_TRUE(identical(by(NtkMethod::automatic, other), by(NtkMethod::structured_derivatives, other)));
    }
  }
}

TEST(EmpiricalNtk, AModuleWithoutStructureIsToldSoAndTakesAnotherMethod) {
  const SmallAttention module;
  const auto x = random_matrix(4, 6, 10).view({4, 3, 2});
  EXPECT_TRUE(
      identical(empirical_ntk(module, x), empirical_ntk(module, x, {}, {.method = NtkMethod::jacobian_contraction})));
  EXPECT_THROW(empirical_ntk(module, x, {}, {.method = NtkMethod::structured_derivatives}), InputError);
}

using Parameters = FunctionModuleImpl::Tensors;

// Otherwise a million parameters take twenty times as long, and a gigabyte.
TEST(EmpiricalNtk, BiasesOfAnyShapeHaveStructuredDerivatives) {
  const Mlp mlp(
      MlpOptions{.dimension = 3, .widths = {4, 5}, .activation = erf(), .biases = true, .dtype = at::kDouble});
  // One number; one a place and feature, of which the other places have none; one a place.
  const auto sequences =
      function_module({{3, 4}, {6, 4}, {6, 1}, {4}, {}}, [](const Parameters& p, const torch::Tensor& x) {
        const auto h = x.reshape({-1, 3}).mm(p[0]).view({-1, 6, 4});
        return torch::tanh(torch::tanh(h + p[1]) + p[2]).mean(1).mv(p[3]) + p[4];
      });
  const auto rows = random_matrix(7, 3, 1), places = random_matrix(7, 18, 2).view({7, 6, 3});
  const auto agree = [](const auto& module, const torch::Tensor& x) {
    const auto by = [&](NtkMethod method) { return empirical_ntk(module, x, {}, {.method = method}); };
    const auto own = by(NtkMethod::structured_derivatives);
    EXPECT_TRUE(close(own, by(NtkMethod::jacobian_contraction), tolerance));
    EXPECT_TRUE(identical(own, by(NtkMethod::automatic)));
  };
  agree(mlp, rows);
  agree(sequences, places);
}

torch::Tensor kernel_by_hand(const FunctionModule& module, const torch::Tensor& x) {
  const auto j = derivatives(module, x, false).jacobian;
  return j.mm(j.t());
}

TEST(EmpiricalNtk, WhereAPointsRowsAreApartTakesAnotherMethod) {
  // Time first; two copies of the points, one after the other; a constant matrix with as many rows as points.
  const auto time_first = function_module({{4, 3}, {4}, {4}}, [](const Parameters& p, const torch::Tensor& x) {
    const auto h = torch::tanh(torch::matmul(x.transpose(0, 1).contiguous(), p[0].t()) + p[1]);
    return h.mean(0).mv(p[2]);
  });
  const auto twice = function_module({{3, 4}, {4}}, [](const Parameters& p, const torch::Tensor& x) {
    const auto h = torch::tanh(torch::cat({x, 2 * x}).mm(p[0])).mv(p[1]);
    return h.narrow(0, 0, x.size(0)) + h.narrow(0, x.size(0), x.size(0));
  });
  const auto constant = function_module({{3, 6}, {2, 6}, {6}}, [](const Parameters& p, const torch::Tensor& x) {
    return torch::tanh(x.mm(p[0]) + torch::ones({1, 2}, torch::kFloat64).mm(p[1])).mv(p[2]);
  });
  const auto sequences = random_matrix(5, 12, 1).view({5, 4, 3}), rows = random_matrix(5, 3, 2);
  for (const auto& [module, x] : {std::pair{time_first, sequences}, {twice, rows}, {constant, rows}}) {
    const auto want = kernel_by_hand(module, x);
    EXPECT_TRUE(close(empirical_ntk(module, x), want, tolerance));
    EXPECT_TRUE(close(empirical_ntk(module, x.narrow(0, 0, 1), x), want.narrow(0, 0, 1), tolerance));
    EXPECT_TRUE(close(empirical_ntk(module, x, x.narrow(0, 0, 1)), want.narrow(1, 0, 1), tolerance));
    EXPECT_THROW(empirical_ntk(module, x, {}, {.method = NtkMethod::structured_derivatives}), InputError);
    // A call with fewer points, which could not have seen it, tells later ones nothing.
    const EmpiricalNtk ntk(point_module(module.ptr()));
    for (const std::int64_t count : {1, 2, 5, 1}) {
      EXPECT_TRUE(close(ntk(x.narrow(0, 0, count)), want.narrow(0, 0, count).narrow(1, 0, count), tolerance));
    }
  }
}

TEST(EmpiricalNtk, HasTheSameBitsForAnyMemory) {
  SmallMlp module(std::vector<std::int64_t>{4, 6, 2});
  const auto x = random_matrix(300, 4, 1), x2 = random_matrix(400, 4, 2);
  for (const auto& other : {torch::Tensor(), x2}) {
    const auto of = [&](std::int64_t limit) {
      return empirical_ntk(module, x, other, {.method = NtkMethod::structured_derivatives, .memory_limit = limit});
    };
    EXPECT_TRUE(identical(of(1), of(std::int64_t{1} << 30)));
  }
}

TEST(EmpiricalNtk, WhatDependsOnOtherPointsOrIsDrawnIsRefused) {
  const auto x = random_matrix(5, 3, 1);
  const auto said = [&](const FunctionModuleImpl::Function& f, const std::string& what) {
    const auto module = function_module({{4, 3}, {2, 4}}, f);
    for (const auto method : {NtkMethod::automatic, NtkMethod::jacobian_contraction, NtkMethod::ntk_vector_products,
                              NtkMethod::structured_derivatives}) {
      EXPECT_NE(error_of([&] { empirical_ntk(module, x, {}, {.method = method}); }).find(what), std::string::npos);
    }
  };
  said(
      [](const Parameters& p, const torch::Tensor& at) {
        const auto h = at.mm(p[0].t());
        return torch::tanh((h - h.mean(0))).mm(p[1].t());
      },
      "depends on the other points");
  // Right derivatives, of points that are moved by the others.
  said([](const Parameters& p,
          const torch::Tensor& at) { return torch::tanh((at - at.mean(0)).mm(p[0].t())).mm(p[1].t()); },
       "depends on the other points");
  said([](const Parameters& p,
          const torch::Tensor& at) { return torch::dropout(torch::tanh(at.mm(p[0].t())), 0.5, true).mm(p[1].t()); },
       "draws random numbers");
}

TEST(EmpiricalNtk, LaterCallsGiveWhatACallAloneDoes) {
  const ConvolutionalNetwork module(ConvolutionalOptions{
      .input_channels = 2, .height = 4, .width = 4, .blocks = 2, .channels = 3, .dtype = at::kDouble});
  const EmpiricalNtk ntk(point_module(module.ptr()));
  // The last as rows, which this network takes too.
  for (const auto& [n, flat] : {std::pair{6, false}, {2, false}, {130, false}, {5, true}}) {
    const auto of = [&](std::uint64_t seed) {
      const auto rows = random_matrix(n, 32, seed);
      return flat ? rows : rows.view({n, 2, 4, 4});
    };
    EXPECT_TRUE(identical(ntk(of(1)), empirical_ntk(module, of(1))));
    EXPECT_TRUE(identical(ntk(of(1), of(2)), empirical_ntk(module, of(1), of(2))));
  }
  // By its columns it is a function of points, or not.
  const auto either = function_module({{1}}, [](const Parameters& p, const torch::Tensor& x) {
    return torch::tanh(p[0] * (x.size(1) == 3 ? x.sum(1) : x.sum(1) - x.sum(1).mean(0)));
  });
  const EmpiricalNtk of_either(point_module(either.ptr()));
  for (const std::int64_t columns : {3, 4, 3, 4}) {
    const auto said = error_of([&] { of_either(random_matrix(5, columns, 1)); });
    EXPECT_EQ(said.find("depends on the other points") != std::string::npos, columns == 4) << said;
  }
}

TEST(EmpiricalNtk, OfAModuleWithoutItsParametersIsZero) {
  const auto module = function_module({{3}}, [](const Parameters&, const torch::Tensor& x) { return x.sum(1); });
  for (const auto method : {NtkMethod::automatic, NtkMethod::jacobian_contraction, NtkMethod::ntk_vector_products}) {
    EXPECT_TRUE(identical(empirical_ntk(module, random_matrix(4, 3, 1), {}, {.method = method}),
                          torch::zeros({4, 4}, torch::kFloat64)));
  }
}

TEST(EmpiricalNtk, IsThatOfTorchFunc) {
  if (!have_python()) GTEST_SKIP() << "no Python with torch";
  const TemporaryFolder folder;
  SmallMlp module(std::vector<std::int64_t>{4, 8, 6, 2});
  const auto x = random_matrix(9, 4, 1), x2 = random_matrix(5, 4, 2);
  TensorDict entries{{"x", x}, {"x2", x2}, {"K", empirical_ntk(module, x, x2, {.outputs = NtkOutputs::full})}};
  for (const auto& item : module->named_parameters()) entries[item.key()] = item.value().detach();
  write_pt(folder / "ntk.pt", entries);
  const auto output = python(R"(
import torch
from torch.func import vmap, jacrev
d = torch.load('ntk.pt')
theta = {k: d[k] for k in d if k.startswith(('weight', 'bias'))}
def f(theta, x):
    for i in range(3):
        x = theta[f'weight{i}'] @ (x if i == 0 else torch.tanh(x)) + theta[f'bias{i}']
    return x
def rows(x):
    j = vmap(jacrev(f), (None, 0))(theta, x)
    return torch.cat([j[k].flatten(2) for k in theta], 2)
k = torch.einsum('iap,jbp->ijab', rows(d['x']), rows(d['x2']))
print(float((k - d['K']).norm() / k.norm()) < 1e-13)
)",
                             folder.path());
  EXPECT_EQ(output, "True\n");
}

/// A relu network in the NTK parameterisation: h_l = √(2/n_l) W_l relu(h_{l−1}), W_l of standard normals.
struct WideReluImpl : torch::nn::Cloneable<WideReluImpl> {
  WideReluImpl(std::int64_t d, std::int64_t width, std::uint64_t seed) : d(d), width(width), seed(seed) { reset(); }
  void reset() override {
    torch::manual_seed(seed);
    const auto matrix = [&](const char* name, std::int64_t rows, std::int64_t columns) {
      return register_parameter(name, torch::randn({rows, columns}, torch::kFloat64));
    };
    first = matrix("first", width, d);
    second = matrix("second", width, width);
    last = matrix("last", 1, width);
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const double scale = std::sqrt(2.0 / static_cast<double>(width));
    const auto h = torch::relu(x.mm(first.t()) / std::sqrt(static_cast<double>(d)));
    return scale * torch::relu(scale * h.mm(second.t())).mm(last.t());
  }
  std::int64_t d, width;
  std::uint64_t seed;
  torch::Tensor first, second, last;
};
TORCH_MODULE(WideRelu);

TEST(EmpiricalNtk, OfAWideNetworkIsNearItsInfiniteLimit) {
  constexpr std::int64_t d = 5;
  const auto x = random_matrix(8, d, 3);
  // Θ_1 = Σ_1 = x·x'/d; Σ_{l+1} = 2 E[relu relu], Θ_{l+1} = Σ_{l+1} + Θ_l 2 E[relu' relu'] (arc-cosine kernels).
  auto covariance = x.mm(x.t()) / static_cast<double>(d), limit = covariance;
  for (int layer = 0; layer < 2; ++layer) {
    const auto norms = covariance.diagonal().sqrt(), product = torch::outer(norms, norms);
    const auto cosine = (covariance / product).clamp(-1, 1), angle = cosine.acos();
    covariance = product * ((1 - cosine.square()).clamp_min(0).sqrt() + (M_PI - angle) * cosine) / M_PI;
    limit = covariance + limit * (M_PI - angle) / M_PI;
  }
  const auto off = [&](std::int64_t width) {
    double sum = 0;
    for (const std::uint64_t seed : {1, 2, 3, 4}) {
      sum += relative_error(empirical_ntk(WideRelu(d, width, seed), x), limit);
    }
    return sum / 4;
  };
  const double narrow = off(16), wide = off(400);
  EXPECT_LT(wide, 0.15);
  EXPECT_LT(wide, narrow / 2.5);  // √25 = 5 in the mean
}

TEST(EmpiricalNtk, WhatDoesNotFitIsRefusedByName) {
  const SmallMlp module(std::vector<std::int64_t>{4, 6, 1});
  EXPECT_THROW(empirical_ntk(module, random_matrix(3, 5, 1)), InputError);
  EXPECT_THROW(empirical_ntk(module, random_matrix(3, 4, 1).to(torch::kFloat32)), InputError);
  EXPECT_THROW(empirical_ntk(module, torch::Tensor()), InputError);
}

}  // namespace
}  // namespace entk::empirical_ntk_test
