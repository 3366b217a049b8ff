#include "api/slow_lane.h"

#include <utility>

namespace attestry::api {

SlowLane::SlowLane(std::size_t threads, std::size_t max_waiting) : max_waiting_(max_waiting) {
  threads_.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

SlowLane::~SlowLane() { stop(); }

void SlowLane::stop() {
  std::deque<Task> dropped;  // destroyed without the lock: what a task holds may answer somebody
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    dropped.swap(tasks_);
  }
  wake_.notify_all();
  dropped.clear();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

bool SlowLane::run(Task& task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_ || tasks_.size() >= max_waiting_) return false;
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

void SlowLane::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    if (stopping_) return;
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
  }
}

}  // namespace attestry::api
