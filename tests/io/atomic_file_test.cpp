#include "entk/io/atomic_file.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "tests/io/io_testing.h"

namespace entk::atomic_file_test {
namespace {

using testing::contains;
using testing::in_child;
using testing::input_error;
using testing::read_text;
using testing::save_error;
using testing::TemporaryFolder;
using testing::write_text;

std::size_t file_count(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

TEST(AtomicFile, WritesTheBytesAndLeavesNothingElse) {
  const TemporaryFolder folder;
  const std::string bytes("a\0b\n", 4);
  write_file_atomically(folder / "f", "old and longer");
  write_file_atomically(folder / "f", bytes);
  EXPECT_EQ(read_file(folder / "f"), bytes);
  EXPECT_EQ(file_count(folder.path()), 1u);
}

TEST(AtomicFile, ARelativeNameIsInTheWorkingFolder) {
  const TemporaryFolder folder;
  EXPECT_EQ(in_child([&] {
              if (::chdir(folder.path().c_str()) != 0) return 1;
              write_file_atomically("f", "x");
              return 0;
            }),
            0);
  EXPECT_EQ(read_text(folder / "f"), "x");
}

TEST(AtomicFile, KeepsTheOldTargetUnderThePreviousName) {
  const TemporaryFolder folder;
  for (const char* bytes : {"1", "2", "3"}) write_file_atomically(folder / "f", bytes, folder / "p");
  EXPECT_EQ(read_text(folder / "f"), "3");
  EXPECT_EQ(read_text(folder / "p"), "2");
  EXPECT_EQ(file_count(folder.path()), 2u);
}

TEST(AtomicFile, FollowsASymbolicLink) {
  const TemporaryFolder folder;
  write_text(folder / "f", "old");
  std::filesystem::create_symlink(folder / "f", folder / "link");
  write_file_atomically(folder / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(read_text(folder / "f"), "new");
}

TEST(AtomicFile, FilesHaveTheRightsThatTheUmaskLeaves) {
  const TemporaryFolder folder;
  const mode_t before = ::umask(022);
  write_file_atomically(folder / "f", "x");
  ::umask(before);
  struct stat status{};
  ASSERT_EQ(::stat((folder / "f").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644u);
}

TEST(AtomicFile, AMissingFolderIsNamedWithTheReason) {
  const TemporaryFolder folder;
  const auto message = save_error([&] { write_file_atomically(folder / "no" / "f", "x"); });
  EXPECT_TRUE(contains(message, (folder / "no" / "f").string()));
  EXPECT_TRUE(contains(message, "No such file or directory"));
}

TEST(AtomicFile, WhatIsNotARegularFileIsNotReplaced) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "d");
  EXPECT_TRUE(contains(save_error([&] { write_file_atomically(folder / "d", "x"); }), "regular file"));
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_TRUE(contains(save_error([&] { write_file_atomically(folder / "pipe", "x"); }), "regular file"));
  EXPECT_TRUE(std::filesystem::is_fifo(folder / "pipe"));
}

TEST(AtomicFile, AFileAtItsSizeLimitIsNamedAndTheOldOneStays) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "f", "old");
  const int result = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100000, 100000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto message =
        save_error([&] { write_file_atomically(folder / "f", std::string(200000, 'x'), folder / "p"); });
    return contains(message, (folder / "f").string()) && contains(message, "File too large") ? 0 : 1;
  });
  EXPECT_EQ(result, 0);
  EXPECT_EQ(read_text(folder / "f"), "old");
  EXPECT_EQ(file_count(folder.path()), 1u);
}

TEST(AtomicFile, AFullDiskIsNamedAndTheOldFileStays) {
  const TemporaryFolder folder;
  constexpr int no_mount = 77;
  const int result = in_child([&] {
    // A file system of 64 KiB, in a mount namespace of its own.
    if (::unshare(CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", folder.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
      return no_mount;
    }
    write_file_atomically(folder / "f", "old");
    const auto message =
        save_error([&] { write_file_atomically(folder / "f", std::string(200000, 'x'), folder / "p"); });
    if (!contains(message, (folder / "f").string()) || !contains(message, "No space left on device")) return 1;
    return read_text(folder / "f") == "old" && file_count(folder.path()) == 1 ? 0 : 2;
  });
  if (result == no_mount) GTEST_SKIP() << "no right to mount a tmpfs here";
  EXPECT_EQ(result, 0);
}

TEST(ReadFile, RefusesByNameWhatItCannotRead) {
  const TemporaryFolder folder;
  EXPECT_TRUE(contains(input_error([&] { read_file(folder / "no"); }), (folder / "no").string()));
  EXPECT_TRUE(contains(input_error([&] { read_file(folder / "no"); }), "No such file or directory"));
  EXPECT_TRUE(contains(input_error([&] { read_file(folder.path()); }), "folder"));
  EXPECT_TRUE(contains(input_error([&] { read_file("/dev/zero"); }), "not a regular file"));
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_TRUE(contains(input_error([&] { read_file(folder / "pipe"); }), "not a regular file"));
}

TEST(ReadFile, RefusesAFileAboveTheLimit) {
  const TemporaryFolder folder;
  write_text(folder / "f", "12345");
  EXPECT_EQ(read_file(folder / "f", 5), "12345");
  EXPECT_TRUE(contains(input_error([&] { read_file(folder / "f", 4); }), "at most 4"));
}

}  // namespace
}  // namespace entk::atomic_file_test
