// An authority on spent receipts that is asked over the network, on threads of its own: one that is slow, or away,
// costs nobody else's report a thread.
#pragma once
#include "api/fair_lane.h"
#include "tracker/spent.h"

namespace attestry::app {

/// Thread-safe. The destructor, and stop(), drop what waits: its answer is destroyed without being called.
class AskingSpent final : public tracker::SpentAuthority {
 public:
  static constexpr std::size_t kThreads = 4;
  static constexpr std::size_t kMostWaiting = 256;
  /// `asked` answers before its claim() returns, and outlives this.
  explicit AskingSpent(tracker::SpentAuthority& asked) : asked_(asked) {}
  /// Returns at once. Error `unavailable` when too many wait already.
  void claim(const tracker::InstanceId& owner, std::vector<tracker::SpentClaim> claims, Answer answer) override;
  void stop() { lane_.stop(); }

 private:
  tracker::SpentAuthority& asked_;
  api::FairLane lane_{
      {.threads = kThreads, .threads_of_one = kThreads, .waiting = kMostWaiting, .waiting_of_one = kMostWaiting}};
};

}  // namespace attestry::app
