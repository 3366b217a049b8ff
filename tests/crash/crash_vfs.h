// The parts of the crash disk behind its header.
#pragma once
#include <string>

#include "crash_disk.h"

namespace attestry::crash {

/// Valid once install() has been called. Thread-safe to read; changed between tests only.
Options& current_options();
/// Registers the VFS as the default one.
void register_vfs();
void slow_down();
/// Whether this unsynced write gets to the disk anyway.
bool leaks();

}  // namespace attestry::crash
