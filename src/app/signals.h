// Waiting for SIGINT or SIGTERM without a handler that could run anywhere.
#pragma once

namespace attestry::app {

/// Blocks SIGINT, SIGTERM and SIGPIPE for this thread and those it starts: call before any thread exists.
void block_signals();
/// Sleeps until one of SIGINT and SIGTERM comes.
void wait_for_stop_signal();

}  // namespace attestry::app
