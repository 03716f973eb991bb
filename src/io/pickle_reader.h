// Reads the pickle inside a `.pt` file: the few opcodes of protocol 2 that a plain dict of tensors
// needs, and no others. Nothing in the pickle is ever called or looked up by name; a GLOBAL outside
// a short list is refused, and the size of everything is capped.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace entk {

/// A view into a storage, as torch.save describes a tensor. Sizes, strides and offset count
/// entries, are not negative, and stay within the storage.
struct PickledTensor {
  c10::ScalarType dtype;
  std::string storage;        ///< its record is data/<storage>
  std::int64_t storage_size;  ///< entries
  std::int64_t offset;
  std::vector<std::int64_t> sizes, strides;
  std::int64_t numel;
};

using PickledValue = std::variant<PickledTensor, std::int64_t, double, bool>;
using PickledDict = std::map<std::string, PickledValue>;

/// More entries than this are refused, by the writer too.
constexpr std::size_t most_dict_entries = 16384;

/// Reads `pickle`, which holds a dict from strings to tensors, ints, floats and bools; `name` is
/// the file's, for messages.
/// @throws InputError that names the entry where there is one, and says what was found and, where a
/// call in Python would help, which.
PickledDict read_pickled_dict(std::string_view pickle, const std::string& name);

}  // namespace entk
