// Dicts of tensors in `.pt` files, which Python reads and writes with plain torch.load and
// torch.save.
//
// Written files open with torch.load(file) (weights_only, the default) as a plain dict of CPU
// tensors, and with torch::pickle_load. Their bytes are a function of the dict alone. An entry
// `checksum` covers all others.
//
// The reader is entk's own: it runs nothing, looks nothing up by name, and takes no more than 256
// MB and twice the file's size of memory, whatever the bytes are. torch::load and jit::load run
// code that is stored in the file, and torch::pickle_load can be made to crash.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace entk {

/// What a file holds.
using TensorDict = std::map<std::string, torch::Tensor>;

/// How strictly a file is read.
struct PtOptions {
  /// Refuse a file without checksum, as Python's are.
  bool require_checksum = false;
};

/// The bytes of a `.pt` file: dense tensors on any device, of type float32, float64, float16,
/// bfloat16, int8 to int64, uint8 or bool; views are copied. @throws InputError naming the entry.
std::string serialize_pt(const TensorDict& dict);

/// The tensors in the bytes of a `.pt` file: contiguous, on the CPU, owning their memory. Python's
/// ints, floats and bools become tensors without dimensions (int64, float64, bool). A checksum is
/// verified and taken out. `name` is for messages.
/// @throws InputError naming the entry where there is one, and the call that makes a readable file
/// where Python wrote another kind.
TensorDict parse_pt(std::string_view bytes, const std::string& name, const PtOptions& options = {});

/// serialize_pt and write_file_atomically. @throws InputError, SaveError
void write_pt(const std::filesystem::path& path, const TensorDict& dict,
              const std::optional<std::filesystem::path>& previous = std::nullopt);

/// read_file and parse_pt. @throws InputError
TensorDict read_pt(const std::filesystem::path& path, const PtOptions& options = {});

/// XXH3 (128 bits, as two int64: low, high) over the entries in the order of their names, each as:
/// length of the name, name, length of the type's name (torch's, as in "Float"), that name, number
/// of dimensions, sizes, entries; numbers are 64-bit, all little endian. Tensors are contiguous, on
/// the CPU. @throws InputError naming the entry that is not.
torch::Tensor checksum(const TensorDict& dict);

}  // namespace entk
