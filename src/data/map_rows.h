// Internal to this room: a function of each row.
#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "entk/base/check.h"
#include "entk/base/threads.h"

namespace entk {

/// f(row) for each row of x: plain loops, the same bits everywhere. @throws InputError unless x has `dimension`
/// columns in float64 on the CPU.
template <class F>
at::Tensor map_rows(const at::Tensor& x, std::int64_t dimension, F&& f) {
  check_matrix("x", x, -1, dimension);
  if (x.scalar_type() != at::kDouble || !x.is_cpu()) {
    throw InputError(
        fmt::format("x: expected float64 on the cpu, got {} on {}", toString(x.scalar_type()), x.device().str()));
  }
  const auto rows = x.contiguous();
  const double* points = rows.const_data_ptr<double>();
  const std::int64_t d = rows.size(1);
  auto out = at::empty({rows.size(0)}, at::kDouble);
  double* values = out.mutable_data_ptr<double>();
  parallel_for(rows.size(0), [&](std::int64_t i) { values[i] = f(points + i * d); });
  return out;
}

}  // namespace entk
