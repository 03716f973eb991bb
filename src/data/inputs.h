// Inputs x: uniform on the sphere of radius √d (the paper's law), or Gaussian (Figure 1 as run).
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "entk/base/philox.h"

namespace entk {

/// Where inputs come from.
enum class InputLaw { sphere, gaussian };

/// rows×d inputs in float64 on CPU, the same bits on every machine; row i depends on (purpose, seed,
/// step, i, d) alone, so a longer sample begins with a shorter one.
at::Tensor draw_inputs(InputLaw law, std::int64_t rows, std::int64_t dimension, Purpose purpose, std::uint64_t seed,
                       std::uint32_t step = 0);

}  // namespace entk
