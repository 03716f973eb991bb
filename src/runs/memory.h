// Memory that a run will take, estimated before it is taken.
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <istream>

#include "entk/config/run_config.h"

namespace entk {

/// Peak bytes of this process during the run, from its sizes (those of a data file filled in) and what
/// the process holds now.
std::int64_t estimate_peak_bytes(const RunConfig& config, c10::Device device);
/// Bytes that this process holds now.
std::int64_t resident_bytes_now();
/// Of a program, at its start: what a step frees stays with the process, up to 32 MB a thread. The allocator would
/// otherwise give a tile's matrices back to the system and have them zeroed again at each tile, half of the time of a
/// whole network's step; and it would raise by itself, as it goes, the size from which matrices are not torn out of the
/// heap.
void keep_freed_memory();
/// Gives memory that was freed back to the system, which the allocator otherwise keeps in pieces.
void release_free_memory();
/// Bytes that this process may hold in all: what it holds and the least that is left of the machine's available memory,
/// of its control groups' limits and of RLIMIT_AS (which counts addresses).
std::int64_t memory_limit_bytes();
/// The least limit of the control groups that lines as those of /proc/self/cgroup name and of those around them;
/// `mount`: where the tree of groups is.
std::int64_t control_group_limit(const std::filesystem::path& mount, std::istream& groups);
/// @throws InputError where `bytes` at the peak are above the limit, saying both and what to make `smaller`.
void check_fits(double bytes, const std::string& smaller);
/// @throws InputError where the estimate is above the limit, saying both and what to make smaller.
void check_memory(const RunConfig& config, c10::Device device);

}  // namespace entk
