#include "entk/io/pickle_reader.h"

#include "tests/io/io_testing.h"

namespace entk::pickle_reader_test {
namespace {

using namespace pickle;
using testing::contains;
using testing::input_error;
using testing::Pickle;

std::string refusal(const std::string& bytes) {
  return input_error([&] { read_pickled_dict(bytes, "f.pt"); });
}

/// The refusal of a dict whose one entry, 'k', is what the opcodes leave.
std::string refusal_of_value(const std::function<void(Pickle&)>& value) {
  Pickle pickle;
  pickle.begin_dict().text("k");
  value(pickle);
  return refusal(pickle.end_dict().bytes);
}

constexpr std::int64_t huge = INT64_MAX;

TEST(PickleReader, ReadsTensorsAndNumbers) {
  const auto bytes = Pickle()
                         .begin_dict()
                         .text("t")
                         .tensor(10, 1, {2, 3}, {3, 1})
                         .text("i")
                         .op(BININT, Pickle::raw(std::int32_t{-5}))
                         .text("l")
                         .op(LONG1, std::string("\x02\x00\x80", 3))
                         .text("f")
                         .op(BINFLOAT, std::string("\x3f\xf8\0\0\0\0\0\0", 8))
                         .text("b")
                         .op(NEWTRUE)
                         .end_dict()
                         .bytes;
  const auto dict = read_pickled_dict(bytes, "f.pt");
  const auto& tensor = std::get<PickledTensor>(dict.at("t"));
  EXPECT_EQ(tensor.dtype, c10::ScalarType::Float);
  EXPECT_EQ(tensor.storage, "0");
  EXPECT_EQ(tensor.sizes, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(tensor.numel, 6);
  EXPECT_EQ(std::get<std::int64_t>(dict.at("i")), -5);
  EXPECT_EQ(std::get<std::int64_t>(dict.at("l")), -32768);
  EXPECT_EQ(std::get<double>(dict.at("f")), 1.5);
  EXPECT_EQ(std::get<bool>(dict.at("b")), true);
}

TEST(PickleReader, FunctionsOutsideTheListAreRefusedByName) {
  for (const auto& [module, name] :
       std::vector<std::pair<std::string, std::string>>{{"os", "system"},
                                                        {"posix", "system"},
                                                        {"builtins", "eval"},
                                                        {"builtins", "getattr"},
                                                        {"__builtin__", "exec"},
                                                        {"subprocess", "Popen"},
                                                        {"torch.jit._pickle", "restore_type_tag"},
                                                        {"torch.serialization", "load"},
                                                        {"torch", "load"},
                                                        {"torch", "Size"},
                                                        {"__torch__", "Module"},
                                                        {"collections", "defaultdict"},
                                                        {"torch._utils", "_rebuild_tensor_v3"}}) {
    const auto message = refusal_of_value(
        [&, &m = module, &n = name](Pickle& p) { p.global(m, n).text("echo x").op(TUPLE1).op(REDUCE); });
    EXPECT_TRUE(contains(message, "entry 'k': found '" + module + "." + name + "'"));
  }
}

TEST(PickleReader, ComplexQuantizedSparseAndNumPyValuesAreRefusedByName) {
  const auto found = [](const std::string& module, const std::string& name) {
    return refusal_of_value([&](Pickle& p) { p.global(module, name); });
  };
  EXPECT_TRUE(contains(found("torch", "ComplexFloatStorage"), "ComplexFloatStorage"));
  EXPECT_TRUE(contains(found("torch._utils", "_rebuild_qtensor"), "dense tensors of these types"));
  EXPECT_TRUE(contains(found("torch._utils", "_rebuild_sparse_tensor"), "dense tensors of these types"));
  EXPECT_TRUE(contains(found("numpy.core.multiarray", "scalar"), "float(x)"));
  EXPECT_TRUE(contains(found("numpy._core.multiarray", "_reconstruct"), "torch.from_numpy"));
}

TEST(PickleReader, OtherOpcodesAreRefusedByNumber) {
  // BUILD, INST, OBJ, NEWOBJ, STACK_GLOBAL, EXT1, PERSID, DUP, POP, FRAME, STRING, and no opcode at
  // all.
  for (const unsigned char opcode : std::string("bio\x81\x93\x82P20\x95S\xff")) {
    const auto message = refusal_of_value([&](Pickle& p) { p.op(static_cast<Opcode>(opcode)); });
    EXPECT_TRUE(contains(message, "opcode " + std::to_string(opcode)));
  }
}

TEST(PickleReader, OtherProtocolsSayWhatToCall) {
  for (const char protocol : {0, 1, 3, 4, 5}) {
    std::string bytes = Pickle().begin_dict().end_dict().bytes;
    bytes[1] = protocol;
    EXPECT_TRUE(contains(refusal(bytes), "protocol " + std::to_string(protocol)));
    EXPECT_TRUE(contains(refusal(bytes), "torch.save(dict(model.state_dict()), file)"));
  }
}

TEST(PickleReader, OtherTopLevelValuesAreRefusedByKind) {
  EXPECT_TRUE(contains(refusal(Pickle().op(EMPTY_LIST).op(STOP).bytes), "found a list"));
  EXPECT_TRUE(contains(refusal(Pickle().integer(1).op(STOP).bytes), "found an int"));
  EXPECT_TRUE(contains(refusal(Pickle().text("x").op(STOP).bytes), "found a str 'x'"));
  EXPECT_TRUE(contains(refusal(Pickle().op(EMPTY_DICT).op(TUPLE1).op(STOP).bytes), "found a tuple"));
  EXPECT_TRUE(contains(refusal(Pickle().tensor(6, 0, {6}, {1}).op(STOP).bytes), "found a bare tensor"));
  EXPECT_TRUE(contains(refusal(Pickle().global("collections", "OrderedDict").op(EMPTY_TUPLE).op(REDUCE).bytes),
                       "torch.save(dict(model.state_dict()), file)"));
}

TEST(PickleReader, OtherValuesAreRefusedNamingTheKey) {
  const auto is = [](const char* what) { return std::string("entry 'k': found ") + what; };
  EXPECT_TRUE(contains(refusal_of_value([](Pickle& p) { p.op(NONE); }), is("None")));
  EXPECT_TRUE(contains(refusal_of_value([](Pickle& p) { p.text("v"); }), is("a str 'v'")));
  EXPECT_TRUE(contains(refusal_of_value([](Pickle& p) { p.op(EMPTY_LIST).integer(1).op(APPEND); }), is("a list")));
  EXPECT_TRUE(contains(refusal_of_value([](Pickle& p) { p.op(EMPTY_TUPLE); }), is("a tuple")));
  EXPECT_TRUE(
      contains(refusal_of_value([](Pickle& p) { p.begin_dict().integer(3).text("x").op(SETITEMS); }), is("a dict")));
  EXPECT_TRUE(contains(refusal_of_value([](Pickle& p) { p.global("collections", "OrderedDict"); }), is("a function")));
  EXPECT_TRUE(
      contains(refusal_of_value([](Pickle& p) { p.op(LONG1, "\x09" + std::string(9, '\x01')); }), "more than 64 bits"));
}

TEST(PickleReader, OtherAndRepeatedKeysAreRefused) {
  EXPECT_TRUE(contains(refusal(Pickle().begin_dict().integer(3).integer(1).end_dict().bytes), "found an int as a key"));
  EXPECT_TRUE(contains(refusal(Pickle().begin_dict().text("a").integer(3).text("a").integer(1).end_dict().bytes),
                       "entry 'a': the key occurs twice"));
}

TEST(PickleReader, TensorsOutsideTheirStorageAreRefused) {
  const auto tensor = [](std::int64_t storage, std::int64_t offset, std::vector<std::int64_t> sizes,
                         std::vector<std::int64_t> strides) {
    return refusal_of_value([&](Pickle& p) { p.tensor(storage, offset, sizes, strides); });
  };
  EXPECT_TRUE(contains(tensor(6, 0, {2, 3}, {3, 1}), "nothing thrown"));
  EXPECT_TRUE(contains(tensor(5, 0, {2, 3}, {3, 1}), "outside its storage"));
  EXPECT_TRUE(contains(tensor(6, 1, {2, 3}, {3, 1}), "outside its storage"));
  EXPECT_TRUE(contains(tensor(6, 0, {2, 3}, {4, 1}), "outside its storage"));
  EXPECT_TRUE(contains(tensor(0, 0, {}, {}), "outside its storage"));
  EXPECT_TRUE(contains(tensor(6, 7, {0}, {1}), "outside its storage"));
  EXPECT_TRUE(contains(tensor(6, -1, {1}, {1}), "outside its storage"));
  EXPECT_TRUE(contains(tensor(6, 5, {6}, {-1}), "negative"));
  EXPECT_TRUE(contains(tensor(6, 0, {-1}, {1}), "negative"));
  EXPECT_TRUE(contains(tensor(6, 0, {-2, -3}, {3, 1}), "negative"));
  EXPECT_TRUE(contains(tensor(6, 0, {2, 3}, {1}), "2 sizes and 1 strides"));
  EXPECT_TRUE(contains(tensor(6, 0, std::vector<std::int64_t>(65, 1), std::vector<std::int64_t>(65, 1)), "65 sizes"));
}

TEST(PickleReader, OverflowingSizesAreRefused) {
  const auto tensor = [](std::int64_t storage, std::int64_t offset, std::vector<std::int64_t> sizes,
                         std::vector<std::int64_t> strides) {
    return refusal_of_value([&](Pickle& p) { p.tensor(storage, offset, sizes, strides); });
  };
  EXPECT_TRUE(contains(tensor(6, 0, {huge}, {huge}), "overflow"));
  EXPECT_TRUE(contains(tensor(6, 0, {huge, huge}, {0, 0}), "overflow"));
  EXPECT_TRUE(contains(tensor(6, 6, {2}, {huge}), "overflow"));
  EXPECT_TRUE(contains(tensor(6, 0, {0, huge, huge}, {0, 0, 0}), "overflow"));
  EXPECT_TRUE(contains(tensor(6, 0, {huge, 0, huge}, {0, 0, 0}), "overflow"));
  EXPECT_TRUE(contains(tensor(huge, 0, {1}, {1}), "claims"));
  EXPECT_TRUE(contains(tensor(-1, 0, {0}, {1}), "claims"));
  EXPECT_TRUE(contains(tensor(6, huge, {1}, {1}), "outside its storage"));
}

TEST(PickleReader, ArgumentsOfTheWrongKindAreRefused) {
  const auto rebuild = [](const std::function<void(Pickle&)>& arguments) {
    return refusal_of_value([&](Pickle& p) {
      p.global("torch._utils", "_rebuild_tensor_v2").op(MARK);
      arguments(p);
      p.op(TUPLE).op(REDUCE);
    });
  };
  EXPECT_TRUE(contains(rebuild([](Pickle&) {}), "0 arguments"));
  EXPECT_TRUE(contains(rebuild([](Pickle& p) {
                         for (int i = 0; i < 6; ++i) p.integer(1);
                       }),
                       "expected a storage, found an int"));
  EXPECT_TRUE(contains(rebuild([](Pickle& p) {
                         p.storage("FloatStorage", "0", 6).integer(0).integers({6}).text("x").op(NEWFALSE).op(NONE);
                       }),
                       "strides, found a str"));
  EXPECT_TRUE(contains(rebuild([](Pickle& p) {
                         p.storage("FloatStorage", "0", 6).integer(0).integers({6}).integers({1}).op(NEWFALSE).op(NONE);
                       }),
                       "backward hooks, found None"));
  EXPECT_TRUE(
      contains(refusal_of_value([](Pickle& p) { p.storage("FloatStorage", "../../etc/passwd", 6); }), "storage's key"));
  EXPECT_TRUE(contains(refusal_of_value([](Pickle& p) { p.integer(1).op(TUPLE1).op(BINPERSID); }), "not a storage"));
  EXPECT_TRUE(contains(refusal_of_value([](Pickle& p) { p.integer(1).integer(1).op(REDUCE); }), "tuple of arguments"));
  EXPECT_TRUE(
      contains(refusal_of_value([](Pickle& p) { p.integer(1).op(EMPTY_TUPLE).op(REDUCE); }), "expected a function"));
}

TEST(PickleReader, TheStackTheMarksAndTheMemoHaveABottom) {
  for (const Opcode opcode :
       {TUPLE1, TUPLE2, TUPLE3, TUPLE, REDUCE, BINPERSID, SETITEM, SETITEMS, APPEND, APPENDS, STOP}) {
    EXPECT_TRUE(contains(refusal(Pickle().op(opcode).bytes), "f.pt: ")) << int{opcode};
  }
  // Below a mark nothing can be reached.
  for (const Opcode opcode : {TUPLE1, TUPLE2, TUPLE3, REDUCE, BINPERSID, SETITEM, APPEND}) {
    EXPECT_TRUE(contains(refusal(Pickle().op(NONE).op(NONE).op(NONE).op(MARK).op(opcode).bytes), "not there"))
        << int{opcode};
  }
  EXPECT_TRUE(contains(refusal(Pickle().op(NONE).op(MARK).op(BINPUT, "x").bytes), "not there"));
  EXPECT_TRUE(contains(refusal(Pickle().op(BINPUT, "\x01").bytes), "not there"));
  EXPECT_TRUE(contains(refusal(Pickle().op(BINGET, "\x01").bytes), "not there"));
  EXPECT_TRUE(contains(refusal(Pickle().op(NONE).op(LONG_BINPUT, "\xff\xff\xff\xff").bytes), "memo is too large"));
  EXPECT_TRUE(contains(refusal(Pickle().op(LONG_BINGET, "\xff\xff\xff\xff").bytes), "not there"));
}

TEST(PickleReader, EveryTruncationIsRefused) {
  const auto bytes = Pickle().begin_dict().text("t").tensor(6, 0, {2, 3}, {3, 1}).end_dict().bytes;
  EXPECT_EQ(read_pickled_dict(bytes, "f.pt").size(), 1u);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_TRUE(contains(refusal(bytes.substr(0, length)), "f.pt: ")) << length;
  }
  EXPECT_TRUE(contains(refusal(bytes + "x"), "damaged"));
}

TEST(PickleReader, StringsLongerThanThePickleAreRefused) {
  EXPECT_TRUE(contains(refusal(Pickle()
                                   .op(BINUNICODE,
                                       "\xff\xff\xff\xff"
                                       "abc")
                                   .bytes),
                       "ends early"));
  EXPECT_TRUE(contains(refusal(Pickle().op(GLOBAL, std::string(100000, 'a')).bytes), "global without an end"));
}

TEST(PickleReader, ADictInsideItselfIsRefused) {
  EXPECT_TRUE(contains(refusal(Pickle()
                                   .op(EMPTY_DICT)
                                   .op(BINPUT, std::string(1, '\0'))
                                   .op(MARK)
                                   .text("k")
                                   .op(BINGET, std::string(1, '\0'))
                                   .end_dict()
                                   .bytes),
                       "entry 'k': found a dict"));
}

TEST(PickleReader, LongPicklesAreRefused) {
  EXPECT_TRUE(contains(refusal(Pickle().op(NONE).bytes + std::string(1 << 20, NONE)), "too long"));
  EXPECT_TRUE(contains(refusal(std::string((16 << 20) + 1, NONE)), "has 16777217 bytes"));
}

TEST(PickleReader, MoreEntriesThanTheCapAreRefused) {
  Pickle pickle;
  pickle.begin_dict();
  for (std::size_t i = 0; i <= most_dict_entries; ++i) pickle.text(std::to_string(i)).op(NEWTRUE);
  EXPECT_TRUE(contains(refusal(pickle.end_dict().bytes), "more than"));
}

}  // namespace
}  // namespace entk::pickle_reader_test
