// The one thread that writes: takes what is queued, runs it, commits once, calls the hook, then answers.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"
#include "state/internal/batch.h"
#include "state/internal/sqlite.h"
#include "state/internal/time_guard.h"
#include "state/store.h"

namespace attestry::state {

class Committer {
 public:
  /// `connection` is a prepared writer; `times` outlives this. `keys_erased`: the log may hold some already.
  Committer(std::unique_ptr<Connection> connection, TimeGuard& times, std::size_t max_batch, std::size_t max_queue,
            bool keys_erased);
  ~Committer();
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  void write(Store::Closure closure, Store::Completion completion);
  void set_after_commit(Store::AfterCommit hook);
  StoreStats stats() const;

 private:
  struct Job {
    Store::Closure closure;
    Store::Completion completion;
    base::Status result = base::done();
  };

  void loop();
  void run_batch();
  std::vector<Job> take(std::size_t most);
  base::Status fill_batch(std::vector<Job>& jobs);
  base::Status run(Job& job, Batch& batch);
  base::Status call_hook();
  void empty_log();

  const std::unique_ptr<Connection> connection_;
  TimeGuard& times_;
  const std::size_t max_batch_;
  const std::size_t max_queue_;

  // std::mutex: a condition variable waits on it.
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> queue_;
  bool stopping_ = false;
  StoreStats stats_;

  std::mutex hook_mutex_;
  Store::AfterCommit hook_;

  std::uint64_t batch_number_ = 0;              ///< the committer's thread only
  bool keys_erased_;                            ///< the committer's thread only: a key may still lie in the log
  int emptied_at_ = 0;                          ///< the committer's thread only: pages in the log at the last step
  std::optional<base::UtcTime> time_in_batch_;  ///< the committer's thread only
  std::thread thread_;
};

}  // namespace attestry::state
