#include "entk/base/threads.h"

#include <ATen/Parallel.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "entk/base/error.h"

// Of the OpenMP run-time that LibTorch brings, where it has one.
extern "C" __attribute__((weak)) void omp_set_num_threads(int);

namespace entk {

namespace {

/// Those that this process may use. Slurm's share of a task is in its environment, whether or not the cluster binds
/// tasks to processors.
int processors() {
  cpu_set_t set;
  int count = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = std::max(1, CPU_COUNT(&set));
  const char* given = std::getenv("SLURM_CPUS_PER_TASK");
  const int share = given ? std::atoi(given) : 0;
  return share > 0 ? std::min(count, share) : count;
}

std::atomic<int> configured_threads{0};
thread_local bool inline_loops = false;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Workers that sleep between loops. A loop hands out indices from one atomic counter: which thread
/// takes which index varies, what is computed for it does not.
class Pool {
 public:
  ~Pool() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  /// False if another thread is in a loop already.
  bool run(std::int64_t count, const std::function<void(std::int64_t, int)>& body, int threads) {
    std::unique_lock busy(busy_, std::try_to_lock);
    if (!busy) return false;
    const int helpers = static_cast<int>(std::min<std::int64_t>(threads, count)) - 1;
    {
      std::lock_guard lock(mutex_);
      while (static_cast<int>(workers_.size()) < helpers) {
        const int index = static_cast<int>(workers_.size());
        const std::uint64_t seen = generation_.load(std::memory_order_relaxed);
        workers_.emplace_back([this, index, seen] { work(index, seen); });
      }
      body_ = &body;
      count_ = count;
      helpers_ = helpers;
      next_.store(0, std::memory_order_relaxed);
      running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
      error_ = nullptr;
      error_index_ = std::numeric_limits<std::int64_t>::max();
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    take(0);
    for (int spin = 0; running_.load(std::memory_order_acquire) != 0; ++spin) {
      if (spin < spins) {
        pause_briefly();
      } else {
        std::unique_lock lock(mutex_);
        done_.wait(lock, [this] { return running_.load(std::memory_order_acquire) == 0; });
      }
    }
    if (error_) std::rethrow_exception(error_);
    return true;
  }

 private:
  // Some 50 µs: longer than the gap between two sweeps of a small step, shorter than anyone notices.
  static constexpr int spins = 2000;

  void take(int worker) {
    const bool before = inline_loops;
    inline_loops = true;
    for (;;) {
      const std::int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
      if (index >= count_) break;
      try {
        (*body_)(index, worker);
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (index < error_index_) {
          error_index_ = index;
          error_ = std::current_exception();
        }
        next_.store(count_, std::memory_order_relaxed);
      }
    }
    inline_loops = before;
  }

  void work(int index, std::uint64_t seen) {
    // ATen inside a worker stays on it: OpenMP keeps a number of threads for each thread.
    at::get_num_threads();
    if (omp_set_num_threads) omp_set_num_threads(1);
    for (;;) {
      for (int spin = 0; spin < spins && generation_.load(std::memory_order_acquire) == seen; ++spin) {
        pause_briefly();
      }
      if (generation_.load(std::memory_order_acquire) == seen) {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
      }
      seen = generation_.load(std::memory_order_acquire);
      if (stop_) return;
      if (index < helpers_) take(index + 1);
      if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::lock_guard lock(mutex_);
        done_.notify_one();
      }
    }
  }

  std::mutex busy_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<int> running_{0};
  std::atomic<std::int64_t> next_{0};
  const std::function<void(std::int64_t, int)>* body_ = nullptr;
  std::int64_t count_ = 0;
  int helpers_ = 0;
  bool stop_ = false;
  std::exception_ptr error_;
  std::int64_t error_index_ = 0;
};

thread_local Pool* own_pool = nullptr;
thread_local int own_count = 0;

Pool& pool() {
  static Pool shared;
  return own_pool ? *own_pool : shared;
}

std::mutex torch_mutex;
int torch_guards = 0;
int torch_threads_before = 1;

}  // namespace

int threads() {
  if (own_count > 0) return own_count;
  const int count = configured_threads.load(std::memory_order_relaxed);
  return count > 0 ? count : processors();
}

void set_threads(int count) {
  if (count < 0) {
    throw InputError("threads: expected 0 (all processors) or more, got " + std::to_string(count));
  }
  configured_threads.store(count, std::memory_order_relaxed);
}

void parallel_for_workers(std::int64_t count, const std::function<void(std::int64_t, int)>& body) {
  const int available = threads();
  if (count > 1 && available > 1 && !inline_loops && pool().run(count, body, available)) return;
  for (std::int64_t index = 0; index < count; ++index) body(index, 0);
}

void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body) {
  parallel_for_workers(count, [&body](std::int64_t index, int) { body(index); });
}

ThreadBudget::ThreadBudget(int count) : pool_(std::make_shared<Pool>()), before_(own_pool), count_before_(own_count) {
  own_pool = static_cast<Pool*>(pool_.get());
  own_count = std::max(1, count);
}

ThreadBudget::~ThreadBudget() {
  own_pool = static_cast<Pool*>(before_);
  own_count = count_before_;
}

SerialTorch::SerialTorch() {
  std::lock_guard lock(torch_mutex);
  if (torch_guards++ == 0) torch_threads_before = at::get_num_threads();
  at::set_num_threads(1);  // each thread has a setting of its own in OpenMP: set it in this one too
}

SerialTorch::~SerialTorch() {
  std::lock_guard lock(torch_mutex);
  if (--torch_guards == 0) at::set_num_threads(torch_threads_before);
}

}  // namespace entk
