// The types of tensors that `.pt` files of entk hold, and what torch.save calls their storages.
#pragma once

#include <c10/core/ScalarType.h>

#include <array>
#include <string_view>

namespace entk {

struct StorageType {
  const char* name;
  c10::ScalarType dtype;
};

constexpr std::array storage_types = {
    StorageType{"FloatStorage", c10::ScalarType::Float}, StorageType{"DoubleStorage", c10::ScalarType::Double},
    StorageType{"HalfStorage", c10::ScalarType::Half},   StorageType{"BFloat16Storage", c10::ScalarType::BFloat16},
    StorageType{"LongStorage", c10::ScalarType::Long},   StorageType{"IntStorage", c10::ScalarType::Int},
    StorageType{"ShortStorage", c10::ScalarType::Short}, StorageType{"CharStorage", c10::ScalarType::Char},
    StorageType{"ByteStorage", c10::ScalarType::Byte},   StorageType{"BoolStorage", c10::ScalarType::Bool},
};

/// Null for a type that has none.
constexpr const char* storage_type_name(c10::ScalarType dtype) {
  for (const StorageType& type : storage_types) {
    if (type.dtype == dtype) return type.name;
  }
  return nullptr;
}

}  // namespace entk
