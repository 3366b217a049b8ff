// Threads for what waits long: a vendor that does not answer takes these and none of the server's workers
// (ARCHITECTURE 3.2).
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace attestry::api {

/// Thread-safe. The destructor drops what has not begun and waits for what has, so everything that a task uses must
/// outlive it.
class SlowLane {
 public:
  using Task = std::move_only_function<void()>;

  explicit SlowLane(std::size_t threads = 8, std::size_t max_waiting = 256);
  ~SlowLane();
  SlowLane(const SlowLane&) = delete;
  SlowLane& operator=(const SlowLane&) = delete;

  /// False when too many wait: then `task` is still the caller's. Tasks must not throw.
  bool run(Task& task);
  /// Drops what waits and lets what runs end; nothing is taken any more. Not from two threads at once.
  void stop();

 private:
  void work();

  const std::size_t max_waiting_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::deque<Task> tasks_;
  std::vector<std::thread> threads_;
};

}  // namespace attestry::api
