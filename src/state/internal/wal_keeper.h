// Empties the write-ahead log into the database beside the committer, so that no batch waits for it.
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "state/internal/sqlite.h"

namespace attestry::state {

/// A checkpoint copies pages and syncs the database: on a slow disk that is many times a commit, and SQLite's own would
/// make every hundredth batch or so wait for it. This one runs on a thread and a connection of its own. Under a load
/// without pauses it would never catch up with the last page, and SQLite starts its log again only then; so the
/// committer does the rest itself once the log is too long. Nothing acknowledged depends on any of this.
class WalKeeper {
 public:
  /// Pages that the log grows from one checkpoint to the next. Few: while the database is synced, the commits' own
  /// syncs wait for the same disk, and a sync of thousands of pages is what the slowest registrations would feel.
  static constexpr int kStep = 100;
  static constexpr int kTooLong = 6000;  ///< pages from which the committer does it itself: 24 MiB

  /// `connection` is a writer's, used by this thread alone.
  explicit WalKeeper(std::unique_ptr<Connection> connection);
  ~WalKeeper();
  WalKeeper(const WalKeeper&) = delete;
  WalKeeper& operator=(const WalKeeper&) = delete;

  /// On the committer's thread, after every batch: `writer` is the committer's connection.
  void committed(Connection& writer);

 private:
  void loop();

  const std::unique_ptr<Connection> connection_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool due_ = false;
  bool stopping_ = false;
  int pages_ = 0;        ///< the committer's thread only: in the log after the last batch
  int next_at_ = kStep;  ///< the committer's thread only
  std::thread thread_;
};

}  // namespace attestry::state
