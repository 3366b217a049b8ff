// The threads of one endpoint: what it keeps waiting waits here, and nowhere else.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace attestry::chain::internal {

/// Thread-safe. The destructor drops what has not begun and waits for what has. Tasks must not throw.
class Lane {
 public:
  using Task = std::move_only_function<void()>;

  explicit Lane(std::size_t threads, std::size_t max_waiting = 1024);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  /// False when too many wait; then the task is gone.
  bool run(Task task);

 private:
  void work();

  const std::size_t max_waiting_;
  base::Mutex mutex_;
  std::condition_variable_any wake_;
  bool stopping_ ATTESTRY_GUARDED_BY(mutex_) = false;
  std::deque<Task> tasks_ ATTESTRY_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace attestry::chain::internal
