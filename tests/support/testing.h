// Helpers that every room's tests share.
#pragma once

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

#include "entk/base/threads.h"

namespace entk::testing {

/// Sets entk's number of threads for one scope.
struct ThreadCount {
  explicit ThreadCount(int count) { set_threads(count); }
  ~ThreadCount() { set_threads(0); }
};

/// A fresh folder that goes away with the scope.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "entk-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  /// Programs that a test has ended may still be writing there.
  ~TemporaryFolder() {
    std::error_code failed;
    for (int i = 0; i < 50 && (std::filesystem::remove_all(path_, failed), failed); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  std::filesystem::path path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::string read_text(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// Norm of the difference over norm of what is wanted; NaN counts as infinite.
inline double relative_error(const torch::Tensor& got, const torch::Tensor& want) {
  const auto w = want.detach().to(torch::kCPU, torch::kFloat64);
  const auto g = got.detach().to(torch::kCPU, torch::kFloat64);
  const double scale = w.norm().item<double>();
  const double error = (g - w).norm().item<double>();
  const double ratio = error / (scale > 0 ? scale : 1.0);
  return std::isnan(ratio) ? INFINITY : ratio;
}

/// Same shape, and within a relative tolerance in the Frobenius norm; says where they differ most.
inline ::testing::AssertionResult close(const torch::Tensor& got, const torch::Tensor& want, double tolerance) {
  if (got.sizes() != want.sizes()) {
    return ::testing::AssertionFailure() << "shape " << got.sizes() << ", wanted " << want.sizes();
  }
  const double error = relative_error(got, want);
  if (error <= tolerance) return ::testing::AssertionSuccess();
  if (want.numel() == 0) return ::testing::AssertionFailure() << "empty";
  const auto w = want.detach().to(torch::kCPU, torch::kFloat64).flatten();
  const auto g = got.detach().to(torch::kCPU, torch::kFloat64).flatten();
  const auto worst = (g - w).abs().nan_to_num(INFINITY, INFINITY).argmax().item<std::int64_t>();
  return ::testing::AssertionFailure() << fmt::format(
             "relative error {:.3g} > {:.3g}; worst at flat index {}: got {:.17g}, wanted {:.17g}", error, tolerance,
             worst, g[worst].item<double>(), w[worst].item<double>());
}

/// The same bits.
inline ::testing::AssertionResult identical(const torch::Tensor& got, const torch::Tensor& want) {
  if (got.sizes() != want.sizes() || got.scalar_type() != want.scalar_type()) {
    return ::testing::AssertionFailure() << "shape or type differs";
  }
  const auto a = got.detach().contiguous().cpu(), b = want.detach().contiguous().cpu();
  const bool same = a.numel() == 0 || std::memcmp(a.data_ptr(), b.data_ptr(), a.nbytes()) == 0;  // null where empty
  if (same) return ::testing::AssertionSuccess();
  const auto differing = (a != b).sum().item<std::int64_t>();
  return ::testing::AssertionFailure() << differing << " of " << a.numel() << " entries differ";
}

}  // namespace entk::testing
