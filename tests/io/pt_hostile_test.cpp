// Damaged and hostile `.pt` files: refused or harmless, never a crash, never much memory.
#include <sys/resource.h>

#include <random>

#include "entk/io/pt_file.h"
#include "tests/io/io_testing.h"

namespace entk::pt_hostile_test {
namespace {

using namespace pickle;
using testing::archive;
using testing::contains;
using testing::in_child;
using testing::input_error;
using testing::Pickle;
using testing::same;

TEST(PtHostile, EveryFlippedBitIsRefusedOrHarmless) {
  const TensorDict dict = {{"W", torch::arange(6, torch::kFloat32).reshape({2, 3})},
                           {"step", torch::scalar_tensor(7, torch::kInt64)}};
  std::string bytes = serialize_pt(dict);
  const PtOptions options{.require_checksum = true};
  int refused = 0;
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    const char mask = static_cast<char>(1 << (bit % 8));
    bytes[bit / 8] ^= mask;
    try {
      ASSERT_TRUE(same(parse_pt(bytes, "f.pt", options), dict)) << "bit " << bit;
    } catch (const InputError&) {
      ++refused;
    }
    bytes[bit / 8] ^= mask;
  }
  EXPECT_GT(refused, 1000);
}

TEST(PtHostile, EveryTruncationIsRefused) {
  const std::string bytes = serialize_pt({{"W", torch::arange(6)}});
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    ASSERT_TRUE(contains(input_error([&] { parse_pt(bytes.substr(0, length), "f.pt"); }), "f.pt: ")) << length;
  }
}

/// Files that ask for more memory or time than they should get.
std::vector<std::string> bombs() {
  std::vector<std::string> files;
  const auto add = [&](const Pickle& pickle) { files.push_back(archive(pickle.bytes)); };
  Pickle nested, memo, wide, marks, shared, tuples, lists, strings, persistent;
  for (int i = 0; i < 2000000; ++i) nested.op(TUPLE1);
  add(nested);
  Pickle deep;
  deep.op(NONE);
  for (int i = 0; i < 1000000; ++i) deep.op(TUPLE1);
  add(deep.op(STOP));
  memo.op(NONE);
  for (std::uint32_t i = 0; i < 500000; ++i) memo.op(LONG_BINPUT, Pickle::raw((1u << 20) - 1 - i));
  add(memo);
  for (int i = 0; i < 1048000; ++i) wide.op(NONE);
  add(wide.op(TUPLE));
  for (int i = 0; i < 1048000; ++i) marks.op(MARK);
  add(marks);
  // Tuples that double: T(n) = (T(n−1), T(n−1)).
  tuples.op(EMPTY_TUPLE);
  for (int i = 0; i < 100000; ++i) tuples.op(BINPUT, "x").op(BINGET, "x").op(TUPLE2);
  add(tuples);
  for (int i = 0; i < 1000000; ++i) lists.op(EMPTY_LIST);
  add(lists);
  // One small storage, shown as many and as large tensors as may be.
  shared.begin_dict().text("a").tensor(6, 0, {std::int64_t{1} << 24}, {0}).op(BINPUT, "x");
  for (int i = 0; i < 16000; ++i) shared.text(std::to_string(i)).op(BINGET, "x");
  add(shared.end_dict());
  shared = Pickle();
  shared.begin_dict().text("a").tensor(6, 0, {std::int64_t{1} << 24}, {0}).end_dict();
  add(shared);
  std::vector<std::int64_t> ones(64, 1), zeros(64, 0);
  ones[0] = std::int64_t{1} << 23;
  shared = Pickle();
  add(shared.begin_dict().text("a").tensor(6, 0, ones, zeros).end_dict());
  std::vector<std::int64_t> twos(24, 2), twos_stride(24, 0);
  twos_stride[23] = 3;
  shared = Pickle();
  add(shared.begin_dict().text("a").tensor(6, 0, twos, twos_stride).end_dict());
  // A large storage whose CRC is asked for again and again.
  persistent.begin_dict().text("a").tensor(1 << 22, 0, {0}, {1}).op(BINPUT, "x");
  for (int i = 0; i < 16000; ++i) persistent.text(std::to_string(i)).op(BINGET, "x");
  files.push_back(archive(persistent.end_dict().bytes, std::string(1 << 24, 'x')));
  strings.begin_dict().text(std::string(15 << 20, 'k')).op(NEWTRUE).end_dict();
  add(strings);
  ZipWriter zip;
  zip.add("a/data.pkl", "");
  for (int i = 0; i < 140000; ++i) zip.add("a/" + std::to_string(i), "");
  files.push_back(std::move(zip).finish());
  return files;
}

std::size_t peak_memory() {
  const std::string status = testing::read_text("/proc/self/status");
  return std::stoul(status.substr(status.find("VmHWM:") + 6)) * 1024;
}

TEST(PtHostile, HostileFilesTakeBoundedMemoryAndTime) {
  const auto files = bombs();
  for (std::size_t i = 0; i < files.size(); ++i) {
    const int result = in_child([&] {
      const rlimit seconds{5, 5};
      ::setrlimit(RLIMIT_CPU, &seconds);
      testing::write_text("/proc/self/clear_refs", "5");  // the peak starts here
      const std::size_t before = peak_memory();
      try {
        parse_pt(files[i], "f.pt");
      } catch (const InputError&) {}
      // The file itself is in memory already.
      return peak_memory() - before < (256 << 20) + files[i].size() ? 0 : 1;
    });
    EXPECT_EQ(result, 0) << "file " << i;
  }
}

/// Must not crash; what it says does not matter.
void feed(const std::string& bytes) {
  try {
    parse_pt(bytes, "f.pt");
  } catch (const InputError&) {}
}

std::string mutated(std::string bytes, std::mt19937_64& random) {
  static const std::vector<std::string> interesting = {std::string(8, '\xff'),
                                                       std::string(8, '\0'),
                                                       "\x7f",
                                                       "\x80\x02",
                                                       "(",
                                                       "t",
                                                       "R",
                                                       "Q",
                                                       "u",
                                                       "}",
                                                       std::string(4, '\xff'),
                                                       "c__builtin__\neval\n",
                                                       "h\x01",
                                                       "q\x01",
                                                       "\x8a\x08" + std::string(7, '\xff') + "\x7f"};
  for (std::uint64_t edits = 1 + random() % 4; edits > 0 && !bytes.empty(); --edits) {
    const std::size_t place = random() % bytes.size(), length = random() % 16;
    switch (random() % 6) {
      case 0:
        bytes[place] = static_cast<char>(random());
        break;
      case 1:
        bytes.erase(place, length);
        break;
      case 2:
        bytes.insert(place, bytes.substr(random() % bytes.size(), length));
        break;
      case 3:
        bytes.insert(place, interesting[random() % interesting.size()]);
        break;
      case 4: {
        const auto& piece = interesting[random() % interesting.size()];
        bytes.replace(place, piece.size(), piece);
        break;
      }
      default:
        bytes[place] = static_cast<char>(bytes[place] + (random() % 2 == 0 ? 1 : -1));
    }
  }
  return bytes;
}

TEST(PtHostile, MutatedFilesNeverCrash) {
  std::mt19937_64 random(1);
  const std::string good =
      serialize_pt({{"W", torch::arange(6, torch::kFloat32).reshape({2, 3})}, {"b", torch::tensor({true})}});
  for (int i = 0; i < 40000; ++i) feed(mutated(good, random));
}

// With its check sums made right again, so that the mutation reaches the pickle's reader.
TEST(PtHostile, MutatedPicklesNeverCrash) {
  std::mt19937_64 random(2);
  const std::string pickle = Pickle()
                                 .begin_dict()
                                 .text("t")
                                 .tensor(6, 0, {2, 3}, {3, 1})
                                 .text("i")
                                 .integer(5)
                                 .text("v")
                                 .op(BINPUT, "x")
                                 .tensor(6, 1, {2}, {2})
                                 .end_dict()
                                 .bytes;
  int read = 0;
  for (int i = 0; i < 100000; ++i) {
    const std::string bytes = archive(mutated(pickle, random));
    try {
      parse_pt(bytes, "f.pt");
      ++read;
    } catch (const InputError&) {}
  }
  EXPECT_GT(read, 100);  // some mutations are harmless: the others got that far
}

}  // namespace
}  // namespace entk::pt_hostile_test
