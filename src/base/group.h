// The processes that take one run together: three calls, and nothing that adds up. Sums over processes are finished by
// every process itself, by one fixed tree (kernels/shard.h), so that they have the bits of one process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace entk {

/// Some of things in a row.
struct Share {
  std::int64_t first = 0;  ///< the first of them
  std::int64_t count = 0;  ///< how many
};
/// All processes make the same calls in the same order; each returns when all have come, or ends them all where one
/// does not come within the deadline. Called from the main thread.
class Group {
 public:
  virtual ~Group() = default;
  virtual int size() const = 0;  ///< how many they are
  virtual int rank() const = 0;  ///< which of them this one is, from 0
  /// The bytes of every process, one behind the other; bytes[r] of process r, `mine` of this one's number.
  virtual void all_gather(const void* mine, void* all, const std::vector<std::int64_t>& bytes) = 0;
  /// From process `root` to the others.
  virtual void broadcast(void* data, std::int64_t bytes, int root = 0) = 0;
  virtual void barrier() = 0;  ///< until all have come
  /// Those on this one's machine: how many, and which of them it is (first).
  virtual Share on_machine() const = 0;
};

/// The processes of this run; this one alone, unless use_group was called.
Group& group();
/// At a program's start. The group outlives every user.
void use_group(Group& all);

/// Whether this process is the one that writes and speaks.
inline bool leads() { return group().rank() == 0; }

/// What process 0 has.
std::string agreed(std::string text);
std::int64_t agreed(std::int64_t number);  ///< likewise
/// The first text that is not empty, of all processes in their order.
std::string first_of_all(std::string text);
/// Every process's number.
std::vector<std::int64_t> numbers_of_all(std::int64_t number);
/// Every process's numbers, one behind the other.
std::vector<double> numbers_of_all(const std::vector<double>& numbers);
/// The largest of the processes' numbers, NaN where one is.
double largest_of_all(double number);
/// Their sum.
std::int64_t sum_of_all(std::int64_t number);

/// What process `rank` of `size` has of `count` things.
Share share_of(std::int64_t count, int rank, int size);
/// What this one has.
inline Share own_share(std::int64_t count) { return share_of(count, group().rank(), group().size()); }

}  // namespace entk
