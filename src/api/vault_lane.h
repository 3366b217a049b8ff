// Threads for what takes long of one request in Vault's shapes: RSA keys, large batches, second tries. The workers,
// which all services share, and the store's committer have none of it.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "api/slow_lane.h"
#include "base/mutex.h"

namespace attestry::api {

/// Thread-safe. As SlowLane, with a bound for each client.
class VaultLane {
 public:
  VaultLane(std::size_t threads, std::size_t waiting, std::size_t of_one) : of_one_(of_one), lane_(threads, waiting) {}

  /// False when too many wait, or too many of `whose`: then nothing was taken.
  bool run(const std::string& whose, SlowLane::Task task) {
    {
      const base::MutexLock lock(mutex_);
      auto& count = running_[whose];
      if (count >= of_one_) return false;
      ++count;
    }
    // A task that is dropped at the end of the lane ends its place as well.
    auto place = std::make_shared<Place>(*this, whose);
    SlowLane::Task counted = [place = std::move(place), task = std::move(task)]() mutable { task(); };
    return lane_.run(counted);
  }
  void stop() { lane_.stop(); }

 private:
  class Place {
   public:
    Place(VaultLane& lane, std::string whose) : lane_(lane), whose_(std::move(whose)) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { lane_.leave(whose_); }

   private:
    VaultLane& lane_;
    const std::string whose_;
  };

  void leave(const std::string& whose) {
    const base::MutexLock lock(mutex_);
    const auto found = running_.find(whose);
    if (--found->second == 0) running_.erase(found);
  }

  const std::size_t of_one_;
  base::Mutex mutex_;
  std::map<std::string, std::size_t> running_ ATTESTRY_GUARDED_BY(mutex_);
  SlowLane lane_;  ///< last: its tasks leave the map
};

}  // namespace attestry::api
