// An authority on spent receipts that is asked over the network, on threads of its own: one that is slow, or away,
// costs nobody else's report a thread, and nobody takes all places while it is.
#pragma once
#include <chrono>

#include "api/fair_lane.h"
#include "base/time.h"
#include "tracker/spent.h"

namespace attestry::app {

/// Thread-safe. Every claim is answered: `unavailable` for those that still wait when it is stopped or destroyed.
class AskingSpent final : public tracker::SpentAuthority {
 public:
  static constexpr std::size_t kThreads = 4;
  static constexpr std::size_t kThreadsOfOne = 2;  ///< of one customer
  static constexpr std::size_t kMostWaiting = 256;
  static constexpr std::size_t kMostWaitingOfOne = 32;
  static constexpr std::chrono::seconds kPatience{10};  ///< what has waited for longer is not asked any more
  /// `asked` answers before its claim() returns; both outlive this.
  AskingSpent(tracker::SpentAuthority& asked, const base::Clock& clock) : asked_(asked), clock_(clock) {}
  /// Returns at once. Error `unavailable` when too many wait already, or others more urgently.
  void claim(const tracker::InstanceId& owner, std::vector<tracker::SpentClaim> claims, std::string_view customer,
             Answer answer) override;
  void stop() { lane_.stop(); }

 private:
  tracker::SpentAuthority& asked_;
  const base::Clock& clock_;
  api::FairLane lane_{{.threads = kThreads,
                       .threads_of_one = kThreadsOfOne,
                       .waiting = kMostWaiting,
                       .waiting_of_one = kMostWaitingOfOne,
                       .share_places = true}};
};

}  // namespace attestry::app
