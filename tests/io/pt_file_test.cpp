#include "entk/io/pt_file.h"

#include "entk/io/atomic_file.h"
#include "tests/io/io_testing.h"

#include <torch/csrc/jit/serialization/pickle.h>

namespace entk::pt_file_test {
namespace {

using namespace pickle;
using testing::archive;
using testing::contains;
using testing::identical;
using testing::in_child;
using testing::input_error;
using testing::Pickle;
using testing::same;
using testing::TemporaryFolder;

const std::vector<torch::ScalarType> all_types = {torch::kFloat32, torch::kFloat64, torch::kFloat16, torch::kBFloat16,
                                                  torch::kInt64,   torch::kInt32,   torch::kInt16,   torch::kInt8,
                                                  torch::kUInt8,   torch::kBool};

TensorDict parsed(const std::string& bytes) { return parse_pt(bytes, "f.pt"); }
std::string refusal(const std::string& bytes) {
  return input_error([&] { parsed(bytes); });
}

TEST(PtFile, EveryTypeReadsBackBitForBit) {
  TensorDict dict;
  for (const auto type : all_types) dict[c10::toString(type)] = torch::arange(12).sub(5).reshape({3, 4}).to(type);
  dict["nan"] = torch::tensor({NAN, -0.0f, INFINITY});
  EXPECT_TRUE(same(parsed(serialize_pt(dict)), dict));
}

TEST(PtFile, ScalarsEmptyTensorsAndManyDimensionsReadBack) {
  TensorDict dict = {{"scalar", torch::scalar_tensor(3.5, torch::kFloat64)},
                     {"empty", torch::empty({0})},
                     {"empty2", torch::empty({3, 0, 2}, torch::kInt64)},
                     {"many", torch::arange(64).reshape({2, 2, 2, 2, 2, 2})},
                     {"", torch::ones({1})},
                     {"Schlüssel / \"'\n", torch::ones({1})}};
  EXPECT_TRUE(same(parsed(serialize_pt(dict)), dict));
  EXPECT_TRUE(same(parsed(serialize_pt({})), {}));
}

TEST(PtFile, ViewsAreWrittenAsWhatTheyShow) {
  const auto base = torch::arange(24).reshape({4, 6});
  const TensorDict dict = {{"t", base.t()},
                           {"row", base[2]},
                           {"step", base.slice(1, 0, 6, 2)},
                           {"expanded", torch::ones({1}).expand({5, 3})},
                           {"again", base}};
  const auto bytes = serialize_pt(dict);
  EXPECT_TRUE(same(parsed(bytes), dict));
  EXPECT_LT(bytes.size(), 6000u);  // a view does not carry its whole storage
}

TEST(PtFile, ReadTensorsOwnTheirMemoryContiguously) {
  TensorDict dict;
  {
    const auto bytes = serialize_pt({{"a", torch::arange(6).reshape({2, 3}).t()}});
    dict = parsed(bytes);
  }
  EXPECT_TRUE(dict["a"].is_contiguous());
  EXPECT_EQ(dict["a"].storage().nbytes(), 48u);
}

TEST(PtFile, GradientsAndLazyNegationAreLeftBehind) {
  // One entry: contiguous as it is, so that nothing else would copy it.
  const auto z = torch::view_as_complex(torch::tensor({{2.0f, 3.0f}}));
  const auto negated = torch::imag(torch::conj(z));
  ASSERT_TRUE(negated.is_neg());
  const auto dict = parsed(serialize_pt({{"n", negated}, {"g", torch::ones({2}).requires_grad_()}}));
  EXPECT_TRUE(identical(dict.at("n"), torch::tensor({-3.0f})));
  EXPECT_FALSE(dict.at("g").requires_grad());
}

TEST(PtFile, TheBytesAreAFunctionOfTheDict) {
  const auto make = [] {
    return TensorDict{{"b", torch::arange(6).reshape({2, 3}).t()}, {"a", torch::ones({4})}, {"e", torch::empty({0})}};
  };
  const auto bytes = serialize_pt(make());
  ::usleep(1000);
  EXPECT_EQ(serialize_pt(make()), bytes);
  EXPECT_EQ(serialize_pt(parsed(bytes)), bytes);
}

// The definition in pt_file.h, as bits: files that were written stay readable.
TEST(PtFile, TheChecksumIsTheOneOfTheFilesAlreadyWritten) {
  const auto sum = checksum(
      {{"W", torch::arange(6, torch::kFloat32).reshape({2, 3})}, {"a", torch::scalar_tensor(1, torch::kInt64)}});
  EXPECT_EQ(sum[0].item<std::int64_t>(), -2936037030643964124);
  EXPECT_EQ(sum[1].item<std::int64_t>(), 4193124050219532415);
}

TEST(PtFile, TheChecksumCoversNamesTypesShapesAndBits) {
  const auto x = torch::arange(6, torch::kFloat32);
  const std::vector<TensorDict> dicts = {{{"a", x}},
                                         {{"b", x}},
                                         {{"a", x.reshape({2, 3})}},
                                         {{"a", x.reshape({3, 2})}},
                                         {{"a", x.view(torch::kInt32)}},
                                         {{"a", x + 1e-6}},
                                         {{"a", x}, {"b", x}},
                                         {{"ab", x}},
                                         {{"a", torch::empty({0})}},
                                         {}};
  for (std::size_t i = 0; i < dicts.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_FALSE(identical(checksum(dicts[i]), checksum(dicts[j]))) << i << " " << j;
  }
}

TEST(PtFile, WhatAFileCannotHoldIsRefusedNamingTheEntry) {
  const auto refused = [](const torch::Tensor& value) { return input_error([&] { serialize_pt({{"key", value}}); }); };
  EXPECT_TRUE(contains(refused(torch::Tensor()), "'key': expected a dense tensor with values, found an undefined one"));
  EXPECT_TRUE(contains(refused(torch::ones({2, 2}).to_sparse()), "sparse"));
  EXPECT_TRUE(contains(refused(torch::quantize_per_tensor(torch::ones({2}), 0.1, 0, torch::kQInt8)), "quantized"));
  EXPECT_TRUE(contains(refused(torch::ones({2}, torch::kComplexFloat)), "ComplexFloat"));
  EXPECT_TRUE(contains(refused(torch::empty({2}, torch::TensorOptions().device(torch::kMeta))), "meta"));
  EXPECT_TRUE(contains(input_error([&] { serialize_pt({{"checksum", torch::ones({2})}}); }), "'checksum'"));
  for (const auto& value : {torch::Tensor(), torch::ones({3, 2}).t()})
    EXPECT_TRUE(contains(input_error([&] { checksum({{"key", value}}); }), "'key': a checksum is of contiguous"));
}

TEST(PtFile, LibTorchReadsItToo) {
  const TensorDict dict = {{"W", torch::randn({3, 4})}, {"n", torch::arange(5).to(torch::kInt16)}};
  const auto bytes = serialize_pt(dict);
  const auto value = torch::jit::pickle_load(std::vector<char>(bytes.begin(), bytes.end())).toGenericDict();
  ASSERT_EQ(value.size(), 3u);
  for (const auto& [key, tensor] : dict) EXPECT_TRUE(identical(value.at(key).toTensor(), tensor)) << key;
}

TEST(PtFile, AMissingChecksumIsRefusedWhereItIsRequired) {
  const auto bytes = archive(Pickle().begin_dict().text("W").tensor(6, 0, {2, 3}, {3, 1}).end_dict().bytes);
  EXPECT_EQ(parsed(bytes).size(), 1u);
  EXPECT_TRUE(
      contains(input_error([&] { parse_pt(bytes, "f.pt", {.require_checksum = true}); }), "f.pt: it has no checksum"));
}

TEST(PtFile, AChangedEntryIsFoundByTheChecksumWhereTheZipIsSound) {
  const auto bytes = archive(Pickle()
                                 .begin_dict()
                                 .text("W")
                                 .tensor(6, 0, {2, 3}, {3, 1})
                                 .text("checksum")
                                 .tensor(6, 0, {2}, {1})
                                 .end_dict()
                                 .bytes);
  EXPECT_TRUE(contains(refusal(bytes), "checksum differs"));
}

TEST(PtFile, ABoolIsZeroOrOne) {
  Pickle pickle;
  pickle.begin_dict()
      .text("k")
      .global("torch._utils", "_rebuild_tensor_v2")
      .op(MARK)
      .storage("BoolStorage", "0", 2)
      .integer(0)
      .integers({2})
      .integers({1})
      .op(NEWFALSE)
      .global("collections", "OrderedDict")
      .op(EMPTY_TUPLE)
      .op(REDUCE)
      .op(TUPLE)
      .op(REDUCE)
      .end_dict();
  EXPECT_EQ(parsed(archive(pickle.bytes, std::string("\x00\x01", 2))).size(), 1u);
  EXPECT_TRUE(contains(refusal(archive(pickle.bytes, std::string("\x00\x02", 2))), "entry 'k': a bool"));
}

TEST(PtFile, AStorageOfAnotherSizeThanToldIsRefused) {
  const auto pickle = Pickle().begin_dict().text("k").tensor(6, 0, {6}, {1}).end_dict().bytes;
  for (const std::size_t size : {0, 23, 25}) {
    EXPECT_TRUE(contains(refusal(archive(pickle, std::string(size, '\0'))), "entry 'k': its storage has"));
  }
}

TEST(PtFile, BigEndianAndTorchScriptFilesAreRefused) {
  ZipWriter big, script;
  big.add("a/byteorder", "big");
  script.add("a/constants.pkl", "");
  EXPECT_TRUE(contains(refusal(std::move(big).finish()), "little endian"));
  EXPECT_TRUE(contains(refusal(std::move(script).finish()), "torch.save(dict(model.state_dict()), file)"));
}

TEST(PtFile, StridedSelectionsAreGatheredRight) {
  const auto base = torch::arange(6 * 5 * 4, torch::kFloat32);
  const std::string storage(static_cast<const char*>(base.data_ptr()), base.nbytes());
  struct Case {
    std::int64_t offset;
    std::vector<std::int64_t> sizes, strides;
  };
  for (const auto& c : std::vector<Case>{{0, {6, 5, 4}, {20, 4, 1}},
                                         {0, {4, 5, 6}, {1, 4, 20}},
                                         {7, {2, 1, 3}, {9, 999, 2}},
                                         {5, {}, {}},
                                         {1, {3, 4}, {0, 7}},
                                         {0, {2, 0}, {1, 1}},
                                         {2, {5, 2, 2}, {0, 0, 3}},
                                         {0, {1, 1, 120}, {7, 5, 1}},
                                         {0, {10, 3, 4}, {12, 4, 1}},
                                         {119, {1}, {1}}}) {
    const auto pickle = Pickle().begin_dict().text("k").tensor(120, c.offset, c.sizes, c.strides).end_dict();
    const auto want = base.as_strided(c.sizes, c.strides, c.offset).contiguous();
    EXPECT_TRUE(identical(parsed(archive(pickle.bytes, storage)).at("k"), want)) << want.sizes();
  }
}

TEST(PtFile, AFileOfSomeMegabytesReadsBack) {
  const TemporaryFolder folder;
  const TensorDict dict = {{"X", torch::randn({1000, 1000})}, {"Xt", torch::randn({500, 1000}, torch::kFloat64).t()}};
  write_pt(folder / "big.pt", dict);
  EXPECT_TRUE(same(read_pt(folder / "big.pt", {.require_checksum = true}), dict));
}

}  // namespace
}  // namespace entk::pt_file_test
