// POSIX file descriptors with checked calls. Streams are not used for writing: an unchecked
// std::ofstream loses data on a full disk without a word.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace entk {

/// An open file, closed with the scope; -1 where there is none.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Descriptor() { close(); }

  int get() const { return value_; }
  explicit operator bool() const { return value_ >= 0; }
  /// Closes now; false, with errno set, if the system reports an error that it had kept back.
  bool close();

 private:
  int value_;
};

/// open() with O_CLOEXEC, repeated while interrupted.
Descriptor open_file(const std::filesystem::path& path, int flags, unsigned mode = 0666);

/// The text of an errno.
std::string error_text(int error);

/// Writes all the bytes, whatever signals arrive. False with errno set if it could not.
bool write_all(int file, std::string_view bytes);

/// fsync, repeated while interrupted. False with errno set if it failed.
bool sync_file(int file);

/// Makes the names in a folder durable; a file system that cannot do this for folders counts as
/// done. False with errno set if it failed.
bool sync_folder(const std::filesystem::path& folder);

}  // namespace entk
