// Threads as the processes of a group: what each process does, without MPI.
#pragma once

#include <algorithm>
#include <barrier>
#include <cstring>
#include <thread>
#include <vector>

#include "entk/base/group.h"

namespace entk::testing {

class ThreadGroup final : public Group {
 public:
  explicit ThreadGroup(int size) : size_(size), data_(static_cast<std::size_t>(size)), all_here_(size) {}

  static int& place() {
    thread_local int rank = 0;
    return rank;
  }
  int size() const override { return size_; }
  int rank() const override { return place(); }
  Share on_machine() const override { return {rank(), size_}; }
  void barrier() override { all_here_.arrive_and_wait(); }

  void all_gather(const void* mine, void* all, const std::vector<std::int64_t>& bytes) override {
    show(mine);
    auto* to = static_cast<char*>(all);
    for (int r = 0; r < size_; to += bytes[static_cast<std::size_t>(r++)])
      copy(to, r, bytes[static_cast<std::size_t>(r)]);
    barrier();
  }
  void broadcast(void* data, std::int64_t bytes, int root) override {
    show(data);
    if (rank() != root) copy(data, root, bytes);
    barrier();
  }

 private:
  void show(const void* data) {
    data_[static_cast<std::size_t>(rank())] = data;
    barrier();
  }
  void copy(void* to, int from, std::int64_t bytes) {
    if (bytes > 0) std::memcpy(to, data_[static_cast<std::size_t>(from)], static_cast<std::size_t>(bytes));
  }

  int size_;
  std::vector<const void*> data_;
  std::barrier<> all_here_;
};

/// What `f` gives in the first of `size` threads that are a group.
template <class F>
auto as_processes(int size, F&& f) {
  ThreadGroup threads(size);
  Group& before = group();
  use_group(threads);
  std::vector<std::thread> others;
  for (int rank = 1; rank < size; ++rank) {
    others.emplace_back([&f, rank] {
      ThreadGroup::place() = rank;
      f();
    });
  }
  auto result = f();
  for (auto& thread : others) thread.join();
  use_group(before);
  return result;
}

}  // namespace entk::testing
