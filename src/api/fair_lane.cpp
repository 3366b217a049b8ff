#include "api/fair_lane.h"

#include <utility>

namespace attestry::api {

FairLane::FairLane(FairLaneOptions options) : options_(options) {
  threads_.reserve(options_.threads);
  for (std::size_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(); });
}

FairLane::~FairLane() { stop(); }

void FairLane::stop() {
  std::vector<std::deque<Task>> dropped;  // destroyed without the lock: what a task holds may answer somebody
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    turns_.clear();
    for (auto& [name, customer] : customers_) dropped.push_back(std::exchange(customer.tasks, {}));
  }
  wake_.notify_all();
  dropped.clear();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
}

bool FairLane::run(std::string_view customer, Task& task) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_ || waiting_ >= options_.waiting) return false;
    auto found = customers_.find(customer);
    if (found == customers_.end()) found = customers_.try_emplace(std::string{customer}).first;
    if (found->second.tasks.size() >= options_.waiting_of_one) return false;
    found->second.tasks.push_back(std::move(task));
    ++waiting_;
    take_turn(found);
  }
  wake_.notify_one();
  return true;
}

/// With the lock held: to the end of the row, when there is something that may begin.
void FairLane::take_turn(Customers::iterator customer) {
  Customer& one = customer->second;
  if (one.in_turn || one.tasks.empty() || one.running >= options_.threads_of_one) return;
  one.in_turn = true;
  turns_.push_back(customer);
}

void FairLane::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !turns_.empty(); });
    if (stopping_) return;
    const auto customer = turns_.front();
    turns_.pop_front();
    customer->second.in_turn = false;
    Task task = std::move(customer->second.tasks.front());
    customer->second.tasks.pop_front();
    --waiting_;
    ++customer->second.running;
    take_turn(customer);
    lock.unlock();
    task();
    task = nullptr;
    lock.lock();
    --customer->second.running;
    take_turn(customer);
    if (customer->second.running == 0 && customer->second.tasks.empty()) customers_.erase(customer);
  }
}

}  // namespace attestry::api
