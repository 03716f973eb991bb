// SIGINT and SIGTERM: the first asks runs to stop at the end of their step and save; a second one
// leaves at once.
#pragma once

namespace entk::app {

void catch_signals();
/// The signal that came, or 0.
int caught_signal();

}  // namespace entk::app
