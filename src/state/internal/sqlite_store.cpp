// The embedded store: SQLite in WAL mode, one writer, readers on snapshots.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>

#include "base/mutex.h"
#include "state/internal/committer.h"
#include "state/internal/schema.h"
#include "state/internal/sqlite.h"
#include "state/store.h"

namespace attestry::state {
namespace {

constexpr std::size_t kIdleReaders = 8;

std::string system_reason() { return std::generic_category().message(errno); }

/// Held by the one process that writes; the system drops it when the process ends, however it ends.
class ProcessLock {
 public:
  ProcessLock() noexcept = default;
  ProcessLock(const ProcessLock&) = delete;
  ProcessLock& operator=(const ProcessLock&) = delete;
  ~ProcessLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  base::Status lock(const std::string& path) {
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd_ < 0) return base::Error{base::Code::io, "open " + path + ": " + system_reason()};
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return base::done();
    return base::Error{base::Code::unavailable,
                       "another process has this store open",
                       {},
                       path,
                       "Stop the other process, or give this one another data folder."};
  }

 private:
  int fd_ = -1;
};

/// Idle reader connections. Never makes a caller wait: beyond the idle ones it opens more and closes them afterwards.
class ReaderPool {
 public:
  ReaderPool(std::string path, Connection::Mode mode) : path_(std::move(path)), mode_(mode) {}

  base::Result<std::unique_ptr<Connection>> borrow() {
    {
      const base::MutexLock lock(mutex_);
      if (!idle_.empty()) {
        auto out = std::move(idle_.back());
        idle_.pop_back();
        return out;
      }
    }
    TRY(auto fresh, Connection::open(path_, mode_));
    TRY_OK(fresh->prepare());
    return fresh;
  }

  void give_back(std::unique_ptr<Connection> connection) {
    connection->rollback();
    const base::MutexLock lock(mutex_);
    if (idle_.size() < kIdleReaders) idle_.push_back(std::move(connection));
  }

 private:
  const std::string path_;
  const Connection::Mode mode_;
  base::Mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_ ATTESTRY_GUARDED_BY(mutex_);
};

class Snapshot final : public ReadView {
 public:
  Snapshot(std::shared_ptr<ReaderPool> pool, std::unique_ptr<Connection> connection)
      : pool_(std::move(pool)), connection_(std::move(connection)) {}
  ~Snapshot() override { pool_->give_back(std::move(connection_)); }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  base::Result<std::optional<base::Bytes>> get(base::ByteView key) const override { return connection_->get(key); }
  base::Status scan(base::ByteView prefix, base::ByteView from, std::size_t limit,
                    const Visitor& visit) const override {
    return connection_->scan(prefix, from, limit, visit);
  }

 private:
  std::shared_ptr<ReaderPool> pool_;
  std::unique_ptr<Connection> connection_;
};

/// Between the thread that waits for a write and the committer.
class Waiter {
 public:
  /// False when the waiting thread has given up: the closure must not run any more.
  bool begin() {
    const std::lock_guard lock(mutex_);
    if (state_ == State::given_up) return false;
    state_ = State::running;
    return true;
  }

  void finish(base::Status status) {
    // Notified under the lock: the waiting thread may destroy its share as soon as it can lock.
    const std::lock_guard lock(mutex_);
    result_ = std::move(status);
    finished_ = true;
    wake_.notify_all();
  }

  base::Status wait(base::Deadline deadline) {
    std::unique_lock lock(mutex_);
    if (!wake_.wait_until(lock, deadline, [this] { return finished_; })) {
      if (state_ == State::queued) {
        state_ = State::given_up;
        return base::Error{base::Code::deadline_exceeded, "the store was too busy; nothing was written"};
      }
      wake_.wait(lock, [this] { return finished_; });
    }
    return std::move(result_);
  }

 private:
  enum class State { queued, running, given_up };
  std::mutex mutex_;
  std::condition_variable wake_;
  State state_ = State::queued;
  bool finished_ = false;
  base::Status result_ = base::done();
};

class SqliteStore final : public Store {
 public:
  struct Parts {
    std::unique_ptr<ProcessLock> lock;
    std::unique_ptr<Connection> writer;  ///< null when read-only
    std::shared_ptr<ReaderPool> readers;
    std::optional<base::UtcTime> highest;
    bool log_has_keys = false;  ///< or may have, because it could not be emptied
  };
  SqliteStore(const StoreOptions& options, Parts parts)
      : realm_(options.realm),
        lock_(std::move(parts.lock)),
        times_(*options.clock, parts.highest, options.confirm_clock),
        readers_(std::move(parts.readers)) {
    if (parts.writer) {
      committer_ = std::make_unique<Committer>(std::move(parts.writer), times_, options.max_batch, options.max_queue,
                                               parts.log_has_keys);
    }
  }

  base::Realm realm() const noexcept override { return realm_; }

  base::Result<std::unique_ptr<ReadView>> read() const override {
    TRY(auto connection, readers_->borrow());
    TRY_OK(connection->execute("BEGIN"));
    // SQLite takes the snapshot at the first read, so we read something at once.
    TRY_OK(read_highest_time(*connection));
    return std::unique_ptr<ReadView>(std::make_unique<Snapshot>(readers_, std::move(connection)));
  }

  void write(Closure closure, Completion completion) override {
    if (!committer_) return completion(base::Error{base::Code::unavailable, "the store is open for reading only"});
    committer_->write(std::move(closure), std::move(completion));
  }

  base::Status write_and_wait(Closure closure, base::Deadline deadline) override {
    const auto waiter = std::make_shared<Waiter>();
    write(
        [waiter, closure = std::move(closure)](WriteTxn& txn) mutable -> base::Status {
          if (!waiter->begin()) return base::Error{base::Code::deadline_exceeded, "the caller has given up"};
          return closure(txn);
        },
        [waiter](base::Status status) { waiter->finish(std::move(status)); });
    return waiter->wait(deadline);
  }

  void set_after_commit(AfterCommit hook) override {
    if (committer_) committer_->set_after_commit(std::move(hook));
  }

  base::UtcTime now() const override { return times_.now(); }
  base::Status clock_usable() const override { return times_.usable(); }
  void confirm_clock() override { times_.confirm(); }
  StoreStats stats() const override { return committer_ ? committer_->stats() : StoreStats{}; }

 private:
  const base::Realm realm_;
  std::unique_ptr<ProcessLock> lock_;
  TimeGuard times_;
  std::shared_ptr<ReaderPool> readers_;
  std::unique_ptr<Committer> committer_;  // last: it stops before what it uses goes away
};

/// An empty file that only its owner can read; SQLite gives its other files the same mode.
base::Status create_private(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) return base::Error{base::Code::io, "create " + path + ": " + system_reason()};
  ::close(fd);
  return base::done();
}

base::Result<SqliteStore::Parts> open_parts(const StoreOptions& options) {
  SqliteStore::Parts parts;
  if (!options.create || options.read_only) {
    struct stat info{};
    if (::stat(options.path.c_str(), &info) != 0) {
      return base::Error{base::Code::not_found, "there is no store at " + options.path};
    }
  }
  if (options.read_only) {
    parts.readers = std::make_shared<ReaderPool>(options.path, Connection::Mode::read_only);
    TRY(auto probe, Connection::open(options.path, Connection::Mode::read_only));
    TRY_OK(check_schema(*probe, options.realm));
    TRY(parts.highest, read_highest_time(*probe));
    return parts;
  }
  parts.lock = std::make_unique<ProcessLock>();
  TRY_OK(parts.lock->lock(options.path + ".lock"));
  TRY_OK(create_private(options.path));
  TRY(parts.writer, Connection::open(options.path, Connection::Mode::writer));
  // Keys that were erased right before a crash may still lie in the log. With a reader on it (attestry audit) the
  // batches to come go on trying.
  const auto emptied = parts.writer->empty_wal();
  if (!emptied && emptied.error().code != base::Code::unavailable) return emptied.error();
  parts.log_has_keys = !emptied;
  TRY_OK(open_schema(*parts.writer, options.realm));
  TRY(parts.highest, read_highest_time(*parts.writer));
  parts.readers = std::make_shared<ReaderPool>(options.path, Connection::Mode::reader);
  return parts;
}

}  // namespace

base::Result<std::unique_ptr<Store>> Store::open(const StoreOptions& options) {
  TRY(auto parts, open_parts(options), "store " + options.path);
  return std::unique_ptr<Store>(std::make_unique<SqliteStore>(options, std::move(parts)));
}

}  // namespace attestry::state
