#include "entk/io/descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace entk {

bool Descriptor::close() {
  if (value_ < 0) return true;
  // Not repeated when interrupted: Linux has released the descriptor by then.
  return ::close(std::exchange(value_, -1)) == 0 || errno == EINTR;
}

Descriptor open_file(const std::filesystem::path& path, int flags, unsigned mode) {
  int file = -1;
  do {
    file = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (file < 0 && errno == EINTR);
  return Descriptor(file);
}

std::string error_text(int error) { return std::system_category().message(error); }

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    if (written == 0) {
      errno = EIO;
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

bool sync_file(int file) {
  int result = -1;
  do {
    result = ::fsync(file);
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

bool sync_folder(const std::filesystem::path& folder) {
  const Descriptor file = open_file(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  return file && (sync_file(file.get()) || errno == EINVAL);
}

}  // namespace entk
