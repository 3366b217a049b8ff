#include "api/fair_lane.h"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace attestry::api {

namespace {

/// The calling thread alone: on Linux that is what these calls mean, other than in POSIX (setpriority(2)).
void yield_to_others(int niceness) {
  if (niceness == 0) return;
  const int now = ::getpriority(PRIO_PROCESS, 0);
  if (::setpriority(PRIO_PROCESS, 0, std::min(now + niceness, 19)) == 0) return;
  base::log(base::LogLevel::warning, "what takes long is not done at a lower priority",
            {{"reason", std::generic_category().message(errno)}});
}

}  // namespace

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
  Task displaced;  // destroyed without the lock: what it holds answers somebody
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto found = customers_.find(customer);
    const std::size_t mine = found == customers_.end() ? 0 : found->second.tasks.size();
    if (stopping_ || mine >= options_.waiting_of_one) return false;
    if (waiting_ >= options_.waiting && !make_place(mine, displaced)) return false;
    if (found == customers_.end()) found = customers_.try_emplace(std::string{customer}).first;
    found->second.tasks.push_back(std::move(task));
    ++waiting_;
    take_turn(found);
  }
  wake_.notify_one();
  return true;
}

/// With the lock held, for one who has `mine` places.
bool FairLane::make_place(std::size_t mine, Task& displaced) {
  if (!options_.share_places) return false;
  std::deque<Task>* most = nullptr;
  for (auto& [name, customer] : customers_) {
    if (most == nullptr || customer.tasks.size() > most->size()) most = &customer.tasks;
  }
  if (most == nullptr || most->size() < 2 || most->size() <= mine) return false;
  displaced = std::move(most->back());
  most->pop_back();
  --waiting_;
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
  yield_to_others(options_.niceness);
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
