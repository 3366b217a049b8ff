// Waiting for SIGINT or SIGTERM without a handler that could run anywhere.
#pragma once
#include <chrono>

namespace attestry::app {

/// Blocks SIGINT, SIGTERM and SIGPIPE for this thread and those it starts: call before any thread exists.
void block_signals();
/// Sleeps until one of SIGINT and SIGTERM comes. Meanwhile, whenever the process has come to rest, gives back what only
/// work needs (app/resting.h).
void wait_for_stop_signal();
/// The same for at most `patience`; false when nobody said stop.
bool wait_for_stop_signal(std::chrono::milliseconds patience);

}  // namespace attestry::app
