// Checks of tensors where they enter: each failure names the argument, what was wanted and what came.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "entk/base/error.h"

namespace entk {

/// "Float of shape [2, 3]", or "nothing" of an undefined tensor.
std::string shape_text(const at::Tensor& t);
/// 2-d with at least one row and column; rows and columns are free where −1. @throws InputError
void check_matrix(const std::string& name, const at::Tensor& t, std::int64_t rows, std::int64_t columns);
/// 1-d with at least one entry. @throws InputError
void check_vector(const std::string& name, const at::Tensor& t, std::int64_t length);
/// check_matrix or check_vector with all sizes given. @throws InputError
void check_sizes(const std::string& name, const at::Tensor& t, at::IntArrayRef sizes);
/// float32 or float64. @throws InputError
void check_floating(const std::string& name, const at::Tensor& t);
/// Type and device of another argument. @throws InputError
void check_like(const std::string& name, const at::Tensor& t, const std::string& other_name, const at::Tensor& other);
/// No NaN and no infinity; names the first index that has one. @throws InputError
void check_finite(const std::string& name, const at::Tensor& t);
/// a·b without overflow. @throws InputError naming what was multiplied.
std::int64_t checked_product(const std::string& what, std::int64_t a, std::int64_t b);

}  // namespace entk
