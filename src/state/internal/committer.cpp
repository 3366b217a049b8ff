#include "state/internal/committer.h"

#include "base/log.h"
#include "state/internal/schema.h"

namespace attestry::state {
namespace {

base::Error not_committed(const base::Error& cause) {
  return base::Error{base::Code::unavailable, "the store could not commit", {}, cause.text()};
}

/// What closures have written is kept in memory until the commit, but no more of it than this.
constexpr std::size_t kMostPending = 8u << 20;

/// How long a key that was erased may lie in the log once nobody reads there any more, and nothing else is written.
constexpr std::chrono::seconds kEmptyAgain{1};

}  // namespace

Committer::Committer(std::unique_ptr<Connection> connection, TimeGuard& times, std::size_t max_batch,
                     std::size_t max_queue, bool keys_erased)
    : connection_(std::move(connection)),
      times_(times),
      max_batch_(std::max<std::size_t>(max_batch, 1)),
      max_queue_(max_queue),
      keys_erased_(keys_erased),
      thread_([this] { loop(); }) {}

Committer::~Committer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Committer::write(Store::Closure closure, Store::Completion completion) {
  const char* refusal = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) {
      refusal = "the store is closing";
    } else if (queue_.size() >= max_queue_) {
      refusal = "too many writes are waiting for the disk";
    } else {
      queue_.push_back(Job{std::move(closure), std::move(completion)});
    }
  }
  if (refusal != nullptr) return completion(base::Error{base::Code::unavailable, refusal});
  wake_.notify_one();
}

void Committer::set_after_commit(Store::AfterCommit hook) {
  const std::lock_guard lock(hook_mutex_);
  hook_ = std::move(hook);
}

StoreStats Committer::stats() const {
  const std::lock_guard lock(mutex_);
  StoreStats out = stats_;
  out.queued = queue_.size();
  return out;
}

void Committer::loop() {
  for (;;) {
    bool work = true;
    {
      std::unique_lock lock(mutex_);
      const auto woken = [this] { return stopping_ || !queue_.empty(); };
      if (keys_erased_) {
        work = wake_.wait_for(lock, kEmptyAgain, woken);
      } else {
        wake_.wait(lock, woken);
      }
      if (work && queue_.empty()) return;
    }
    if (work) {
      run_batch();
    } else {
      empty_log();
    }
  }
}

std::vector<Committer::Job> Committer::take(std::size_t most) {
  const std::lock_guard lock(mutex_);
  std::vector<Job> out;
  while (!queue_.empty() && out.size() < most) {
    out.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return out;
}

base::Status Committer::run(Job& job, Batch& batch) {
  job.result = job.closure(batch);
  // An I/O error ends SQLite's whole transaction; what was flushed for the others is gone with it.
  if (!connection_->in_transaction()) {
    return base::Error{base::Code::unavailable,
                       "the transaction ended: " + (job.result ? "" : job.result.error().text())};
  }
  if (job.result) {
    batch.keep();
  } else {
    batch.undo();
  }
  return batch.pending_bytes() > kMostPending ? batch.flush() : base::done();
}

base::Status Committer::fill_batch(std::vector<Job>& jobs) {
  Batch batch(*connection_, batch_number_);
  base::Status state = connection_->transaction(Connection::Step::begin);
  time_in_batch_ = times_.to_store();
  if (state && time_in_batch_) state = write_highest_time(batch, *time_in_batch_);
  batch.keep();
  // Writes that arrive while the batch is being filled still get on it: fewer syncs for the same work.
  while (jobs.size() < max_batch_) {
    std::vector<Job> more = take(max_batch_ - jobs.size());
    if (more.empty()) break;
    for (Job& job : more) {
      if (state) state = run(job, batch);
      jobs.push_back(std::move(job));
    }
    if (!state) break;
  }
  if (state) state = batch.flush();
  if (state) state = connection_->transaction(Connection::Step::commit);
  keys_erased_ = keys_erased_ || batch.keys_erased();
  return state;
}

base::Status Committer::call_hook() {
  const std::lock_guard lock(hook_mutex_);
  if (!hook_) return base::done();
  const Batch view(*connection_, batch_number_);
  return hook_(view);
}

/// Copies the write-ahead log into the database, a hundred pages at a time. After the answers, so that nobody waits who
/// was in the batch, and in small steps, because the next batch does: a sync of thousands of pages is what the slowest
/// requests would feel. On this connection and no other: up to SQLite 3.51.2 a checkpoint of a second connection beside
/// a commit that starts the log anew can lose committed pages (sqlite.org/wal.html, "WAL-reset bug").
void Committer::empty_log() {
  if (keys_erased_) {
    // The log still holds the pages as they were. Should a reader be in the way, the next batch or start tries again,
    // and so does the loop while there is neither.
    const base::Status emptied = connection_->empty_wal();
    keys_erased_ = !emptied;
    if (emptied) emptied_at_ = 0;
    if (emptied) return;
  }
  constexpr int kStep = 100;
  const int pages = connection_->wal_pages();
  // Fewer than at the last step: the log has begun anew. While a long read keeps it from doing so it grows, and a step
  // is taken for every further hundred pages, not after every batch.
  if (pages < emptied_at_) emptied_at_ = 0;
  if (pages < emptied_at_ + kStep) return;
  emptied_at_ = pages;
  const base::Status status = connection_->checkpoint();
  // Costs disk space and nothing else: the log keeps what could not be copied, and the next batch tries again.
  if (!status) base::log(base::LogLevel::warning, "checkpoint of the store", {{"error", status.error().text()}});
}

void Committer::run_batch() {
  ++batch_number_;
  std::vector<Job> batch;
  base::Status state = fill_batch(batch);
  const bool committed = state.ok();
  if (committed && time_in_batch_) times_.stored(*time_in_batch_);
  if (!committed) connection_->rollback();
  if (committed) state = call_hook();
  if (!state) {
    base::log(base::LogLevel::error, committed ? "after-commit hook failed" : "commit failed",
              {{"error", state.error().text()}, {"writes", std::to_string(batch.size())}});
  }
  {
    const std::lock_guard lock(mutex_);
    ++(state ? stats_.batches : stats_.failed_batches);
    if (state) stats_.writes += batch.size();
  }
  for (Job& job : batch) {
    // A closure that refused by itself keeps its own reason; nothing that succeeded may be acknowledged after a
    // failure.
    if (!state && job.result) job.result = not_committed(state.error());
    job.closure = nullptr;
    job.completion(std::move(job.result));
  }
  empty_log();
}

}  // namespace attestry::state
