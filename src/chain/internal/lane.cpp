#include "chain/internal/lane.h"

namespace attestry::chain::internal {

Lane::Lane(std::size_t threads, std::size_t max_waiting) : max_waiting_(max_waiting) {
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Lane::~Lane() {
  {
    const base::MutexLock lock{mutex_};
    stopping_ = true;
    tasks_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool Lane::run(Task task) {
  {
    const base::MutexLock lock{mutex_};
    if (stopping_ || tasks_.size() >= max_waiting_) return false;
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

void Lane::work() {
  for (;;) {
    Task task;
    {
      const base::MutexLock lock{mutex_};
      while (!stopping_ && tasks_.empty()) wake_.wait(mutex_);
      if (stopping_) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace attestry::chain::internal
