// Started as N processes by mpirun or srun: one run taken together, over MPI.
#pragma once

namespace entk::app {

/// How many processes the launcher says it started: 1 without one.
int launched_processes();
/// Makes entk::group() that of the launched processes. @throws InputError where this build has no MPI, or MPI sees
/// another number of processes than the launcher started, as it would else be N runs in one folder.
void join_processes(double timeout_seconds);
/// The first `count` processes go on as the group. False in the others, which have nothing to do but part.
bool go_on_with(int count);
/// The exit code of this process, once all are through. Where others are still at work on what this one has failed at,
/// all are ended with this code.
int part_processes(int code);

}  // namespace entk::app
