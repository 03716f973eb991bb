// Files between entk and Python's torch, both ways. Each test starts Python once.
#include <sstream>

#include "entk/io/pt_file.h"
#include "tests/io/io_testing.h"

namespace entk::pt_python_test {
namespace {

using testing::contains;
using testing::input_error;
using testing::python;
using testing::TemporaryFolder;

/// One line a tensor: key, type, sizes, bytes in hex.
std::string manifest(const TensorDict& dict) {
  std::string text;
  for (const auto& [key, tensor] : dict) {
    text += key + " " + c10::toString(tensor.scalar_type());
    for (const auto size : tensor.sizes()) text += " " + std::to_string(size);
    text += " :";
    const auto flat = tensor.contiguous();
    const auto* bytes = static_cast<const unsigned char*>(flat.const_data_ptr());
    for (std::size_t i = 0; i < flat.nbytes(); ++i) text += fmt::format("{:02x}", bytes[i]);
    text += "\n";
  }
  return text;
}

// The same in Python.
const char* const manifest_in_python = R"(
import collections, torch
names = {torch.float32: 'Float', torch.float64: 'Double', torch.float16: 'Half', torch.bfloat16: 'BFloat16',
         torch.int64: 'Long', torch.int32: 'Int', torch.int16: 'Short', torch.int8: 'Char',
         torch.uint8: 'Byte', torch.bool: 'Bool'}
def manifest(d):
    text = ''
    for key in sorted(d):
        t = torch.as_tensor(d[key], dtype=torch.float64 if isinstance(d[key], float) else None).detach().contiguous()
        flat = t.reshape(-1).view(torch.uint8) if t.numel() else t
        data = bytes(flat.tolist()).hex() if t.numel() else ''
        text += ' '.join([key, names[t.dtype], *map(str, t.shape), ':' + data]) + '\n'
    return text
)";

TEST(PtPython, PlainTorchLoadOpensWrittenFilesAsAPlainDictBitForBit) {
  if (!testing::have_python()) GTEST_SKIP() << "no Python with torch";
  const TemporaryFolder folder;
  TensorDict dict;
  for (const auto type : {torch::kFloat32, torch::kFloat64, torch::kFloat16, torch::kBFloat16, torch::kInt64,
                          torch::kInt32, torch::kInt16, torch::kInt8, torch::kUInt8, torch::kBool}) {
    dict[c10::toString(type)] = torch::arange(12).sub(5).reshape({3, 4}).to(type);
  }
  dict["scalar"] = torch::scalar_tensor(2.5, torch::kFloat64);
  dict["empty"] = torch::empty({2, 0, 3});
  dict["transposed"] = torch::arange(6).reshape({2, 3}).t();
  dict["part"] = torch::arange(10)[3];
  dict["big"] = torch::randn({200, 300});
  write_pt(folder / "file.pt", dict);
  const auto output = python(std::string(manifest_in_python) + R"(
for mmap in [False, True]:
    d = torch.load('file.pt', mmap=mmap)
    assert type(d) is dict, type(d)
    assert all(type(t) is torch.Tensor and t.device.type == 'cpu' and not t.requires_grad for t in d.values())
    assert d.pop('checksum').dtype == torch.int64
    print(manifest(d), end='')
)",
                             folder.path());
  EXPECT_EQ(output, manifest(dict) + manifest(dict));
}

TEST(PtPython, FilesOfTorchSaveReadBitForBit) {
  if (!testing::have_python()) GTEST_SKIP() << "no Python with torch";
  const TemporaryFolder folder;
  const auto output = python(std::string(manifest_in_python) + R"(
base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
files = {
    'types': {n: torch.arange(12).sub(5).reshape(3, 4).to(t) for t, n in names.items()},
    'views': {'t': base.t(), 'row': base[2], 'step': base[:, ::2], 'base': base, 'same': base,
              'expanded': torch.ones(1).expand(5, 3), 'scalar': torch.tensor(2.5), 'empty': torch.empty(2, 0, 3)},
    'numbers': {'int': 3, 'large': 2**40, 'negative': -2**63, 'float': 0.1, 'true': True, 'false': False, 'one': 1},
    'single': {'W': torch.ones(2)},
    'parameter': {'p': torch.nn.Parameter(torch.ones(2, 3)), 'g': torch.ones(2, requires_grad=True)},
    'state': dict(torch.nn.Linear(3, 4).state_dict()),
    'nothing': {},
    'many': {f'{i:04d}': torch.full((1,), float(i)) for i in range(3000)},
    'big': {'X': torch.randn(300, 200)},
}
for name, d in files.items():
    torch.save(d, name + '.pt')
    with open(name + '.txt', 'w') as f: f.write(manifest(d))
)",
                             folder.path());
  ASSERT_EQ(output, "");
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    if (entry.path().extension() != ".pt") continue;
    auto list = entry.path();
    EXPECT_EQ(manifest(read_pt(entry.path())), testing::read_text(list.replace_extension(".txt"))) << entry.path();
    ++count;
  }
  EXPECT_EQ(count, 9);
}

TEST(PtPython, OtherFilesOfPythonSayWhatWasFoundAndWhatToCall) {
  if (!testing::have_python()) GTEST_SKIP() << "no Python with torch";
  const TemporaryFolder folder;
  const auto output = python(R"(
import collections, warnings, torch, numpy
warnings.filterwarnings('ignore')
W = torch.ones(2)
model = torch.nn.Linear(3, 4)
torch.save(model.state_dict(), 'ordered.pt')
torch.save({'W': W}, 'protocol4.pt', pickle_protocol=4)
torch.save({'W': W}, 'old.pt', _use_new_zipfile_serialization=False)
torch.save(W, 'bare.pt')
torch.save(torch.nn.Parameter(W), 'parameter.pt')
torch.save([W], 'list.pt')
torch.save(model, 'model.pt')
torch.jit.save(torch.jit.script(model), 'script.pt')
for name, value in {'numpy_scalar': numpy.float64(1), 'numpy_array': numpy.ones(2), 'string': 'x', 'none': None, 'nested': {'a': W},
                    'list_value': [1, 2], 'ordered_value': collections.OrderedDict(a=W), 'complex': torch.ones(2, dtype=torch.complex64),
                    'complex_number': 1j, 'sparse': torch.eye(3).to_sparse(), 'uint16': torch.ones(2, dtype=torch.uint16),
                    'quantized': torch.quantize_per_tensor(W, 0.1, 0, torch.qint8), 'size': W.shape, 'dtype': torch.float32,
                    'large': 2**64, 'negated': torch.ones(2, dtype=torch.complex64).conj().imag}.items():
    torch.save({'W': W, 'k': value}, name + '.pt')
torch.save({'W': W, 3: W}, 'int_key.pt')
)",
                             folder.path());
  ASSERT_EQ(output, "");
  const auto refusal = [&](const std::string& name) { return input_error([&] { read_pt(folder / (name + ".pt")); }); };
  const std::string call = "torch.save(dict(model.state_dict()), file)";
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"ordered", {"OrderedDict", call}},
      {"protocol4", {"protocol 4", call}},
      {"old", {"old format", call}},
      {"model", {"Linear", call}},
      {"script", {"TorchScript", call}},
      {"bare", {"bare tensor", "torch.save({'name': tensor}, file)"}},
      {"parameter", {"found a tensor"}},
      {"list", {"found a list"}},
      {"numpy_scalar", {"'k'", "float(x)"}},
      {"numpy_array", {"'k'", "torch.from_numpy"}},
      {"string", {"'k': found a str 'x'"}},
      {"none", {"'k': found None"}},
      {"nested", {"'k': found a dict"}},
      {"list_value", {"'k': found a list"}},
      {"ordered_value", {"OrderedDict"}},
      {"complex", {"'k'", "ComplexFloatStorage"}},
      {"complex_number", {"'k'", "complex"}},
      {"sparse", {"'k'", "sparse"}},
      {"uint16", {"'k'", "_rebuild_tensor_v3"}},
      {"quantized", {"'k'", "_rebuild_qtensor"}},
      {"size", {"'k'", "Size"}},
      {"dtype", {"'k'", "float32"}},
      {"large", {"'k'", "64 bits"}},
      {"negated", {"'k'", "lazy"}},
      {"int_key", {"found an int as a key"}}};
  for (const auto& [name, parts] : cases) {
    const std::string message = refusal(name);
    EXPECT_TRUE(contains(message, (folder / (name + ".pt")).string()));
    for (const auto& part : parts) EXPECT_TRUE(contains(message, part)) << name;
  }
}

}  // namespace
}  // namespace entk::pt_python_test
