// Writes the pickle inside a `.pt` file: protocol 2, a plain dict from strings to tensors.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <vector>

namespace entk {

/// One contiguous tensor that has a storage of its own, data/<its place in the list>.
struct PickledEntry {
  std::string key;
  c10::ScalarType dtype;
  std::vector<std::int64_t> sizes;
};

/// The pickle of the dict, in this order. @throws InputError naming the entry whose type a storage
/// cannot have (float32, float64, float16, bfloat16, int8 to int64, uint8 and bool can).
std::string write_pickled_dict(const std::vector<PickledEntry>& entries);

}  // namespace entk
