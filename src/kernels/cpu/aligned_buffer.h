// Memory of the tables: aligned to cache lines, large pieces on huge pages where the system has them
// (5% of a step at Figure 1's size).
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include <sys/mman.h>

namespace entk::kernels {

/// `count` zeros of type T; moves, does not copy. @throws std::bad_alloc
template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t count) : count_(count) {
    if (count == 0) return;
    constexpr std::size_t huge = std::size_t{2} << 20;
    const std::size_t bytes = count * sizeof(T);
    const std::size_t alignment = bytes >= 2 * huge ? huge : 64;
    void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (!memory) throw std::bad_alloc();
    data_.reset(static_cast<T*>(memory));
    if (alignment == huge) ::madvise(memory, bytes, MADV_HUGEPAGE);  // advice: failure is harmless
    std::memset(memory, 0, bytes);
  }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  std::size_t size() const { return count_; }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T, Free> data_;
  std::size_t count_ = 0;
};

}  // namespace entk::kernels
