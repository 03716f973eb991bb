// SIGINT, SIGTERM, and SIGUSR1 as SIGTERM. The first asks runs to stop at the end of their step and save; where there
// is nothing to save (a set-up, a decomposition, plots) and the work does not stop by itself, the process leaves within
// two seconds: programs that it started are ended and the folders' status says `interrupted`. A second signal leaves at
// once.
#pragma once

namespace entk::app {

void catch_signals();
/// The command has come to its end: what is left to be done is the caller's, and no signal ends the process before.
void let_return();
/// The signal that came, or 0.
int caught_signal();
/// Of a command without --resume: what is said at a stop does not name it.
void begins_anew();

}  // namespace entk::app
