// The durable, ordered key-value store: many readers on snapshots, one committer that gathers writes into batches with
// one sync each (FORMATS 7). A write is answered only when its batch is on the disk and the after-commit hook has
// succeeded.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace attestry::state {

/// A consistent snapshot. Not thread-safe; values are copies. Errors: `corrupt`, `io`, `unavailable`.
class ReadView {
 public:
  /// Called with key and value in ascending order of keys (valid during the call); false ends the scan.
  using Visitor = std::function<bool(base::ByteView key, base::ByteView value)>;
  virtual ~ReadView() = default;
  virtual base::Result<std::optional<base::Bytes>> get(base::ByteView key) const = 0;
  /// Every key that begins with `prefix` and is at least `from` (empty: from the first), at most `limit` of them.
  virtual base::Status scan(base::ByteView prefix, base::ByteView from, std::size_t limit,
                            const Visitor& visit) const = 0;
};

/// What a write closure sees: the batch so far and its own writes. Valid only during the closure.
class WriteTxn : public ReadView {
 public:
  virtual base::Status put(base::ByteView key, base::ByteView value) = 0;
  virtual base::Status erase(base::ByteView key) = 0;
  /// Error `conflict` when the key is already there: what makes a nonce usable once.
  virtual base::Status insert(base::ByteView key, base::ByteView value) = 0;
  /// Number of the batch, different for every batch (also a failed one) of this process.
  virtual std::uint64_t batch() const noexcept = 0;
};

struct StoreOptions {
  std::string path;  ///< the database file; its folder must exist
  base::Realm realm = base::Realm::production;
  const base::Clock* clock = &base::system_clock();
  bool create = true;            ///< false: error `not_found` when there is no store
  bool read_only = false;        ///< for tools; every write answers `unavailable`, and several processes may do it
  bool confirm_clock = false;    ///< an operator says that a clock far ahead of the store is right (FORMATS 11)
  std::size_t max_batch = 512;   ///< closures per commit
  std::size_t max_queue = 8192;  ///< waiting closures; more are refused with `unavailable`
};

struct StoreStats {
  std::uint64_t batches = 0;         ///< committed
  std::uint64_t writes = 0;          ///< closures in committed batches
  std::uint64_t failed_batches = 0;  ///< COMMIT or the after-commit hook failed
  std::size_t queued = 0;
};

/// Thread-safe. The destructor commits what is queued and joins the committer.
class Store {
 public:
  /// May be run again from the start when the backend asks for a retry: no effects outside the transaction and its own
  /// captures.
  using Closure = std::move_only_function<base::Status(WriteTxn&)>;
  /// Runs on the committer's thread: short, never blocking, never waiting for another write.
  using Completion = std::move_only_function<void(base::Status)>;
  /// Runs on the committer's thread after every commit and before the completions of that batch.
  using AfterCommit = std::move_only_function<base::Status(const ReadView&)>;

  /// Creates the store with its schema version and realm, or opens it and migrates it forward. Errors:
  /// `realm_mismatch`, `configuration` (newer schema, or no store of ours), `unavailable` (another process has it
  /// open), `not_found`, `io`, `corrupt`.
  static base::Result<std::unique_ptr<Store>> open(const StoreOptions& options);

  virtual ~Store() = default;
  virtual base::Realm realm() const noexcept = 0;

  /// A snapshot of what is committed now. Give it back soon: an old snapshot keeps the write-ahead log from being
  /// emptied.
  virtual base::Result<std::unique_ptr<ReadView>> read() const = 0;

  /// Queues `closure`. Its own error rolls back only its own writes and is what `completion` gets. When the commit or
  /// the hook fails, every closure of the batch gets `unavailable`: nothing may be acknowledged (after a failed hook
  /// the data is there nevertheless, which is why idempotent writes store their reply in the closure).
  virtual void write(Closure closure, Completion completion) = 0;

  /// The same, waiting. `deadline_exceeded` means that the closure did not run and never will; a closure that has begun
  /// is waited for, so it may refer to the caller's variables. Never call it from a closure, completion or hook.
  virtual base::Status write_and_wait(Closure closure, base::Deadline deadline) = 0;

  /// One hook; an empty function removes it. Returns when no older hook is running any more.
  virtual void set_after_commit(AfterCommit hook) = 0;

  /// max(clock, highest time in the store): what expiry and collection compare with (FORMATS 11).
  virtual base::UtcTime now() const = 0;
  /// `unavailable` while the clock is more than 300 s behind the store, or has jumped ahead of the steady clock by more
  /// than 300 s (since the last run: 24 h) and no operator has confirmed it (FORMATS 11). Every release asks first.
  virtual base::Status clock_usable() const = 0;
  /// An operator confirms that the present clock is right.
  virtual void confirm_clock() = 0;

  virtual StoreStats stats() const = 0;
};

}  // namespace attestry::state
