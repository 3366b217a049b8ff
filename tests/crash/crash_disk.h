// A disk that forgets: a SQLite VFS and a file layer that keep every unsynced write in this process's memory, so that
// kill -9 loses what a power cut would lose. Linked into test programs only; the product has no way to get it.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>

#include "state/file.h"

namespace attestry::crash {

struct Options {
  bool omit_database_sync = false;  ///< the database's sync does nothing
  bool omit_file_sync = false;      ///< nor the sync of the file outside
  bool omit_folder_sync = false;    ///< nor that of its folder
  /// Added to every sync, to measure what group commit saves.
  std::chrono::milliseconds sync_delay{0};
  /// Of 100 unsynced database writes so many reach the disk at once, out of order, as disks do.
  unsigned leak_percent = 0;
  std::uint64_t leak_seed = 1;
};

/// ATTESTRY_CRASH_OMIT = database, file, folder (with commas between them); ATTESTRY_CRASH_LEAK_PERCENT;
/// ATTESTRY_CRASH_LEAK_SEED; ATTESTRY_CRASH_SYNC_MS. Ends the program when one of them makes no sense.
Options options_from_environment();

struct Counters {
  std::atomic<std::uint64_t> database_syncs{0};
  std::atomic<std::uint64_t> file_syncs{0};
  std::atomic<std::uint64_t> folder_syncs{0};
};

/// Makes the forgetful VFS SQLite's default in this process (once, before any store is opened) and gives the file layer
/// to hand to the log. A second call only changes the options. A file that is closed by its last user is written back,
/// as the system does in its own time.
state::Files& install(const Options& options);
Counters& counters();

}  // namespace attestry::crash
