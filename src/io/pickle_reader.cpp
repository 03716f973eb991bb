#include "entk/io/pickle_reader.h"

#include <array>
#include <bit>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "entk/base/error.h"
#include "entk/io/pickle_opcodes.h"
#include "entk/io/storage_types.h"
#include "entk/io/text.h"
#include "entk/io/zip_format.h"

namespace entk {

namespace {

using c10::ScalarType;
using std::size_t;

// A pickle of most_dict_entries tensors stays within these; together they bound memory and time.
constexpr size_t most_bytes = 16 << 20;
constexpr size_t most_operations = 1 << 20;
constexpr size_t most_memo_entries = 1 << 20;
constexpr size_t most_dimensions = 64;

constexpr char save_as_dict[] = "; save it with torch.save(dict(model.state_dict()), file)";

// What the stack holds. Nothing here owns memory: tuples and tensors are places in tables of the
// reader, so that no nesting, sharing or cycle can make copying or freeing them go deep.
struct None {};
struct Dict { size_t index; };  ///< 0 is the one that is being read
struct List {};
struct Tuple { size_t begin, count; };
struct OrderedDict {};
struct Storage { size_t index; };
struct Tensor { size_t index; };
enum class Function { rebuild_tensor, rebuild_parameter, ordered_dict };
using Value = std::variant<None, bool, std::int64_t, double, std::string_view, Dict, List, Tuple,
                           OrderedDict, Storage, Tensor, Function, ScalarType>;

/// What a message calls a value.
std::string described(const Value& value) {
  constexpr std::array names = {"None",   "a bool",     "an int",           "a float",   "a str",
                                "a dict", "a list",     "a tuple",          "an OrderedDict",
                                "a storage", "a tensor", "a function", "a storage type"};
  static_assert(names.size() == std::variant_size_v<Value>);
  std::string result = names[value.index()];
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    result += ' ';
    result += in_quotes(*text);
  }
  return result;
}

struct StorageRecord {
  ScalarType dtype;
  std::string_view key;
  std::int64_t size;
};

struct TensorRecord {
  Storage storage;
  std::int64_t offset, numel;
  Tuple sizes, strides;
};

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  PickledDict read();

 private:
  [[noreturn]] void fail(const std::string& why) const;
  std::optional<std::string_view> current_key() const;

  // The bytes.
  std::string_view take(size_t count);
  template <class T>
  T take() { return zip::load<T>(take(sizeof(T)), 0); }
  std::string_view take_line();
  std::int64_t take_long();

  // The stack. Values below the last mark are out of reach, as in Python.
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  void push(Value value) { stack_.push_back(value); }
  Value pop();
  Value& top();
  size_t pop_mark();
  void push_tuple(size_t begin);
  template <class T>
  T expect(const Value& value, const char* wanted) const;

  // The opcodes.
  void step(unsigned char opcode);
  void put(size_t place);
  void get(size_t place);
  void push_global();
  void push_storage();
  void call();
  void rebuild_tensor(std::span<const Value> arguments);
  void set_items(size_t begin);
  std::optional<PickledValue> converted(const Value& value) const;
  PickledTensor converted(const TensorRecord& tensor) const;

  std::string_view bytes_;
  const std::string& name_;
  size_t place_ = 0;
  bool stopped_ = false;
  size_t dicts_ = 0;
  std::vector<Value> stack_, memo_, tuple_items_;
  std::vector<size_t> marks_;
  std::vector<StorageRecord> storages_;
  std::vector<TensorRecord> tensors_;
  PickledDict result_;
};

void Reader::fail(const std::string& why) const {
  const auto key = current_key();
  throw InputError(name_ + ": " + (key ? "entry " + in_quotes(*key) + ": " : "") + why);
}

/// The key whose value is being read, for messages: above the dict, keys and values take turns, and
/// a function stands where its result will be.
std::optional<std::string_view> Reader::current_key() const {
  if (stack_.empty() || !std::holds_alternative<Dict>(stack_[0])) return std::nullopt;
  const size_t end = marks_.size() > 1 ? marks_[1] : stack_.size();
  for (size_t i = 1; i < end; i += 2) {
    const auto* key = std::get_if<std::string_view>(&stack_[i]);
    if (key == nullptr) return std::nullopt;
    if (i + 1 >= end || std::holds_alternative<Function>(stack_[i + 1])) return *key;
  }
  return std::nullopt;
}

std::string_view Reader::take(size_t count) {
  if (count > bytes_.size() - place_) fail("the pickle ends early");
  place_ += count;
  return bytes_.substr(place_ - count, count);
}

std::string_view Reader::take_line() {
  constexpr size_t longest = 256;
  const size_t end = bytes_.substr(place_, longest).find('\n');
  if (end == std::string_view::npos) fail("the pickle has a global without an end");
  const std::string_view line = take(end);
  take(1);
  return line;
}

std::int64_t Reader::take_long() {
  const std::string_view digits = take(take<std::uint8_t>());
  if (digits.size() > 8) fail("an int has more than 64 bits");
  std::uint64_t value = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(digits[i])} << (8 * i);
  }
  if (digits.empty() || digits.size() == 8) return static_cast<std::int64_t>(value);
  const std::uint64_t sign = std::uint64_t{1} << (8 * digits.size() - 1);
  return static_cast<std::int64_t>((value ^ sign) - sign);
}

Value Reader::pop() {
  const Value value = top();
  stack_.pop_back();
  return value;
}

Value& Reader::top() {
  if (stack_.size() <= floor()) fail("the pickle takes a value that is not there");
  return stack_.back();
}

size_t Reader::pop_mark() {
  if (marks_.empty()) fail("the pickle takes a mark that is not there");
  const size_t mark = marks_.back();
  marks_.pop_back();
  return mark;
}

/// Makes the values from `begin` on one tuple.
void Reader::push_tuple(size_t begin) {
  if (begin > stack_.size() || begin < floor()) fail("the pickle takes a value that is not there");
  const Tuple tuple{tuple_items_.size(), stack_.size() - begin};
  tuple_items_.insert(tuple_items_.end(), stack_.begin() + static_cast<std::ptrdiff_t>(begin),
                      stack_.end());
  stack_.resize(begin);
  push(tuple);
}

template <class T>
T Reader::expect(const Value& value, const char* wanted) const {
  const T* found = std::get_if<T>(&value);
  if (found == nullptr) fail(std::string("expected ") + wanted + ", found " + described(value));
  return *found;
}

void Reader::put(size_t place) {
  if (place >= most_memo_entries) fail("the pickle's memo is too large");
  if (place >= memo_.size()) memo_.resize(place + 1);
  memo_[place] = top();
}

void Reader::get(size_t place) {
  if (place >= memo_.size()) fail("the pickle takes a memo entry that is not there");
  push(memo_[place]);
}

void Reader::push_global() {
  const std::string_view module = take_line(), name = take_line();
  if (module == "torch._utils" && name == "_rebuild_tensor_v2") {
    if (stack_.empty()) {
      fail("found a bare tensor, expected a dict of tensors; save it with torch.save({'name': tensor}, file)");
    }
    return push(Function::rebuild_tensor);
  }
  if (module == "torch._utils" && name == "_rebuild_parameter") return push(Function::rebuild_parameter);
  if (module == "collections" && name == "OrderedDict") return push(Function::ordered_dict);
  if (module == "torch") {
    for (const StorageType& type : storage_types) {
      if (type.name == name) return push(type.dtype);
    }
  }
  std::string hint;
  if (module.substr(0, 5) == "numpy") {
    hint = name == "scalar" ? "; make NumPy's scalars Python numbers, float(x), or tensors"
                            : "; make NumPy's arrays tensors, torch.from_numpy(x)";
  } else if (module == "torch._utils" || module == "torch") {
    hint = "; dense tensors of these types are read: float32, float64, float16, bfloat16, int8, int16, "
           "int32, int64, uint8, bool";
  } else if (stack_.empty()) {
    hint = save_as_dict;
  }
  fail("found " + in_quotes(std::string(module) + "." + std::string(name)) +
       ", which a dict of tensors does not need; expected tensors, ints, floats and bools" + hint);
}

/// ('storage', type, key, location, number of entries) → the storage.
void Reader::push_storage() {
  const Tuple id = expect<Tuple>(pop(), "a storage's tuple");
  const std::span items(tuple_items_.data() + id.begin, id.count);
  if (id.count != 5 || expect<std::string_view>(items[0], "'storage'") != "storage") {
    fail("the pickle has a persistent id that is not a storage");
  }
  const auto key = expect<std::string_view>(items[2], "a storage's key");
  const bool plain = key.find_first_not_of("0123456789") == std::string_view::npos;
  if (key.empty() || key.size() > 20 || !plain) fail("expected a number as a storage's key, found " + in_quotes(key));
  const auto size = expect<std::int64_t>(items[4], "a storage's size");
  // 2^60: so that eight bytes an entry stay within 64 bits.
  if (size < 0 || size > (std::int64_t{1} << 60)) fail("a storage claims " + std::to_string(size) + " entries");
  storages_.push_back({expect<ScalarType>(items[1], "a storage type"), key, size});
  push(Storage{storages_.size() - 1});
}

void Reader::call() {
  const Tuple arguments = expect<Tuple>(pop(), "a tuple of arguments");
  const std::span items(tuple_items_.data() + arguments.begin, arguments.count);
  switch (expect<Function>(pop(), "a function")) {
    case Function::ordered_dict:
      if (stack_.empty()) {
        fail(std::string("found an OrderedDict (as model.state_dict() is), expected a plain dict") + save_as_dict);
      }
      if (!items.empty()) fail("found an OrderedDict with entries, expected tensors, ints, floats and bools");
      return push(OrderedDict{});
    case Function::rebuild_parameter:
      if (items.size() != 3) fail("a parameter has " + std::to_string(items.size()) + " arguments, expected 3");
      return push(expect<Tensor>(items[0], "a tensor"));
    case Function::rebuild_tensor:
      return rebuild_tensor(items);
  }
}

/// (storage, offset, sizes, strides, requires_grad, backward_hooks) → the tensor.
void Reader::rebuild_tensor(std::span<const Value> arguments) {
  if (arguments.size() != 6) {
    fail("a tensor has " + std::to_string(arguments.size()) +
         " arguments, expected 6 (tensors with lazy conjugation or negation are not read)");
  }
  TensorRecord tensor{expect<Storage>(arguments[0], "a storage"),
                      expect<std::int64_t>(arguments[1], "a storage offset"), 1,
                      expect<Tuple>(arguments[2], "a tensor's sizes"),
                      expect<Tuple>(arguments[3], "a tensor's strides")};
  expect<bool>(arguments[4], "requires_grad");
  expect<OrderedDict>(arguments[5], "no backward hooks");
  const size_t dimensions = tensor.sizes.count;
  if (dimensions > most_dimensions || dimensions != tensor.strides.count) {
    fail("a tensor has " + std::to_string(dimensions) + " sizes and " +
         std::to_string(tensor.strides.count) + " strides");
  }
  const std::int64_t storage_size = storages_[tensor.storage.index].size;
  if (tensor.offset < 0 || tensor.offset > storage_size) fail("a tensor begins outside its storage");
  bool empty = false;
  std::int64_t last = tensor.offset;  // the entry furthest into the storage
  for (size_t i = 0; i < dimensions; ++i) {
    const auto size = expect<std::int64_t>(tuple_items_[tensor.sizes.begin + i], "a size");
    const auto stride = expect<std::int64_t>(tuple_items_[tensor.strides.begin + i], "a stride");
    if (size < 0 || stride < 0) fail("a tensor has a negative size or stride");
    empty = empty || size == 0;
    std::int64_t reach = 0;
    if (!empty && (__builtin_mul_overflow(size - 1, stride, &reach) ||
                   __builtin_add_overflow(last, reach, &last) ||
                   __builtin_mul_overflow(tensor.numel, size, &tensor.numel))) {
      fail("a tensor's sizes and strides overflow");
    }
  }
  if (empty) tensor.numel = 0;
  if (!empty && last >= storage_size) fail("a tensor reaches outside its storage");
  tensors_.push_back(tensor);
  push(Tensor{tensors_.size() - 1});
}

PickledTensor Reader::converted(const TensorRecord& tensor) const {
  const StorageRecord& storage = storages_[tensor.storage.index];
  PickledTensor result{storage.dtype, std::string(storage.key), storage.size, tensor.offset, {}, {}, tensor.numel};
  for (size_t i = 0; i < tensor.sizes.count; ++i) {
    result.sizes.push_back(std::get<std::int64_t>(tuple_items_[tensor.sizes.begin + i]));
    result.strides.push_back(std::get<std::int64_t>(tuple_items_[tensor.strides.begin + i]));
  }
  return result;
}

std::optional<PickledValue> Reader::converted(const Value& value) const {
  if (const auto* tensor = std::get_if<Tensor>(&value)) return converted(tensors_[tensor->index]);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return *number;
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* truth = std::get_if<bool>(&value)) return *truth;
  return std::nullopt;
}

/// The values from `begin` on are keys and values in turn, below them the dict they belong to.
void Reader::set_items(size_t begin) {
  if (begin > stack_.size() || begin < floor() + 1 || (stack_.size() - begin) % 2 != 0) {
    fail("the pickle sets entries of something that is not there");
  }
  const auto dict = expect<Dict>(stack_[begin - 1], "a plain dict");
  // Entries of a dict inside the dict are dropped: it is refused when it becomes a value itself.
  for (size_t i = begin; dict.index == 0 && i < stack_.size(); i += 2) {
    const auto* key = std::get_if<std::string_view>(&stack_[i]);
    if (key == nullptr) {
      throw InputError(name_ + ": found " + described(stack_[i]) + " as a key, expected strings");
    }
    const auto refuse = [&](const std::string& why) {
      throw InputError(name_ + ": entry " + in_quotes(*key) + ": " + why);
    };
    const auto value = converted(stack_[i + 1]);
    if (!value) refuse("found " + described(stack_[i + 1]) + ", expected a tensor, an int, a float or a bool");
    if (result_.size() >= most_dict_entries) {
      refuse("the dict has more than " + std::to_string(most_dict_entries) + " entries");
    }
    if (!result_.emplace(*key, *value).second) refuse("the key occurs twice");
  }
  stack_.resize(begin);
}

void Reader::step(unsigned char opcode) {
  using namespace pickle;
  switch (opcode) {
    case MARK: return marks_.push_back(stack_.size());
    case NONE: return push(None{});
    case NEWTRUE: return push(true);
    case NEWFALSE: return push(false);
    case BININT: return push(std::int64_t{take<std::int32_t>()});
    case BININT1: return push(std::int64_t{take<std::uint8_t>()});
    case BININT2: return push(std::int64_t{take<std::uint16_t>()});
    case LONG1: return push(take_long());
    case BINFLOAT: return push(std::bit_cast<double>(__builtin_bswap64(take<std::uint64_t>())));
    case BINUNICODE: return push(take(take<std::uint32_t>()));
    case EMPTY_LIST: return push(List{});
    case EMPTY_DICT:
      if (dicts_ == 0 && !stack_.empty()) fail("found " + described(stack_[0]) + ", expected a dict of tensors");
      return push(Dict{dicts_++});
    case EMPTY_TUPLE: return push_tuple(stack_.size());
    case TUPLE1: return push_tuple(stack_.size() - 1);
    case TUPLE2: return push_tuple(stack_.size() - 2);
    case TUPLE3: return push_tuple(stack_.size() - 3);
    case TUPLE: return push_tuple(pop_mark());
    case BINPUT: return put(take<std::uint8_t>());
    case LONG_BINPUT: return put(take<std::uint32_t>());
    case BINGET: return get(take<std::uint8_t>());
    case LONG_BINGET: return get(take<std::uint32_t>());
    case GLOBAL: return push_global();
    case BINPERSID: return push_storage();
    case REDUCE: return call();
    case APPEND:
      pop();
      expect<List>(top(), "a list");
      return;
    case APPENDS:
      stack_.resize(pop_mark());
      expect<List>(top(), "a list");
      return;
    case SETITEM: return set_items(stack_.size() - 2);
    case SETITEMS: return set_items(pop_mark());
    case STOP: stopped_ = true; return;
    default:
      fail("the pickle's opcode " + std::to_string(opcode) + " at byte " + std::to_string(place_ - 1) +
           " is not one that a dict of tensors needs");
  }
}

PickledDict Reader::read() {
  if (bytes_.size() > most_bytes) fail("the pickle has " + std::to_string(bytes_.size()) + " bytes");
  if (take<std::uint8_t>() != pickle::PROTO) fail("the pickle does not begin with its protocol");
  if (const int protocol = take<std::uint8_t>(); protocol != 2) {
    fail("found pickle protocol " + std::to_string(protocol) + ", expected 2 (torch.save's own)" + save_as_dict);
  }
  for (size_t operations = 0; !stopped_; ++operations) {
    if (operations == most_operations) fail("the pickle is too long");
    step(take<std::uint8_t>());
  }
  if (place_ != bytes_.size() || stack_.size() != 1 || !marks_.empty()) fail("the pickle is damaged");
  const auto* dict = std::get_if<Dict>(&stack_[0]);
  if (dict == nullptr || dict->index != 0) fail("found " + described(stack_[0]) + ", expected a dict of tensors");
  return std::move(result_);
}

}  // namespace

PickledDict read_pickled_dict(std::string_view pickle, const std::string& name) {
  return Reader(pickle, name).read();
}

}  // namespace entk
