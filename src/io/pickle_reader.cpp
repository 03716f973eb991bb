#include "entk/io/pickle_reader.h"

#include <optional>
#include <span>
#include <utility>

#include "entk/base/error.h"
#include "entk/io/pickle_machine.h"
#include "entk/io/pickle_opcodes.h"
#include "entk/io/storage_types.h"
#include "entk/io/text.h"

namespace entk {

namespace {

using namespace pickle;
using std::size_t;

// A pickle of most_dict_entries tensors stays within these; together they bound memory and time.
constexpr size_t most_bytes = 16 << 20;
constexpr size_t most_operations = 1 << 20;
constexpr size_t most_dimensions = 64;

constexpr char save_as_dict[] = "; save it with torch.save(dict(model.state_dict()), file)";

struct StorageRecord {
  c10::ScalarType dtype;
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
  void run();
  void step(unsigned char opcode);
  void push_dict();
  void push_global();
  void push_storage();
  void call();
  void rebuild_tensor(std::span<const Value> arguments);
  void drop_list_items(size_t begin);
  void set_items(size_t begin);
  void set_item(std::string_view key, const Value& value);
  std::optional<PickledValue> converted(const Value& value) const;
  PickledTensor converted(const TensorRecord& tensor) const;
  std::optional<std::string_view> current_key() const;
  [[noreturn]] void fail(std::optional<std::string_view> key, const std::string& why) const;

  Bytes bytes_;
  const std::string& name_;
  Stack stack_;
  bool stopped_ = false;
  size_t dicts_ = 0;
  std::vector<StorageRecord> storages_;
  std::vector<TensorRecord> tensors_;
  PickledDict result_;
};

PickledDict Reader::read() {
  try {
    run();
  } catch (const Fault& fault) {
    fail(current_key(), fault.what());
  }
  return std::move(result_);
}

void Reader::run() {
  if (bytes_.take<std::uint8_t>() != PROTO) {
    throw Fault("the pickle does not begin with its protocol");
  }
  if (const int protocol = bytes_.take<std::uint8_t>(); protocol != 2) {
    throw Fault("found pickle protocol " + std::to_string(protocol) + ", expected 2 (torch.save's own)" + save_as_dict);
  }
  for (size_t operations = 0; !stopped_; ++operations) {
    if (operations == most_operations) throw Fault("the pickle is too long");
    step(bytes_.take<std::uint8_t>());
  }
  if (!bytes_.at_end() || stack_.size() != 1 || !stack_.marks().empty()) {
    throw Fault("the pickle is damaged");
  }
  const auto* dict = std::get_if<Dict>(&stack_[0]);
  if (dict == nullptr || dict->index != 0) {
    throw Fault("found " + described(stack_[0]) + ", expected a dict of tensors");
  }
}

void Reader::fail(std::optional<std::string_view> key, const std::string& why) const {
  throw InputError(name_ + ": " + (key ? "entry " + in_quotes(*key) + ": " : "") + why);
}

/// The key whose value is being read, for messages: above the dict, keys and values take turns, and
/// a function stands where its result will be.
std::optional<std::string_view> Reader::current_key() const {
  if (stack_.empty() || !std::holds_alternative<Dict>(stack_[0])) return std::nullopt;
  const size_t end = stack_.marks().size() > 1 ? stack_.marks()[1] : stack_.size();
  for (size_t i = 1; i < end; i += 2) {
    const auto* key = std::get_if<std::string_view>(&stack_[i]);
    if (key == nullptr) return std::nullopt;
    if (i + 1 >= end || std::holds_alternative<Function>(stack_[i + 1])) return *key;
  }
  return std::nullopt;
}

void Reader::step(unsigned char opcode) {
  // clang-format off
  switch (opcode) {
    case MARK: return stack_.push_mark();
    case NONE: return stack_.push(None{});
    case NEWTRUE: return stack_.push(true);
    case NEWFALSE: return stack_.push(false);
    case BININT: return stack_.push(std::int64_t{bytes_.take<std::int32_t>()});
    case BININT1: return stack_.push(std::int64_t{bytes_.take<std::uint8_t>()});
    case BININT2: return stack_.push(std::int64_t{bytes_.take<std::uint16_t>()});
    case LONG1: return stack_.push(bytes_.take_long());
    case BINFLOAT: return stack_.push(bytes_.take_double());
    case BINUNICODE: return stack_.push(bytes_.take(bytes_.take<std::uint32_t>()));
    case EMPTY_LIST: return stack_.push(List{});
    case EMPTY_DICT: return push_dict();
    case EMPTY_TUPLE: return stack_.push_tuple(stack_.size());
    case TUPLE1: return stack_.push_tuple(stack_.size() - 1);
    case TUPLE2: return stack_.push_tuple(stack_.size() - 2);
    case TUPLE3: return stack_.push_tuple(stack_.size() - 3);
    case TUPLE: return stack_.push_tuple(stack_.pop_mark());
    case BINPUT: return stack_.put(bytes_.take<std::uint8_t>());
    case LONG_BINPUT: return stack_.put(bytes_.take<std::uint32_t>());
    case BINGET: return stack_.get(bytes_.take<std::uint8_t>());
    case LONG_BINGET: return stack_.get(bytes_.take<std::uint32_t>());
    case GLOBAL: return push_global();
    case BINPERSID: return push_storage();
    case REDUCE: return call();
    case APPEND: return drop_list_items(stack_.size() - 1);
    case APPENDS: return drop_list_items(stack_.pop_mark());
    case SETITEM: return set_items(stack_.size() - 2);
    case SETITEMS: return set_items(stack_.pop_mark());
    case STOP: stopped_ = true; return;
    default:
      throw Fault("the pickle's opcode " + std::to_string(opcode) + " at byte " +
                  std::to_string(bytes_.place() - 1) + " is not one that a dict of tensors needs");
  }
  // clang-format on
}

void Reader::push_dict() {
  if (dicts_ == 0 && !stack_.empty()) {
    throw Fault("found " + described(stack_[0]) + ", expected a dict of tensors");
  }
  stack_.push(Dict{dicts_++});
}

void Reader::push_global() {
  const std::string_view module = bytes_.take_line(), name = bytes_.take_line();
  if (module == "torch._utils" && name == "_rebuild_tensor_v2") {
    if (stack_.empty()) {
      throw Fault(
          "found a bare tensor, expected a dict of tensors; save it with "
          "torch.save({'name': tensor}, file)");
    }
    return stack_.push(Function::rebuild_tensor);
  }
  if (module == "torch._utils" && name == "_rebuild_parameter") {
    return stack_.push(Function::rebuild_parameter);
  }
  if (module == "collections" && name == "OrderedDict") return stack_.push(Function::ordered_dict);
  if (module == "torch") {
    for (const StorageType& type : storage_types) {
      if (type.name == name) return stack_.push(type.dtype);
    }
  }
  std::string hint;
  if (module.substr(0, 5) == "numpy") {
    hint = name == "scalar" ? "; make NumPy's scalars Python numbers, float(x), or tensors"
                            : "; make NumPy's arrays tensors, torch.from_numpy(x)";
  } else if (module == "torch._utils" || module == "torch") {
    hint =
        "; dense tensors of these types are read: float32, float64, float16, bfloat16, int8, "
        "int16, int32, int64, uint8, bool";
  } else if (stack_.empty()) {
    hint = save_as_dict;
  }
  throw Fault("found " + in_quotes(std::string(module) + "." + std::string(name)) +
              ", which a dict of tensors does not need; expected tensors, ints, floats and bools" + hint);
}

/// ('storage', type, key, location, number of entries) → the storage.
void Reader::push_storage() {
  const auto items = stack_.items(expect<Tuple>(stack_.pop(), "a storage's tuple"));
  if (items.size() != 5 || expect<std::string_view>(items[0], "'storage'") != "storage") {
    throw Fault("the pickle has a persistent id that is not a storage");
  }
  const auto key = expect<std::string_view>(items[2], "a storage's key");
  const bool plain = key.find_first_not_of("0123456789") == std::string_view::npos;
  if (key.empty() || key.size() > 20 || !plain) {
    throw Fault("expected a number as a storage's key, found " + in_quotes(key));
  }
  const auto size = expect<std::int64_t>(items[4], "a storage's size");
  // 2^60: so that eight bytes an entry stay within 64 bits.
  if (size < 0 || size > (std::int64_t{1} << 60)) {
    throw Fault("a storage claims " + std::to_string(size) + " entries");
  }
  storages_.push_back({expect<c10::ScalarType>(items[1], "a storage type"), key, size});
  stack_.push(Storage{storages_.size() - 1});
}

void Reader::call() {
  const auto arguments = stack_.items(expect<Tuple>(stack_.pop(), "a tuple of arguments"));
  switch (expect<Function>(stack_.pop(), "a function")) {
    case Function::ordered_dict:
      if (stack_.empty()) {
        throw Fault(std::string("found an OrderedDict (as model.state_dict() is), expected a plain "
                                "dict") +
                    save_as_dict);
      }
      if (!arguments.empty()) {
        throw Fault("found an OrderedDict with entries, expected tensors, ints, floats and bools");
      }
      return stack_.push(OrderedDict{});
    case Function::rebuild_parameter:
      if (arguments.size() != 3) {
        throw Fault("a parameter has " + std::to_string(arguments.size()) + " arguments, expected 3");
      }
      return stack_.push(expect<Tensor>(arguments[0], "a tensor"));
    case Function::rebuild_tensor:
      return rebuild_tensor(arguments);
  }
}

/// (storage, offset, sizes, strides, requires_grad, backward_hooks) → the tensor.
void Reader::rebuild_tensor(std::span<const Value> arguments) {
  if (arguments.size() != 6) {
    throw Fault("a tensor has " + std::to_string(arguments.size()) +
                " arguments, expected 6 (tensors with lazy conjugation or negation are not read)");
  }
  TensorRecord tensor{
      expect<Storage>(arguments[0], "a storage"), expect<std::int64_t>(arguments[1], "a storage offset"), 1,
      expect<Tuple>(arguments[2], "a tensor's sizes"), expect<Tuple>(arguments[3], "a tensor's strides")};
  expect<bool>(arguments[4], "requires_grad");
  expect<OrderedDict>(arguments[5], "no backward hooks");
  const auto sizes = stack_.items(tensor.sizes), strides = stack_.items(tensor.strides);
  if (sizes.size() > most_dimensions || sizes.size() != strides.size()) {
    throw Fault("a tensor has " + std::to_string(sizes.size()) + " sizes and " + std::to_string(strides.size()) +
                " strides");
  }
  const std::int64_t storage_size = storages_[tensor.storage.index].size;
  if (tensor.offset < 0 || tensor.offset > storage_size) {
    throw Fault("a tensor begins outside its storage");
  }
  bool empty = false;
  std::int64_t extent = 8;  // bytes, were the sizes of 0 not there: ATen computes as much even of an empty tensor
  std::int64_t last = tensor.offset;  // the entry furthest into the storage
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto size = expect<std::int64_t>(sizes[i], "a size");
    const auto stride = expect<std::int64_t>(strides[i], "a stride");
    if (size < 0 || stride < 0) throw Fault("a tensor has a negative size or stride");
    empty = empty || size == 0;
    std::int64_t reach = 0;
    if (size > 0 && __builtin_mul_overflow(extent, size, &extent)) throw Fault("a tensor's sizes and strides overflow");
    if (!empty && (__builtin_mul_overflow(size - 1, stride, &reach) || __builtin_add_overflow(last, reach, &last) ||
                   __builtin_mul_overflow(tensor.numel, size, &tensor.numel))) {
      throw Fault("a tensor's sizes and strides overflow");
    }
  }
  if (empty) tensor.numel = 0;
  if (!empty && last >= storage_size) throw Fault("a tensor reaches outside its storage");
  tensors_.push_back(tensor);
  stack_.push(Tensor{tensors_.size() - 1});
}

/// Lists are refused when they become values, so what is in them does not matter.
void Reader::drop_list_items(size_t begin) {
  if (begin > stack_.size() || begin < stack_.floor() + 1) {
    throw Fault("the pickle appends to something that is not there");
  }
  expect<List>(stack_[begin - 1], "a list");
  stack_.cut(begin);
}

/// The values from `begin` on are keys and values in turn, below them the dict they belong to.
void Reader::set_items(size_t begin) {
  if (begin > stack_.size() || begin < stack_.floor() + 1 || (stack_.size() - begin) % 2 != 0) {
    throw Fault("the pickle sets entries of something that is not there");
  }
  // A dict inside the dict is refused when it becomes a value, so what is in it does not matter.
  const bool outermost = expect<Dict>(stack_[begin - 1], "a plain dict").index == 0;
  for (size_t i = begin; outermost && i < stack_.size(); i += 2) {
    const auto* key = std::get_if<std::string_view>(&stack_[i]);
    if (key == nullptr) {
      fail(std::nullopt, "found " + described(stack_[i]) + " as a key, expected strings");
    }
    set_item(*key, stack_[i + 1]);
  }
  stack_.cut(begin);
}

void Reader::set_item(std::string_view key, const Value& value) {
  auto entry = converted(value);
  if (!entry) {
    fail(key, "found " + described(value) + ", expected a tensor, an int, a float or a bool");
  }
  if (result_.size() >= most_dict_entries) {
    fail(key, "the dict has more than " + std::to_string(most_dict_entries) + " entries");
  }
  if (!result_.emplace(key, *std::move(entry)).second) fail(key, "the key occurs twice");
}

std::optional<PickledValue> Reader::converted(const Value& value) const {
  if (const auto* tensor = std::get_if<Tensor>(&value)) return converted(tensors_[tensor->index]);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return *number;
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* truth = std::get_if<bool>(&value)) return *truth;
  return std::nullopt;
}

PickledTensor Reader::converted(const TensorRecord& tensor) const {
  const StorageRecord& storage = storages_[tensor.storage.index];
  PickledTensor result{storage.dtype, std::string(storage.key), storage.size, tensor.offset, {}, {}, tensor.numel};
  for (const Value& size : stack_.items(tensor.sizes)) {
    result.sizes.push_back(std::get<std::int64_t>(size));
  }
  for (const Value& stride : stack_.items(tensor.strides)) {
    result.strides.push_back(std::get<std::int64_t>(stride));
  }
  return result;
}

}  // namespace

PickledDict read_pickled_dict(std::string_view pickle, const std::string& name) {
  if (pickle.size() > most_bytes) {
    throw InputError(name + ": the pickle has " + std::to_string(pickle.size()) + " bytes");
  }
  return Reader(pickle, name).read();
}

}  // namespace entk
