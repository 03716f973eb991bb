// Threads of entk's own loops.
//
// entk shares fixed tiles over threads and sums their results by a fixed tree, so that results have
// the same bits for every number of threads. ATen's own threading gives no such promise: wherever
// its bits reach W or a recorded number, it runs on one thread (SerialTorch).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace entk {

/// Number of threads that parallel_for uses here: the thread's budget if it has one, otherwise the
/// number of processors, or what set_threads says.
int threads();
/// Sets it; 0 means the number of processors this process may use: its affinity and SLURM_CPUS_PER_TASK. @throws
/// InputError if negative.
void set_threads(int count);

/// Calls body(i) once for each i in [0, count), shared out over threads(); returns when all are
/// done. Inside another parallel_for it is a plain loop. If calls throw,
/// the exception of the lowest index among those that ran is rethrown here.
void parallel_for(std::int64_t count, const std::function<void(std::int64_t)>& body);

/// The same, telling each call which worker it runs on, in [0, threads()): for scratch memory.
void parallel_for_workers(std::int64_t count, const std::function<void(std::int64_t index, int worker)>& body);

/// While it lives, the thread that made it has threads of its own for its loops, `count` of them in
/// all: for runs side by side. 1 makes parallel_for a plain loop.
class ThreadBudget {
 public:
  explicit ThreadBudget(int count);  ///< at least 1
  ~ThreadBudget();
  ThreadBudget(const ThreadBudget&) = delete;
  ThreadBudget& operator=(const ThreadBudget&) = delete;

 private:
  std::shared_ptr<void> pool_;
  void* before_;
  int count_before_;
};

/// While it lives, ATen runs on one thread.
class SerialTorch {
 public:
  SerialTorch();
  ~SerialTorch();
  SerialTorch(const SerialTorch&) = delete;
  SerialTorch& operator=(const SerialTorch&) = delete;
};

}  // namespace entk
