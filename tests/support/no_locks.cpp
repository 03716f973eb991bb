// A file system without locks, as Lustre without -o flock: for LD_PRELOAD.
#include <cerrno>

extern "C" int flock(int, int) noexcept {
  errno = ENOSYS;
  return -1;
}
