// The parts of a machine that reads a pickle: its bytes, its values and its stack. What the opcodes
// of a `.pt` file mean is in pickle_reader.cpp.
//
// No value owns memory: tuples and tensors are places in tables, so that no nesting, sharing or
// cycle can make copying or freeing them go deep.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "entk/io/zip_format.h"

namespace entk::pickle {

/// What is wrong; the reader adds the file's name and the entry's key.
class Fault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct None {};
struct Dict {
  std::size_t index;  ///< 0 is the one that is being read
};
struct List {};
struct Tuple {
  std::size_t begin, count;
};
struct OrderedDict {};
struct Storage {
  std::size_t index;
};
struct Tensor {
  std::size_t index;
};
enum class Function { rebuild_tensor, rebuild_parameter, ordered_dict };

using Value = std::variant<None, bool, std::int64_t, double, std::string_view, Dict, List, Tuple, OrderedDict, Storage,
                           Tensor, Function, c10::ScalarType>;

/// What a message calls a value: "an int", "a str 'x'".
std::string described(const Value& value);

/// The value, which must be a T. @throws Fault "expected <wanted>, found …"
template <class T>
T expect(const Value& value, const char* wanted) {
  if (const T* found = std::get_if<T>(&value)) return *found;
  throw Fault(std::string("expected ") + wanted + ", found " + described(value));
}

/// The bytes of a pickle, taken from the front. All @throw Fault at the end.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}

  std::size_t place() const { return place_; }
  bool at_end() const { return place_ == bytes_.size(); }

  std::string_view take(std::size_t count);
  template <class T>
  T take() {
    return zip::load<T>(take(sizeof(T)), 0);
  }
  std::string_view take_line();  ///< without its end
  std::int64_t take_long();      ///< LONG1's argument
  double take_double();          ///< big endian

 private:
  std::string_view bytes_;
  std::size_t place_ = 0;
};

/// The stack with its marks, the memo, and the tuples' values. As in Python, values below the last
/// mark are out of reach. All @throw Fault for what is not there.
class Stack {
 public:
  bool empty() const { return values_.empty(); }
  std::size_t size() const { return values_.size(); }
  const Value& operator[](std::size_t i) const { return values_[i]; }
  const std::vector<std::size_t>& marks() const { return marks_; }

  void push(Value value) { values_.push_back(value); }
  Value pop();
  const Value& top() const;
  void push_mark() { marks_.push_back(values_.size()); }
  std::size_t pop_mark();  ///< the place of the first value above it
  /// The lowest place that can be reached.
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  /// Drops the values from `begin` on.
  void cut(std::size_t begin) { values_.resize(begin); }

  /// Makes the values from `begin` on one tuple.
  void push_tuple(std::size_t begin);
  std::span<const Value> items(Tuple tuple) const { return {tuple_items_.data() + tuple.begin, tuple.count}; }

  void put(std::size_t place);
  void get(std::size_t place);

 private:
  std::vector<Value> values_, memo_, tuple_items_;
  std::vector<std::size_t> marks_;
};

}  // namespace entk::pickle
