#include "blobs/lanes.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace attestry::blobs {
namespace {

using Steady = std::chrono::steady_clock;

struct Waiting {
  base::Deadline deadline;
  std::function<void(bool late)> call;
};

}  // namespace

/// Threads belong to a lane and are never lent: that is the whole isolation.
struct Lanes::Impl {
  struct Lane {
    std::deque<Waiting> waiting;
    std::size_t threads = 0;
    std::size_t idle = 0;
    std::condition_variable_any work;
    Steady::time_point last_use{};
  };

  explicit Impl(LaneOptions given) : options(given) {}

  const LaneOptions options;
  base::Mutex mutex;
  std::map<std::string, std::unique_ptr<Lane>> lanes ATTESTRY_GUARDED_BY(mutex);
  std::vector<std::thread> finished ATTESTRY_GUARDED_BY(mutex);
  std::map<std::thread::id, std::thread> running ATTESTRY_GUARDED_BY(mutex);
  std::condition_variable_any all_gone;
  bool stopping ATTESTRY_GUARDED_BY(mutex) = false;

  Lane& lane(const std::string& name) ATTESTRY_REQUIRES(mutex) {
    auto& found = lanes[name];
    if (!found) {
      if (lanes.size() > options.lanes) drop_idle(name);
      found = std::make_unique<Lane>();
    }
    found->last_use = Steady::now();
    return *found;
  }

  /// The idle lane that was used longest ago; a lane with threads stays, because they point to it.
  void drop_idle(const std::string& except) ATTESTRY_REQUIRES(mutex) {
    auto oldest = lanes.end();
    for (auto it = lanes.begin(); it != lanes.end(); ++it) {
      if (it->first == except || !it->second || it->second->threads > 0) continue;
      if (oldest == lanes.end() || it->second->last_use < oldest->second->last_use) oldest = it;
    }
    if (oldest != lanes.end()) lanes.erase(oldest);
  }

  void start(Lane& lane) ATTESTRY_REQUIRES(mutex) {
    ++lane.threads;
    std::thread thread{&Impl::work, this, &lane};
    const auto id = thread.get_id();
    running.emplace(id, std::move(thread));
  }

  void work(Lane* lane) {
    mutex.lock();
    while (wait_for_work(*lane)) {
      auto next = std::move(lane->waiting.front());
      lane->waiting.pop_front();
      mutex.unlock();
      next.call(Steady::now() >= next.deadline);
      next.call = nullptr;  // what it holds goes outside the lock
      mutex.lock();
    }
    --lane->threads;
    const auto self = running.find(std::this_thread::get_id());
    finished.push_back(std::move(self->second));
    running.erase(self);
    if (running.empty()) all_gone.notify_all();
    mutex.unlock();
  }

  bool wait_for_work(Lane& lane) ATTESTRY_REQUIRES(mutex) {
    const auto until = Steady::now() + options.idle;
    ++lane.idle;
    while (lane.waiting.empty() && !stopping && Steady::now() < until) lane.work.wait_until(mutex, until);
    --lane.idle;
    return !lane.waiting.empty();
  }
};

Lanes::Lanes(LaneOptions options) : impl_(std::make_unique<Impl>(options)) {}

Lanes::~Lanes() {
  std::vector<std::thread> ended;
  {
    const base::MutexLock lock{impl_->mutex};
    impl_->stopping = true;
    for (auto& [name, lane] : impl_->lanes) lane->work.notify_all();
    while (!impl_->running.empty()) impl_->all_gone.wait(impl_->mutex);
    ended.swap(impl_->finished);
  }
  for (auto& thread : ended) thread.join();
}

base::Status Lanes::run(const std::string& name, base::Deadline deadline, std::function<void(bool late)> call) {
  std::vector<std::thread> ended;
  {
    const base::MutexLock lock{impl_->mutex};
    ended.swap(impl_->finished);
    auto& lane = impl_->lane(name);
    const auto busy = lane.threads - lane.idle;
    if (impl_->stopping || (busy >= impl_->options.threads && lane.waiting.size() >= impl_->options.waiting)) {
      return base::Error{base::Code::unavailable, "this backend is busy",
                         "fewer than " + std::to_string(impl_->options.waiting) + " calls that wait for it",
                         std::to_string(lane.waiting.size()),
                         "It answers slowly or not at all: look at it, or put a faster one before it."};
    }
    lane.waiting.push_back({deadline, std::move(call)});
    if (lane.waiting.size() > lane.idle && lane.threads < impl_->options.threads) impl_->start(lane);
    lane.work.notify_one();
  }
  for (auto& thread : ended) thread.join();
  return base::done();
}

}  // namespace attestry::blobs
