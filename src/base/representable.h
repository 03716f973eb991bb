// Whether a number of the configuration survives in the floating type that a run computes in.
#pragma once

#include <c10/core/ScalarType.h>

#include <string>

namespace entk {

/// The largest number of float32 or float64.
double largest_of(c10::ScalarType type);

/// @throws InputError naming the number where it is neither 0 nor of a size that the type holds with all its digits.
void check_representable(const std::string& name, double value, c10::ScalarType type);

}  // namespace entk
