#include "api/fair_lane.h"

#include <sys/resource.h>
#include <time.h>

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

std::chrono::nanoseconds processor_time(clockid_t of) {
  timespec out{};
  ::clock_gettime(of, &out);
  return std::chrono::seconds{out.tv_sec} + std::chrono::nanoseconds{out.tv_nsec};
}

constexpr std::chrono::milliseconds kMuch{50};
constexpr std::chrono::seconds kMost{5};  ///< forgiven after 50
constexpr int kShare = 10;                ///< one part in so many of a core is nobody's burden
constexpr int kRest = 9;                  ///< times what was worked
constexpr int kBusyShare = 4;  ///< the process is busy when its other threads take one part in so many of a core
constexpr std::size_t kLookAtLeast = 64;

/// Whether the other threads of the process take much, from one question to the next. For one thread.
class Others {
 public:
  bool busy() {
    const auto now = std::chrono::steady_clock::now();
    const auto all = processor_time(CLOCK_PROCESS_CPUTIME_ID), mine = processor_time(CLOCK_THREAD_CPUTIME_ID);
    const auto theirs = (all - all_) - (mine - mine_);
    const bool out = theirs * kBusyShare > now - asked_;
    asked_ = now;
    all_ = all;
    mine_ = mine;
    return out;
  }

 private:
  std::chrono::steady_clock::time_point asked_ = std::chrono::steady_clock::now();
  std::chrono::nanoseconds all_ = processor_time(CLOCK_PROCESS_CPUTIME_ID);
  std::chrono::nanoseconds mine_ = processor_time(CLOCK_THREAD_CPUTIME_ID);
};

}  // namespace

FairLane::FairLane(FairLaneOptions options) : options_(options), look_at_(kLookAtLeast) {
  threads_.reserve(options_.threads + options_.resting_threads);
  for (std::size_t i = 0; i < options_.threads; ++i) threads_.emplace_back([this] { work(row_, false); });
  for (std::size_t i = 0; i < options_.resting_threads; ++i)
    threads_.emplace_back([this] { work(resting_row_, true); });
}

FairLane::~FairLane() { stop(); }

void FairLane::stop() {
  std::vector<std::deque<Task>> dropped;  // destroyed without the lock: what a task holds may answer somebody
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    row_.turns.clear();
    resting_row_.turns.clear();
    for (auto& [name, customer] : customers_) dropped.push_back(std::exchange(customer.tasks, {}));
  }
  row_.wake.notify_all();
  resting_row_.wake.notify_all();
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

std::size_t FairLane::customers() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return customers_.size();
}

FairLane::Nanoseconds FairLane::still_used(const Customer& customer, Steady::time_point now) {
  return std::max(Nanoseconds{}, customer.used - (now - customer.counted) / kShare);
}

/// With the lock held.
void FairLane::count(Customer& customer, Nanoseconds worked) {
  if (options_.resting_threads == 0) return;
  const auto now = Steady::now();
  customer.used = std::min(still_used(customer, now) + worked, Nanoseconds{kMost});
  customer.counted = now;
}

/// With the lock held: to the end of the row, when there is something that may begin.
void FairLane::take_turn(Customers::iterator customer) {
  Customer& one = customer->second;
  if (one.in_turn || one.tasks.empty() || one.running >= options_.threads_of_one) return;
  one.in_turn = true;
  Row& row = still_used(one, Steady::now()) > kMuch ? resting_row_ : row_;
  row.turns.push_back(customer);
  if (&row == &row_) {
    row.wake.notify_one();
  } else {
    row.wake.notify_all();  // one that rests would take it for itself
  }
}

/// With the lock held. Customers who have gone stay until a tenth of a core has made up for what they took: that is 20
/// of them for two cores that do nothing else, and so many again before somebody looks.
void FairLane::forget_the_rested() {
  if (customers_.size() < look_at_) return;
  const auto now = Steady::now();
  std::erase_if(customers_, [now](const auto& entry) {
    const Customer& one = entry.second;
    return one.running == 0 && one.tasks.empty() && still_used(one, now) == Nanoseconds{};
  });
  look_at_ = std::max(kLookAtLeast, 2 * customers_.size());
}

FairLane::Nanoseconds FairLane::work_once(Row& row, std::unique_lock<std::mutex>& lock) {
  const auto customer = row.turns.front();
  row.turns.pop_front();
  Customer& one = customer->second;
  one.in_turn = false;
  Task task = std::move(one.tasks.front());
  one.tasks.pop_front();
  --waiting_;
  ++one.running;
  take_turn(customer);
  lock.unlock();
  const auto before = processor_time(CLOCK_THREAD_CPUTIME_ID);
  task();
  task = nullptr;
  const auto worked = processor_time(CLOCK_THREAD_CPUTIME_ID) - before;
  lock.lock();
  --one.running;
  count(one, worked);
  take_turn(customer);
  if (one.running == 0 && one.tasks.empty() && one.used == Nanoseconds{}) {
    customers_.erase(customer);
  } else {
    forget_the_rested();
  }
  return worked;
}

void FairLane::work(Row& row, bool rests) {
  yield_to_others(options_.niceness);
  Others others;
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    row.wake.wait(lock, [&] { return stopping_ || !row.turns.empty(); });
    if (stopping_) return;
    const Nanoseconds worked = work_once(row, lock);
    if (!rests || !others.busy()) continue;
    row.wake.wait_until(lock, Steady::now() + kRest * worked, [this] { return stopping_; });
  }
}

}  // namespace attestry::api
