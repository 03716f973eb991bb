#include "entk/io/pickle_machine.h"

#include <array>
#include <bit>

#include "entk/io/text.h"

namespace entk::pickle {

namespace {

constexpr std::size_t most_memo_entries = 1 << 20;

}  // namespace

std::string described(const Value& value) {
  constexpr std::array names = {"None",     "a bool",     "an int",        "a float",        "a str",
                                "a dict",   "a list",     "a tuple",       "an OrderedDict", "a storage",
                                "a tensor", "a function", "a storage type"};
  static_assert(names.size() == std::variant_size_v<Value>);
  std::string result = names[value.index()];
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    result += ' ';
    result += in_quotes(*text);
  }
  return result;
}

std::string_view Bytes::take(std::size_t count) {
  if (count > bytes_.size() - place_) throw Fault("the pickle ends early");
  place_ += count;
  return bytes_.substr(place_ - count, count);
}

std::string_view Bytes::take_line() {
  constexpr std::size_t longest = 256;
  const std::size_t end = bytes_.substr(place_, longest).find('\n');
  if (end == std::string_view::npos) throw Fault("the pickle has a global without an end");
  const std::string_view line = take(end);
  take(1);
  return line;
}

std::int64_t Bytes::take_long() {
  const std::string_view digits = take(take<std::uint8_t>());
  if (digits.size() > 8) throw Fault("an int has more than 64 bits");
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(digits[i])} << (8 * i);
  }
  if (digits.empty() || digits.size() == 8) return static_cast<std::int64_t>(value);
  const std::uint64_t sign = std::uint64_t{1} << (8 * digits.size() - 1);
  return static_cast<std::int64_t>((value ^ sign) - sign);
}

double Bytes::take_double() { return std::bit_cast<double>(__builtin_bswap64(take<std::uint64_t>())); }

Value Stack::pop() {
  const Value value = top();
  values_.pop_back();
  return value;
}

const Value& Stack::top() const {
  if (values_.size() <= floor()) throw Fault("the pickle takes a value that is not there");
  return values_.back();
}

std::size_t Stack::pop_mark() {
  if (marks_.empty()) throw Fault("the pickle takes a mark that is not there");
  const std::size_t mark = marks_.back();
  marks_.pop_back();
  return mark;
}

void Stack::push_tuple(std::size_t begin) {
  if (begin > values_.size() || begin < floor()) {
    throw Fault("the pickle takes a value that is not there");
  }
  const Tuple tuple{tuple_items_.size(), values_.size() - begin};
  tuple_items_.insert(tuple_items_.end(), values_.begin() + static_cast<std::ptrdiff_t>(begin), values_.end());
  cut(begin);
  push(tuple);
}

void Stack::put(std::size_t place) {
  if (place >= most_memo_entries) throw Fault("the pickle's memo is too large");
  if (place >= memo_.size()) memo_.resize(place + 1);
  memo_[place] = top();
}

void Stack::get(std::size_t place) {
  if (place >= memo_.size()) throw Fault("the pickle takes a memo entry that is not there");
  push(memo_[place]);
}

}  // namespace entk::pickle
