#include "entk/io/pickle_writer.h"

#include "entk/base/error.h"
#include "entk/io/pickle_opcodes.h"
#include "entk/io/storage_types.h"
#include "entk/io/text.h"

namespace entk {

namespace {

using namespace pickle;

class Writer {
 public:
  void opcode(Opcode code) { bytes_ += static_cast<char>(code); }

  template <class T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  void text(const std::string& value) {
    opcode(BINUNICODE);
    number(static_cast<std::uint32_t>(value.size()));
    bytes_ += value;
  }

  void integer(std::int64_t value) {
    opcode(LONG1);
    bytes_ += '\x08';
    number(value);
  }

  void integers(const std::vector<std::int64_t>& values) {
    opcode(MARK);
    for (const std::int64_t value : values) integer(value);
    opcode(TUPLE);
  }

  void global(const std::string& module, const std::string& name) {
    opcode(GLOBAL);
    bytes_ += module + "\n" + name + "\n";
  }

  void tensor(const PickledEntry& entry, const std::string& storage) {
    std::vector<std::int64_t> strides(entry.sizes.size());
    std::int64_t numel = 1;
    for (std::size_t i = entry.sizes.size(); i-- > 0;) {
      strides[i] = numel;
      numel *= entry.sizes[i];
    }
    const char* type = storage_type_name(entry.dtype);
    if (type == nullptr) {
      throw InputError("entry " + in_quotes(entry.key) + ": a .pt file of entk cannot hold the type " +
                       c10::toString(entry.dtype));
    }
    global("torch._utils", "_rebuild_tensor_v2");
    opcode(MARK);
    opcode(MARK);
    text("storage");
    global("torch", type);
    text(storage);
    text("cpu");
    integer(numel);
    opcode(TUPLE);
    opcode(BINPERSID);
    integer(0);  // offset
    integers(entry.sizes);
    integers(strides);
    opcode(NEWFALSE);                      // requires_grad
    global("collections", "OrderedDict");  // no backward hooks
    opcode(EMPTY_TUPLE);
    opcode(REDUCE);
    opcode(TUPLE);
    opcode(REDUCE);
  }

  std::string dict(const std::vector<PickledEntry>& entries) && {
    opcode(PROTO);
    bytes_ += '\x02';
    opcode(EMPTY_DICT);
    opcode(MARK);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      text(entries[i].key);
      tensor(entries[i], std::to_string(i));
    }
    opcode(SETITEMS);
    opcode(STOP);
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
};

}  // namespace

std::string write_pickled_dict(const std::vector<PickledEntry>& entries) { return Writer().dict(entries); }

}  // namespace entk
