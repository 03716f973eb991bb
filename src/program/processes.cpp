#include "entk/program/processes.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "entk/base/error.h"
#include "entk/base/group.h"

#if ENTK_HAS_MPI
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#include <sched.h>
#endif

namespace entk::app {

int launched_processes() {
  int most = 1;
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    if (const char* value = std::getenv(name)) most = std::max(most, std::atoi(value));
  }
  return most;
}

#if ENTK_HAS_MPI

namespace {

using ProcessClock = std::chrono::steady_clock;

/// Fruitless looks before another process on this processor has its turn.
constexpr int looks_before_yield = 64;
/// How long one that has failed waits for the others to fail likewise.
constexpr double grace_seconds = 10;

/// The largest message: MPI counts in int.
constexpr std::int64_t largest_message = std::int64_t{1} << 30;

class MpiProcesses final : public Group {
 public:
  explicit MpiProcesses(double timeout) : timeout_(timeout) {
    int given = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &given);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm_dup(MPI_COMM_WORLD, &parting_);
    MPI_Comm_dup(MPI_COMM_WORLD, &working_);
    MPI_Comm here = MPI_COMM_NULL;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &here);
    int which = 0, count = 0;
    MPI_Comm_rank(here, &which);
    MPI_Comm_size(here, &count);
    MPI_Comm_free(&here);
    on_machine_ = {which, count};
  }
  Share on_machine() const override { return on_machine_; }
  int size() const override { return size_; }
  int rank() const override { return rank_; }

  void all_gather(const void* mine, void* all, const std::vector<std::int64_t>& bytes) override {
    std::vector<int> counts, places;
    std::int64_t total = 0;
    for (const auto count : bytes) {
      counts.push_back(static_cast<int>(count));
      places.push_back(static_cast<int>(total));
      total += count;
      if (total > largest_message) throw RunError(fmt::format("a message of {} bytes is beyond MPI's count", total));
    }
    MPI_Request request;
    MPI_Iallgatherv(mine, counts[static_cast<std::size_t>(rank_)], MPI_BYTE, all, counts.data(), places.data(),
                    MPI_BYTE, working_, &request);
    wait(request);
  }
  void broadcast(void* data, std::int64_t bytes, int root) override {
    for (std::int64_t from = 0; from < bytes; from += largest_message) {
      MPI_Request request;
      MPI_Ibcast(static_cast<char*>(data) + from, static_cast<int>(std::min(largest_message, bytes - from)), MPI_BYTE,
                 root, working_, &request);
      wait(request);
    }
  }
  void barrier() override {
    MPI_Request request;
    MPI_Ibarrier(working_, &request);
    wait(request);
  }

  bool go_on_with(int count) {
    if (count >= size_) return true;
    idle_ = rank_ >= count;
    MPI_Comm_split(MPI_COMM_WORLD, idle_ ? MPI_UNDEFINED : 0, rank_, &working_);
    size_ = count;
    return !idle_;
  }

  int part(int code) {
    const bool failed = code != 0 && code < 128;
    MPI_Request request;
    MPI_Ibarrier(parting_, &request);
    for (int done = 0; idle_;) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    if (!idle_ && !done_within(request, failed ? std::min(grace_seconds, timeout_) : timeout_)) {
      std::fprintf(stderr, "entk: process %d left with exit code %d while others were at work; all are ended\n", rank_,
                   code);
      MPI_Abort(MPI_COMM_WORLD, code);
    }
    MPI_Finalize();
    return code;
  }

 private:
  bool done_within(MPI_Request& request, double seconds) const {
    const auto deadline = ProcessClock::now() + std::chrono::duration<double>(seconds);
    for (int looks = 1;; ++looks) {
      int done = 0;
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done) return true;
      if (looks % looks_before_yield != 0) continue;
      sched_yield();
      if (ProcessClock::now() > deadline) return false;
    }
  }
  void wait(MPI_Request& request) const {
    if (done_within(request, timeout_)) return;
    std::fprintf(stderr, "entk: process %d waited %g s for the others (--rank-timeout); all are ended\n", rank_,
                 timeout_);
    MPI_Abort(MPI_COMM_WORLD, static_cast<int>(ExitCode::failed));
  }

  double timeout_;
  int rank_ = 0, size_ = 1;
  bool idle_ = false;
  Share on_machine_;
  MPI_Comm working_ = MPI_COMM_NULL, parting_ = MPI_COMM_NULL;
};

MpiProcesses* joined = nullptr;

}  // namespace

void join_processes(double timeout_seconds) {
  const int launched = launched_processes();
  if (launched == 1) return;
  static MpiProcesses processes(timeout_seconds);
  joined = &processes;
  use_group(processes);
  if (processes.size() != launched) {
    throw InputError(fmt::format("{} processes were started, and MPI sees {}: with Slurm, srun --mpi=pmix", launched,
                                 processes.size()));
  }
}

bool go_on_with(int count) { return !joined || joined->go_on_with(count); }
int part_processes(int code) { return joined ? joined->part(code) : code; }

#else

void join_processes(double) {
  if (launched_processes() == 1) return;
  throw InputError(
      fmt::format("{} processes were started, and this build has no MPI: they would all take the same run; configure "
                  "with -DENTK_MPI=ON where MPI is installed",
                  launched_processes()));
}

bool go_on_with(int) { return true; }
int part_processes(int code) { return code; }

#endif

}  // namespace entk::app
