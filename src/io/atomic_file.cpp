#include "entk/io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

#include "entk/base/error.h"
#include "entk/io/descriptor.h"

namespace entk {

namespace {

namespace fs = std::filesystem;

constexpr char temporary_prefix[] = ".entk-temporary-";

[[noreturn]] void fail(const fs::path& target, const std::string& what, int error) {
  throw SaveError("cannot save " + target.string() + ": " + what + ": " + error_text(error));
}

/// A file beside the target that goes away with the scope unless it has been renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(fs::path target) : target_(std::move(target)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (exists_) ::unlink(path_.c_str());
  }

  /// A new file with these bytes, on the disk.
  void write(std::string_view bytes) {
    Descriptor file;
    do {
      take_next_name();
      file = open_file(path_, O_WRONLY | O_CREAT | O_EXCL);
    } while (!file && errno == EEXIST);
    if (!file) fail(target_, "no file can be made in its folder", errno);
    exists_ = true;
    if (!write_all(file.get(), bytes)) fail(target_, "write failed", errno);
    if (!sync_file(file.get())) fail(target_, "fsync failed", errno);
    if (!file.close()) fail(target_, "close failed", errno);
  }

  /// A second name of the target; a copy where the file system has no hard links.
  void keep_target() {
    int failed = -1;
    do {
      take_next_name();
      failed = ::link(target_.c_str(), path_.c_str());
    } while (failed != 0 && errno == EEXIST);
    if (failed == 0) {
      exists_ = true;
      return;
    }
    std::string bytes;
    try {
      bytes = read_file(target_);
    } catch (const InputError& error) {
      throw SaveError("cannot save " + target_.string() + ": the old file cannot be kept: " + error.what());
    }
    write(bytes);
  }

  void rename_to(const fs::path& name) {
    if (std::rename(path_.c_str(), name.c_str()) != 0) fail(target_, "rename failed", errno);
    exists_ = false;
    if (!sync_folder(name.parent_path())) fail(target_, "fsync of its folder failed", errno);
  }

 private:
  /// Processes on other machines may have our number: names are taken, never cleared.
  void take_next_name() {
    static std::atomic<unsigned> count{0};
    path_ = target_.parent_path() / (temporary_prefix + std::to_string(::getpid()) + "-" + std::to_string(count++));
  }

  fs::path target_, path_;
  bool exists_ = false;
};

}  // namespace

void write_file_atomically(const fs::path& asked, std::string_view bytes, const std::optional<fs::path>& previous) {
  std::error_code error;
  fs::path target = asked;
  if (fs::is_symlink(asked, error)) target = fs::weakly_canonical(asked, error);
  if (target.empty()) fail(asked, "its link cannot be followed", error.value());
  struct stat status{};
  const bool exists = ::stat(target.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode)) {
    throw SaveError("cannot save " + asked.string() + ": what is there is not a regular file");
  }
  TemporaryFile fresh(target);
  fresh.write(bytes);
  if (!previous || !exists) {
    fresh.rename_to(target);
    return;
  }
  TemporaryFile old(target);
  old.keep_target();
  fresh.rename_to(target);
  old.rename_to(*previous);
}

std::string read_file(const fs::path& path, std::size_t limit) {
  const auto refuse = [&](const std::string& why) -> std::string {
    throw InputError("cannot read " + path.string() + ": " + why);
  };
  // O_NONBLOCK: a pipe without a writer would hold us here for ever.
  const Descriptor file = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!file) return refuse(error_text(errno));
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return refuse(error_text(errno));
  if (S_ISDIR(status.st_mode)) return refuse("it is a folder");
  if (!S_ISREG(status.st_mode)) return refuse("it is not a regular file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > limit) {
    return refuse("it has " + std::to_string(size) + " bytes, expected at most " + std::to_string(limit));
  }
  std::string bytes(size, '\0');
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t count = ::read(file.get(), bytes.data() + filled, size - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return refuse(error_text(errno));
    if (count == 0) break;  // it became shorter meanwhile
    filled += static_cast<std::size_t>(count);
  }
  bytes.resize(filled);
  return bytes;
}

bool is_temporary_name(const std::string& name) { return name.rfind(temporary_prefix, 0) == 0; }

}  // namespace entk
