#include "entk/io/zip_reader.h"

#include "entk/io/zip_format.h"
#include "tests/io/io_testing.h"

namespace entk::zip_test {
namespace {

using testing::contains;
using testing::input_error;
using testing::Pickle;

// A zip archive by hand, without zip64; every field can be made a lie.
struct Record {
  std::string name = "", data = "";
  std::uint16_t flags = 0, method = 0;
  std::int64_t crc_error = 0, size_error = 0, offset_error = 0;
  std::string extra = "";
  bool descriptor = false;
  std::string local_name = "";  ///< if another one
};

template <class T>
std::string raw(T value) {
  return Pickle::raw(value);
}

std::string zip_by_hand(const std::vector<Record>& records, int count_error = 0, std::int64_t directory_error = 0,
                        const std::string& comment = "") {
  using u16 = std::uint16_t;
  using u32 = std::uint32_t;
  std::string body, directory;
  for (const Record& r : records) {
    const u32 crc = zip::crc32(r.data) + static_cast<u32>(r.crc_error);
    const u32 size = static_cast<u32>(r.data.size());
    const u32 told = static_cast<u32>(r.data.size() + r.size_error);
    const u32 offset = static_cast<u32>(body.size() + r.offset_error);
    const u16 flags = r.flags | (r.descriptor ? 8 : 0);
    const std::string local_sizes = r.descriptor ? std::string(12, '\0') : raw(crc) + raw(size) + raw(size);
    body += raw(zip::local_header) + raw(u16{20}) + raw(flags) + raw(r.method) + raw(u32{0}) + local_sizes +
            raw(static_cast<u16>(r.name.size())) + raw(u16{0}) + (r.local_name.empty() ? r.name : r.local_name) +
            r.data;
    if (r.descriptor) body += raw(u32{0x08074b50}) + raw(crc) + raw(size) + raw(size);
    directory += raw(zip::directory_entry) + raw(u16{20}) + raw(u16{20}) + raw(flags) + raw(r.method) + raw(u32{0}) +
                 raw(crc) + raw(told) + raw(told) + raw(static_cast<u16>(r.name.size())) +
                 raw(static_cast<u16>(r.extra.size())) + std::string(10, '\0') + raw(offset) + r.name + r.extra;
  }
  return body + directory + raw(zip::directory_end) + raw(u32{0}) +
         raw(static_cast<u16>(records.size() + count_error)) + raw(static_cast<u16>(records.size() + count_error)) +
         raw(static_cast<u32>(directory.size())) + raw(static_cast<u32>(body.size() + directory_error)) +
         raw(static_cast<u16>(comment.size())) + comment;
}

std::string refusal(const std::string& bytes) {
  return input_error([&] { ZipReader(bytes, "f.pt").read("data.pkl"); });
}

TEST(Zip, Crc32GivesThePublishedCheckValue) {
  EXPECT_EQ(zip::crc32("123456789"), 0xCBF43926u);
  EXPECT_EQ(zip::crc32(""), 0u);
}

TEST(Zip, ReadsArchivesWithoutZip64WithDescriptorsAndComments) {
  const std::string bytes =
      zip_by_hand({{.name = "any/data.pkl", .data = "hello"}, {.name = "any/x", .data = "world", .descriptor = true}},
                  0, 0, "a comment");
  ZipReader reader(bytes, "f.pt");
  EXPECT_EQ(reader.read("data.pkl"), "hello");
  EXPECT_EQ(reader.read("x"), "world");
  EXPECT_FALSE(reader.has("y"));
}

TEST(Zip, WrittenRecordsBeginAtMultiplesOf64AndReadBack) {
  ZipWriter writer;
  std::vector<std::string> names, contents;
  for (int i = 0; i < 50; ++i) {
    names.push_back(std::string(static_cast<std::size_t>(i + 1), 'n'));
    contents.emplace_back(static_cast<std::size_t>(7 * i), static_cast<char>('a' + i % 26));
    writer.add("archive/" + names.back(), contents.back());
  }
  const std::string bytes = std::move(writer).finish();
  ZipReader reader(bytes, "f.pt");
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto data = reader.read(names[i]);
    EXPECT_EQ(data, contents[i]);
    EXPECT_EQ((data.data() - bytes.data()) % 64, 0);
  }
}

TEST(Zip, WhatIsNoArchiveIsRefused) {
  EXPECT_TRUE(contains(refusal("x"), "f.pt: expected a .pt file"));
  EXPECT_TRUE(contains(refusal("not a zip archive, but long enough to be one of those"), "expected a .pt file"));
  EXPECT_TRUE(contains(refusal(zip_by_hand({{.name = "data.pkl", .data = "x"}})), "no folder"));
  EXPECT_TRUE(contains(refusal(zip_by_hand({{.name = "a/b", .data = "x"}})), "'data.pkl' is missing"));
}

TEST(Zip, ATruncatedArchiveIsCalledTruncated) {
  const std::string bytes = zip_by_hand({{.name = "a/data.pkl", .data = "hello"}});
  EXPECT_TRUE(contains(refusal(bytes.substr(0, bytes.size() - 1)), "truncated"));
}

TEST(Zip, ADamagedRecordIsNamed) {
  EXPECT_TRUE(
      contains(refusal(zip_by_hand({{.name = "a/data.pkl", .data = "x", .crc_error = 1}})), "'data.pkl' is damaged"));
}

TEST(Zip, CompressedAndEncryptedRecordsAreRefusedWhereTheyAreUsed) {
  EXPECT_TRUE(contains(refusal(zip_by_hand({{.name = "a/data.pkl", .data = "x", .method = 8}})), "compressed"));
  EXPECT_TRUE(contains(refusal(zip_by_hand({{.name = "a/data.pkl", .data = "x", .flags = 1}})), "encrypted"));
  const std::string bytes =
      zip_by_hand({{.name = "a/data.pkl", .data = "x"}, {.name = "a/note", .data = "y", .method = 8}});
  EXPECT_EQ(ZipReader(bytes, "f.pt").read("data.pkl"), "x");
}

TEST(Zip, DuplicateNamesAreRefused) {
  EXPECT_TRUE(contains(refusal(zip_by_hand({{.name = "a/data.pkl", .data = "x"}, {.name = "a/data.pkl", .data = "y"}})),
                       "two records have the name 'a/data.pkl'"));
}

TEST(Zip, ARecordWithTwoNamesIsRefused) {
  EXPECT_TRUE(contains(refusal(zip_by_hand({{.name = "a/data.pkl", .data = "x", .local_name = "a/data.txt"}})),
                       "another name"));
}

TEST(Zip, MoreRecordsThanTheCapAreRefused) {
  ZipWriter writer;
  for (int i = 0; i <= 1 << 17; ++i) writer.add("a/" + std::to_string(i), "");
  EXPECT_TRUE(contains(refusal(std::move(writer).finish()), "claims 131073 records"));
}

TEST(Zip, OverlappingRecordsAreRefused) {
  // The first claims to reach into the second.
  EXPECT_TRUE(contains(
      refusal(zip_by_hand({{.name = "a/data.pkl", .data = "x", .size_error = 4}, {.name = "a/b", .data = "y"}})),
      "overlap"));
}

TEST(Zip, OffsetsAndSizesOutsideTheFileAreRefused) {
  const auto one = [](Record change) {
    change.name = "a/data.pkl";
    change.data = "hello";
    return refusal(zip_by_hand({change}));
  };
  EXPECT_TRUE(contains(one({.size_error = 1}), "outside the file"));
  EXPECT_TRUE(contains(one({.size_error = -6}), "f.pt: "));  // 2^32 − 1
  EXPECT_TRUE(contains(one({.offset_error = 1}), "not where"));
  EXPECT_TRUE(contains(one({.offset_error = -1}), "not where"));
  const auto zip64 = [](const std::string& values) {
    return raw(zip::zip64_field) + raw(static_cast<std::uint16_t>(values.size())) + values;
  };
  const auto huge = raw(~std::uint64_t{0});
  EXPECT_TRUE(contains(one({.size_error = -6, .extra = zip64(huge + huge)}), "outside the file"));
  EXPECT_TRUE(contains(one({.offset_error = -1, .extra = zip64(huge)}), "not where"));
  EXPECT_TRUE(contains(one({.size_error = -6, .extra = zip64("1234567")}), "directory is damaged"));
  EXPECT_TRUE(contains(one({.extra = raw(zip::zip64_field) + raw(std::uint16_t{9999})}), "directory is damaged"));
}

TEST(Zip, ADirectoryThatLiesAboutItselfIsRefused) {
  const std::vector<Record> records = {{.name = "a/data.pkl", .data = "hello"}};
  EXPECT_TRUE(contains(refusal(zip_by_hand(records, 1)), "claims 2 records"));
  EXPECT_TRUE(contains(refusal(zip_by_hand(records, -1)), "longer than its records"));
  EXPECT_TRUE(contains(refusal(zip_by_hand(records, 0, -1)), "damaged"));
  EXPECT_TRUE(contains(refusal(zip_by_hand(records, 0, 1)), "outside"));
  EXPECT_TRUE(contains(refusal(zip_by_hand(records, 0, 1 << 30)), "outside"));
}

TEST(Zip, HugeNumbersInTheZip64EndAreRefused) {
  ZipWriter writer;
  writer.add("archive/data.pkl", "hello");
  const std::string good = std::move(writer).finish();
  EXPECT_EQ(ZipReader(good, "f.pt").read("data.pkl"), "hello");
  const std::size_t end64 = good.size() - zip::directory_end_size - zip::locator64_size - zip::directory_end64_size;
  for (const std::size_t place : {end64 + 32, end64 + 40, end64 + 48, end64 + zip::directory_end64_size + 8}) {
    for (const std::uint64_t value : {~std::uint64_t{0}, std::uint64_t{1} << 63, std::uint64_t{good.size()}}) {
      std::string bad = good;
      bad.replace(place, 8, raw(value));
      EXPECT_TRUE(contains(refusal(bad), "f.pt: ")) << place << " " << value;
    }
  }
}

}  // namespace
}  // namespace entk::zip_test
