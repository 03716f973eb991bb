#include "entk/io/pt_file.h"

#include <cstring>
#include <utility>
#include <vector>

#include "entk/base/error.h"
#include "entk/io/atomic_file.h"
#include "entk/io/pickle_reader.h"
#include "entk/io/pickle_writer.h"
#include "entk/io/text.h"
#include "entk/io/zip_reader.h"
#include "entk/io/zip_writer.h"

namespace entk {

namespace {

constexpr char checksum_key[] = "checksum";

std::string_view bytes_of(const torch::Tensor& tensor) {
  return {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()};
}

/// A dense, contiguous copy on the CPU, or the tensor itself where it is one.
torch::Tensor plain(const std::string& key, const torch::Tensor& tensor) {
  const auto refuse = [&](const std::string& found) -> torch::Tensor {
    throw InputError("entry " + in_quotes(key) + ": expected a dense tensor with values, found " + found);
  };
  if (!tensor.defined()) return refuse("an undefined one");
  if (tensor.layout() != torch::kStrided) return refuse("a sparse one");
  if (tensor.is_quantized()) return refuse("a quantized one");
  if (tensor.is_meta()) return refuse("one on the meta device");
  return tensor.detach().resolve_conj().resolve_neg().to(torch::kCPU).contiguous();
}

/// Copies the entries that sizes and strides select, in row-major order.
template <std::size_t item>
void gather(const char* storage, const PickledTensor& tensor, char* out) {
  struct Dimension {
    std::int64_t size, stride, index;
  };
  std::vector<Dimension> outer;
  for (std::size_t i = 0; i < tensor.sizes.size(); ++i) {
    if (tensor.sizes[i] != 1) outer.push_back({tensor.sizes[i], tensor.strides[i], 0});
  }
  Dimension inner{1, 1, 0};
  if (!outer.empty()) {
    inner = outer.back();
    outer.pop_back();
  }
  // A matrix stored row by row is one long row.
  while (!outer.empty() && outer.back().stride == inner.size * inner.stride) {
    inner.size *= outer.back().size;
    outer.pop_back();
  }
  std::int64_t row = tensor.offset;
  for (std::int64_t done = 0; done < tensor.numel; done += inner.size) {
    const char* from = storage + row * static_cast<std::int64_t>(item);
    if (inner.stride == 1) {
      std::memcpy(out, from, static_cast<std::size_t>(inner.size) * item);
      out += static_cast<std::size_t>(inner.size) * item;
    } else {
      for (std::int64_t i = 0; i < inner.size; ++i, out += item) {
        std::memcpy(out, from + i * inner.stride * static_cast<std::int64_t>(item), item);
      }
    }
    for (std::size_t k = outer.size(); k-- > 0;) {
      row += outer[k].stride;
      if (++outer[k].index < outer[k].size) break;
      row -= outer[k].size * outer[k].stride;
      outer[k].index = 0;
    }
  }
}

class PtReader {
 public:
  PtReader(std::string_view bytes, const std::string& name)
      : name_(name), archive_(bytes, name), budget_(bytes.size() + shared_storage_allowance) {}

  TensorDict read() {
    if (archive_.has("constants.pkl")) {
      fail(
          "found a TorchScript archive (of jit.save or C++ torch::save), expected a dict of "
          "tensors; "
          "save it in Python with torch.save(dict(model.state_dict()), file)");
    }
    if (archive_.has("byteorder") && archive_.read("byteorder") != "little") {
      fail("the tensors are not little endian");
    }
    TensorDict result;
    for (const auto& [key, value] : read_pickled_dict(archive_.read("data.pkl"), name_)) {
      result.emplace(key, std::visit([&, &key = key](const auto& v) { return tensor(key, v); }, value));
    }
    return result;
  }

 private:
  // Tensors that share a storage take more memory than their file; so much more is let pass.
  static constexpr std::size_t shared_storage_allowance = 64 << 20;

  [[noreturn]] void fail(const std::string& why) const { throw InputError(name_ + ": " + why); }

  torch::Tensor tensor(const std::string&, std::int64_t value) { return torch::scalar_tensor(value, torch::kInt64); }
  torch::Tensor tensor(const std::string&, double value) { return torch::scalar_tensor(value, torch::kFloat64); }
  torch::Tensor tensor(const std::string&, bool value) { return torch::scalar_tensor(value, torch::kBool); }

  torch::Tensor tensor(const std::string& key, const PickledTensor& value) {
    const std::size_t item = c10::elementSize(value.dtype);
    const std::string_view storage = archive_.read("data/" + value.storage);
    if (storage.size() != static_cast<std::size_t>(value.storage_size) * item) {
      fail("entry " + in_quotes(key) + ": its storage has " + std::to_string(storage.size()) + " bytes, expected " +
           std::to_string(value.storage_size) + " entries of " + std::to_string(item));
    }
    if (static_cast<std::size_t>(value.numel) > budget_ / item) {
      fail("entry " + in_quotes(key) +
           ": tensors that share storages take far more memory than the file; "
           "save clones of them");
    }
    budget_ -= static_cast<std::size_t>(value.numel) * item;
    auto result = torch::empty(value.sizes, torch::TensorOptions(value.dtype));
    if (value.numel == 0) return result;
    char* out = static_cast<char*>(result.data_ptr());
    switch (item) {
      case 1:
        gather<1>(storage.data(), value, out);
        break;
      case 2:
        gather<2>(storage.data(), value, out);
        break;
      case 4:
        gather<4>(storage.data(), value, out);
        break;
      default:
        gather<8>(storage.data(), value, out);
    }
    if (value.dtype == torch::kBool) {
      for (const char c : bytes_of(result)) {
        if (c != 0 && c != 1) fail("entry " + in_quotes(key) + ": a bool is neither 0 nor 1");
      }
    }
    return result;
  }

  const std::string& name_;
  ZipReader archive_;
  std::size_t budget_;
};

/// Takes the checksum out of the dict and compares it.
void verify(TensorDict& dict, const std::string& name, bool required) {
  const auto entry = dict.extract(checksum_key);
  if (entry.empty()) {
    if (required) throw InputError(name + ": it has no checksum, expected a file that entk wrote");
    return;
  }
  const torch::Tensor want = checksum(dict);
  const torch::Tensor& got = entry.mapped();
  if (got.scalar_type() != torch::kInt64 || got.sizes() != want.sizes() || bytes_of(got) != bytes_of(want)) {
    throw InputError(name +
                     ": the checksum differs: the file is damaged (or an entry was changed in "
                     "Python; leave the entry 'checksum' out when saving there)");
  }
}

}  // namespace

std::string serialize_pt(const TensorDict& dict) {
  if (dict.size() >= most_dict_entries) {
    throw InputError("expected fewer than " + std::to_string(most_dict_entries) + " entries, got " +
                     std::to_string(dict.size()));
  }
  TensorDict tensors;
  for (const auto& [key, tensor] : dict) {
    if (key == checksum_key) throw InputError("entry 'checksum': the name is taken by the file's own checksum");
    tensors.emplace(key, plain(key, tensor));
  }
  tensors.emplace(checksum_key, checksum(tensors));

  std::vector<PickledEntry> entries;
  std::size_t size = 4 * ZipWriter::overhead;
  for (const auto& [key, tensor] : tensors) {
    entries.push_back({key, tensor.scalar_type(), tensor.sizes().vec()});
    size += tensor.nbytes() + ZipWriter::overhead;
  }
  const std::string pickle = write_pickled_dict(entries);
  ZipWriter archive(size + pickle.size());
  archive.add("archive/data.pkl", pickle);
  archive.add("archive/byteorder", "little");
  std::size_t index = 0;
  for (const auto& [key, tensor] : tensors) {
    archive.add("archive/data/" + std::to_string(index++), bytes_of(tensor));
  }
  archive.add("archive/version", "3\n");
  return std::move(archive).finish();
}

TensorDict parse_pt(std::string_view bytes, const std::string& name, const PtOptions& options) {
  // The old format begins with a pickled magic number.
  constexpr std::string_view old_format = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
  if (bytes.empty()) throw InputError(name + ": the file is empty");
  if (bytes.substr(0, old_format.size()) == old_format) {
    throw InputError(name +
                     ": found torch.save's old format, expected the zip format; save it with "
                     "torch.save(dict(model.state_dict()), file)");
  }
  TensorDict dict = PtReader(bytes, name).read();
  verify(dict, name, options.require_checksum);
  return dict;
}

void write_pt(const std::filesystem::path& path, const TensorDict& dict,
              const std::optional<std::filesystem::path>& previous) {
  write_file_atomically(path, serialize_pt(dict), previous);
}

TensorDict read_pt(const std::filesystem::path& path, const PtOptions& options) {
  return parse_pt(read_file(path), path.string(), options);
}

}  // namespace entk
