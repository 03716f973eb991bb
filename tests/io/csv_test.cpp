#include "entk/io/csv.h"

#include <sys/resource.h>

#include <cmath>
#include <csignal>

#include "tests/io/io_testing.h"

namespace entk::csv_test {
namespace {

using testing::contains;
using testing::in_child;
using testing::input_error;
using testing::read_text;
using testing::save_error;
using testing::TemporaryFolder;
using testing::write_text;

TEST(Csv, WritesExactlyTheseBytes) {
  const TemporaryFolder folder;
  {
    CsvWriter csv(folder / "m.csv", {"step", "train_loss", "R1"});
    csv.row({0, 0.1, 1e-10});
    csv.row({100000, NAN, -INFINITY});
    csv.row({-1, 1.0 / 3, 1e22});
    csv.sync();
  }
  EXPECT_EQ(read_text(folder / "m.csv"),
            "step,train_loss,R1\n0,0.1,1e-10\n100000,nan,-inf\n-1,0.3333333333333333,1e+22\n");
}

TEST(Csv, ReopeningGoesOnBehindTheLastWholeRow) {
  const TemporaryFolder folder;
  { CsvWriter(folder / "m.csv", {"a", "b"}).row({1, 2}); }
  { CsvWriter(folder / "m.csv", {"a", "b"}).row({3, 4}); }
  EXPECT_EQ(read_text(folder / "m.csv"), "a,b\n1,2\n3,4\n");
  write_text(folder / "m.csv", "a,b\n1,2\n3,");
  { CsvWriter(folder / "m.csv", {"a", "b"}).row({5, 6}); }
  EXPECT_EQ(read_text(folder / "m.csv"), "a,b\n1,2\n5,6\n");
  write_text(folder / "m.csv", "a,");
  { CsvWriter(folder / "m.csv", {"a", "b"}).row({5, 6}); }
  EXPECT_EQ(read_text(folder / "m.csv"), "a,b\n5,6\n");
}

TEST(Csv, OtherColumnsAreRefused) {
  const TemporaryFolder folder;
  { CsvWriter(folder / "m.csv", {"a", "b"}).row({1, 2}); }
  EXPECT_TRUE(contains(input_error([&] { CsvWriter(folder / "m.csv", {"a", "c"}); }),
                       "m.csv:1: expected the columns a,c, found 'a,b'"));
  EXPECT_THROW(CsvWriter(folder / "n.csv", {}), InputError);
  for (const std::string name : {"a,b", "a\nb", "\"a\"", ""})
    EXPECT_THROW(CsvWriter(folder / "n.csv", {name}), InputError) << name;
  EXPECT_FALSE(std::filesystem::exists(folder / "n.csv"));
}

TEST(Csv, ARowOfAnotherLengthIsRefused) {
  const TemporaryFolder folder;
  CsvWriter csv(folder / "m.csv", {"a", "b"});
  EXPECT_TRUE(contains(input_error([&] { csv.row({1}); }), "expected 2 numbers a row, got 1"));
}

TEST(Csv, ARowThatFindsNoRoomLeavesNothingAndIsNamed) {
  const TemporaryFolder folder;
  const int result = in_child([&] {
    CsvWriter csv(folder / "m.csv", {"a", "b"});
    csv.row({1, 2});
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10, 10};  // two bytes of the next row fit
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto message = save_error([&] { csv.row({123, 456}); });
    return contains(message, (folder / "m.csv").string() + ": File too large") ? 0 : 1;
  });
  EXPECT_EQ(result, 0);
  EXPECT_EQ(read_text(folder / "m.csv"), "a,b\n1,2\n");
}

TEST(Csv, AnUnwritableFileIsNamed) {
  EXPECT_TRUE(contains(save_error([] { CsvWriter("/nowhere/m.csv", {"a"}); }),
                       "/nowhere/m.csv: no file can be made in its folder"));
}

TEST(Csv, KilledAtAnyMomentAtMostTheLastLineIsTorn) {
  const TemporaryFolder folder;
  { CsvWriter(folder / "m.csv", {"a", "b"}).row({-1, 0.1}); }
  for (int kill = 0; kill < 20; ++kill) {
    const pid_t child = ::fork();
    if (child == 0) {
      CsvWriter csv(folder / "m.csv", {"a", "b"});
      for (double i = 0;; ++i) csv.row({i, 0.1});
    }
    ::usleep(static_cast<useconds_t>(1000 + 137 * kill));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    for (const auto& row : read_csv(folder / "m.csv").rows) ASSERT_EQ(row[1], 0.1);
  }
}

TEST(Csv, ReadsBackTheSameNumbers) {
  const TemporaryFolder folder;
  const std::vector<std::vector<double>> rows = {{0, 0.1}, {1, 5e-324}, {2, INFINITY}, {3, -0.0}};
  CsvWriter csv(folder / "m.csv", {"step", "x"});
  for (const auto& row : rows) csv.row(row);
  const auto table = read_csv(folder / "m.csv");
  EXPECT_EQ(table.columns, (std::vector<std::string>{"step", "x"}));
  EXPECT_EQ(table.rows, rows);
  EXPECT_EQ(table.column("x"), (std::vector<double>{0.1, 5e-324, INFINITY, -0.0}));
  EXPECT_TRUE(contains(input_error([&] { table.column("setp"); }), "expected a column 'setp', found 'step'"));
}

TEST(Csv, ATornLastLineIsLeftOut) {
  const TemporaryFolder folder;
  write_text(folder / "m.csv", "a,b\n1,2\n3,4");
  EXPECT_EQ(read_csv(folder / "m.csv").rows.size(), 1u);
}

TEST(Csv, WhatIsNotATableOfNumbersIsRefusedWithItsLine) {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::string& text) {
    write_text(folder / "m.csv", text);
    return input_error([&] { read_csv(folder / "m.csv"); });
  };
  EXPECT_TRUE(contains(refusal("a,b\n1,2\n1\n"), "m.csv:3: expected 2 numbers, got 1"));
  EXPECT_TRUE(contains(refusal("a,b\n1,2,3\n"), "m.csv:2: expected 2 numbers, got 3"));
  EXPECT_TRUE(contains(refusal("a,b\n1,x\n"), "m.csv:2: b: expected a number, got 'x'"));
  EXPECT_TRUE(contains(refusal("a,b\n1, 2\n"), "got ' 2'"));
  EXPECT_TRUE(contains(refusal("a,b\n1,\n"), "got ''"));
  EXPECT_TRUE(contains(refusal(""), "expected a header"));
  EXPECT_TRUE(contains(refusal("a,b"), "expected a header"));
}

TEST(Csv, CuttingKeepsTheBytesOfTheRowsUpToAValue) {
  const TemporaryFolder folder;
  write_text(folder / "m.csv", "step,x\n0,0.10\n10,1e0\n20,3\n30,4\n40,");
  cut_csv_after(folder / "m.csv", "step", 20);
  EXPECT_EQ(read_text(folder / "m.csv"), "step,x\n0,0.10\n10,1e0\n20,3\n");
  cut_csv_after(folder / "m.csv", "step", -1);
  EXPECT_EQ(read_text(folder / "m.csv"), "step,x\n");
  EXPECT_TRUE(contains(input_error([&] { cut_csv_after(folder / "m.csv", "stp", 1); }), "found 'step'"));
}

}  // namespace
}  // namespace entk::csv_test
